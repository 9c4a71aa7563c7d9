//! The list with everything that keeps it fresh, as one value.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::feed::Feed;
use super::freshness::Freshness;
use super::list::List;
use super::store::StoreFollower;
use super::stream::RedisError;
use super::strict::Confirmations;
use super::{OnRevoked, Revocations, Standing, Watch};
use crate::config;
use crate::domain::{Clock, Concern, Entry, UserId};
use crate::store::RevocationLog;

/// How often ended entries are forgotten.
const SWEEP: Duration = Duration::from_mins(1);
/// How often [`OnStats`] is told.
const REPORT: Duration = Duration::from_secs(1);

/// What the metrics show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Entries in memory.
    pub entries: u64,
    /// The longest way from another replica's publication to this list since the last report, by both machines' clocks;
    /// `None` when none came.
    pub lag: Option<Duration>,
    /// How long ago everything revoked was known here.
    pub staleness: Duration,
}

/// Told once a second.
pub type OnStats = Box<dyn Fn(Stats) + Send + Sync>;

/// The list, its followers and its publisher. Ends them when dropped.
pub struct RevocationService {
    list: Arc<List>,
    fresh: Arc<Freshness>,
    store: Arc<StoreFollower>,
    feed: Option<Arc<Feed>>,
    strict: Confirmations,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Starts following `log`, and Redis where there is one. Returns at once; [`Revocations::is_ready`] says when the list is
/// held. The tasks live on `runtime`, which has to outlive the service.
///
/// # Errors
/// Where Redis' URL is none that can be used. That it can't be reached is no error.
pub fn start(
    settings: config::Revocation,
    log: Arc<dyn RevocationLog>,
    redis: Option<&config::Redis>,
    clock: Arc<dyn Clock>,
    runtime: &Handle,
    on_stats: OnStats,
) -> Result<Arc<RevocationService>, RedisError> {
    let list = Arc::new(List::default());
    let fresh = Arc::new(Freshness::new(settings, Arc::clone(&clock)));
    let store = Arc::new(StoreFollower::new(log, Arc::clone(&list), Arc::clone(&fresh)));
    let feed = redis.map(|redis| {
        let (list, fresh, store) = (Arc::clone(&list), Arc::clone(&fresh), Arc::clone(&store));
        Feed::new(redis, list, fresh, store, Arc::clone(&clock), runtime.clone()).map(Arc::new)
    });
    let feed = feed.transpose()?;
    let (strict, confirmer) = Confirmations::new(feed.clone(), Arc::clone(&store));
    let (stop, stopped) = watch::channel(false);
    let spawn = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let mut stopped = stopped.clone();
        runtime.spawn(async move {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => {}
                () = work => {}
            }
        })
    };
    let mut tasks = Vec::with_capacity(4);
    tasks.push(spawn(Box::pin({
        let store = Arc::clone(&store);
        async move { store.run().await }
    })));
    tasks.push(spawn(Box::pin(confirmer.run())));
    if let Some(feed) = feed.clone() {
        tasks.push(spawn(Box::pin(async move { feed.run().await })));
    }
    tasks.push(spawn(Box::pin(keep_house(Arc::clone(&list), Arc::clone(&fresh), feed.clone(), clock, on_stats))));
    Ok(Arc::new(RevocationService { list, fresh, store, feed, strict, stop, tasks: Mutex::new(tasks) }))
}

/// Reports, forgets what ended, and trims the stream.
async fn keep_house(list: Arc<List>, fresh: Arc<Freshness>, feed: Option<Arc<Feed>>, clock: Arc<dyn Clock>, on_stats: OnStats) {
    let mut swept = fresh.now();
    loop {
        let lag = feed.as_ref().and_then(|feed| feed.take_lag());
        on_stats(Stats { entries: list.len() as u64, lag, staleness: fresh.staleness() });
        if fresh.now().saturating_sub(swept) >= SWEEP {
            swept = fresh.now();
            list.sweep(clock.now());
            if let Some(feed) = &feed
                && let Err(error) = feed.sweep().await
            {
                tracing::debug!(%error, "the stream was not trimmed");
            }
        }
        tokio::time::sleep(REPORT).await;
    }
}

impl RevocationService {
    /// Takes new settings over.
    pub fn set(&self, settings: config::Revocation) {
        self.fresh.set(settings);
    }

    /// Has the store asked at once: something was written to it in this process.
    pub fn wake(&self) {
        self.store.wake();
    }

    /// How many entries there are and how old the list is; the lag is told to [`OnStats`] only.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { entries: self.list.len() as u64, lag: None, staleness: self.fresh.staleness() }
    }

    /// Whether entries wait for Redis to come back.
    #[must_use]
    pub fn has_unpublished(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.has_unpublished())
    }

    /// Ends all tasks, and returns when they have ended, after a second at most.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(1), task).await.is_err() {
                abort.abort();
            }
        }
    }
}

#[async_trait]
impl Revocations for RevocationService {
    async fn standing(&self, concern: &Concern) -> Standing {
        if self.list.revoked(concern) {
            return Standing::Revoked;
        }
        if !self.fresh.is_loaded() {
            return Standing::Unknown;
        }
        let known = if self.fresh.is_strict() {
            let deadline = self.fresh.max_staleness().clamp(Duration::from_millis(500), Duration::from_secs(5));
            let confirmed = self.strict.confirmed(deadline).await;
            if self.list.revoked(concern) {
                return Standing::Revoked;
            }
            confirmed
        } else {
            self.fresh.is_fresh()
        };
        if known || self.fresh.allows_stale() { Standing::Live } else { Standing::Unknown }
    }

    fn is_outdated(&self, account: UserId, generation: i64) -> bool {
        self.list.is_outdated(account, generation)
    }

    async fn publish(&self, entries: Vec<Entry>) {
        for entry in &entries {
            self.list.apply(entry);
        }
        if let Some(feed) = &self.feed
            && !entries.is_empty()
        {
            feed.publish(entries).await;
        }
    }

    fn watch(&self, concern: &Concern, listener: &Arc<dyn OnRevoked>) -> Option<Watch> {
        Some(self.list.watch(concern, listener))
    }

    fn is_ready(&self) -> bool {
        self.fresh.is_loaded() && (self.fresh.allows_stale() || self.fresh.is_fresh())
    }
}
