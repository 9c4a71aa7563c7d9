//! What can be revoked, and what a credential has to be asked about.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::ids::{KeyId, SessionId, TokenId, UserId};

/// One thing that is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Revoked {
    /// One access token.
    Token {
        /// Its `jti`.
        id: TokenId,
    },
    /// All tokens of one login.
    Session {
        /// Its `sid`.
        id: SessionId,
    },
    /// A user's or a client's tokens of generations below a number.
    Generation {
        /// Whose.
        subject: UserId,
        /// The lowest generation that lives.
        below: i64,
    },
    /// An API key.
    ApiKey {
        /// Its public part.
        id: KeyId,
    },
}

/// A revocation in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the store's log: grows in commit order.
    pub seq: i64,
    /// What is revoked.
    pub what: Revoked,
    /// When the last token it can concern has ended, and it may be forgotten.
    pub until: Timestamp,
}

/// What one verified credential has to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// The access token.
    pub token: Option<TokenId>,
    /// The session behind it.
    pub session: Option<SessionId>,
    /// The account, and the generation that the credential knows of.
    pub account: Option<(UserId, i64)>,
    /// The API key.
    pub key: Option<KeyId>,
}
