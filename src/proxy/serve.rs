//! The proxy's life: listeners that are bound before anything claims to be ready, and an end that loses no request.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::backend::health;
use super::listener::{self, Bound};
use super::live::Shared;
use super::{Gateway, admin, arrival, connection};
use crate::config::{ListenAddress, Listener};

/// How long requests have that had begun when all others were done.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The threads can't be started.
    #[error("cannot start the proxy's threads: {0}")]
    Threads(io::Error),
}

/// A running proxy. Dropping it ends it at once; [`Running::drain`] ends it well.
pub struct Running {
    listeners: Vec<Listener>,
    admin: SocketAddr,
    shared: Arc<Shared>,
    /// Connections are taken from now on.
    accepting: watch::Sender<bool>,
    /// No more connections are taken.
    stopping: watch::Sender<bool>,
    /// No more connections on the admin listener either.
    gone: watch::Sender<bool>,
    /// Connections end, but for the requests under way.
    closing: watch::Sender<bool>,
    lendable: Lendable,
    runtime: Option<Runtime>,
    health: AbortHandle,
}

/// Listeners of a gateway that ran before, by their names.
pub type Inherited = HashMap<String, OwnedFd>;

/// What a running gateway can give to another process: its listeners, by their names.
#[derive(Clone, Default)]
pub struct Lendable(Arc<Mutex<Vec<Arc<Bound>>>>);

impl Lendable {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Bound>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of `names` that there are. Until they are [`Self::kept`], their files stay when this process ends.
    ///
    /// # Errors
    /// When it listens no more, or a descriptor can't be had.
    pub fn lend(&self, names: &[String]) -> io::Result<Vec<(String, OwnedFd)>> {
        let wanted = |bound: &&Arc<Bound>| names.contains(&bound.name);
        let lent = |bound: &Arc<Bound>| {
            let shared = bound.share()?;
            bound.lend(true);
            Ok((bound.name.clone(), shared))
        };
        let all = self.all();
        if all.is_empty() {
            return Err(io::Error::other("there is nothing to hand over any more"));
        }
        all.iter().filter(wanted).map(lent).collect()
    }

    /// There is nothing to give any more, nor to be found where the files of Unix sockets were.
    fn withdraw(&self) {
        self.all().drain(..).for_each(|bound| bound.withdraw());
    }

    /// Nobody took them.
    pub fn kept(&self) {
        self.all().iter().for_each(|bound| bound.lend(false));
    }
}

impl fmt::Debug for Lendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(|bound| &bound.name)).finish()
    }
}

/// What the listener at `address` is called between gateways.
#[must_use]
pub fn name_of(address: &ListenAddress) -> String {
    address.to_string()
}

/// What the admin listener is called between gateways.
#[must_use]
pub fn name_of_admin(address: SocketAddr) -> String {
    format!("admin {address}")
}

/// Binds all listeners, or takes those of `inherited` over, and starts `threads` threads (at least one); who connects waits for
/// [`Running::accept`]. Port 0 takes any free port. What is left of `inherited` is nobody's any more.
///
/// # Errors
/// When an address can't be bound: nothing is left running then.
pub fn start(
    shared: &Arc<Shared>,
    listen: &[Listener],
    admin: SocketAddr,
    threads: usize,
    inherited: Inherited,
) -> Result<Running, ServeError> {
    raise_descriptors();
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("proxy")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let health = shared.runtime.spawn(health::watch(Arc::clone(shared))).abort_handle();
    // From here on an error ends the threads by dropping it.
    let mut running = Running {
        listeners: Vec::new(),
        admin,
        shared: Arc::clone(shared),
        accepting: watch::Sender::new(false),
        stopping: watch::Sender::new(false),
        gone: watch::Sender::new(false),
        closing: watch::Sender::new(false),
        lendable: Lendable::default(),
        runtime: Some(runtime),
        health,
    };
    running.listen(listen, threads, inherited)?;
    Ok(running)
}

