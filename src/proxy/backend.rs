//! The servers of every backend: where they are, how they are, and which of them a call goes to.

mod balance;
mod budget;
pub(crate) mod health;
mod names;
mod peer;
mod target;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use crate::config::{Backend, BackendServer};
use crate::policy::RouteTable;
use balance::Turns;
pub(crate) use balance::{Lot, key};
use budget::Budget;
use names::{Name, Resolve, System};
use peer::Wiring;
pub(crate) use target::{Busy, Target};
use target::{Standing, State};

/// Every backend that the routes lead to.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    pools: HashMap<String, Arc<Pool>>,
}

/// One backend's servers.
pub(crate) struct Pool {
    pub(crate) backend: Arc<Backend>,
    wiring: Wiring,
    servers: Vec<(BackendServer, Option<Name>)>,
    targets: ArcSwap<Vec<Arc<Target>>>,
    turns: Turns,
    budget: Arc<Budget>,
    works: AtomicBool,
    resolver: Arc<dyn Resolve>,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// Whether it could be tried elsewhere, so that it may go where others would rather not.
    pub(crate) idempotent: bool,
    /// For balancing.
    pub(crate) lot: Lot,
    /// By the monotonic clock.
    pub(crate) now: Duration,
    /// Where it was already.
    pub(crate) tried: &'a [Arc<Target>],
    /// Another address of this server, where it has to be.
    pub(crate) only: Option<&'a str>,
}

impl Backends {
    /// Those of all routes.
    pub(crate) fn of(table: &RouteTable) -> Self {
        let mut pools = HashMap::new();
        for backend in table.routes().iter().filter_map(|route| route.spec().backend.as_ref()) {
            if !pools.contains_key(&backend.name) {
                let pool = Pool::of(Arc::clone(backend), Arc::new(System));
                pools.insert(backend.name.clone(), Arc::new(pool));
            }
        }
        Self { pools }
    }

    /// Takes over what `old` knows of the same servers.
    pub(crate) fn inherit(&mut self, old: &Self) {
        for (name, pool) in &mut self.pools {
            // Nobody else has it yet.
            if let (Some(old), Some(pool)) = (old.pools.get(name), Arc::get_mut(pool)) {
                pool.inherit(old);
            }
        }
    }

    /// The file of authorities for pingora's connectors; `None` is the system's.
    pub(crate) fn ca_file(&self) -> Option<String> {
        peer::ca_file(self.pools.values().map(|pool| &pool.wiring))
    }

    /// The pool of a backend.
    pub(crate) fn pool(&self, backend: &Backend) -> Option<&Arc<Pool>> {
        self.pools.get(&backend.name)
    }

    /// All of them.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.values()
    }
}

impl Pool {
    fn of(backend: Arc<Backend>, resolver: Arc<dyn Resolve>) -> Self {
        let servers = backend.servers.iter().map(|server| (server.clone(), Name::of(&server.address))).collect();
        let pool = Self {
            wiring: Wiring::of(&backend),
            servers,
            backend,
            targets: ArcSwap::default(),
            turns: Turns::default(),
            budget: Arc::new(Budget::new()),
            works: AtomicBool::new(true),
            resolver,
        };
        pool.gather(&[]);
        pool
    }

    fn inherit(&mut self, old: &Self) {
        self.works.store(old.works.load(Ordering::Relaxed), Ordering::Relaxed);
        self.budget = Arc::clone(&old.budget);
        for (server, name) in &self.servers {
            let same = old.servers.iter().find(|(other, _)| other.address == server.address);
            if let (Some(name), Some((_, Some(other)))) = (name, same) {
                name.inherit(other);
            }
        }
        // Spoken to in another way, it may be as good as another server.
        let known = if self.wiring.is_like(&old.wiring) { old.targets.load_full() } else { Arc::default() };
        self.gather(&known);
    }

    /// Makes the list of targets of the addresses that are known by now; what is in `known` keeps its state.
    fn gather(&self, known: &[Arc<Target>]) {
        self.targets.rcu(|now| {
            let mut targets = Vec::new();
            for (server, name) in &self.servers {
                let addresses = name.as_ref().map_or_else(|| server.address.parse().into_iter().collect(), Name::addresses);
                for address in addresses {
                    let is = |target: &&Arc<Target>| target.server.address == server.address && target.address == address;
                    let before = known.iter().chain(now.iter()).find(is);
                    targets.push(match before {
                        Some(target) if target.server == *server => Arc::clone(target),
                        Some(target) => Self::target(server, address, Arc::clone(&target.state)),
                        None => Self::target(server, address, Arc::new(State::new())),
                    });
                }
            }
            targets
        });
        self.turns.keep(&self.targets.load());
    }

