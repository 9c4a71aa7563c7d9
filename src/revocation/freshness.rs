//! How old the list may be, and how old it is. Plain atomics: every call reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{Revocation, RevocationCheck};
use crate::domain::Clock;

/// When the store and Redis were last heard, on the monotonic clock, and what the operator allows.
pub(super) struct Freshness {
    clock: Arc<dyn Clock>,
    /// Nanoseconds on the monotonic clock: everything revoked before is known here. Only grows.
    heard: AtomicU64,
    /// When the latest successful read of the store began.
    store_read: AtomicU64,
    /// Since when the stream has been followed without a gap; `u64::MAX`: it is not.
    stream_since: AtomicU64,
    /// Whether the store was read whole at least once.
    loaded: AtomicBool,
    strict: AtomicBool,
    allow: AtomicBool,
    max_staleness: AtomicU64,
}

impl Freshness {
    pub(super) fn new(settings: Revocation, clock: Arc<dyn Clock>) -> Self {
        let fresh = Self {
            clock,
            heard: AtomicU64::new(0),
            store_read: AtomicU64::new(0),
            stream_since: AtomicU64::new(u64::MAX),
            loaded: AtomicBool::new(false),
            strict: AtomicBool::new(false),
            allow: AtomicBool::new(false),
            max_staleness: AtomicU64::new(0),
        };
        fresh.set(settings);
        fresh
    }

    pub(super) fn set(&self, settings: Revocation) {
        self.strict.store(settings.check == RevocationCheck::Strict, Ordering::Relaxed);
        self.allow.store(settings.allow_when_unavailable, Ordering::Relaxed);
        self.max_staleness.store(nanos(settings.max_staleness), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    pub(super) fn allows_stale(&self) -> bool {
        self.allow.load(Ordering::Relaxed)
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(super) fn max_staleness(&self) -> Duration {
        Duration::from_nanos(self.max_staleness.load(Ordering::Relaxed))
    }

    /// How long ago everything revoked was known here.
    pub(super) fn staleness(&self) -> Duration {
        self.now().saturating_sub(Duration::from_nanos(self.heard.load(Ordering::Acquire)))
    }

    /// Whether the list holds what was revoked up to `max_staleness` ago.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_loaded() && self.staleness() <= self.max_staleness()
    }

    /// A read of the store that began at `began` gave all there was.
    pub(super) fn store_heard(&self, began: Duration) {
        self.store_read.fetch_max(nanos(began), Ordering::AcqRel);
        self.heard.fetch_max(nanos(began), Ordering::AcqRel);
        self.loaded.store(true, Ordering::Release);
    }

    /// The stream is followed from now on; what came before has to come from the store.
    pub(super) fn stream_attached(&self) {
        self.stream_since.store(nanos(self.now()), Ordering::Release);
    }

    /// Whether the stream together with what was read of the store leaves no gap.
    pub(super) fn stream_is_whole(&self) -> bool {
        self.is_loaded() && self.store_read.load(Ordering::Acquire) >= self.stream_since.load(Ordering::Acquire)
    }

    /// Redis gave all that the stream held at `began` or later.
    pub(super) fn redis_heard(&self, began: Duration) {
        if self.stream_is_whole() {
            self.heard.fetch_max(nanos(began), Ordering::AcqRel);
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::clock::ManualClock;

    fn at_start() -> (Arc<ManualClock>, Freshness) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_700_000_000)));
        let settings =
            Revocation { check: RevocationCheck::Replica, max_staleness: Duration::from_secs(2), allow_when_unavailable: false };
        let fresh = Freshness::new(settings, Arc::clone(&clock) as Arc<dyn Clock>);
        (clock, fresh)
    }

    #[test]
    fn a_list_that_was_never_loaded_is_not_fresh_however_young() {
        let (_, fresh) = at_start();
        fresh.stream_attached();
        fresh.redis_heard(fresh.now());
        assert!(!fresh.is_fresh());
    }

    #[test]
    fn it_is_fresh_until_nothing_was_heard_for_longer_than_max_staleness() {
        let (clock, fresh) = at_start();
        fresh.store_heard(fresh.now());
        clock.advance(Duration::from_secs(2));
        assert!(fresh.is_fresh());
        clock.advance(Duration::from_millis(1));
        assert!(!fresh.is_fresh());
    }

    #[test]
    fn redis_counts_only_once_the_store_was_read_behind_the_last_gap() {
        let (clock, fresh) = at_start();
        fresh.store_heard(fresh.now());
        clock.advance(Duration::from_secs(1));
        fresh.stream_attached();
        clock.advance(Duration::from_secs(2));
        fresh.redis_heard(fresh.now());
        assert!(!fresh.is_fresh(), "what the stream lost may be known to the store alone");
        fresh.store_heard(fresh.now());
        clock.advance(Duration::from_secs(5));
        fresh.redis_heard(fresh.now());
        assert!(fresh.is_fresh());
    }
}
