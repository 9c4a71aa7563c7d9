//! Floor 3: what is revoked, known in memory on every replica (contract §11).

use crate::domain::{Concern, Entry};

/// What the list says of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not revoked, as far as a fresh list knows.
    Live,
    /// Revoked.
    Revoked,
    /// The list is too old to say, and `revocation.when_unavailable` is `deny`.
    Unknown,
}

/// The list, and what keeps it fresh. (Shape only; see the module's owner.)
#[async_trait::async_trait]
pub trait Revocations: Send + Sync {
    /// Asks of one credential. Takes no lock and does no IO but in `strict`.
    async fn standing(&self, concern: &Concern) -> Standing;
    /// Whether an account's generation was raised above `generation`: what caches of accounts have to ask.
    fn is_outdated(&self, account: crate::domain::UserId, generation: i64) -> bool;
    /// Makes durable entries known: refuses here at once, and tells the other replicas. Never fails: what Redis
    /// does not take now is published when it is back, and the replicas follow the store anyway.
    async fn publish(&self, entries: Vec<Entry>);
    /// Whether the list was loaded and is fresh (or may be stale by configuration): readiness.
    fn is_ready(&self) -> bool;
}
