//! What hashes of other applications, and dear ones of ours, cost on this machine, so that who has none can be made to cost as much.
//!
//! An imported bcrypt hash takes twice the time of ours, a `{SHA}` none, and one of ours from before the cost was lowered up to twice.
//! Were nothing done, the time of a wrong password would tell which accounts exist.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::argon::OutOfMemory;
use crate::config::Argon2Cost;

/// Different costs that are kept; applications have one or two.
const MAX_PRICES: usize = 64;
/// Where the time of a thread can't be measured it ends here.
const MAX_SLICES: u32 = 20_000;

/// What a hash asks for: what costs alike has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Price {
    pub(super) kind: &'static str,
    pub(super) rounds: u64,
}

impl Price {
    /// Of a hash of ours, from a time when they cost more.
    pub(super) fn of_ours(cost: Argon2Cost) -> Self {
        Self { kind: "ours", rounds: cost.work() }
    }
}

/// How long a thread had worked, at some point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent(Duration);

impl Spent {
    /// Begins to measure.
    pub(super) fn now() -> Self {
        Self(spent())
    }
}

/// What each kind of hash took of a thread's own time. The least counts: it is the time without disturbance.
#[derive(Default)]
pub(super) struct Burden {
    seen: Mutex<BTreeMap<Price, Duration>>,
}

impl Burden {
    /// Notes what a check of `price` took since `begun`.
    pub(super) fn note(&self, price: Price, begun: Spent) {
        let took = spent().saturating_sub(begun.0);
        let mut seen = self.seen();
        if seen.len() < MAX_PRICES || seen.contains_key(&price) {
            seen.entry(price).and_modify(|least| *least = took.min(*least)).or_insert(took);
        }
    }

    /// Repeats `work`, which is for nothing, until the thread has worked since `begun` for as long as the dearest takes.
    pub(super) fn bear(&self, begun: Spent, mut work: impl FnMut() -> Result<(), OutOfMemory>) -> Result<(), OutOfMemory> {
        for _ in 0..MAX_SLICES {
            if self.is_borne(begun) {
                break;
            }
            work()?;
        }
        Ok(())
    }

    fn is_borne(&self, begun: Spent) -> bool {
        let dearest = self.seen().values().max().copied().unwrap_or_default();
        spent().saturating_sub(begun.0) >= dearest
    }

    /// Forgets what was seen.
    pub(super) fn forget(&self) {
        self.seen().clear();
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Price, Duration>> {
        // Nothing under the lock can leave it half done.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long this thread has worked: waiting for a processor does not count, nor do other threads.
fn spent() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
