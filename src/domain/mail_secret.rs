//! What is mailed to somebody, so that who reads that mail can show it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::entropy::{Entropy, random};
use super::secret::Hash256;

/// What begins every mailed secret.
const PREFIX: &str = "ptm_";

/// A mailed secret in the clear.
#[derive(Clone, Debug)]
pub struct MailSecret(SecretString);

impl MailSecret {
    /// A new one: `ptm_` and 256 random bits.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>(entropy))).into())
    }

    /// What somebody presented, when it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bits = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (bits.len() == 32).then(|| Self(text.to_owned().into()))
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> Hash256 {
        Hash256::of(self.expose().as_bytes())
    }

    /// The secret itself, for the link.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemEntropy;

    #[test]
    fn a_secret_is_read_as_it_was_made_and_nothing_else_is() {
        let secret = MailSecret::generate(&SystemEntropy);
        let again = MailSecret::parse(secret.expose()).expect("one of ours");
        assert!(again.hash().matches(&secret.hash()));
        assert!(!format!("{secret:?}").contains(secret.expose()));
        for text in ["", "ptm_", "ptm_AAAA", &secret.expose().replace("ptm_", "ptr_"), &format!("{} ", secret.expose())] {
            assert!(MailSecret::parse(text).is_none(), "{text:?}");
        }
    }
}
