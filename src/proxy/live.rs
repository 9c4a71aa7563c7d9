//! What a request needs: [`Live`], which a reload swaps whole, and [`Shared`], which outlives reloads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::assertion::Assertions;
use super::backend::Backends;
use super::bridge::Router;
use super::facts::Facts;
use super::identity::{Identity, IdentityError};
use super::tls;
use crate::config::Config;
use crate::credential::{KeyRing, Scheme};
use crate::domain::{Clock, Entropy};
use crate::limit::{KeyLimits, RouteLimit, RouteLimits};
use crate::policy::{Permit, RouteTable, own};
use crate::problem::Refusal;
use crate::revocation::Revocations;
use crate::store::Sessions;
use crate::telemetry::metrics::Metrics;

/// One state of the configuration and all that is made from it. A request takes one at its start and keeps it.
pub struct Live {
    /// The configuration.
    pub config: Arc<Config>,
    /// The routes.
    pub table: RouteTable,
    /// The kinds of credential that routes take.
    pub schemes: Vec<Arc<dyn Scheme>>,
    /// The gateway's own endpoints.
    pub router: Router,
    pub(crate) backends: Backends,
    pub(crate) identity: Identity,
    /// How TLS is spoken; absent without certificates.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    assertions: Option<Assertions>,
    /// By the route's index.
    pub(crate) limits: Vec<Option<Arc<RouteLimit>>>,
    /// Those of API keys.
    pub(crate) key_limits: Option<Arc<KeyLimits>>,
    public_host: Option<String>,
}

impl Live {
    /// Puts one state together.
    ///
    /// # Errors
    /// When an identity table can't be read, or `keep_client_headers` names a header that the gateway sets.
    pub fn new(
        config: Arc<Config>,
        table: RouteTable,
        schemes: Vec<Arc<dyn Scheme>>,
        router: Router,
    ) -> Result<Self, IdentityError> {
        let backends = Backends::of(&table);
        let identity = Identity::build(&table, &config.identity, &[config.api_keys.header.as_str()])?;
        let public_host = own::public_host(&config);
        let tls = tls::server_config(&config.server.tls);
        Ok(Self {
            config,
            table,
            schemes,
            router,
            backends,
            identity,
            tls,
            assertions: None,
            limits: Vec::new(),
            key_limits: None,
            public_host,
        })
    }

    /// The same, with what `limits` has counted for its routes and keys: without, one with a `rate_limit` lets nobody pass.
    #[must_use]
    pub fn limited(mut self, limits: &RouteLimits) -> Self {
        let routes = self.table.routes().iter().map(|route| (&route.spec().name, route.spec().rate_limit));
        self.limits = limits.of(routes);
        self.key_limits = Some(limits.keys());
        self
    }

    /// The same, which signs with `keys` what `identity.assertion` wants to be said of callers.
    #[must_use]
    pub fn asserting(mut self, keys: Arc<KeyRing>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        self.assertions = Assertions::new(&self.config, keys, clock, entropy);
        self
    }

    /// The signed statement about the caller, where one is wanted and somebody calls.
    pub(crate) fn assertion(&self, permit: &Permit) -> Result<Option<(HeaderName, HeaderValue)>, Refusal> {
        self.assertions.as_ref().map_or(Ok(None), |assertions| assertions.of(permit))
    }

    /// Whether a request is for the gateway itself.
    pub(crate) fn is_own(&self, facts: &Facts) -> bool {
        own::answers(&self.config, self.public_host.as_deref(), &self.table, &facts.target, &facts.method)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// What outlives reloads.
pub struct Shared {
    /// The state in force; store a new one to reload.
    pub live: ArcSwap<Live>,
    /// What is revoked.
    pub revocations: Arc<dyn Revocations>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The runtime of endpoints and store calls: longer-lived than the proxy's own.
    pub runtime: Handle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Logins, to ask how long an open stream's session lives; `None`: streams end with their tokens.
    pub sessions: Option<Arc<dyn Sessions>>,
    /// Whether the store answers, for `/readyz` to report (it never decides there).
    pub store_is_up: Box<dyn Fn() -> bool + Send + Sync>,
    draining: AtomicBool,
    /// Whether a connection that is answered is to come back elsewhere.
    leaving: AtomicBool,
    left: watch::Sender<bool>,
    connections: AtomicUsize,
    turned_away: AtomicU64,
    idle: Notify,
    reloaded: Notify,
}

impl Shared {
    /// Puts it together; the store counts as reachable until [`Self::store_is_up`] is replaced.
    #[must_use]
    pub fn new(
        live: Live,
        revocations: Arc<dyn Revocations>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        runtime: Handle,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            live: ArcSwap::from_pointee(live),
            revocations,
            clock,
            entropy,
            runtime,
            metrics,
            sessions: None,
            store_is_up: Box::new(|| true),
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            left: watch::Sender::new(false),
            connections: AtomicUsize::new(0),
            turned_away: AtomicU64::new(0),
            idle: Notify::new(),
            reloaded: Notify::new(),
        }
    }

    /// Reloads: requests that begin from now on see `live`, those under way keep what they have. What is known of servers
    /// that stay is kept.
    pub fn replace(&self, mut live: Live) {
        live.backends.inherit(&self.live.load().backends);
        let before = self.live.swap(Arc::new(live));
        // Open streams hold it for as long as they last.
        before.schemes.iter().for_each(|scheme| scheme.retire());
        self.reloaded.notify_one();
    }

    /// Waits for the next reload, or one that nobody waited for.
    pub(crate) async fn reloaded(&self) {
        self.reloaded.notified().await;
    }

    /// Whether the end was announced: not ready any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many connections were closed at once because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// The end is announced: not ready from now on.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.start_leaving();
    }

    /// From now on connections end with their next answer, as another process takes those that come.
    pub(crate) fn start_leaving(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.left.send_replace(true);
    }

    /// Whether connections end with their next answer.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Waits until they do.
    pub(crate) async fn until_leaving(&self) {
        // The sender is here: it is not gone.
        let _ = self.left.subscribe().wait_for(|leaving| *leaving).await;
    }

    /// A place for one connection, unless there are `limit` already.
    pub(crate) fn admit(self: &Arc<Self>, limit: usize) -> Option<Slot> {
        if self.connections.fetch_add(1, Ordering::AcqRel) < limit {
            return Some(Slot(Arc::clone(self)));
        }
        drop(Slot(Arc::clone(self)));
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Waits until no connection is open.
    pub(crate) async fn until_idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.connections() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// A connection's place among `limits.connections`; given back when dropped.
pub(crate) struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}
