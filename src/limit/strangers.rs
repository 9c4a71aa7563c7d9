//! The limits of what anybody may ask without a credential beside logins: accounts of one's own, and mails.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::StrangerLimits;
use super::bucket::Bucket;
use super::cells::{Cells, Key};
use super::logins::{account_key, address_key};
use super::shared::{AddressError, Ask, Count, Counts};
use crate::config::{Rate, Redis};
use crate::domain::Clock;
use crate::problem::Quota;

/// Addresses, and mailboxes, that are remembered at most.
const CAPACITY: usize = 100_000;
/// How long a request waits for the count of all replicas.
const ANSWER: Duration = Duration::from_millis(50);
/// Accounts that an address may make.
const REGISTER: Rate = Rate { count: 20, period: Duration::from_hours(1) };
/// Password resets that an address may ask for.
const RESET: Rate = Rate { count: 20, period: Duration::from_hours(1) };
/// Mails that strangers may have sent to one mailbox.
const MAIL: Rate = Rate { count: 5, period: Duration::from_hours(1) };

/// Counts in this process, and with Redis in all replicas together, as [`Logins`](super::Logins) does.
pub struct Strangers {
    register: Bucket,
    reset: Bucket,
    mail: Bucket,
    shared: Option<Arc<Counts>>,
}

impl Strangers {
    /// Limits at fixed rates.
    #[must_use]
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let bucket = |policy, rate| Bucket::new(policy, rate, &Arc::new(Cells::new(CAPACITY)), clock);
        Self { register: bucket("register", REGISTER), reset: bucket("reset", RESET), mail: bucket("mail", MAIL), shared: None }
    }

    /// Shares the counts with all replicas on `redis`; connects on `runtime`, in the background.
    ///
    /// # Errors
    /// Where Redis' URL is none that can be used. That it can't be reached is no error.
    pub fn shared(self, redis: &Redis, runtime: &Handle) -> Result<Self, AddressError> {
        Ok(Self { shared: Some(Counts::new(redis, runtime)?), ..self })
    }

    async fn take(&self, bucket: &Bucket, key: Key) -> Result<(), Quota> {
        bucket.take(key)?;
        let Some(counts) = &self.shared else { return Ok(()) };
        match counts.ask(bucket.policy(), &key, bucket.rate(), Ask::Take, ANSWER).await {
            Some(Count { wait, .. }) if !wait.is_zero() => Err(bucket.quota(wait)),
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl StrangerLimits for Strangers {
    async fn register(&self, address: IpAddr) -> Result<(), Quota> {
        self.take(&self.register, address_key(address)).await
    }

    async fn reset(&self, address: IpAddr) -> Result<(), Quota> {
        self.take(&self.reset, address_key(address)).await
    }

    async fn mail(&self, mailbox: &str) -> Result<(), Quota> {
        self.take(&self.mail, account_key(mailbox, None)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::clock::ManualClock;

    #[tokio::test]
    async fn each_kind_is_counted_by_itself_and_comes_back_with_time() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
        let shared: Arc<dyn Clock> = clock.clone();
        let limits = Strangers::new(&shared);
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..REGISTER.count {
            assert!(limits.register(address).await.is_ok());
        }
        assert_eq!(limits.register(address).await.expect_err("none left").policy, "register");
        assert!(limits.register(IpAddr::from([192, 0, 2, 2])).await.is_ok());
        assert!(limits.reset(address).await.is_ok());
        for _ in 0..MAIL.count {
            assert!(limits.mail("ann@example.com").await.is_ok());
        }
        assert_eq!(limits.mail("ann@example.com").await.expect_err("none left").policy, "mail");
        assert!(limits.mail("bob@example.com").await.is_ok());
        clock.advance(MAIL.period / MAIL.count);
        assert!(limits.mail("ann@example.com").await.is_ok());
    }
}
