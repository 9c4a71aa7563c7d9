//! Floor 3: what is revoked, known in memory on every replica.
//!
//! `list` holds what is revoked, most of it in `ids`. `store` follows the durable log by its sequence, always. `feed` follows the Redis stream,
//! publishes to it and adds what it lost, with `stream` for the commands, `message` for their form and `outbox` for what was
//! not yet seen there. `watch` tells open streams. `strict` has each call confirmed, `freshness` knows how old the list is, `service` ties them together.
//!
//! A replica that starts reads the store whole, and of the stream what comes from then on: what was published before was
//! durable before, and is read beside, without anybody waiting for it. A Redis that is empty then stays so, as nobody would
//! read there what the store does not have.
//!
//! What each failure does:
//! - *Redis gone*: entries wait in a bounded outbox and are published when it is back; the store is asked more often.
//!   A Redis that is silent is noticed within half of `max_staleness`, and holds up a publication for 100 ms at most.
//! - *Redis lost its data*: the last message read is no longer there, so the stream is read whole again and each replica
//!   adds what it knows and Redis does not, as much as fits there. Until the store was read after that moment, Redis alone does not make the
//!   list fresh: what Redis lost may have been known to nobody else.
//! - *store gone*: the stream goes on feeding; a replica that never read the store is not ready, as only the store is whole.
//! - *both gone*: after `max_staleness` nobody can say what is live ([`Standing::Unknown`]), unless configured otherwise.

mod feed;
mod freshness;
mod held;
mod ids;
mod list;
mod message;
mod outbox;
mod service;
mod snapshot;
mod store;
mod stream;
mod strict;
mod watch;

use std::sync::Arc;

use crate::domain::{Concern, Entry};

pub use list::List;
pub use service::{OnStats, RevocationService, Stats, start};
pub use snapshot::Snapshot;
pub use stream::{RedisError, announce};
pub use watch::{OnRevoked, Watch};

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

/// The list, and what keeps it fresh.
#[async_trait::async_trait]
pub trait Revocations: Send + Sync {
    /// Asks of one credential. Takes no lock and does no IO but in `strict`.
    async fn standing(&self, concern: &Concern) -> Standing;
    /// Whether an account's generation was raised above `generation`: what caches of accounts have to ask.
    fn is_outdated(&self, account: crate::domain::UserId, generation: i64) -> bool;
    /// Makes durable entries known: refuses here at once, and tells the other replicas. Never fails: what Redis
    /// does not take now is published when it is back, and the replicas follow the store anyway.
    async fn publish(&self, entries: Vec<Entry>);
    /// Has `listener` told once anything that `concern` names is revoked (at once if it is by now), until the answer is
    /// dropped. `None`: there is no list that grows.
    fn watch(&self, _concern: &Concern, _listener: &Arc<dyn OnRevoked>) -> Option<Watch> {
        None
    }
    /// Whether the list was loaded and is fresh (or may be stale by configuration): readiness.
    fn is_ready(&self) -> bool;
}
