//! API keys of other makers, which clients have already: known by their hash alone.

use std::fmt;

use super::api_key;
use crate::domain::Hash256;

/// Shorter ones can be guessed; a version 4 UUID without its hyphens has 32, a random one of base64 carries 120 bits in 20.
const MIN_LENGTH: usize = 20;
/// Longer ones are no keys.
const MAX_LENGTH: usize = 512;
/// What repeats itself can be guessed.
const MIN_DISTINCT: usize = 8;
/// NIST SP 800-131A asks for 112 bits of what is not to be guessed; what is stored is a plain hash.
const STRONG_BITS: f64 = 112.0;

/// What is no key that could have been imported, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFault {
    /// Fewer than 20 characters.
    Short,
    /// More than 512 characters.
    Long,
    /// Something else than visible ASCII.
    Characters,
    /// Few different characters.
    Repeats,
    /// A key or refresh token of the gateway's own form.
    Own,
}

impl fmt::Display for ImportFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the key has fewer than 20 characters, so it could be guessed: make a new one with `portcullis key create`",
            Self::Long => "the key has more than 512 characters",
            Self::Characters => {
                "the key has characters that are not visible ASCII (a space, a line break, an accent), which headers do not carry well"
            }
            Self::Repeats => {
                "the key has fewer than 8 different characters, so it could be guessed: make a new one with `portcullis key create`"
            }
            Self::Own => "keys that begin with ptc_ or ptr_ are made by a gateway: make one here with `portcullis key create`",
        })
    }
}

/// A key as another system made it. Held as its hash only.
#[derive(Clone, Copy, Debug)]
pub struct ImportedKey {
    hash: Hash256,
    bits: f64,
}

impl ImportedKey {
    /// What was presented or is to be imported, if it can be such a key.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImportFault> {
        let own = |prefix: &[u8]| bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if own(api_key::PREFIX.as_bytes()) || own(b"ptr_") {
            return Err(ImportFault::Own);
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(ImportFault::Characters);
        }
        match bytes.len() {
            0..MIN_LENGTH => return Err(ImportFault::Short),
            MIN_LENGTH..=MAX_LENGTH => {}
            _ => return Err(ImportFault::Long),
        }
        let distinct = distinct(bytes);
        if distinct < MIN_DISTINCT {
            return Err(ImportFault::Repeats);
        }
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        Ok(Self { hash: Hash256::of(bytes), bits: count(bytes.len()) * count(distinct).log2() })
    }

    /// What the store keeps of it.
    #[must_use]
    pub const fn hash(&self) -> Hash256 {
        self.hash
    }

    /// Whether it holds less than random keys do, as far as can be seen.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.bits < STRONG_BITS
    }
}

fn distinct(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in bytes {
        if let Some(place) = seen.get_mut(usize::from(*byte)) {
            *place = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_or_does_not_fit_a_header_is_refused() {
        let long = "abcdefgh".repeat(65);
        for (key, fault) in [
            ("", ImportFault::Short),
            ("d41d8cd98f00b204e98", ImportFault::Short),
            (long.as_str(), ImportFault::Long),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ImportFault::Repeats),
            ("12312312312312312312312312", ImportFault::Repeats),
            ("correct horse battery staple", ImportFault::Characters),
            ("d41d8cd98f00b204e980\u{7f}", ImportFault::Characters),
            ("d41d8cd98f00b204e980\t", ImportFault::Characters),
            ("schlüssel-d41d8cd98f00b204e980", ImportFault::Characters),
            ("ptc_d41d8cd98f00b204e9800998ecf8427e", ImportFault::Own),
            ("PTR_d41d8cd98f00b204e9800998ecf8427e", ImportFault::Own),
        ] {
            assert_eq!(ImportedKey::parse(key.as_bytes()).err(), Some(fault), "{key}");
        }
        assert_eq!(ImportedKey::parse(&[0xff; 30]).err(), Some(ImportFault::Characters));
    }

    #[test]
    fn keys_of_others_are_known_by_the_hash_of_all_their_bytes() {
        for key in
            ["d41d8cd98f00b204e9800998ecf8427e", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "9b2f0c1e-4d3a-4c8e-9f57-0a1b2c3d4e5f"]
        {
            let parsed = ImportedKey::parse(key.as_bytes()).expect("a key");
            assert!(parsed.hash().matches(&Hash256::of(key.as_bytes())) && !parsed.is_weak(), "{key}");
        }
        assert!(ImportedKey::parse(b"my-service-key-2024!").expect("a key").is_weak());
    }
}
