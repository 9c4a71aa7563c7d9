//! The limits that API keys have of their own, beside those of routes: calls by key, whichever route they are for.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::bucket::Bucket;
use super::calls::{self, CAPACITY, PARTS};
use super::cells::{Cells, Key};
use super::shared::Counts;
use crate::domain::{Clock, KeyId, Rate};
use crate::problem::{Allowance, Quota};

/// The policy's name in `RateLimit`.
const POLICY: &str = "key";

/// Counts keys, each by the rate that is kept with it. Outlives reloads.
pub struct KeyLimits {
    clock: Arc<dyn Clock>,
    /// A key's rate is its own, so its bucket is made for the call; what was counted stays here.
    parts: [Arc<Cells>; PARTS],
    counts: Option<Arc<Counts>>,
}

impl fmt::Debug for KeyLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLimits").field("shared", &self.counts.is_some()).finish_non_exhaustive()
    }
}

impl KeyLimits {
    pub(super) fn new(clock: Arc<dyn Clock>, counts: Option<Arc<Counts>>) -> Self {
        Self { clock, parts: std::array::from_fn(|_| Arc::new(Cells::new(CAPACITY))), counts }
    }

    /// Counts a call with the key `id`, if one of `rate` is left; gives what is left then.
    ///
    /// # Errors
    /// The quota, when none was.
    pub async fn take(&self, id: &KeyId, rate: Rate) -> Result<Allowance, Quota> {
        let key = key(id, rate);
        let bucket = Bucket::new(POLICY, rate, calls::part(&self.parts, key), &self.clock);
        calls::take(&bucket, self.counts.as_ref(), key).await
    }
}

fn key(id: &KeyId, rate: Rate) -> Key {
    let mut digest = Context::new(&SHA256);
    digest.update(&rate.count.to_be_bytes());
    digest.update(&rate.period.as_nanos().to_be_bytes());
    digest.update(id.as_str().as_bytes());
    let mut key = Key::default();
    key.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::domain::{SystemEntropy, Timestamp};

    fn limits() -> (KeyLimits, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
        (KeyLimits::new(Arc::clone(&clock) as Arc<dyn Clock>, None), clock)
    }

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[tokio::test]
    async fn each_key_counts_by_itself_and_comes_back_with_time() {
        let (limits, clock) = limits();
        let (one, other) = (KeyId::generate(&SystemEntropy), KeyId::generate(&SystemEntropy));
        for left in [2, 1, 0] {
            clock.advance(Duration::from_millis(1));
            assert_eq!(limits.take(&one, rate("3/1m")).await.map(|allowance| allowance.remaining), Ok(left));
        }
        let quota = limits.take(&one, rate("3/1m")).await.expect_err("none left");
        assert_eq!((quota.policy, quota.limit, quota.window), ("key", 3, Duration::from_mins(1)));
        assert_eq!(quota.retry_after, Duration::from_millis(19_998));
        assert!(limits.take(&other, rate("3/1m")).await.is_ok());
        clock.advance(quota.retry_after.saturating_sub(Duration::from_millis(1)));
        assert!(limits.take(&one, rate("3/1m")).await.is_err());
        clock.advance(Duration::from_millis(1));
        assert!(limits.take(&one, rate("3/1m")).await.is_ok());
        assert!(limits.take(&one, rate("3/1m")).await.is_err());
    }

    #[tokio::test]
    async fn many_keys_fill_a_bounded_memory_and_free_none_that_is_at_its_limit() {
        let (limits, _) = limits();
        let greedy = KeyId::generate(&SystemEntropy);
        while limits.take(&greedy, rate("2/1h")).await.is_ok() {}
        for _ in 0..100_000 {
            assert!(limits.take(&KeyId::generate(&SystemEntropy), rate("2/1h")).await.is_ok());
        }
        assert!(limits.parts.iter().all(|cells| cells.len() <= CAPACITY));
        assert!(limits.take(&greedy, rate("2/1h")).await.is_err());
    }
}
