//! The keys of one issuer, fetched from it: refreshed before they are stale, kept for ever while it is down, and asked for again,
//! within bounds, when a token names one that is not among them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch::{DEADLINE, Fault, Fetched, Fetcher};
use super::key_set::KeySet;
use crate::config::{ExternalIssuer, IssuerKeys};
use crate::domain::Clock;
use crate::limit::Ticks;
use crate::telemetry::metrics::Metrics;

/// Fetches that unknown keys may cause: one in this time, after a burst.
const PACE: Duration = Duration::from_secs(5);
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);
/// While it does not answer it is asked once in this time, where there are tokens to judge: it may be well again.
const RETRY: Duration = Duration::from_secs(1);
/// How many requests may wait for keys at once.
const WAITING: usize = 1024;
/// The pause after a fetch that failed: doubled each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Keys that are kept. The task that fetches them ends when this is dropped.
pub(super) struct Remote {
    kept: Arc<Kept>,
    task: JoinHandle<()>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("issuer", &self.kept.name).finish_non_exhaustive()
    }
}

/// Why nothing could be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The issuer was asked and has no such key.
    Unknown,
    /// The issuer can't be asked.
    Unreachable,
}

struct Kept {
    name: Arc<str>,
    iss: String,
    from: IssuerKeys,
    keys: ArcSwapOption<KeySet>,
    demand: Mutex<Demand>,
    /// How the last fetch went.
    progress: watch::Sender<Progress>,
    wake: Notify,
    pace: Pace,
    retry: Pace,
    waiting: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

type Pace = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

/// Which fetches there were, are and have to be, by number.
struct Demand {
    started: u64,
    finished: u64,
    /// Whether the next is to begin at once.
    pending: bool,
}

#[derive(Clone, Copy)]
struct Progress {
    finished: u64,
    good: bool,
}

impl Remote {
    /// Begins to fetch the keys of `issuer`, on `runtime`.
    pub(super) fn start(
        issuer: &ExternalIssuer,
        fetcher: Arc<Fetcher>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        runtime: &Handle,
    ) -> Self {
        let kept = Arc::new(Kept::new(issuer, clock, metrics));
        let task = runtime.spawn(keep(Arc::clone(&kept), fetcher));
        Self { kept, task }
    }

    /// The last good keys.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.kept.keys.load_full()
    }

    /// Whether these are still the last good keys.
    pub(super) fn has(&self, keys: &Arc<KeySet>) -> bool {
        self.kept.keys.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, keys))
    }

    /// Waits for newer keys, until `judge` can say something by them; asks the issuer for them where that is not done already
    /// and was not done too often.
    pub(super) async fn refetched<T>(&self, judge: impl Fn(&Arc<KeySet>) -> Option<T>) -> Result<T, Missing> {
        let kept = &self.kept;
        let Ok(_place) = kept.waiting.try_acquire() else { return Err(Missing::Unreachable) };
        let known = || kept.keys.load().as_ref().and_then(&judge);
        let arrived = kept.demand().started;
        let mut progress = kept.progress.subscribe();
        let outcome = timeout(DEADLINE + Duration::from_secs(1), async {
            loop {
                let target = kept.ask();
                if let Some(target) = target {
                    // The sender is ours: it is not gone.
                    let _ = progress.wait_for(|progress| progress.finished >= target || known().is_some()).await;
                }
                if let Some(judged) = known() {
                    return Ok(judged);
                }
                let last = *progress.borrow();
                match target {
                    // A fetch that began before this token came may have been answered before its key was there.
                    Some(target) if target <= arrived && last.good => {}
                    _ if last.good => return Err(Missing::Unknown),
                    _ => return Err(Missing::Unreachable),
                }
            }
        });
        outcome.await.unwrap_or(Err(Missing::Unreachable))
    }
}

impl Kept {
    fn new(issuer: &ExternalIssuer, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let pace = |once_in, burst| {
            let quota = Quota::with_period(once_in).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(burst);
            RateLimiter::direct_with_clock(quota, Ticks(Arc::clone(&clock)))
        };
        Self {
            name: Arc::clone(&issuer.name),
            iss: issuer.issuer.clone(),
            from: issuer.keys.clone(),
            keys: ArcSwapOption::empty(),
            demand: Mutex::new(Demand { started: 0, finished: 0, pending: true }),
            progress: watch::Sender::new(Progress { finished: 0, good: false }),
            wake: Notify::new(),
            pace: pace(PACE, BURST),
            retry: pace(RETRY, NonZeroU32::MIN),
            waiting: Semaphore::new(WAITING),
            clock,
            metrics,
        }
    }

    fn demand(&self) -> std::sync::MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the fetch to wait for: one that is under way or about to begin, or a new one; `None` where there were
    /// too many lately.
    fn ask(&self) -> Option<u64> {
        let mut demand = self.demand();
        if demand.pending {
            return Some(demand.started + 1);
        }
        if demand.started > demand.finished {
            return Some(demand.started);
        }
        let pace = if self.progress.borrow().good { &self.pace } else { &self.retry };
        pace.check().ok()?;
        demand.pending = true;
        self.wake.notify_one();
        Some(demand.started + 1)
    }

    fn begins(&self) {
        let mut demand = self.demand();
        demand.started += 1;
        demand.pending = false;
    }

    fn ends(&self, good: bool) {
        let mut demand = self.demand();
        demand.finished = demand.started;
        self.progress.send_replace(Progress { finished: demand.finished, good });
    }

