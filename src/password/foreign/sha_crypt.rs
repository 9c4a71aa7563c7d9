//! crypt(3) with SHA-256 and SHA-512, as htpasswd makes it by `-2` and `-5`.

use ::sha_crypt::{Params, PasswordVerifier as _, ShaCrypt as Verifier};

use super::{cut, number};

/// The most rounds where argon2 costs what is usual.
const MAX_ROUNDS: u64 = 2_000_000;
/// What it is without being said.
const DEFAULT_ROUNDS: u32 = 5000;

/// A SHA-crypt hash.
pub(in super::super) struct ShaCrypt {
    text: String,
    rounds: u32,
}

impl ShaCrypt {
    /// Reads `$5$salt$hash` and `$6$rounds=…$salt$hash`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split('$').collect();
        let (rounds, hash) = match *parts.as_slice() {
            ["", _, rounds, _, hash] => (number(rounds.strip_prefix("rounds=")?)?, hash),
            ["", _, _, hash] => (DEFAULT_ROUNDS, hash),
            _ => return None,
        };
        let is_whole = hash.len() == if text.starts_with("$5$") { 43 } else { 86 };
        (is_whole && Params::new(rounds).is_ok()).then(|| Self { text: text.to_owned(), rounds })
    }

    pub(super) fn name(&self) -> &'static str {
        if self.text.starts_with("$5$") { "sha256-crypt" } else { "sha512-crypt" }
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.into()
    }

    pub(super) fn is_affordable(&self, times: u64) -> bool {
        self.rounds() <= times.saturating_mul(MAX_ROUNDS)
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let (password, is_whole) = cut(password);
        Verifier::default().verify_password(password, self.text.as_str()).is_ok() && is_whole
    }
}
