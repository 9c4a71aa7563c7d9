//! What is known of API keys: read from the store once for all who ask at the same time, and kept in bounded memory.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::domain::{ApiKeyRecord, Clock, Hash256, KeyId, Principal, Timestamp, User};
use crate::store::ApiKeys;

/// How long a record is taken as it was read, without asking again.
const FRESH: Duration = Duration::from_secs(5);
/// How long the store has to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Known keys; beyond, those that are used least are forgotten.
const MAX_KNOWN: usize = 10_000;
/// Questions about ids that the store is asked at once; others wait. Who has a well-formed key can make up ids; nobody can make
/// up more work than this.
const MAX_ASKED: usize = 256;
/// The same of hashes, which need no form: made-up strings leave room for keys.
const MAX_ASKED_BY_HASH: usize = 32;
/// Who waits to ask at most, each for [`DEADLINE`] at most; beyond, keys that are not known are not decided.
const MAX_WAITING: usize = 1024;
/// Hashes that the store was found not to have; beyond, the oldest are asked for again.
const MAX_UNKNOWN: usize = 10_000;
/// For how long it is taken not to have them: a key that is imported has to work within a second.
const STRANGE: Duration = Duration::from_millis(500);

/// How often the log hears that the store does not answer.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// A key and its owner as the store had them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) record: ApiKeyRecord,
    pub(super) owner: User,
    pub(super) networks: Networks,
    /// When its use was last noted, in milliseconds since the epoch.
    pub(super) noted: AtomicI64,
    /// Whom it proves, by the roles of the scheme of that number, once that was asked.
    proven: OnceLock<(u64, Arc<Principal>)>,
    /// When it was read.
    read_at: Duration,
    /// When the store was last asked in vain, so that a store that hangs is not waited for on each call.
    tried_at: AtomicU64,
}

impl Known {
    fn new(record: ApiKeyRecord, owner: User, read_at: Duration) -> Self {
        Self {
            networks: Networks::of(&record),
            noted: AtomicI64::new(record.used_at.map_or(0, Timestamp::as_millis)),
            tried_at: AtomicU64::new(millis(read_at)),
            proven: OnceLock::new(),
            record,
            owner,
            read_at,
        }
    }

    /// Whom it proves: what `make` says by the scheme of that number. What the first scheme says is kept; a reload makes another,
    /// and the record is read anew soon after.
    pub(super) fn principal(&self, scheme: u64, make: impl Fn() -> Principal) -> Arc<Principal> {
        let (kept, principal) = self.proven.get_or_init(|| (scheme, Arc::new(make())));
        if *kept == scheme { Arc::clone(principal) } else { Arc::new(make()) }
    }

    fn may_do_without_asking(&self, now: Duration) -> bool {
        now.saturating_sub(Duration::from_millis(self.tried_at.load(Ordering::Relaxed))) < FRESH
    }
}

/// The networks that a key may be used from.
#[derive(Debug)]
pub(super) struct Networks(Option<Vec<IpNet>>);

impl Networks {
    fn of(record: &ApiKeyRecord) -> Self {
        // One that can't be read admits nobody; it does not widen the others.
        let parsed = || record.allowed_cidrs.iter().filter_map(|text| parse_network(text)).collect();
        Self((!record.allowed_cidrs.is_empty()).then(parsed))
    }

    /// Whether `client` is inside; IPv4 in IPv6 clothes is IPv4 (RFC 4291 §2.5.5.2).
    pub(super) fn admit(&self, client: Option<IpAddr>) -> bool {
        match (&self.0, client) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(networks), Some(client)) => networks.iter().any(|network| network.contains(&client.to_canonical())),
        }
    }
}

fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(six), IpAddr::V4(four)) => IpNet::new(IpAddr::V4(four), six.prefix_len().checked_sub(96)?).ok(),
        (IpNet::V4(_) | IpNet::V6(_), _) => Some(network),
    }
}

/// What a key is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// A key of ours: by what stands in it.
    Id(KeyId),
    /// A key of others: by the hash of all of it.
    Hash(Hash256),
}

/// What can be said of an id.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// This.
    Known(Arc<Known>),
    /// There is no such key.
    Nothing,
    /// The store does not say, and what was known is too old.
    Unavailable,
}

/// The answer to a question, once it is there.
type Answer = watch::Receiver<Option<Found>>;

/// The known keys, in front of the store.
pub(super) struct KeyRecords {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Who may ask now, by id and by hash.
    by_id: Arc<Semaphore>,
    by_hash: Arc<Semaphore>,
    /// Places to wait for that.
    waiting: Semaphore,
}

struct Shared {
    store: Arc<dyn ApiKeys>,
    clock: Arc<dyn Clock>,
    known: Cache<Name, Arc<Known>>,
    /// Hashes that the store does not have, and when it said so.
    unknown: Cache<Hash256, Duration>,
    /// Questions under way; held for map operations only.
    asked: Mutex<HashMap<Name, Answer>>,
    /// When the log was last told that the store does not answer.
    complained_at: AtomicU64,
}

