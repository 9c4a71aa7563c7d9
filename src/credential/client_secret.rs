//! The secrets of OAuth clients: `pts_` and 43 of `[0-9A-Za-z]` (256 bits).

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::entropy::random_text;
use crate::domain::{Entropy, Hash256};

/// What begins every client secret: scanners recognise one that leaked.
pub const PREFIX: &str = "pts_";
/// Letters and digits only: they stand for themselves in forms, URLs and `Authorization: Basic`.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is more than 2^256.
const LENGTH: usize = 43;

/// A client secret in the clear, held for as long as it takes to hand it out.
#[derive(Clone, Debug)]
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(format!("{PREFIX}{}", random_text(entropy, DIGITS, LENGTH)).into())
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> Hash256 {
        Hash256::of(self.expose().as_bytes())
    }

    /// The secret itself, for the one answer that shows it.
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
    fn a_secret_has_256_bits_of_letters_and_digits_and_does_not_print() {
        let secret = ClientSecret::generate(&SystemEntropy);
        let rest = secret.expose().strip_prefix("pts_").expect("the prefix");
        assert!(rest.len() == 43 && rest.bytes().all(|c| c.is_ascii_alphanumeric()), "{rest}");
        assert_ne!(secret.hash(), ClientSecret::generate(&SystemEntropy).hash());
        assert!(!format!("{secret:?}").contains(rest));
    }
}
