//! How many calls may be tried again: an outage must not double the load on what is left.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What a request brings, and what a second try costs: one in five.
const BRINGS: i64 = 1;
const COSTS: i64 = 5;
/// What a second brings, for backends with little traffic.
const PER_SECOND: i64 = 10 * COSTS;
/// What there is at most, and at first: a burst for the requests that a server which dies has in hand.
const MOST: i64 = 256 * COSTS;

/// A backend's budget.
#[derive(Debug)]
pub(crate) struct Budget {
    balance: AtomicI64,
    /// When a second's allowance was last added, in milliseconds of the monotonic clock.
    filled: AtomicU64,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self { balance: AtomicI64::new(MOST), filled: AtomicU64::new(0) }
    }

    /// A request comes.
    pub(crate) fn bring(&self) {
        // A full one needs no write, which threads would wait for each other by.
        if self.balance.load(Ordering::Relaxed) < MOST {
            self.balance.fetch_add(BRINGS, Ordering::Relaxed);
        }
    }

    /// Whether one may be tried again.
    pub(crate) fn spend(&self, now: Duration) -> bool {
        self.fill(now);
        let enough = |balance: i64| (balance >= COSTS).then_some(balance - COSTS);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }

    fn fill(&self, now: Duration) {
        let (now, filled) = (u64::try_from(now.as_millis()).unwrap_or(u64::MAX), self.filled.load(Ordering::Relaxed));
        let millis = i64::try_from(now.saturating_sub(filled)).unwrap_or(i64::MAX);
        let due = millis.saturating_mul(PER_SECOND) / 1000;
        if due > 0 && self.filled.compare_exchange(filled, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let fill = |balance: i64| Some(balance.saturating_add(due).min(MOST));
            let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_in_five_and_a_few_a_second() {
        let budget = Budget::new();
        let now = Duration::from_secs(1000);
        let spent = |budget: &Budget, now| (0..10_000).filter(|_| budget.spend(now)).count();
        assert_eq!(spent(&budget, now), 256);
        for _ in 0..1000 {
            budget.bring();
        }
        assert_eq!(spent(&budget, now), 200);
        assert_eq!(spent(&budget, now + Duration::from_secs(1)), 10);
        assert_eq!(spent(&budget, now + Duration::from_hours(1)), 256, "never more than a burst");
    }
}
