//! The proxy's life: listeners that are bound before anything claims to be ready, and an end that loses no request.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::listener::{self, Bound};
use super::live::Shared;
use super::{Gateway, admin, arrival, connection};
use crate::config::{ListenAddress, Listener};

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
    closing: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

/// Binds all listeners, starts `threads` threads (at least one), and serves. Port 0 takes any free port.
///
/// # Errors
/// When an address can't be bound: nothing is left running then.
pub fn start(shared: &Arc<Shared>, listen: &[Listener], admin: SocketAddr, threads: usize) -> Result<Running, ServeError> {
    raise_descriptors();
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("proxy")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let (closing, closed) = watch::channel(false);
    // From here on an error ends the threads by dropping it.
    let mut running = Running { listeners: Vec::new(), admin, shared: Arc::clone(shared), closing, runtime: Some(runtime) };
    running.listen(listen, threads, &closed)?;
    Ok(running)
}

impl Running {
    fn listen(&mut self, listen: &[Listener], threads: usize, closed: &watch::Receiver<bool>) -> Result<(), ServeError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _entered = runtime.enter();
        let listeners = listen.iter().map(listener::bind).collect::<Result<Vec<_>, _>>()?;
        let (admin_listener, admin) = listener::bind_tcp(self.admin)?;
        self.admin = admin;
        let proxy = Arc::new(proxy(Arc::clone(&self.shared), threads));
        for listener in listeners {
            self.listeners.push(listener.config.clone());
            runtime.spawn(accept(listener, Arc::clone(&self.shared), Arc::clone(&proxy), closed.clone()));
        }
        runtime.spawn(admin::serve(admin_listener, Arc::clone(&self.shared)));
        Ok(())
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

    /// Ends well: is not ready at once and serves on for `delay`; then takes no more connections, closes
    /// idle ones, and waits up to `limit` for those under way. Returns whether all of them ended by themselves.
    pub async fn drain(&self, delay: Duration, limit: Duration) -> bool {
        self.shared.start_draining();
        sleep(delay).await;
        self.closing.send_replace(true);
        timeout(limit, self.shared.until_idle()).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
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
    let conf = ServerConf { threads: threads.max(1), upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(Gateway::new(shared), Arc::new(conf));
    proxy.handle_init_modules();
    proxy
}

async fn accept(listener: Bound, shared: Arc<Shared>, proxy: Arc<HttpProxy<Gateway>>, mut closing: watch::Receiver<bool>) {
    let listener = Arc::new(listener);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, mostly: give connections time to end.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let limit = shared.live.load().config.server.limits.connections;
        // From here on it has a place, whatever it takes until it speaks HTTP.
        let Some(slot) = shared.admit(limit) else { continue };
        let (listener, shared, proxy, closing) =
            (Arc::clone(&listener), Arc::clone(&shared), Arc::clone(&proxy), closing.clone());
        tokio::spawn(async move {
            if let Some(arrived) = arrival::of(stream, peer, &listener.config, &shared).await {
                connection::run(proxy, shared, arrived, closing).await;
            }
            drop(slot);
        });
    }
}
