//! The limits of routes: calls by principal, else by address.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::runtime::Handle;

use super::bucket::Bucket;
use super::calls::{self, CAPACITY, PARTS};
use super::cells::{Cells, Key};
use super::keys::KeyLimits;
use super::limited_prefix;
use super::shared::{AddressError, Counts};
use crate::config::{Rate, Redis};
use crate::domain::{Clock, Issuer};
use crate::problem::{Allowance, Quota};

/// The policy's name in `RateLimit`. A route's own would tell clients about the inside.
const POLICY: &str = "route";

/// Who is counted.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// A principal, known by issuer and subject.
    Principal(&'a Issuer, &'a str),
    /// Nobody known, by address.
    Address(IpAddr),
}

/// The limits of all routes, and of API keys. They outlive reloads: a route that keeps its name and its rate keeps its counts.
pub struct RouteLimits {
    clock: Arc<dyn Clock>,
    counts: Option<Arc<Counts>>,
    keys: Arc<KeyLimits>,
    known: Mutex<HashMap<Arc<str>, Arc<RouteLimit>>>,
}

impl fmt::Debug for RouteLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteLimits").field("shared", &self.counts.is_some()).finish_non_exhaustive()
    }
}

impl RouteLimits {
    /// Counts in this process.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let keys = Arc::new(KeyLimits::new(Arc::clone(&clock), None));
        Self { clock, counts: None, keys, known: Mutex::default() }
    }

    /// Shares the counts with all replicas on `redis`; connects on `runtime`, in the background.
    ///
    /// # Errors
    /// Where Redis' URL is none that can be used. That it can't be reached is no error.
    pub fn shared(self, redis: &Redis, runtime: &Handle) -> Result<Self, AddressError> {
        let counts = Counts::new(redis, runtime)?;
        let keys = Arc::new(KeyLimits::new(Arc::clone(&self.clock), Some(Arc::clone(&counts))));
        Ok(Self { counts: Some(counts), keys, ..self })
    }

    /// The limits that API keys have of their own.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyLimits> {
        Arc::clone(&self.keys)
    }

    /// The limits of these routes, in their order; those of routes that are not among them are forgotten.
    pub fn of<'r>(&self, routes: impl Iterator<Item = (&'r Arc<str>, Option<Rate>)>) -> Vec<Option<Arc<RouteLimit>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::new();
        let limits = routes
            .map(|(name, rate)| {
                let limit = match (known.get(name), rate?) {
                    (Some(same), rate) if same.rate == rate => Arc::clone(same),
                    (_, rate) => Arc::new(RouteLimit::new(name, rate, self)),
                };
                kept.insert(Arc::clone(name), Arc::clone(&limit));
                Some(limit)
            })
            .collect();
        *known = kept;
        limits
    }
}

/// The limit of one route.
///
/// With Redis the count of all replicas decides, at one round trip a call; what this process knows of it refuses early, and
/// takes over where Redis does not answer in time.
pub struct RouteLimit {
    rate: Rate,
    /// Begins every digest: routes, and a route's old and new rate, count apart.
    salt: Context,
    parts: [Bucket; PARTS],
    counts: Option<Arc<Counts>>,
}

