//! The limits of logins: attempts by address, failures by account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use tokio::runtime::Handle;

use super::bucket::Bucket;
use super::cells::{Cells, Key};
use super::clients;
use super::shared::{AddressError, Ask, Count, Counts};
use super::{LoginLimits, limited_prefix};
use crate::config::{Login, Redis};
use crate::domain::Clock;
use crate::problem::Quota;

/// Addresses, and accounts, that are remembered at most; 32 bytes or so each.
const CAPACITY: usize = 100_000;
/// How long a login waits for the count of all replicas.
const ANSWER: Duration = Duration::from_millis(50);

/// Counts in this process, and with Redis in all replicas together. What this process counted holds either way, so that
/// neither a Redis that is gone nor one that lost its counts makes anybody unlimited.
///
/// Failures are counted when they are known, so attempts on one account that run at the same time may all begin before the
/// first has failed: as many as password checks may run and wait (`login.concurrency` and `login.queue`). Each of them is
/// still put on the bill, so that they lengthen the wait that follows, by one period at most.
pub struct Logins {
    rates: ArcSwap<Rates>,
    addresses: Arc<Cells>,
    accounts: Arc<Cells>,
    clients: Arc<Cells>,
    clock: Arc<dyn Clock>,
    shared: Option<Arc<Counts>>,
}

struct Rates {
    address: Bucket,
    account: Bucket,
    client: Bucket,
    client_address: Bucket,
}

impl Logins {
    /// Limits at the rates of `settings`.
    #[must_use]
    pub fn new(settings: &Login, clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(settings, clock, CAPACITY)
    }

    /// The same, remembering at most `capacity` addresses and as many accounts.
    #[must_use]
    pub fn with_capacity(settings: &Login, clock: Arc<dyn Clock>, capacity: usize) -> Self {
        let [addresses, accounts, clients] = [(); 3].map(|()| Arc::new(Cells::new(capacity)));
        let rates = ArcSwap::from_pointee(Rates::new(settings, &addresses, &accounts, &clients, &clock));
        Self { rates, addresses, accounts, clients, clock, shared: None }
    }

    /// Shares the counts with all replicas on `redis`; connects on `runtime`, in the background.
    ///
    /// # Errors
    /// Where Redis' URL is none that can be used. That it can't be reached is no error.
    pub fn shared(self, redis: &Redis, runtime: &Handle) -> Result<Self, AddressError> {
        Ok(Self { shared: Some(Counts::new(redis, runtime)?), ..self })
    }

    /// Whether the counts are shared at the moment.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.as_ref().is_some_and(|counts| counts.has_contact())
    }

    /// Takes new rates over; what was counted stays counted.
    pub fn set(&self, settings: &Login) {
        let rates = self.rates.load();
        if rates.address.rate() != settings.rate_limit || rates.account.rate() != settings.account_rate_limit {
            let rates = Rates::new(settings, &self.addresses, &self.accounts, &self.clients, &self.clock);
            self.rates.store(Arc::new(rates));
        }
    }
}

impl Rates {
    fn new(
        settings: &Login,
        addresses: &Arc<Cells>,
        accounts: &Arc<Cells>,
        clients: &Arc<Cells>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            address: Bucket::new("login", settings.rate_limit, addresses, clock),
            account: Bucket::new("login-account", settings.account_rate_limit, accounts, clock),
            client: Bucket::new("client", settings.rate_limit, clients, clock),
            client_address: Bucket::new("client-address", settings.account_rate_limit, clients, clock),
        }
    }
}

impl Logins {
    /// What all replicas counted, where that can be known.
    async fn together(&self, bucket: &Bucket, key: &Key, ask: Ask) -> Result<(), Quota> {
        let Some(counts) = &self.shared else { return Ok(()) };
        match counts.ask(bucket.policy(), key, bucket.rate(), ask, ANSWER).await {
            Some(Count { wait, .. }) if !wait.is_zero() => Err(bucket.quota(wait)),
            Some(_) | None => Ok(()),
        }
    }
}

#[async_trait]
impl LoginLimits for Logins {
    async fn attempt(&self, address: IpAddr) -> Result<(), Quota> {
        let (rates, key) = (self.rates.load_full(), address_key(address));
        rates.address.take(key)?;
        self.together(&rates.address, &key, Ask::Take).await
    }

    async fn may_try(&self, account: &str, own_network: Option<&str>) -> Result<(), Quota> {
        let (rates, key) = (self.rates.load_full(), account_key(account, own_network));
        rates.account.look(key)?;
        self.together(&rates.account, &key, Ask::Look).await
    }

    async fn failed(&self, account: &str, own_network: Option<&str>) -> Result<(), Quota> {
        let (rates, key) = (self.rates.load_full(), account_key(account, own_network));
        let alone = rates.account.charge(key);
        // Counted there too, whatever this process says.
        let together = self.together(&rates.account, &key, Ask::Charge).await;
        alone.and(together)
    }

    async fn may_authenticate(&self, address: IpAddr, client: &str) -> Result<(), Quota> {
        let rates = self.rates.load_full();
        for (bucket, key) in clients::counted(&rates.client, &rates.client_address, address, client) {
            bucket.look(key)?;
            self.together(bucket, &key, Ask::Look).await?;
        }
        Ok(())
    }

    async fn not_authenticated(&self, address: IpAddr, client: &str) -> Result<(), Quota> {
        let rates = self.rates.load_full();
        let mut left = Ok(());
        for (bucket, key) in clients::counted(&rates.client, &rates.client_address, address, client) {
            let alone = bucket.charge(key);
            let together = self.together(bucket, &key, Ask::Charge).await;
            left = left.and(alone).and(together);
        }
        left
    }
}

pub(super) fn address_key(address: IpAddr) -> Key {
    match limited_prefix(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Strangers share one key, each own network has its own. The lengths keep two pairs from giving one text.
pub(super) fn account_key(account: &str, own_network: Option<&str>) -> Key {
    let mut digest = Context::new(&SHA256);
    digest.update(&(account.len() as u64).to_be_bytes());
    digest.update(account.as_bytes());
    if let Some(network) = own_network {
        digest.update(&[1]);
        digest.update(network.as_bytes());
    }
    let mut key = Key::default();
    key.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}