impl Shared {
    /// Whether the store said a moment ago that there is no such key.
    fn was_strange(&self, name: &Name, now: Duration) -> bool {
        match name {
            Name::Id(_) => false,
            Name::Hash(hash) => self.unknown.get(hash).is_some_and(|at| now.saturating_sub(at) < STRANGE),
        }
    }

    /// Tells the log, but not once a call: anybody can cause calls.
    fn complain(&self, why: &dyn fmt::Display) {
        let now = millis(self.clock.monotonic()).saturating_add(1);
        let last = self.complained_at.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= millis(COMPLAIN_EVERY) {
            self.complained_at.store(now, Ordering::Relaxed);
            tracing::warn!(%why, "API keys can't be looked up");
        }
    }
}

impl KeyRecords {
    pub(super) fn new(store: Arc<dyn ApiKeys>, clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        let shared = Shared {
            store,
            clock,
            known: Cache::new(MAX_KNOWN),
            unknown: Cache::new(MAX_UNKNOWN),
            asked: Mutex::default(),
            complained_at: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            runtime,
            by_id: Arc::new(Semaphore::new(MAX_ASKED)),
            by_hash: Arc::new(Semaphore::new(MAX_ASKED_BY_HASH)),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// What is known of the key `name`, `ttl` old at most; a record whose owner `is_outdated` is as if it were not known.
    pub(super) async fn find(&self, name: &Name, ttl: Duration, is_outdated: impl Fn(&User) -> bool) -> Found {
        let now = self.shared.clock.monotonic();
        let known = self.shared.known.get(name).filter(|known| !is_outdated(&known.owner));
        let usable = known.filter(|known| now.saturating_sub(known.read_at) < ttl);
        if let Some(known) = usable.as_ref().filter(|known| known.may_do_without_asking(now)) {
            return Found::Known(known.clone());
        }
        if self.shared.was_strange(name, now) {
            return Found::Nothing;
        }
        match (self.ask(name).await, usable) {
            (Found::Unavailable, Some(known)) => {
                known.tried_at.store(millis(now), Ordering::Relaxed);
                Found::Known(known)
            }
            (answer, _) => answer,
        }
    }

    /// Asks the store, or waits for the answer to somebody else's question.
    async fn ask(&self, name: &Name) -> Found {
        let under_way = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let mut answer = if let Some(answer) = under_way {
            answer
        } else {
            let Some(turn) = self.turn(name).await else { return Found::Unavailable };
            // Somebody else may have asked the same meanwhile.
            if self.shared.was_strange(name, self.shared.clock.monotonic()) {
                return Found::Nothing;
            }
            self.question(name, turn)
        };
        // The sender goes away without an answer only if the task was stopped.
        let answered = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answered.unwrap_or(Found::Unavailable)
    }

    /// Waits until the store may be asked about `name`.
    async fn turn(&self, name: &Name) -> Option<OwnedSemaphorePermit> {
        let turns = match name {
            Name::Id(_) => &self.by_id,
            Name::Hash(_) => &self.by_hash,
        };
        if let Ok(turn) = turns.clone().try_acquire_owned() {
            return Some(turn);
        }
        let _place = self.waiting.try_acquire().ok()?;
        tokio::time::timeout(DEADLINE, turns.clone().acquire_owned()).await.ok()?.ok()
    }

    fn question(&self, name: &Name, turn: OwnedSemaphorePermit) -> Answer {
        let mut asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asked.get(name) {
            return answer.clone();
        }
        let (sender, receiver) = watch::channel(None);
        asked.insert(name.clone(), receiver.clone());
        let question = Question { shared: self.shared.clone(), name: name.clone(), _turn: turn };
        // On the long-lived runtime: a store's connection must not die with the worker of one request.
        self.runtime.spawn(async move {
            let answer = question.put().await;
            drop(question);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(answer));
        });
        receiver
    }
}

/// One question; gone from the list when it is dropped, whatever happens.
struct Question {
    shared: Arc<Shared>,
    name: Name,
    _turn: OwnedSemaphorePermit,
}

impl Question {
    async fn put(&self) -> Found {
        let Shared { store, clock, known, .. } = &*self.shared;
        // The age counts from before the question: what changes while it is answered may be missed.
        let read_at = clock.monotonic();
        let answer = async {
            match &self.name {
                Name::Id(id) => store.key(id).await,
                Name::Hash(hash) => store.key_by_hash(hash).await,
            }
        };
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(Some((record, owner)))) => {
                let new = Known::new(record, owner, read_at);
                if let Some(old) = known.peek(&self.name) {
                    new.noted.fetch_max(old.noted.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                let new = Arc::new(new);
                known.insert(self.name.clone(), new.clone());
                Found::Known(new)
            }
            Ok(Ok(None)) => {
                known.remove(&self.name);
                if let Name::Hash(hash) = &self.name {
                    self.shared.unknown.insert(*hash, read_at);
                }
                Found::Nothing
            }
            Ok(Err(error)) => {
                self.shared.complain(&error);
                Found::Unavailable
            }
            Err(_) => {
                self.shared.complain(&"the store does not answer in time");
                Found::Unavailable
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