impl Running {
    fn listen(&mut self, listen: &[Listener], threads: usize, mut inherited: Inherited) -> Result<(), ServeError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _entered = runtime.enter();
        let mut bind = |listener: &Listener, name: String| {
            let taken = inherited.remove(&name);
            listener::bind(listener, name, taken).map(Arc::new)
        };
        let bound = listen.iter().map(|listener| bind(listener, name_of(&listener.address))).collect::<Result<Vec<_>, _>>()?;
        let admin = bind(&self.admin.into(), name_of_admin(self.admin))?;
        if let ListenAddress::Tcp(address) = admin.config.address {
            self.admin = address;
        }
        let proxy = Arc::new(proxy(Arc::clone(&self.shared), threads));
        for listener in &bound {
            self.listeners.push(Listener::clone(&listener.config));
            let (mut accepting, stopping) = (self.accepting.subscribe(), self.stopping.subscribe());
            let taking =
                accept(Arc::clone(listener), Arc::clone(&self.shared), Arc::clone(&proxy), stopping, self.closing.subscribe());
            runtime.spawn(async move {
                if accepting.wait_for(|accepting| *accepting).await.is_ok() {
                    taking.await;
                }
            });
        }
        let (serving, mut gone) = (admin::serve(Arc::clone(&admin), Arc::clone(&self.shared)), self.gone.subscribe());
        let mut accepting = self.accepting.subscribe();
        runtime.spawn(async move {
            if accepting.wait_for(|accepting| *accepting).await.is_err() {
                return;
            }
            tokio::select! {
                () = serving => {}
                _ = gone.wait_for(|gone| *gone) => {}
            }
        });
        *self.lendable.all() = bound.into_iter().chain([admin]).collect();
        Ok(())
    }

    /// Serves from now on.
    pub fn accept(&self) {
        self.accepting.send_replace(true);
    }

    /// Its listeners, with the ports that they got.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The addresses of those that are reached by TCP.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let tcp = |listener: &Listener| match listener.address {
            ListenAddress::Tcp(address) => Some(address),
            ListenAddress::Unix(_) => None,
        };
        self.listeners.iter().filter_map(tcp).collect()
    }

    /// Where health and metrics are.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// What it can give to another process.
    #[must_use]
    pub fn lendable(&self) -> Lendable {
        self.lendable.clone()
    }

    /// Ends well: is not ready at once and serves on for `delay`; then takes no more connections, closes
    /// idle ones, and waits up to `limit` for those under way. Returns whether all of them ended by themselves.
    pub async fn drain(&self, delay: Duration, limit: Duration) -> bool {
        self.shared.start_draining();
        sleep(delay).await;
        self.lendable.withdraw();
        self.stopping.send_replace(true);
        self.closing.send_replace(true);
        timeout(limit, self.shared.until_idle()).await.is_ok()
    }

    /// Ends well after another process has taken the listeners over: takes no more connections, and ends each with its next
    /// answer, so that no client finds one closed that it has just sent a request on. What is idle for `limit` is closed.
    /// Returns whether all of them ended by themselves.
    pub async fn retire(&self, limit: Duration) -> bool {
        self.shared.start_leaving();
        self.lendable.withdraw();
        self.stopping.send_replace(true);
        self.gone.send_replace(true);
        let idle = timeout(limit, self.shared.until_idle()).await.is_ok();
        self.closing.send_replace(true);
        idle || timeout(LAST_ANSWERS, self.shared.until_idle()).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.health.abort();
        self.lendable.withdraw();
        // Not the blocking form: this may run on another runtime's thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("listeners", &self.listeners).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Every client takes a descriptor, and its backend another: most systems give 1024 to who does not ask for more.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it can't be had, `limits.connections` is not reached, and more are waited for.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(1 << 20)), maximum });
}

/// pingora, with what of its server is not in use turned off.
fn proxy(shared: Arc<Shared>, threads: usize) -> HttpProxy<Gateway> {
    let ca_file = shared.live.load().backends.ca_file();
    let conf = ServerConf { threads: threads.max(1), upstream_keepalive_pool_size: 1024, ca_file, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(Gateway::new(shared), Arc::new(conf));
    proxy.handle_init_modules();
    proxy
}

async fn accept(
    listener: Arc<Bound>,
    shared: Arc<Shared>,
    proxy: Arc<HttpProxy<Gateway>>,
    mut stopping: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, mostly: give connections time to end.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let limit = shared.live.load().config.server.limits.connections;
        // From here on it has a place, whatever it takes until it speaks HTTP.
        let Some(slot) = shared.admit(limit) else {
            shared.metrics.refused("too_many");
            continue;
        };
        // Not the listener: it closes while its connections go on.
        let listener = Arc::clone(&listener.config);
        let (shared, proxy, closing) = (Arc::clone(&shared), Arc::clone(&proxy), closing.clone());
        tokio::spawn(async move {
            if let Some(arrived) = arrival::of(stream, peer, &listener, &shared).await {
                connection::run(proxy, shared, arrived, closing).await;
            }
            drop(slot);
        });
    }
}
