//! What outlives reloads: the store, the revocation list, the password threads, the counters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, Runtime};

use super::StartError;
use crate::config::Config;
use crate::credential::{ApiKeyScheme, Keeper, KeyError, KeyRing};
use crate::domain::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::limit::{Logins, RouteLimits, Strangers};
use crate::mail::Outbox;
use crate::password::Pool;
use crate::revocation::{self, RevocationService};
use crate::store::{self, Store, StoreResult};
use crate::telemetry::metrics::Metrics;

/// Everything that is made once.
pub(super) struct Parts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<dyn Store>,
    pub(super) revocations: Arc<RevocationService>,
    pub(super) passwords: Arc<Pool>,
    pub(super) limits: Arc<Logins>,
    pub(super) strangers: Arc<Strangers>,
    pub(super) outbox: Outbox,
    pub(super) route_limits: RouteLimits,
    /// Keys of other issuers that were fetched.
    pub(super) issuer_keys: Keeper,
    store_is_up: AtomicBool,
    /// Made by the first [`Parts::api_keys`]; a reload takes over what it knows.
    api_keys: Mutex<Option<Arc<ApiKeyScheme>>>,
    runtime: Handle,
}

impl Parts {
    /// Starts them. The store is opened at its first use: while it is down, what needs it answers 503.
    pub(super) fn start(config: &Config, runtime: &Runtime) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        make_first_key(config, clock.as_ref()).map_err(StartError::Keys)?;
        let metrics = Metrics::install();
        let store = store::open_lazily(&config.store_url).map_err(StartError::Store)?;
        let on_stats = {
            let metrics = Arc::clone(&metrics);
            Box::new(move |stats: revocation::Stats| {
                // A second without a message had none that was late.
                metrics.revocation(stats.entries, stats.lag.unwrap_or_default(), stats.staleness);
            })
        };
        let revocations =
            revocation::start(config.revocation, store.clone(), config.redis.as_ref(), clock.clone(), runtime.handle(), on_stats)
                .map_err(|error| StartError::Redis(error.to_string()))?;
        let passwords =
            Pool::start(&config.login, config.passwords.argon2, entropy.clone()).map(Arc::new).map_err(StartError::System)?;
        let mut limits = Logins::new(&config.login, clock.clone());
        let mut strangers = Strangers::new(&clock);
        let mut route_limits = RouteLimits::new(clock.clone());
        if let Some(redis) = &config.redis {
            route_limits = route_limits.shared(redis, runtime.handle()).map_err(|error| StartError::Redis(error.to_string()))?;
            limits = limits.shared(redis, runtime.handle()).map_err(|error| StartError::Redis(error.to_string()))?;
            strangers = strangers.shared(redis, runtime.handle()).map_err(|error| StartError::Redis(error.to_string()))?;
        }
        let (limits, strangers) = (Arc::new(limits), Arc::new(strangers));
        let runtime = runtime.handle().clone();
        let outbox = Outbox::new(runtime.clone(), clock.clone(), entropy.clone(), metrics.clone());
        let issuer_keys = Keeper::new(clock.clone(), Arc::clone(&metrics), runtime.clone());
        Ok(Self {
            clock,
            entropy,
            metrics,
            store,
            revocations,
            passwords,
            limits,
            strangers,
            outbox,
            route_limits,
            issuer_keys,
            store_is_up: AtomicBool::new(true),
            api_keys: Mutex::default(),
            runtime,
        })
    }

    /// Takes the settings of a reload over.
    pub(super) fn reconfigure(&self, config: &Config) {
        self.revocations.set(config.revocation);
        self.passwords.reconfigure(config.login.queue, config.passwords.argon2);
        self.limits.set(&config.login);
    }

    /// The API key scheme for `config`.
    pub(super) fn api_keys(&self, config: &Config) -> Arc<ApiKeyScheme> {
        let (roles, cache_ttl) = (Arc::new(config.roles.clone()), config.api_keys.cache_ttl);
        let mut current = self.api_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let scheme = match current.as_ref() {
            Some(scheme) => scheme.reloaded(roles, cache_ttl),
            None => ApiKeyScheme::new(
                self.store.clone(),
                self.revocations.clone(),
                roles,
                cache_ttl,
                self.clock.clone(),
                self.runtime.clone(),
            ),
        };
        Arc::clone(current.insert(Arc::new(scheme)))
    }

    /// Writes down when API keys were last used.
    pub(super) async fn flush_last_used(&self) -> StoreResult<()> {
        let scheme = self.api_keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match scheme {
            Some(scheme) => scheme.flush_last_used().await,
            None => Ok(()),
        }
    }

    /// Whether the store answered when it was last asked.
    pub(super) fn store_is_up(&self) -> bool {
        self.store_is_up.load(Ordering::Relaxed)
    }

    /// Asks the store whether it answers, and tells the log when that has changed.
    pub(super) async fn ping_store(&self) {
        let answer = self.store.ping().await;
        let was_up = self.store_is_up.swap(answer.is_ok(), Ordering::Relaxed);
        match answer {
            Err(error) if was_up => tracing::error!(%error, "the store is gone: what needs it answers 503 until it is back"),
            Ok(()) if !was_up => tracing::info!("the store answers"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// Makes a signing key on a first start, and on the first with another algorithm, where this gateway is surely the only replica.
fn make_first_key(config: &Config, clock: &dyn Clock) -> Result<(), KeyError> {
    let algorithm = config.tokens.algorithm;
    match KeyRing::load(&config.tokens) {
        Err(KeyError::None(_)) if config.is_single() => {}
        Ok(ring) if ring.lacks_the_wanted() && config.is_single() => {}
        Err(error) => return Err(error),
        Ok(_) => return Ok(()),
    }
    let file = KeyRing::create(algorithm, &config.tokens.keys, clock.now())?;
    tracing::info!("made the first signing key for {}: {}", algorithm.name(), file.display());
    Ok(())
}