impl fmt::Debug for RouteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteLimit").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl RouteLimit {
    fn new(name: &str, rate: Rate, all: &RouteLimits) -> Self {
        let mut salt = Context::new(&SHA256);
        salt.update(&u64::from(rate.count).to_be_bytes());
        salt.update(&rate.period.as_nanos().to_be_bytes());
        update(&mut salt, name);
        let part = |_| Bucket::new(POLICY, rate, &Arc::new(Cells::new(CAPACITY)), &all.clock);
        Self { rate, salt, parts: std::array::from_fn(part), counts: all.counts.clone() }
    }

    /// Counts a call, if one is left; gives what is left then.
    ///
    /// # Errors
    /// The quota, when none was.
    pub async fn take(&self, caller: Caller<'_>) -> Result<Allowance, Quota> {
        let key = self.key(caller);
        calls::take(calls::part(&self.parts, key), self.counts.as_ref(), key).await
    }

    /// Asks, without counting, whether this process knows the caller to have none left.
    ///
    /// # Errors
    /// The quota, when none is.
    pub fn look(&self, caller: Caller<'_>) -> Result<(), Quota> {
        let key = self.key(caller);
        calls::part(&self.parts, key).look(key)
    }

    fn key(&self, caller: Caller<'_>) -> Key {
        let mut digest = self.salt.clone();
        match caller {
            Caller::Principal(Issuer::Own, subject) => {
                digest.update(&[0]);
                digest.update(subject.as_bytes());
            }
            Caller::Principal(Issuer::External(name) | Issuer::Trusted(name), subject) => {
                digest.update(&[1]);
                update(&mut digest, name);
                digest.update(subject.as_bytes());
            }
            Caller::Address(address) => {
                digest.update(&[2]);
                match limited_prefix(address) {
                    IpAddr::V4(v4) => digest.update(&v4.octets()),
                    IpAddr::V6(v6) => digest.update(&v6.octets()),
                }
            }
        }
        let mut key = Key::default();
        key.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

/// With its length before it, so that no two pairs give one text.
fn update(digest: &mut Context, text: &str) {
    digest.update(&(text.len() as u64).to_be_bytes());
    digest.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::clock::ManualClock;

    fn limit(count: u32) -> (Arc<RouteLimit>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_700_000_000)));
        let limits = RouteLimits::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let rate = Rate { count, period: Duration::from_mins(1) };
        let made = limits.of(std::iter::once((&Arc::from("a"), Some(rate)))).pop().flatten();
        (made.expect("a limit"), clock)
    }

    fn network(number: u32) -> Caller<'static> {
        Caller::Address(IpAddr::V6(Ipv6Addr::from(u128::from(number) << 64)))
    }

    #[tokio::test]
    async fn a_flood_of_addresses_fills_a_bounded_memory_and_frees_nobody_who_is_at_the_limit() {
        let (limit, _) = limit(3);
        let greedy = Caller::Principal(&Issuer::Own, "greedy");
        while limit.take(greedy).await.is_ok() {}
        for number in 0..200_000 {
            assert!(limit.take(network(number)).await.is_ok());
        }
        assert!(limit.parts.iter().all(|part| part.remembered() <= CAPACITY));
        assert!(limit.take(greedy).await.is_err());
    }

    #[tokio::test]
    async fn after_a_burst_one_comes_back_in_each_share_of_the_period() {
        let (limit, clock) = limit(3);
        let caller = Caller::Principal(&Issuer::Own, "ann");
        for left in [2, 1, 0] {
            assert_eq!(limit.take(caller).await.map(|allowance| allowance.remaining), Ok(left));
        }
        assert_eq!(limit.take(caller).await.map_err(|quota| quota.retry_after), Err(Duration::from_secs(20)));
        clock.advance(Duration::from_secs(19));
        assert!(limit.take(caller).await.is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.take(caller).await.map(|allowance| allowance.remaining), Ok(0));
        assert!(limit.take(caller).await.is_err());
        clock.advance(Duration::from_mins(2));
        assert_eq!(limit.take(caller).await.map(|allowance| allowance.remaining), Ok(2));
    }

    #[tokio::test]
    async fn callers_who_are_spelled_alike_are_not_the_same() {
        let (limit, _) = limit(1);
        let (one, other) = (Issuer::External("a".into()), Issuer::External("ab".into()));
        let mapped = "::ffff:192.0.2.1".parse().expect("an address");
        for (caller, passes) in [
            (Caller::Principal(&Issuer::Own, "abc"), true),
            (Caller::Principal(&one, "bc"), true),
            (Caller::Principal(&other, "c"), true),
            (Caller::Principal(&one, "bc"), false),
            (Caller::Address(IpAddr::from([192, 0, 2, 1])), true),
            (Caller::Address(mapped), false),
        ] {
            assert_eq!(limit.take(caller).await.is_ok(), passes, "{caller:?}");
        }
    }
}
