//! The proxy's life: listeners that are bound before anything claims to be ready, and an end that loses no request.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::l4::stream::Stream;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::backend::health;
use super::line::Peer;
use super::live::Shared;
use super::{Gateway, admin, connection};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The threads can't be started.
    #[error("cannot start the proxy's threads: {0}")]
    Threads(io::Error),
}

/// A running proxy. Dropping it ends it at once; [`Running::drain`] ends it well.
pub struct Running {
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
    runtime: Option<Runtime>,
    health: AbortHandle,
}

/// Binds all listeners, starts `threads` threads (at least one), and serves. Port 0 takes any free port.
///
/// # Errors
/// When an address can't be bound: nothing is left running then.
pub fn start(shared: &Arc<Shared>, listen: &[SocketAddr], admin: SocketAddr, threads: usize) -> Result<Running, ServeError> {
    raise_descriptors();
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("proxy")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    let (closing, closed) = watch::channel(false);
    let health = shared.runtime.spawn(health::watch(Arc::clone(shared))).abort_handle();
    // From here on an error ends the threads by dropping it.
    let mut running =
        Running { addresses: Vec::new(), admin, shared: Arc::clone(shared), closing, runtime: Some(runtime), health };
    running.listen(listen, threads, &closed)?;
    Ok(running)
}

impl Running {
    fn listen(&mut self, listen: &[SocketAddr], threads: usize, closed: &watch::Receiver<bool>) -> Result<(), ServeError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let _entered = runtime.enter();
        let listeners = listen.iter().map(|&address| bind(address)).collect::<Result<Vec<_>, _>>()?;
        let (admin_listener, admin) = bind(self.admin)?;
        self.admin = admin;
        let proxy = Arc::new(proxy(Arc::clone(&self.shared), threads));
        for (listener, address) in listeners {
            self.addresses.push(address);
            runtime.spawn(accept(listener, Arc::clone(&self.shared), Arc::clone(&proxy), closed.clone()));
        }
        runtime.spawn(admin::serve(admin_listener, Arc::clone(&self.shared)));
        Ok(())
    }

    /// Where it listens, with the ports that it got.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
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
        self.health.abort();
        // Not the blocking form: this may run on another runtime's thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Every client takes a descriptor, and its backend another: most systems give 1024 to who does not ask for more.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it can't be had, `limits.connections` is not reached, and more are waited for.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(1 << 20)), maximum });
}

/// A listener, and the address that it got.
fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| ServeError::Bind { address, source })
}

/// pingora, with what of its server is not in use turned off.
fn proxy(shared: Arc<Shared>, threads: usize) -> HttpProxy<Gateway> {
    let conf = ServerConf { threads: threads.max(1), upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut proxy = HttpProxy::new(Gateway::new(shared), Arc::new(conf));
    proxy.handle_init_modules();
    proxy
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, proxy: Arc<HttpProxy<Gateway>>, mut closing: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok((socket, peer)) = accepted else {
            // Out of descriptors, mostly: give connections time to end.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let limit = shared.live.load().config.server.limits.connections;
        let Some(slot) = shared.admit(limit) else { continue };
        // Answers are written whole; waiting for more to fill a segment only delays them.
        let _ = socket.set_nodelay(true);
        let connection = connection::run(
            Arc::clone(&proxy),
            Arc::clone(&shared),
            Box::new(Stream::from(socket)),
            Peer::plain(peer),
            closing.clone(),
        );
        tokio::spawn(async move {
            connection.await;
            drop(slot);
        });
    }
}
