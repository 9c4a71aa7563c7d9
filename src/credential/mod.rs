//! Floor 3: what a caller presents, and what it proves. Each scheme answers one of three.

pub mod api_key;
pub mod api_key_scheme;
pub mod bearer;
pub mod claims;
pub mod client_secret;
mod compact;
pub mod cookie;
pub mod external;
pub mod identify;
mod imported_key;
mod judging;
mod key_files;
mod key_pair;
mod key_records;
pub mod keys;
pub(crate) mod strict_json;
mod verified;
#[cfg(test)]
mod wycheproof;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{Concern, CredentialKind, Principal, Rate, Timestamp};
use crate::problem::Refusal;

pub use api_key::ApiKey;
pub use api_key_scheme::ApiKeyScheme;
pub use bearer::BearerScheme;
pub use claims::AccessClaims;
pub use client_secret::ClientSecret;
pub use compact::peek;
pub use external::{Issuers, Keeper, KeySetError};
pub use identify::{Identity, identify};
pub use imported_key::{ImportFault, ImportedKey};
pub use keys::{ACCESS_TOKEN, KeyError, KeyRing};

/// What of a request the schemes look at; gathered once.
#[derive(Clone, Debug, Default)]
pub struct Presented<'a> {
    /// The `Authorization` fields as they came.
    pub authorization: Vec<&'a [u8]>,
    /// The API key header's fields as they came, and the query parameter's values (undecoded).
    pub api_keys: Vec<&'a [u8]>,
    /// Values of the gateway's cookie.
    pub cookies: Vec<&'a [u8]>,
    /// Who connects.
    pub client: Option<IpAddr>,
}

/// A scheme's answer.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing of this kind was presented.
    NotPresented,
    /// It verified. Revocation is still to be asked.
    Accepted(Accepted),
    /// It was presented and does not verify, or can't be decided now.
    Rejected(Refusal),
}

/// A credential that verified.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Whom it proves.
    pub principal: Arc<Principal>,
    /// What the revocation list has to be asked.
    pub concern: Concern,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How often it may be used on routes: a limit of an API key's own.
    pub rate_limit: Option<Rate>,
}

/// One kind of credential.
#[async_trait]
pub trait Scheme: Send + Sync {
    /// Its kind.
    fn kind(&self) -> CredentialKind;
    /// Looks at what was presented.
    async fn authenticate(&self, presented: &Presented<'_>) -> Outcome;
    /// It serves nobody new: what it keeps for those who come again can go.
    fn retire(&self) {}
}
