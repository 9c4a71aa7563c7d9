//! Secrets that say nothing by themselves: a prefix by which a leaked one is recognised, and 256 random bits.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::entropy::{Entropy, random};
use super::secret::Hash256;

/// A kind of secret: one is never taken for another.
pub trait Kind {
    /// What begins every one.
    const PREFIX: &'static str;
}

/// A secret of the kind `K` in the clear, held for as long as it takes to answer.
pub struct Opaque<K>(SecretString, PhantomData<K>);

impl<K: Kind> Opaque<K> {
    /// A new one: its prefix and 256 random bits.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self::of(format!("{}{}", K::PREFIX, URL_SAFE_NO_PAD.encode(random::<32>(entropy))))
    }

    /// What somebody presented, when it has the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bits = URL_SAFE_NO_PAD.decode(text.strip_prefix(K::PREFIX)?).ok()?;
        (bits.len() == 32).then(|| Self::of(text.to_owned()))
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> Hash256 {
        Hash256::of(self.expose().as_bytes())
    }

    /// The secret itself, for who is to have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn of(text: String) -> Self {
        Self(text.into(), PhantomData)
    }
}

impl<K> Clone for Opaque<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K> fmt::Debug for Opaque<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is mailed to somebody, so that who reads that mail can show it.
#[derive(Debug)]
pub enum Mailed {}

impl Kind for Mailed {
    const PREFIX: &'static str = "ptm_";
}

/// A mailed secret.
pub type MailSecret = Opaque<Mailed>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemEntropy;
    use crate::domain::refresh::RefreshToken;

    fn is_read_as_it_was_made_and_nothing_else_is<K: Kind>(another: &str) {
        let secret = Opaque::<K>::generate(&SystemEntropy);
        let again = Opaque::<K>::parse(secret.expose()).expect("one of ours");
        assert!(again.hash().matches(&secret.hash()) && again.expose() == secret.expose());
        assert!(!Opaque::<K>::generate(&SystemEntropy).hash().matches(&secret.hash()));
        assert!(!format!("{secret:?}").contains(secret.expose()));
        let (prefix, bits) = secret.expose().split_at(K::PREFIX.len());
        assert_eq!((prefix, bits.len()), (K::PREFIX, 43));
        for text in ["", K::PREFIX, bits, "eyJhbGciOiJub25lIn0.e30.", &format!("{prefix}AAAA"), &format!("{prefix}{bits}AAAA")] {
            assert!(Opaque::<K>::parse(text).is_none(), "{text:?}");
        }
        for text in [format!("{another}{bits}"), format!("{prefix}{bits} "), format!("{prefix}{bits}=")] {
            assert!(Opaque::<K>::parse(&text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_was_made_and_nothing_else_is() {
        is_read_as_it_was_made_and_nothing_else_is::<Mailed>("ptr_");
        is_read_as_it_was_made_and_nothing_else_is::<crate::domain::refresh::Refresh>("ptm_");
        let of_another_kind = MailSecret::generate(&SystemEntropy);
        assert!(RefreshToken::parse(of_another_kind.expose()).is_none());
    }
}
