//! Accounts, keys and sessions, on the store directly. What a change revokes is durable and told to Redis before the
//! command returns; replicas without Redis learn of it from the store.

mod client;
mod import;
mod key;
mod session;
mod signing_key;
mod user;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::args::{Client, ConfigArg, Key, Session, SigningKey, User};
use super::output::tell;
use super::{Colors, Failure};
use crate::accounts::admin::{Admin, AdminError, Publisher, StoreOnly};
use crate::config::{self, Config, Environment, Report};
use crate::domain::{Clock, Entry, SystemClock, SystemEntropy, UserId};
use crate::password::Pool;
use crate::revocation;
use crate::store;
pub(super) use user::{attributes, scopes, words};

/// How long a store that does not answer is waited for.
const STORE_DEADLINE: Duration = Duration::from_secs(20);
/// How long Redis is waited for: the replicas follow the store anyway.
const REDIS_DEADLINE: Duration = Duration::from_secs(2);

/// `user …`
pub(super) fn user(command: User) -> Result<(), Failure> {
    user::run(command)
}

/// `key …`
pub(super) fn key(command: Key) -> Result<(), Failure> {
    key::run(command)
}

/// `client …`
pub(super) fn client(command: Client) -> Result<(), Failure> {
    client::run(command)
}

/// `session …`
pub(super) fn session(command: Session) -> Result<(), Failure> {
    session::run(command)
}

/// `signing-key …`
pub(super) fn signing_key(command: &SigningKey) -> Result<(), Failure> {
    signing_key::run(command)
}

/// The configuration at `path`, or all that is wrong with it, on stderr.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    match config::load(path, &Environment::of_process()) {
        Ok(loaded) => Ok(loaded.config),
        Err(report) => Err(bad(path, &report)),
    }
}

/// Tells all that is wrong with the configuration at `path`, on stderr.
pub(super) fn bad(path: &Path, report: &Report) -> Failure {
    tell(&report.render(Colors::of_process().err));
    Failure::wrong(format!("the configuration is not good; `portcullis check -c {}` says the same", path.display()))
}

/// Runs `work` on the accounts of the configuration.
fn with_admin<T>(config: &ConfigArg, work: impl AsyncFnOnce(&Admin) -> Result<T, Failure>) -> Result<T, Failure> {
    with_admin_of(load(&config.config)?, work)
}

/// The same with a configuration that was loaded already.
pub(super) fn with_admin_of<T>(config: Config, work: impl AsyncFnOnce(&Admin) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not(format!("no runtime can be started: {error}")))?;
    runtime.block_on(async {
        let admin = open(config).await?;
        work(&admin).await
    })
}

async fn open(config: Config) -> Result<Admin, Failure> {
    let store = match timeout(STORE_DEADLINE, store::open(&config.store_url)).await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => {
            return Err(Failure::could_not(format!("{error}\n  [store].url in {} names it", config.file.display())));
        }
        Err(_) => {
            let file = config.file.display();
            return Err(Failure::could_not(format!("the store does not answer; [store].url in {file} names it")));
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let publisher: Arc<dyn Publisher> = match config.redis.clone() {
        Some(redis) => Arc::new(ThroughRedis { redis, clock: Arc::clone(&clock) }),
        None => Arc::new(StoreOnly),
    };
    let login = config::Login { concurrency: 1, ..config.login.clone() };
    let passwords = Pool::start(&login, config.passwords.argon2, Arc::new(SystemEntropy))
        .map_err(|error| Failure::could_not(format!("no thread can be started: {error}")))?;
    Ok(Admin {
        store,
        passwords: Arc::new(passwords),
        publisher,
        config: Arc::new(config),
        clock,
        entropy: Arc::new(SystemEntropy),
        actor: "cli".to_owned(),
        origin: None,
    })
}

/// Tells the replicas at once.
struct ThroughRedis {
    redis: config::Redis,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Publisher for ThroughRedis {
    async fn publish(&self, entries: Vec<Entry>) {
        if let Err(error) = revocation::announce(&self.redis, &entries, &*self.clock, REDIS_DEADLINE).await {
            tell(&format!("warning: Redis was not told ({error}); running replicas learn of the change from the store\n"));
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        if error.is_outage() { Self::could_not(error) } else { Self::wrong(error) }
    }
}

/// The name of the account `id`, which may be gone by now.
async fn name_of(admin: &Admin, id: UserId) -> Result<Option<String>, Failure> {
    let user = admin.store.user(id).await.map_err(AdminError::from)?;
    Ok(user.map(|user| user.username))
}
