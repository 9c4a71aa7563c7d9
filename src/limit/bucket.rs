//! One limit: a rate, and the cells that it counts in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::StateInformationMiddleware;
use governor::{Quota as Pace, RateLimiter};

use super::cells::{Cells, Key, View};
use crate::config::Rate;
use crate::domain::Clock;
use crate::problem::{Allowance, Quota};

/// The house's clock as governor reads it.
#[derive(Clone)]
pub(crate) struct Ticks(pub(crate) Arc<dyn Clock>);

impl GovernorClock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

/// A GCRA limit of `N/period` with burst N.
pub(super) struct Bucket {
    policy: &'static str,
    rate: Rate,
    counting: RateLimiter<Key, View, Ticks, StateInformationMiddleware>,
    looking: RateLimiter<Key, View, Ticks, StateInformationMiddleware>,
    cells: Arc<Cells>,
    clock: Arc<dyn Clock>,
}

impl Bucket {
    pub(super) fn new(policy: &'static str, rate: Rate, cells: &Arc<Cells>, clock: &Arc<dyn Clock>) -> Self {
        let limiter = |counts| {
            let origin = clock.monotonic();
            let view = View { cells: Arc::clone(cells), origin, counts, clock: Arc::clone(clock) };
            RateLimiter::<_, _, _, StateInformationMiddleware>::new(pace(rate), view, Ticks(Arc::clone(clock)))
        };
        Self {
            policy,
            rate,
            counting: limiter(true),
            looking: limiter(false),
            cells: Arc::clone(cells),
            clock: Arc::clone(clock),
        }
    }

    /// Counts one, if one is left; gives how many are left then.
    pub(super) fn take(&self, key: Key) -> Result<u32, Quota> {
        let counted = self.counting.check_key(&key);
        counted
            .map(|state| state.remaining_burst_capacity())
            .map_err(|refused| self.quota(refused.wait_time_from(self.clock.monotonic())))
    }

    /// Takes over that a key is back at a full burst in `full_in`, where that is later than what is known here.
    pub(super) fn learn(&self, key: Key, full_in: Duration) {
        self.cells.raise(key, full_in, self.clock.monotonic());
    }

    /// How many are left to whom is back at a full burst in `full_in`.
    pub(super) fn left(&self, full_in: Duration) -> u32 {
        let used = full_in.as_nanos().div_ceil(self.weight().as_nanos().max(1));
        self.rate.count.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// Whether one is left, without counting.
    pub(super) fn look(&self, key: Key) -> Result<(), Quota> {
        self.looking.check_key(&key).map(drop).map_err(|refused| self.quota(refused.wait_time_from(self.clock.monotonic())))
    }

    /// Counts one even when none is left, and says so: it happened, and is waited for, up to one more period.
    pub(super) fn charge(&self, key: Key) -> Result<(), Quota> {
        let left = self.take(key).map(drop);
        if left.is_err() {
            self.cells.charge(key, self.weight(), self.clock.monotonic(), self.rate.period.saturating_mul(2));
        }
        left
    }

    /// What is answered to somebody to whom `remaining` are left.
    pub(super) fn allowance(&self, remaining: u32) -> Allowance {
        let used = self.rate.count.saturating_sub(remaining);
        Allowance {
            policy: self.policy,
            limit: self.rate.count,
            window: self.rate.period,
            remaining,
            full_in: self.weight().saturating_mul(used),
        }
    }

    /// What is answered to somebody who has to wait.
    pub(super) const fn quota(&self, retry_after: Duration) -> Quota {
        Quota { policy: self.policy, limit: self.rate.count, window: self.rate.period, retry_after }
    }

    /// How many keys it holds.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.cells.len()
    }

    pub(super) const fn policy(&self) -> &'static str {
        self.policy
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    fn weight(&self) -> Duration {
        self.rate.period / self.rate.count.max(1)
    }
}

fn pace(rate: Rate) -> Pace {
    let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    // A period of nothing would be no limit; the configuration has none.
    let weight = (rate.period / burst.get()).max(Duration::from_nanos(1));
    Pace::with_period(weight).unwrap_or(Pace::per_hour(NonZeroU32::MIN)).allow_burst(burst)
}
