//! API keys against the store.
//!
//! A key's record is taken as it was read for five seconds; then the store is asked again. Where it can't be, the record goes
//! on being good for `api_keys.cache_ttl`: what may have changed meanwhile (the key, its owner's rights) is in the
//! revocation list, which each call asks, and which also drops records of an older generation here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::key_records::{Found, KeyRecords, Known, Name};
use super::{Accepted, ApiKey, ImportedKey, Outcome, Presented, Scheme};
use crate::config::Roles;
use crate::domain::{ApiKeyRecord, Clock, Concern, CredentialKind, Hash256, KeyId, Principal, Timestamp, User};
use crate::problem::Refusal;
use crate::revocation::Revocations;
use crate::store::{ApiKeys, StoreResult};

/// How precisely the time of the last use is known.
const TOUCH_EVERY: Duration = Duration::from_secs(30);
/// Keys whose last use is still to be told; what is beyond is told after a later use.
const MAX_TOUCHED: usize = 10_000;

/// The number of the next scheme.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Accepts API keys.
pub struct ApiKeyScheme {
    /// No other has it, in this process.
    number: u64,
    records: Arc<KeyRecords>,
    uses: Arc<Uses>,
    revocations: Arc<dyn Revocations>,
    roles: Arc<Roles>,
    cache_ttl: Duration,
    clock: Arc<dyn Clock>,
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
        let uses = Arc::new(Uses { store: store.clone(), pending: Mutex::default() });
        let records = Arc::new(KeyRecords::new(store, clock.clone(), runtime));
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), records, uses, revocations, roles, cache_ttl, clock }
    }

    /// The same with other settings, and with all that this one knows: for a reload.
    #[must_use]
    pub fn reloaded(&self, roles: Arc<Roles>, cache_ttl: Duration) -> Self {
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            records: self.records.clone(),
            uses: self.uses.clone(),
            revocations: self.revocations.clone(),
            roles,
            cache_ttl,
            clock: self.clock.clone(),
        }
    }

    /// Tells the store when keys were last used; to be called every few seconds, and before the end.
    pub async fn flush_last_used(&self) -> StoreResult<()> {
        self.uses.flush().await
    }

    async fn judge(&self, presented: &[u8], client: Option<IpAddr>) -> Result<Accepted, Refusal> {
        let (name, hash) = if let Some(key) = ApiKey::parse(presented) {
            (Name::Id(key.id().clone()), key.hash())
        } else {
            // Somebody else's, perhaps; what could not have been imported is not asked for.
            let hash = ImportedKey::parse(presented).map_err(|_| Refusal::InvalidApiKey)?.hash();
            (Name::Hash(hash), hash)
        };
        let outdated = |owner: &User| self.revocations.is_outdated(owner.id, owner.generation);
        let found = self.records.find(&name, self.cache_ttl, outdated).await;
        let known = match found {
            Found::Known(known) => Some(known),
            Found::Nothing => None,
            Found::Unavailable => {
                return Err(Refusal::Unavailable {
                    detail: "The API key can't be checked right now.",
                    retry_after: Duration::from_secs(1),
                });
            }
        };
        // An unknown id costs the comparison too.
        let stored = known.as_ref().map_or_else(|| Hash256::from_bytes([0; 32]), |known| known.record.hash);
        let is_right = hash.matches(&stored);
        let now = self.clock.now();
        match known {
            Some(known) if is_right && is_usable(&known.record, &known.owner, now) && known.networks.admit(client) => {
                self.uses.note(&known, now);
                Ok(self.accept(&known))
            }
            _ => Err(Refusal::InvalidApiKey),
        }
    }

    fn accept(&self, known: &Known) -> Accepted {
        let Known { record, owner, .. } = known;
        Accepted {
            principal: known.principal(self.number, || self.principal(record, owner)),
            concern: Concern {
                token: None,
                session: None,
                account: Some((owner.id, owner.generation)),
                key: Some(record.id.clone()),
            },
            expires_at: record.expires_at,
            rate_limit: record.rate_limit,
        }
    }

    fn principal(&self, record: &ApiKeyRecord, owner: &User) -> Principal {
        Principal {
            username: Some(owner.username.clone()),
            full_name: owner.full_name.clone(),
            email: owner.email.clone().filter(|_| owner.email_verified),
            roles: owner.roles.clone(),
            // All that the owner has now; our own two scopes are among it, and a key gets them where it names them.
            scopes: self.roles.held_by(owner).narrowed_to(&record.scopes),
            key: Some(record.id.clone()),
            attributes: owner.attributes.clone(),
            ..Principal::own(owner.id.to_string(), CredentialKind::ApiKey)
        }
    }
}

fn is_usable(record: &ApiKeyRecord, owner: &User, now: Timestamp) -> bool {
    record.revoked_at.is_none() && !owner.disabled && record.expires_at.is_none_or(|end| now < end)
}

#[async_trait]
impl Scheme for ApiKeyScheme {
    fn kind(&self) -> CredentialKind {
        CredentialKind::ApiKey
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Outcome {
        match presented.api_keys.as_slice() {
            [] => Outcome::NotPresented,
            [one] => match self.judge(one, presented.client).await {
                Ok(accepted) => Outcome::Accepted(accepted),
                Err(refusal) => Outcome::Rejected(refusal),
            },
            _ => Outcome::Rejected(Refusal::InvalidRequest("Send one API key only.")),
        }
    }
}

/// When keys were used, until the store was told.
struct Uses {
    store: Arc<dyn ApiKeys>,
    pending: Mutex<HashMap<KeyId, Timestamp>>,
}

impl Uses {
    fn note(&self, known: &Known, now: Timestamp) {
        // Looked at without a lock: most calls end here.
        let last = known.noted.load(Ordering::Relaxed);
        if now.since(Timestamp::from_millis(last)) < TOUCH_EVERY {
            return;
        }
        known.noted.store(now.as_millis(), Ordering::Relaxed);
        self.put(known.record.id.clone(), now);
    }

    fn put(&self, id: KeyId, at: Timestamp) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() < MAX_TOUCHED || pending.contains_key(&id) {
            pending.entry(id).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
    }

    async fn flush(&self) -> StoreResult<()> {
        let seen: Vec<(KeyId, Timestamp)> =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect();
        if seen.is_empty() {
            return Ok(());
        }
        let told = self.store.touch_keys(&seen).await;
        if told.is_err() {
            for (id, at) in seen {
                self.put(id, at);
            }
        }
        told
    }
}
