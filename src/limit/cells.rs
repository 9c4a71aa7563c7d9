//! The state behind governor's limiters: one number a key, and never more keys than a bound.
//!
//! A cell is the moment at which its key is back at a full burst (GCRA's theoretical arrival time). Cells whose moment has
//! passed say no more than none at all, and go first. When all are in use, the half with the least left to wait goes: a
//! flood of new keys makes the gateway forget those that were limited least, and a key that is refused right now outlives
//! every key that still has tries. To be forgotten early, an attacker would have to bring that many other keys to their
//! limit first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::StateStore;

/// What a limit counts by: a digest, so that a key's size does not depend on what a client sent.
pub(super) type Key = [u8; 16];

/// Cells of at most `capacity` keys.
#[derive(Debug)]
pub(super) struct Cells {
    /// Nanoseconds on the clock's monotonic time. Guarded for one look-up, and now and then a sweep.
    full_at: Mutex<HashMap<Key, u64>>,
    capacity: usize,
}

impl Cells {
    pub(super) fn new(capacity: usize) -> Self {
        Self { full_at: Mutex::default(), capacity: capacity.max(2) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<Key, u64>) -> T) -> T {
        change(&mut self.full_at.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a failure on the bill that came when nothing was left, so that those that ran at the same time are waited for
    /// like any other; `most` bounds how far ahead a bill may lie.
    pub(super) fn charge(&self, key: Key, weight: Duration, now: Duration, most: Duration) {
        let now = nanos(now);
        self.with(|cells| {
            if let Some(full_at) = cells.get_mut(&key) {
                *full_at = full_at.saturating_add(nanos(weight)).min(now.saturating_add(nanos(most)));
            }
        });
    }

    /// Sets a cell's moment `full_in` from now, unless it lies later already.
    pub(super) fn raise(&self, key: Key, full_in: Duration, now: Duration) {
        let now = nanos(now);
        let full_at = now.saturating_add(nanos(full_in));
        self.with(|cells| {
            let known = cells.get(&key).copied().unwrap_or_default();
            Self::insert(cells, self.capacity, key, full_at.max(known), now);
        });
    }

    fn insert(cells: &mut HashMap<Key, u64>, capacity: usize, key: Key, full_at: u64, now: u64) {
        if cells.len() >= capacity && !cells.contains_key(&key) {
            cells.retain(|_, full_at| *full_at > now);
            if cells.len() >= capacity {
                let mut ends: Vec<u64> = cells.values().copied().collect();
                let (_, middle, _) = ends.select_nth_unstable(cells.len() / 2);
                let middle = *middle;
                let mut excess = cells.len() - capacity / 2;
                cells.retain(|_, full_at| {
                    let goes = *full_at <= middle && excess > 0;
                    excess -= usize::from(goes);
                    !goes
                });
            }
        }
        cells.insert(key, full_at);
    }
}

/// Cells as one limiter sees them: governor counts time from the limiter's making, the cells outlive limiters.
pub(super) struct View {
    pub(super) cells: Arc<Cells>,
    /// The limiter's making, on the monotonic clock.
    pub(super) origin: Duration,
    /// Whether a decision is written down, or only looked at.
    pub(super) counts: bool,
    /// The limiter's clock, for telling which cells have passed.
    pub(super) clock: Arc<dyn crate::domain::Clock>,
}

impl StateStore for View {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let origin = nanos(self.origin);
        let now = nanos(self.clock.monotonic());
        self.cells.with(|cells| {
            let before = cells.get(key).map(|full_at| Nanos::new(full_at.saturating_sub(origin)));
            let (outcome, full_at) = decide(before)?;
            if self.counts {
                Cells::insert(cells, self.cells.capacity, *key, full_at.as_u64().saturating_add(origin), now);
            }
            Ok(outcome)
        })
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;
    use crate::domain::clock::ManualClock;
    use crate::domain::{Clock, Timestamp};
    use crate::limit::bucket::Bucket;

    fn key(number: u32) -> Key {
        u128::from(number).to_be_bytes()
    }

    fn limited_to(capacity: usize) -> (Arc<Cells>, Arc<ManualClock>, Bucket) {
        let cells = Arc::new(Cells::new(capacity));
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_700_000_000)));
        let rate = Rate { count: 5, period: Duration::from_mins(1) };
        let bucket = Bucket::new("login", rate, &cells, &(Arc::clone(&clock) as Arc<dyn Clock>));
        (cells, clock, bucket)
    }

    #[test]
    fn memory_is_bounded_whatever_keys_appear() {
        let (cells, _, bucket) = limited_to(1000);
        for number in 0..100_000 {
            let _ = bucket.take(key(number));
            assert!(cells.len() <= 1000);
        }
    }

    #[test]
    fn a_flood_of_new_keys_does_not_free_one_that_is_at_its_limit() {
        let (_, _, bucket) = limited_to(1000);
        let limited = u32::MAX;
        while bucket.take(key(limited)).is_ok() {}
        for number in 0..100_000 {
            let _ = bucket.take(key(number));
            assert!(bucket.look(key(limited)).is_err(), "after {number}");
        }
    }

    #[test]
    fn cells_whose_time_has_passed_go_before_any_other() {
        let (cells, clock, bucket) = limited_to(1000);
        for number in 0..900 {
            let _ = bucket.take(key(number));
        }
        clock.advance(Duration::from_mins(2));
        for number in 1000..1200 {
            let _ = bucket.take(key(number));
        }
        assert_eq!(cells.len(), 200);
    }
}
