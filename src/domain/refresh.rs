//! The refresh token's life as a state machine; the store runs it inside one transaction.
//!
//! ```text
//!  fresh ──present──► used (successor sealed under this token) ──present within grace,
//!    │                                                             successor unused──► the same successor
//!    └─ its own parent's sealed successor is erased        └──present otherwise──► reuse: the session dies
//! ```

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::clock::Timestamp;
use super::opaque::{Kind, Opaque};

/// What keeps a session alive.
#[derive(Debug)]
pub enum Refresh {}

impl Kind for Refresh {
    const PREFIX: &'static str = "ptr_";
}

/// A refresh token in the clear.
pub type RefreshToken = Opaque<Refresh>;

impl RefreshToken {
    /// Encrypts `successor` so that only who holds this token can read it.
    ///
    /// The key is derived by HKDF (RFC 5869) from this token, which the store does not know.
    #[must_use]
    pub fn seal(&self, successor: &Self) -> Option<Vec<u8>> {
        let mut sealed = successor.expose().as_bytes().to_vec();
        // A key is used for one message only, so the nonce may be fixed.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.key()?.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(sealed)
    }

    /// Reads what [`seal`](Self::seal) wrote; `None` when it was not written under this token.
    #[must_use]
    pub fn unseal(&self, sealed: &[u8]) -> Option<Self> {
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let plain = self.key()?.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
        Self::parse(std::str::from_utf8(plain).ok()?)
    }

    fn key(&self) -> Option<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, b"portcullis refresh successor").extract(self.expose().as_bytes());
        let key: UnboundKey = derived.expand(&[b"v1"], &AES_256_GCM).ok()?.into();
        Some(LessSafeKey::new(key))
    }
}

/// A refresh token as the store knows it.
#[derive(Clone, Debug)]
pub struct RefreshRow {
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was replaced.
    pub used_at: Option<Timestamp>,
    /// Its successor, encrypted under it, until that is used or the grace is over.
    pub sealed_successor: Option<Vec<u8>>,
    /// Whether the successor was itself replaced.
    pub successor_used: bool,
}

/// What presenting a refresh token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// Replace it.
    Rotate,
    /// The client asked twice: hand out the very same successor.
    Again(Vec<u8>),
    /// It ended by itself.
    Expired,
    /// Somebody kept an old token: end the session.
    Reuse,
}

impl RefreshRow {
    /// Decides what presenting this token at `now` leads to.
    #[must_use]
    pub fn present(self, now: Timestamp, grace: Duration) -> Presented {
        match (self.used_at, self.sealed_successor) {
            (None, _) if now >= self.expires_at => Presented::Expired,
            (None, _) => Presented::Rotate,
            (Some(used), Some(sealed)) if !self.successor_used && now < used.plus(grace) => Presented::Again(sealed),
            (Some(_), _) => Presented::Reuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SystemEntropy;

    const GRACE: Duration = Duration::from_secs(10);

    fn row(used: Option<i64>, sealed: bool, successor_used: bool) -> RefreshRow {
        RefreshRow {
            expires_at: Timestamp::from_secs(100),
            used_at: used.map(Timestamp::from_secs),
            sealed_successor: sealed.then(|| vec![1]),
            successor_used,
        }
    }

    #[test]
    fn a_fresh_token_rotates_until_it_expires() {
        assert_eq!(row(None, false, false).present(Timestamp::from_secs(99), GRACE), Presented::Rotate);
        assert_eq!(row(None, false, false).present(Timestamp::from_secs(100), GRACE), Presented::Expired);
    }

    #[test]
    fn a_replay_within_the_grace_gives_the_same_successor() {
        assert_eq!(row(Some(50), true, false).present(Timestamp::from_secs(59), GRACE), Presented::Again(vec![1]));
    }

    #[test]
    fn any_other_replay_is_reuse() {
        for (row, now) in [
            (row(Some(50), true, false), 60),
            (row(Some(50), true, true), 51),
            (row(Some(50), false, false), 51),
            (row(Some(50), true, false), 150),
        ] {
            assert_eq!(row.clone().present(Timestamp::from_secs(now), GRACE), Presented::Reuse, "{row:?} at {now}");
        }
    }

    #[test]
    fn only_the_parent_opens_its_successor() {
        let (parent, child, other) = (
            RefreshToken::generate(&SystemEntropy),
            RefreshToken::generate(&SystemEntropy),
            RefreshToken::generate(&SystemEntropy),
        );
        let sealed = parent.seal(&child).expect("sealed");
        assert_eq!(parent.unseal(&sealed).expect("opened").expose(), child.expose());
        assert!(other.unseal(&sealed).is_none());
    }
}
