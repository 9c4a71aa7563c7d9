//! The limits of logins: attempts by address, failures by account.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};

use super::bucket::Bucket;
use super::cells::{Cells, Key};
use super::{LoginLimits, limited_prefix};
use crate::config::Login;
use crate::domain::Clock;
use crate::problem::Quota;

/// Addresses, and accounts, that are remembered at most; 32 bytes or so each.
const CAPACITY: usize = 100_000;

/// Counts in this process.
///
/// Failures are counted when they are known, so attempts on one account that run at the same time may all begin before the
/// first has failed: as many as password checks may run and wait (`login.concurrency` and `login.queue`). Each of them is
/// still put on the bill, so that they lengthen the wait that follows, by one period at most.
pub struct Logins {
    rates: ArcSwap<Rates>,
    addresses: Arc<Cells>,
    accounts: Arc<Cells>,
    clock: Arc<dyn Clock>,
}

struct Rates {
    address: Bucket,
    account: Bucket,
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
        let (addresses, accounts) = (Arc::new(Cells::new(capacity)), Arc::new(Cells::new(capacity)));
        let rates = ArcSwap::from_pointee(Rates::new(settings, &addresses, &accounts, &clock));
        Self { rates, addresses, accounts, clock }
    }

    /// Takes new rates over; what was counted stays counted.
    pub fn set(&self, settings: &Login) {
        let rates = self.rates.load();
        if rates.address.rate() != settings.rate_limit || rates.account.rate() != settings.account_rate_limit {
            self.rates.store(Arc::new(Rates::new(settings, &self.addresses, &self.accounts, &self.clock)));
        }
    }
}

impl Rates {
    fn new(settings: &Login, addresses: &Arc<Cells>, accounts: &Arc<Cells>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            address: Bucket::new("login", settings.rate_limit, addresses, clock),
            account: Bucket::new("login-account", settings.account_rate_limit, accounts, clock),
        }
    }
}

#[async_trait]
impl LoginLimits for Logins {
    async fn attempt(&self, address: IpAddr) -> Result<(), Quota> {
        self.rates.load().address.take(address_key(address))
    }

    async fn may_try(&self, account: &str, own_network: Option<&str>) -> Result<(), Quota> {
        self.rates.load().account.look(account_key(account, own_network))
    }

    async fn failed(&self, account: &str, own_network: Option<&str>) {
        self.rates.load().account.charge(account_key(account, own_network));
    }
}

fn address_key(address: IpAddr) -> Key {
    match limited_prefix(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Strangers share one key, each own network has its own. The lengths keep two pairs from giving one text.
fn account_key(account: &str, own_network: Option<&str>) -> Key {
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
