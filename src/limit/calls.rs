//! Counting one call: in this process, and with Redis in all replicas together.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::cells::Key;
use super::shared::{Ask, Counts};
use crate::problem::{Allowance, Quota};

/// Cells stand in this many parts, each behind a lock of its own, so that threads seldom meet.
pub(super) const PARTS: usize = 16;
/// Callers that a part remembers at most: 65,536 in all, some 3 MB when a flood has filled them.
pub(super) const CAPACITY: usize = 4096;
/// How long a call waits for the count of all replicas, before it is counted here alone. While Redis hangs only the calls
/// that were under way wait: without contact nobody asks.
const ANSWER: Duration = Duration::from_millis(100);

/// The part that `key` is counted in.
pub(super) fn part<T>(parts: &[T; PARTS], key: Key) -> &T {
    let [.., last] = key;
    let [first, ..] = parts;
    parts.get(usize::from(last) % PARTS).unwrap_or(first)
}

/// Counts a call, if one is left; gives what is left then.
///
/// With Redis the count of all replicas decides, at one round trip a call; what this process knows of it refuses early, and
/// takes over where Redis does not answer in time.
pub(super) async fn take(bucket: &Bucket, counts: Option<&Arc<Counts>>, key: Key) -> Result<Allowance, Quota> {
    if let Some(counts) = counts.filter(|counts| counts.has_contact()) {
        bucket.look(key)?;
        if let Some(count) = counts.ask(bucket.policy(), &key, bucket.rate(), Ask::Take, ANSWER).await {
            bucket.learn(key, count.full_in);
            return if count.wait.is_zero() {
                Ok(bucket.allowance(bucket.left(count.full_in)))
            } else {
                Err(bucket.quota(count.wait))
            };
        }
    } else if let Some(counts) = counts {
        counts.connect();
    }
    bucket.take(key).map(|left| bucket.allowance(left))
}
