//! PBKDF2 (RFC 8018 §5.2).

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, Algorithm};

/// The most iterations where argon2 costs what is usual: twice of what Django chooses by itself.
const MAX_ITERATIONS: u64 = 2_000_000;

/// The digest under it.
#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// Reads `sha1`, `sha256` or `sha512`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn algorithm(self) -> (Algorithm, usize) {
        match self {
            Self::Sha1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        }
    }
}

/// A PBKDF2 hash.
pub(in super::super) struct Pbkdf2 {
    digest: Digest,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Pbkdf2 {
    pub(super) fn new(digest: Digest, iterations: u32, salt: Vec<u8>, output: Vec<u8>) -> Option<Self> {
        // Less was cut off; more would cost the iterations once more for each digest.
        let fits = output.len() == digest.algorithm().1;
        fits.then_some(Self { digest, iterations: NonZeroU32::new(iterations)?, salt, output })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.digest {
            Digest::Sha1 => "pbkdf2-sha1",
            Digest::Sha256 => "pbkdf2-sha256",
            Digest::Sha512 => "pbkdf2-sha512",
        }
    }

    pub(super) fn iterations(&self) -> u64 {
        self.iterations.get().into()
    }

    pub(super) fn is_affordable(&self, times: u64) -> bool {
        self.iterations() <= times.saturating_mul(MAX_ITERATIONS)
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        pbkdf2::verify(self.digest.algorithm().0, self.iterations, &self.salt, password, &self.output).is_ok()
    }
}
