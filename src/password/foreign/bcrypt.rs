//! bcrypt, bare and behind a digest of the password, which passlib and Django put there because of the 72 bytes.

use std::str::FromStr as _;

use ::bcrypt::HashParts;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// The most that the cost may be where argon2 costs what is usual: twice of what tools choose by themselves.
const MAX_COST: u32 = 13;

/// What becomes of a password before bcrypt sees it.
pub(super) enum Before {
    /// Nothing: it is cut off at 72 bytes, as it was when the hash was made.
    Nothing,
    /// Django's `bcrypt_sha256`: SHA-256 in hexadecimal.
    Hexadecimal,
    /// passlib's `bcrypt-sha256`, version 1: SHA-256 in base64.
    Base64,
    /// passlib's `bcrypt-sha256`, version 2: HMAC-SHA-256 by the salt, in base64.
    Keyed,
}

/// A bcrypt hash.
pub(in super::super) struct Bcrypt {
    text: String,
    cost: u32,
    before: Before,
}

impl Bcrypt {
    /// Reads `$2b$12$` and 53 characters behind it.
    pub(super) fn read(text: &str, before: Before) -> Option<Self> {
        if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| text.starts_with(kind)) {
            return None;
        }
        let cost = HashParts::from_str(text).ok()?.get_cost();
        (4..=31).contains(&cost).then(|| Self { text: text.to_owned(), cost, before })
    }

    pub(super) fn rounds(&self) -> u64 {
        1 << self.cost
    }

    pub(super) fn is_affordable(&self, times: u64) -> bool {
        self.rounds() <= times.saturating_mul(1 << MAX_COST)
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let sha256 = || digest::digest(&digest::SHA256, password);
        let seen = Zeroizing::new(match self.before {
            Before::Nothing => password.to_vec(),
            Before::Hexadecimal => hexadecimal(sha256().as_ref()),
            Before::Base64 => BASE64_STANDARD.encode(sha256()).into_bytes(),
            Before::Keyed => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.salt());
                BASE64_STANDARD.encode(hmac::sign(&key, password)).into_bytes()
            }
        });
        ::bcrypt::verify(&*seen, &self.text).unwrap_or(false)
    }

    /// As it stands in the text.
    fn salt(&self) -> &[u8] {
        self.text.as_bytes().get(7..29).unwrap_or_default()
    }
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).map_or(b'0', |digit| digit as u8);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
