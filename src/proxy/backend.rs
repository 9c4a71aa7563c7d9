//! Permit to peer: whose turn it is, where that is, how long to wait.

mod peer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use crate::config::{Backend, BackendServer};
use crate::policy::RouteTable;
use peer::Wiring;

/// How long a resolved name is believed.
const RESOLVED: Duration = Duration::from_secs(5);

/// Every backend that the routes lead to.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    pools: HashMap<String, Pool>,
}

/// One backend's servers.
#[derive(Debug)]
pub(crate) struct Pool {
    next: AtomicUsize,
    servers: Vec<Server>,
    works: AtomicBool,
    wiring: Wiring,
}

#[derive(Debug)]
struct Server {
    at: BackendServer,
    fixed: Option<SocketAddr>,
    resolved: ArcSwapOption<Resolved>,
    /// Which of several addresses answers: `localhost` may be IPv6 first, and its server IPv4 only.
    preferred: AtomicUsize,
}

#[derive(Debug)]
struct Resolved {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

impl Backends {
    /// Those of all routes.
    pub(crate) fn of(table: &RouteTable) -> Self {
        let backends = table.routes().iter().filter_map(|route| route.spec().backend.as_ref());
        Self { pools: backends.map(|backend| (backend.name.clone(), Pool::of(backend))).collect() }
    }

    /// The pool of a backend.
    pub(crate) fn pool(&self, backend: &Backend) -> Option<&Pool> {
        self.pools.get(&backend.name)
    }

    /// Each backend's name, and whether the last call to it was answered.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&str, bool)> {
        self.pools.iter().map(|(name, pool)| (name.as_str(), pool.works.load(Ordering::Relaxed)))
    }
}

impl Pool {
    fn of(backend: &Backend) -> Self {
        let servers = backend.servers.iter().map(|server| Server {
            at: server.clone(),
            fixed: server.address.parse().ok(),
            resolved: ArcSwapOption::empty(),
            preferred: AtomicUsize::new(0),
        });
        Self { next: AtomicUsize::new(0), servers: servers.collect(), works: AtomicBool::new(true), wiring: Wiring::of(backend) }
    }

    /// How many servers there are.
    pub(crate) const fn len(&self) -> usize {
        self.servers.len()
    }

    /// Takes a turn: the number of the server whose it is.
    pub(crate) fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes whether a call was answered.
    pub(crate) fn note(&self, works: bool) {
        if self.works.load(Ordering::Relaxed) != works {
            self.works.store(works, Ordering::Relaxed);
        }
    }

    /// The server whose turn `turn` is, and its address; `None` when its name does not resolve in time.
    pub(crate) async fn address(&self, turn: usize, within: Duration) -> Option<(&BackendServer, SocketAddr)> {
        let server = self.server(turn)?;
        Some((&server.at, server.address(within).await?))
    }

    /// The address of the server whose turn `turn` is did not answer: the next of its addresses is asked from now on.
    /// Returns how many it has.
    pub(crate) fn shun(&self, turn: usize) -> usize {
        let Some(server) = self.server(turn) else { return 0 };
        server.preferred.fetch_add(1, Ordering::Relaxed);
        server.resolved.load().as_ref().map_or(1, |resolved| resolved.addresses.len())
    }

    /// How pingora reaches `server` at `address`.
    pub(crate) fn peer(
        &self,
        backend: &Backend,
        server: &BackendServer,
        address: SocketAddr,
        until_headers: Duration,
    ) -> HttpPeer {
        self.wiring.peer(backend, server, address, until_headers)
    }

    fn server(&self, turn: usize) -> Option<&Server> {
        self.servers.get(turn.checked_rem(self.servers.len())?)
    }
}

impl Server {
    async fn address(&self, within: Duration) -> Option<SocketAddr> {
        if let Some(fixed) = self.fixed {
            return Some(fixed);
        }
        let known = self.resolved.load_full();
        if let Some(known) = &known
            && Instant::now() < known.until
        {
            return self.pick(&known.addresses);
        }
        let found = timeout(within, lookup_host(self.at.address.as_str())).await;
        let addresses: Vec<_> = found.ok().and_then(Result::ok).into_iter().flatten().collect();
        if addresses.is_empty() {
            // The resolver is away: where it was is the best guess.
            return self.pick(&known?.addresses);
        }
        let picked = self.pick(&addresses);
        self.resolved.store(Some(Arc::new(Resolved { addresses, until: Instant::now() + RESOLVED })));
        picked
    }

    fn pick(&self, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        addresses.get(self.preferred.load(Ordering::Relaxed).checked_rem(addresses.len())?).copied()
    }
}
