//! API keys as clients hold them: `ptc_` id `_` secret check.
//!
//! The check is the CRC-32 (IEEE) of everything before it in base 62, six digits with leading zeros, the digits in the
//! order `0-9A-Za-z`. It tells a mistyped or cut key from a wrong one before the store is asked, and lets scanners
//! recognise keys that leaked.

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::entropy::random_text;
use crate::domain::{Entropy, Hash256, KeyId};

/// What begins every API key.
pub const PREFIX: &str = "ptc_";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is more than 2^256.
const SECRET: usize = 43;
const CHECK: usize = 6;
const LENGTH: usize = PREFIX.len() + KeyId::LENGTH + 1 + SECRET + CHECK;

/// An API key in the clear: held for as long as it takes to judge it or hand it out.
#[derive(Clone, Debug)]
pub struct ApiKey {
    id: KeyId,
    text: SecretString,
}

impl ApiKey {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let id = KeyId::generate(entropy);
        let mut text = format!("{PREFIX}{id}_{}", random_text(entropy, DIGITS, SECRET));
        let check = check(text.as_bytes());
        text.extend(check.map(char::from));
        Self { id, text: text.into() }
    }

    /// What a client presented, when it has the form of a key and its check is right.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != LENGTH {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let (body, digits) = bytes.split_at_checked(LENGTH - CHECK)?;
        if digits != check(body) {
            return None;
        }
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        if !secret.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        Some(Self { id: id.parse().ok()?, text: text.to_owned().into() })
    }

    /// Its public part.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// What the store keeps of it: SHA-256 of the whole key.
    #[must_use]
    pub fn hash(&self) -> Hash256 {
        Hash256::of(self.expose().as_bytes())
    }

    /// The key itself, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        let place = usize::try_from(rest % 62).unwrap_or(0);
        *digit = DIGITS.get(place).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemEntropy;

    #[test]
    fn a_new_key_has_the_published_form_and_reads_back() {
        let key = ApiKey::generate(&SystemEntropy);
        let text = key.expose();
        assert_eq!(text.len(), 80);
        let (id, rest) = text.strip_prefix("ptc_").and_then(|rest| rest.split_once('_')).expect("prefix, id, rest");
        assert!(id.len() == 26 && id.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()), "{id}");
        assert!(rest.len() == 49 && rest.bytes().all(|c| c.is_ascii_alphanumeric()), "{rest}");
        let read = ApiKey::parse(text.as_bytes()).expect("reads back");
        assert_eq!((read.id(), read.hash()), (key.id(), key.hash()));
    }

    #[test]
    fn the_check_is_the_crc_in_base_62_with_leading_zeros() {
        // The check value of CRC-32/ISO-HDLC, as its catalogues give it.
        let mut value: u64 = 0;
        for digit in check(b"123456789") {
            value = value * 62 + DIGITS.iter().position(|&d| d == digit).expect("a digit") as u64;
        }
        assert_eq!(value, 0xCBF4_3926);
        assert_eq!(&check(b""), b"000000");
    }

    #[test]
    fn any_changed_character_is_noticed_before_the_store_is_asked() {
        let key = ApiKey::generate(&SystemEntropy);
        for place in 0..key.expose().len() {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
            assert!(ApiKey::parse(&bytes).is_none(), "changed at {place}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_even_with_a_right_check() {
        let sealed = |body: &str| {
            let mut bytes = body.as_bytes().to_vec();
            bytes.extend(check(body.as_bytes()));
            bytes
        };
        let (id, secret) = ("a".repeat(26), "B".repeat(43));
        assert!(ApiKey::parse(&sealed(&format!("ptc_{id}_{secret}"))).is_some());
        for body in [
            String::new(),
            format!("ptr_{id}_{secret}"),
            format!("ptc_{}_{secret}", "A".repeat(26)),
            format!("ptc_{id}{secret}_"),
            format!("ptc_{id}_{}-", "B".repeat(42)),
            format!("ptc_{id}_{secret}B"),
        ] {
            assert!(ApiKey::parse(&sealed(&body)).is_none(), "{body}");
        }
        assert!(ApiKey::parse(&[0xff; LENGTH]).is_none());
    }

    #[test]
    fn a_key_does_not_print() {
        let key = ApiKey::generate(&SystemEntropy);
        assert!(!format!("{key:?}").contains(key.expose()));
    }
}
