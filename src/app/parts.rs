//! What outlives reloads: the store, the revocation list, the password threads, the counters.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Handle, Runtime};

use super::StartError;
use crate::config::Config;
use crate::credential::{ApiKeyScheme, KeyError, KeyRing};
use crate::domain::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::limit::Logins;
use crate::password::Pool;
use crate::revocation::{self, RevocationService};
use crate::store::StoreResult;
use crate::store::late::LateStore;
use crate::telemetry::metrics::Metrics;

/// Everything that is made once.
pub(super) struct Parts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<LateStore>,
    pub(super) revocations: Arc<RevocationService>,
    pub(super) passwords: Arc<Pool>,
    pub(super) limits: Arc<Logins>,
    /// Made by the first [`Parts::api_keys`]; a reload takes over what it knows.
    api_keys: Mutex<Option<Arc<ApiKeyScheme>>>,
    runtime: Handle,
}

impl Parts {
    /// Starts them. The store is opened in the background: until it is there, what needs it answers 503.
    pub(super) fn start(config: &Config, runtime: &Runtime) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        make_first_key(config, clock.as_ref()).map_err(StartError::Keys)?;
        let metrics = Metrics::install();
        let store = Arc::new(LateStore::default());
        runtime.spawn({
            let (store, url) = (Arc::clone(&store), config.store_url.clone());
            async move { store.keep_opening(&url, |error| tracing::error!(%error, "the store can't be opened; trying again")).await }
        });
        let on_stats = {
            let metrics = Arc::clone(&metrics);
            Box::new(move |stats: revocation::Stats| metrics.revocation(stats.entries, stats.lag, stats.staleness))
        };
        let revocations = revocation::start(
            config.revocation,
            store.clone(),
            config.redis.as_ref(),
            clock.clone(),
            runtime.handle(),
            on_stats,
        )
        .map_err(StartError::Redis)?;
        let passwords =
            Pool::start(&config.login, config.passwords.argon2, entropy.clone()).map(Arc::new).map_err(StartError::System)?;
        let limits = Arc::new(Logins::new(&config.login, clock.clone()));
        let runtime = runtime.handle().clone();
        Ok(Self { clock, entropy, metrics, store, revocations, passwords, limits, api_keys: Mutex::default(), runtime })
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
        self.store.is_up()
    }
}

/// Makes a signing key on a first start, where this gateway is surely the only replica (contract §10).
fn make_first_key(config: &Config, clock: &dyn Clock) -> Result<(), KeyError> {
    match KeyRing::load(&config.tokens) {
        Err(KeyError::None(_)) if config.is_single() => {
            let file = KeyRing::create(&config.tokens.keys, clock.now())?;
            tracing::info!("made the first signing key: {}", file.display());
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}
