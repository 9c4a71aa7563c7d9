//! Floor 2: how often somebody may try, and call.

mod bucket;
mod calls;
mod cells;
mod clients;
mod keys;
mod logins;
mod routes;
mod shared;
mod strangers;

use std::net::IpAddr;

use async_trait::async_trait;

use crate::problem::Quota;

pub(crate) use bucket::Ticks;
pub use keys::KeyLimits;
pub use logins::Logins;
pub use routes::{Caller, RouteLimit, RouteLimits};
pub use shared::AddressError;
pub use strangers::Strangers;

/// Limits logins: attempts by address, failures by account.
#[async_trait]
pub trait LoginLimits: Send + Sync {
    /// Counts an attempt from `address`.
    ///
    /// # Errors
    /// The quota, when the address has none left.
    async fn attempt(&self, address: IpAddr) -> Result<(), Quota>;
    /// Asks, without counting, whether `account` may still fail. `account` is the name as it was typed, or the user's
    /// id once known (every spelling must be one key: callers fold it); `own_network` is the address prefix when that
    /// account logged in from it in the last 30 days: it has a bucket of its own.
    ///
    /// # Errors
    /// The quota, when the account has failed too often.
    async fn may_try(&self, account: &str, own_network: Option<&str>) -> Result<(), Quota>;
    /// Counts a failure, in one step with asking whether one was left.
    ///
    /// # Errors
    /// The quota, when none was: it is counted all the same, and whoever guessed must not learn that the guess was wrong.
    async fn failed(&self, account: &str, own_network: Option<&str>) -> Result<(), Quota>;
    /// Asks, without counting, whether `address` may still fail to authenticate as the OAuth client `client`, known or not.
    ///
    /// # Errors
    /// The quota, when it has failed too often: as this client, or as any.
    async fn may_authenticate(&self, address: IpAddr, client: &str) -> Result<(), Quota>;
    /// Counts such a failure, in one step with asking whether one was left.
    ///
    /// # Errors
    /// The quota, when none was; it is counted all the same.
    async fn not_authenticated(&self, address: IpAddr, client: &str) -> Result<(), Quota>;
}

/// Limits what strangers may ask beside logging in.
#[async_trait]
pub trait StrangerLimits: Send + Sync {
    /// Counts an account that somebody at `address` wants to make.
    ///
    /// # Errors
    /// The quota, when the address has none left.
    async fn register(&self, address: IpAddr) -> Result<(), Quota>;
    /// Counts a new password that somebody at `address` asks for.
    ///
    /// # Errors
    /// The quota, when the address has none left.
    async fn reset(&self, address: IpAddr) -> Result<(), Quota>;
    /// Counts a mail to `mailbox`, whose spelling has been folded.
    ///
    /// # Errors
    /// The quota, when the mailbox has had its share.
    async fn mail(&self, mailbox: &str) -> Result<(), Quota>;
}

/// The prefix that an address shares its limits with: IPv4 itself, IPv6 /64; IPv4-mapped IPv6 is IPv4.
#[must_use]
pub fn limited_prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

/// The network that counts as an account's own: IPv4 /24, IPv6 /64, as text.
#[must_use]
pub fn own_network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => format!("{}/64", limited_prefix(IpAddr::V6(v6))),
    }
}