    fn target(server: &BackendServer, address: SocketAddr, state: Arc<State>) -> Arc<Target> {
        Arc::new(Target { server: server.clone(), address, state })
    }

    /// Looks names up again that were not lately, beside whatever goes on.
    pub(crate) fn refresh(self: &Arc<Self>) {
        for (index, (_, name)) in self.servers.iter().enumerate() {
            if !name.as_ref().is_some_and(Name::begin) {
                continue;
            }
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                let Some((_, Some(name))) = pool.servers.get(index) else { return };
                if name.look_up(&*pool.resolver).await {
                    pool.gather(&[]);
                }
                name.done();
            });
        }
    }

    /// Waits for addresses where there are none yet, no longer than a connection is waited for.
    pub(crate) async fn ready(self: &Arc<Self>) {
        self.refresh();
        if self.targets.load().is_empty() {
            let told = async {
                for name in self.servers.iter().filter_map(|(_, name)| name.as_ref()) {
                    name.until_told().await;
                }
            };
            let _ = timeout(self.backend.connect_timeout, told).await;
        }
    }

    /// Where a call goes; none where every target was tried, or there is none.
    pub(crate) fn choose(&self, call: &Call<'_>) -> Option<Arc<Target>> {
        let targets = self.targets.load();
        let open = |target: &&Arc<Target>| {
            call.only.is_none_or(|server| target.server.address == server)
                && !call.tried.iter().any(|tried| Arc::ptr_eq(&tried.state, &target.state))
        };
        let checked = self.backend.health.is_some();
        let standing = |target: &Arc<Target>| match target.state.standing(call.now, checked) {
            Standing::Suspect if call.idempotent => Standing::Good,
            standing @ (Standing::Good | Standing::Suspect | Standing::Bad) => standing,
        };
        // With nothing but bad ones, they are tried all the same: checks may be wrong, and a refusal is quick.
        let best = targets.iter().filter(open).map(standing).min()?;
        let candidates: Vec<&Arc<Target>> = targets.iter().filter(open).filter(|target| standing(target) == best).collect();
        let chosen = self.turns.choose(self.backend.balance, &candidates, call.lot)?;
        chosen.state.probed(call.now);
        Some(Arc::clone(chosen))
    }

    /// Whether there is a target that was not tried; of one server only, where it is named.
    pub(crate) fn has_other(&self, tried: &[Arc<Target>], only: Option<&str>) -> bool {
        self.targets.load().iter().any(|target| {
            only.is_none_or(|server| target.server.address == server)
                && !tried.iter().any(|tried| Arc::ptr_eq(&tried.state, &target.state))
        })
    }

    /// How pingora reaches `target`.
    pub(crate) fn peer(&self, target: &Target, until_headers: Duration) -> HttpPeer {
        self.wiring.peer(&self.backend, &target.server, target.address, until_headers)
    }

    /// A request came for it.
    pub(crate) fn count(&self) {
        self.budget.bring();
    }

    /// Whether a call may be tried again.
    pub(crate) fn spend(&self, now: Duration) -> bool {
        self.budget.spend(now)
    }

    /// Notes whether a call was answered.
    pub(crate) fn note(&self, works: bool) {
        if self.works.load(Ordering::Relaxed) != works {
            self.works.store(works, Ordering::Relaxed);
        }
    }

    /// The targets there are.
    pub(crate) fn targets(&self) -> Arc<Vec<Arc<Target>>> {
        self.targets.load_full()
    }

    /// Whether it seems to work: by its health checks, and by its last call.
    pub(crate) fn works(&self) -> bool {
        let targets = self.targets.load();
        let checked = self.backend.health.is_some() && !targets.is_empty();
        self.works.load(Ordering::Relaxed) && !(checked && targets.iter().all(|target| !target.state.is_healthy()))
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("backend", &self.backend.name).field("targets", &self.targets.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
