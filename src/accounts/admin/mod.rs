//! Changing accounts, sessions and API keys from outside: what the command line (and later the admin endpoints) share.
//!
//! What a change revokes is published before the call returns, and has effect on running replicas within 1 s.

mod acting;
pub(super) mod check;
mod clients;
mod import;
mod keys;
mod sessions;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use acting::{Acting, EventPage, KeyPage, KeyWish, SessionPage, UserPatch};
pub use clients::{CreatedClient, NewClient};
pub use import::{Fate, ImportedUser};
pub use keys::{CreatedKey, NewKey};
pub use users::NewUser;

use super::Origin;
use crate::config::Config;
use crate::domain::{AuditEvent, AuditKind, Clock, Entropy, Entry, Timestamp};
use crate::password::{Busy, Passwords};
use crate::revocation::Revocations;
use crate::store::{Store, StoreError};
use crate::telemetry;

/// Tells running replicas what was revoked. Never fails: they follow the store anyway.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Makes durable entries known.
    async fn publish(&self, entries: Vec<Entry>);
}

#[async_trait]
impl Publisher for Arc<dyn Revocations> {
    async fn publish(&self, entries: Vec<Entry>) {
        Revocations::publish(&**self, entries).await;
    }
}

/// Leaves it to the replicas to follow the store: for a command line without Redis.
#[derive(Clone, Copy, Debug)]
pub struct StoreOnly;

#[async_trait]
impl Publisher for StoreOnly {
    async fn publish(&self, _: Vec<Entry>) {}
}

/// Why a change was not made. The texts are for the operator and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What was asked is wrong.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The name or address is somebody's.
    #[error("{0}")]
    Taken(String),
    /// It could not be done now.
    #[error("{0}")]
    Unavailable(String),
}

impl AdminError {
    /// Whether trying again later may help: exit code 3 instead of 1.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What a change gives.
pub type AdminResult<T> = Result<T, AdminError>;

/// An error and the field that it is about, as the endpoints name it.
type Fault = (&'static str, AdminError);

/// Says what field an error is about.
fn of<E: Into<AdminError>>(field: &'static str) -> impl Fn(E) -> Fault {
    move |error| (field, error.into())
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(field) => {
                Self::Taken(format!("the {field} is taken: usernames and e-mail addresses share one namespace, choose another"))
            }
            StoreError::NotFound(what @ ("session" | "user" | "client")) => {
                Self::NotFound(format!("there is no such {what}: `portcullis {what} list` shows all"))
            }
            StoreError::NotFound("API key") => {
                Self::NotFound("there is no such API key: `portcullis key list` shows all".to_owned())
            }
            StoreError::NotFound(what) => Self::NotFound(format!("there is no such {what}")),
            error @ (StoreError::Changed | StoreError::Last) => Self::Invalid(error.to_string()),
            error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<Busy> for AdminError {
    fn from(busy: Busy) -> Self {
        Self::Unavailable(format!("{busy}; try again"))
    }
}

/// Changes accounts in the name of `actor`.
#[expect(missing_debug_implementations, reason = "trait objects have nothing to print")]
pub struct Admin {
    /// Where accounts are kept.
    pub store: Arc<dyn Store>,
    /// Who hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Whom revocations are told to.
    pub publisher: Arc<dyn Publisher>,
    /// Roles, password rules, how long revocations are kept.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids and keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// Who makes the changes, for the audit log: `cli`, or a user id.
    pub actor: String,
    /// The request that asks for them, if it is one.
    pub origin: Option<Origin>,
}

impl Admin {
    fn revoke_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.config.tokens.revocation_ttl())
    }

    /// Replicas may go on with a key that they know for `cache_ttl` when the store is gone.
    fn revoke_key_until(&self, now: Timestamp) -> Timestamp {
        let cached = self.config.api_keys.cache_ttl.saturating_add(Duration::from_mins(1));
        now.plus(self.config.tokens.revocation_ttl().max(cached))
    }

    /// The change is durable: tell the replicas, then write it down.
    async fn done(&self, kind: AuditKind, subject: String, detail: String, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.publisher.publish(entries).await;
        }
        let event = AuditEvent {
            at: self.clock.now(),
            kind,
            actor: Some(self.actor.clone()),
            subject: Some(subject),
            address: self.origin.as_ref().map(|origin| origin.address.to_canonical().to_string()),
            request_id: self.origin.as_ref().map(|origin| origin.request_id.clone()),
            detail: Some(detail),
        };
        telemetry::audit(&event);
        if let Err(error) = self.store.record(&event).await {
            tracing::warn!(%error, kind = kind.as_str(), "an audit event is in this log only");
        }
    }
}
