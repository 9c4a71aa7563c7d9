//! Floor 3: what HTTP and the command line share: log in, refresh, log out, look at and change accounts.
//!
//! Every change goes the same way: durable in the store, then published, then answered. Work that was
//! begun is brought to its end even when the client hangs up: a guess that was not waited for still counts, and a
//! revocation that is durable still gets published.

pub mod admin;
mod audit;
mod change;
mod fields;
mod letters;
mod login;
mod logout;
mod oauth;
mod passwords;
mod profile;
mod prove;
mod refresh;
mod register;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use change::MeChange;
pub use letters::{EMAIL_CONFIRM, RESET_CONFIRM};
pub use login::LoginRequest;
pub use logout::{LogoutRequest, Proof};
pub use oauth::{ClientCredentials, GrantRequest, Introspection, Issued, TokenRequest};
pub use passwords::PasswordChange;
pub use profile::Profile;
pub use register::Registration;
pub use token::Tokens;

use crate::config::Config;
use crate::credential::KeyRing;
use crate::domain::{Clock, Entropy, Timestamp};
use crate::limit::{LoginLimits, StrangerLimits};
use crate::mail::Post;
use crate::password::{Busy, Passwords};
use crate::problem::Refusal;
use crate::revocation::Revocations;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use audit::AuditLog;

/// What [`Accounts`] works with.
#[expect(missing_debug_implementations, reason = "trait objects and keys have nothing to print")]
pub struct Parts {
    /// Where accounts and sessions are kept.
    pub store: Arc<dyn Store>,
    /// Who checks passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Who counts logins.
    pub limits: Arc<dyn LoginLimits>,
    /// Who counts what strangers ask beside logins.
    pub strangers: Arc<dyn StrangerLimits>,
    /// Who takes mail; nobody where there is no `[mail]`.
    pub post: Option<Arc<dyn Post>>,
    /// Whom revocations are told to.
    pub revocations: Arc<dyn Revocations>,
    /// What access tokens are signed with.
    pub keys: Arc<KeyRing>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids and refresh tokens come from.
    pub entropy: Arc<dyn Entropy>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Logins and what comes of them. Cheap to clone; made anew by a reload.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "trait objects and keys have nothing to print")]
pub struct Accounts {
    parts: Arc<Parts>,
    audit: Arc<AuditLog>,
}

/// Where a request comes from: for sessions, limits and the audit log.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`; empty when it sent none.
    pub device: String,
    /// The request's id.
    pub request_id: String,
}

impl Accounts {
    /// Accounts over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let audit = Arc::new(AuditLog::new(Arc::clone(&parts.store), Arc::clone(&parts.clock)));
        Self { parts: Arc::new(parts), audit }
    }

    /// What is counted: credentials at our own endpoints, too.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Until when a change of an account has to be told: replicas may go on with a key of it that they know for `cache_ttl` when
    /// the store is gone.
    fn revoke_user_until(&self, now: Timestamp) -> Timestamp {
        let cached = self.parts.config.api_keys.cache_ttl.saturating_add(Duration::from_mins(1));
        now.plus(self.parts.config.tokens.revocation_ttl().max(cached))
    }

    /// Until when a revocation made now has to be kept.
    fn revoke_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.parts.config.tokens.revocation_ttl())
    }
}

/// Runs `work` to its end, whether or not the caller goes on waiting for it.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T, Refusal>> + Send + 'static) -> Result<T, Refusal> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "a request was not brought to its end");
            Err(try_again("The gateway is stopping. Try again."))
        }
    }
}

/// 503, for what is over in a moment.
const fn try_again(detail: &'static str) -> Refusal {
    Refusal::Unavailable { detail, retry_after: Duration::from_secs(1) }
}

/// The password threads have no room.
fn busy(busy: Busy) -> Refusal {
    match busy {
        Busy::QueueFull => try_again("Too many passwords are being checked. Try again."),
        Busy::Stopped => try_again("The gateway is stopping. Try again."),
    }
}

/// The store can't be used: its own words go to the log only.
fn store_is_down(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the store failed a request");
    try_again("Accounts can't be read or changed at the moment. Try again.")
}