    /// Takes keys over, and tells the log where they are others.
    fn take(&self, keys: KeySet) {
        let keys = Arc::new(keys);
        let old = self.keys.swap(Some(Arc::clone(&keys)));
        if old.is_some_and(|old| old.names() == keys.names() && old.left_out == keys.left_out) {
            return;
        }
        tracing::info!("issuer `{}`: its tokens are verified with the keys {}", self.name, keys.names());
        for left_out in &keys.left_out {
            tracing::info!("issuer `{}`: of its keys is left out: {left_out}", self.name);
        }
    }
}

/// Fetches, for ever: when the keys have nearly been fresh for long enough, when somebody asks, and after a pause where it failed.
async fn keep(kept: Arc<Kept>, fetcher: Arc<Fetcher>) {
    let mut pause = FIRST_PAUSE;
    let mut was_good = true;
    loop {
        kept.begins();
        let outcome: Result<Fetched, Fault> = fetcher.keys(&kept.iss, &kept.from).await;
        kept.metrics.issuer_fetch(&kept.name, outcome.is_ok());
        let wait = match outcome {
            Ok(Fetched { keys, fresh }) => {
                kept.take(keys);
                kept.metrics.issuer_keys(&kept.name, kept.clock.now());
                if !was_good {
                    tracing::info!("issuer `{}` gives its keys again", kept.name);
                }
                (pause, was_good) = (FIRST_PAUSE, true);
                kept.ends(true);
                fresh.mul_f64(0.8)
            }
            Err(fault) => {
                if was_good {
                    let meanwhile = if kept.keys.load().is_some() { "the last good ones go on" } else { "its tokens get 503" };
                    tracing::error!("issuer `{}`: its keys can't be fetched, {meanwhile}: {fault}", kept.name);
                } else {
                    tracing::debug!("issuer `{}`: its keys still can't be fetched: {fault}", kept.name);
                }
                was_good = false;
                kept.ends(false);
                let wait = pause;
                pause = (pause * 2).min(LAST_PAUSE);
                wait
            }
        };
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                () = kept.wake.notified() => if kept.demand().pending { break },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::config::{FetchUrl, IssuerClaims};
    use crate::domain::Timestamp;
    use crate::domain::clock::ManualClock;

    fn kept(clock: &Arc<ManualClock>) -> Kept {
        let issuer = ExternalIssuer {
            name: "idp".into(),
            issuer: "https://idp.example".into(),
            audience: Vec::new(),
            algorithms: Vec::new(),
            typ: Vec::new(),
            max_lifetime: Duration::ZERO,
            keys: IssuerKeys::Url(FetchUrl::parse("https://idp.example/keys").expect("a URL")),
            claims: IssuerClaims { username: None, scopes: None, roles: None },
            allow: Vec::new(),
            prefix: String::new(),
            roles: BTreeMap::new(),
            trust_subject: false,
        };
        let clock: Arc<dyn Clock> = clock.clone();
        Kept::new(&issuer, clock, Metrics::install())
    }

    /// How many of ten demands, one after the other, are met, where each fetch comes to this.
    fn met(kept: &Kept, good: bool) -> usize {
        let fetch = |_: u64| {
            kept.begins();
            kept.ends(good);
        };
        (0..10).filter_map(|_| kept.ask().map(fetch)).count()
    }

    #[test]
    fn an_issuer_that_answers_is_asked_less_than_one_that_may_be_well_again() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(0)));
        let kept = kept(&clock);
        kept.begins();
        kept.ends(true);
        assert_eq!(met(&kept, true), 3);
        clock.advance(Duration::from_secs(4));
        assert_eq!(met(&kept, true), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(met(&kept, true), 1);

        // A fetch of its own accord fails: from now on once in a second, until it answers.
        kept.begins();
        kept.ends(false);
        assert_eq!(met(&kept, false), 1);
        clock.advance(Duration::from_millis(999));
        assert_eq!(met(&kept, false), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(met(&kept, true), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(met(&kept, true), 0);
    }

    #[test]
    fn all_who_ask_at_once_wait_for_one_fetch() {
        let kept = kept(&Arc::new(ManualClock::at(Timestamp::from_secs(0))));
        // The first is about to begin by itself.
        assert_eq!((kept.ask(), kept.ask()), (Some(1), Some(1)));
        kept.begins();
        assert_eq!((kept.ask(), kept.ask()), (Some(1), Some(1)));
        kept.ends(true);
        assert_eq!((kept.ask(), kept.ask()), (Some(2), Some(2)));
        kept.begins();
        assert_eq!(kept.ask(), Some(2));
    }

    #[tokio::test]
    async fn a_fetch_that_began_before_a_token_came_does_not_refuse_it() {
        let kept = Arc::new(kept(&Arc::new(ManualClock::at(Timestamp::from_secs(0)))));
        kept.take(KeySet::of_secret(&"whatever".into()));
        kept.begins();
        let remote = Remote { kept: Arc::clone(&kept), task: tokio::spawn(async {}) };
        let published = AtomicBool::new(false);
        let issuer = async {
            // It answers what it was asked before, without the new key; who asks anew gets that, too.
            kept.ends(true);
            kept.wake.notified().await;
            kept.begins();
            published.store(true, Ordering::Relaxed);
            kept.ends(true);
            std::future::pending::<()>().await;
        };
        let judged = tokio::select! {
            biased;
            judged = remote.refetched(|_| published.load(Ordering::Relaxed).then_some(())) => judged,
            () = issuer => Err(Missing::Unreachable),
        };
        assert_eq!(judged, Ok(()));
    }
}
