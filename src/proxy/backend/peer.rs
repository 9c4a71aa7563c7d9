//! How pingora reaches a server: addresses, deadlines, and TLS that is always verified.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pingora_core::protocols::tls::CaType;
use pingora_core::tls::load_native_certs;
use pingora_core::upstreams::peer::{ALPN, HttpPeer, HttpUpstreamRequestPolicy};
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;

use crate::config::{Backend, BackendServer, BackendTls, Scheme};

/// Requests at once on one HTTP/2 connection to a server.
const STREAMS: u32 = 64;
/// What a server may send on a stream before the client has taken it: enough for 25 MB/s at 10 ms, and backends are nearer
/// than that. It is what a client that reads slowly can make the gateway hold, so not more. A connection has room for all of
/// its streams, so that such clients do not hold up the others on it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// How often the other side of an HTTP/2 connection is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

/// Where pingora reads authorities from that are not to be read.
const NOWHERE: &str = "/dev/null";

/// Whether connectors of this process were made without the system's authorities.
static WITHOUT: AtomicBool = AtomicBool::new(false);

/// The system's authorities, for connections of connectors that have none.
static SYSTEM: LazyLock<Arc<CaType>> = LazyLock::new(|| {
    let found = load_native_certs().unwrap_or_else(|error| {
        tracing::error!(%error, "the system's authorities can't be read: backends that are verified by them are not reached");
        Vec::new()
    });
    // As pingora ends the thread at what it can't read, and refuses all for one that it can't use.
    let usable = |der: &CertificateDer<'_>| {
        x509_parser::parse_x509_certificate(der).is_ok() && RootCertStore::empty().add(der.clone().into_owned()).is_ok()
    };
    let usable = found.into_iter().filter(usable);
    usable.map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect::<Vec<_>>().into()
});

/// The file of authorities for connectors that begin with these backends; `None` is the system's. They take 20 ms of a start
/// to read, and are not where nobody is verified by them: what a reload brings then carries them along.
pub(crate) fn ca_file<'w>(mut wirings: impl Iterator<Item = &'w Wiring>) -> Option<String> {
    if wirings.any(|wiring| wiring.by_system) || !std::path::Path::new(NOWHERE).exists() {
        return None;
    }
    WITHOUT.store(true, Ordering::Relaxed);
    Some(NOWHERE.to_owned())
}

/// What is made once of a backend's settings, for each of its connections.
pub(crate) struct Wiring {
    scheme: Scheme,
    authorities: Option<Arc<CaType>>,
    identity: Option<Arc<CertKey>>,
    /// Whether servers are verified by the system's authorities.
    by_system: bool,
    /// Connections are shared within a group only: pingora itself would look at neither authorities nor keys.
    group: u64,
}

impl Wiring {
    pub(crate) fn of(backend: &Backend) -> Self {
        let (group, tls): (u64, Option<&BackendTls>) = match &backend.scheme {
            Scheme::Http => (1, None),
            Scheme::H2c => (2, None),
            Scheme::Https(tls) => {
                // Nowhere near the two above.
                let part = tls.fingerprint().first_chunk().map_or(0, |part| u64::from_be_bytes(*part));
                (part | 1 << 63, Some(tls))
            }
        };
        // The configuration has read all of them: what can't be read would end the thread here.
        let read = |der: &Vec<u8>| WrappedX509::new(der.clone(), parse_x509);
        let by_system = tls.is_some_and(|tls| tls.authorities.is_none());
        let own = tls.and_then(|tls| Some(tls.authorities.as_ref()?.iter().map(read).collect::<Vec<_>>().into()));
        let system = || (by_system && WITHOUT.load(Ordering::Relaxed)).then(|| Arc::clone(&SYSTEM));
        Self {
            scheme: backend.scheme.clone(),
            authorities: own.or_else(system),
            by_system,
            identity: tls
                .and_then(|tls| tls.identity.as_ref())
                .map(|identity| Arc::new(CertKey::new(identity.chain.clone(), identity.key.expose_secret().to_vec()))),
            group,
        }
    }

    /// Whether connections of one may serve the other.
    pub(crate) const fn is_like(&self, other: &Self) -> bool {
        self.group == other.group
    }

    /// The name that the certificate of `server` must have. Never empty: pingora verifies nothing then.
    fn name<'a>(tls: &'a BackendTls, server: &'a BackendServer) -> &'a str {
        tls.server_name.as_deref().filter(|name| !name.is_empty()).unwrap_or_else(|| server.host())
    }

    /// How pingora reaches `server` at `address`.
    pub(crate) fn peer(
        &self,
        backend: &Backend,
        server: &BackendServer,
        address: SocketAddr,
        until_headers: Duration,
    ) -> HttpPeer {
        let mut peer = match &self.scheme {
            Scheme::Http | Scheme::H2c => HttpPeer::new(address, false, String::new()),
            Scheme::Https(tls) => HttpPeer::new(address, true, Self::name(tls, server).to_owned()),
        };
        let options = &mut peer.options;
        options.alpn = match self.scheme {
            Scheme::Http => ALPN::H1,
            Scheme::Https(_) => ALPN::H2H1,
            Scheme::H2c => ALPN::H2,
        };
        options.ca.clone_from(&self.authorities);
        options.max_h2_streams = usize::try_from(STREAMS).unwrap_or(1);
        options.h2_stream_window_size = Some(STREAM_WINDOW);
        options.h2_connection_window_size = Some(STREAMS * STREAM_WINDOW);
        options.h2_ping_interval = Some(PING);
        let silence = until_headers.max(backend.read_timeout);
        options.connection_timeout = Some(backend.connect_timeout);
        options.total_connection_timeout = Some(backend.connect_timeout);
        // The exact deadlines are kept by `wire::Patience`; these stand behind them.
        options.read_timeout = Some(silence.saturating_add(Duration::from_secs(1)));
        options.write_timeout = Some(silence);
        // Shorter than what backends keep (2 s and more): a POST that meets their closing can't be sent again.
        options.idle_timeout = Some(Duration::from_millis(1500));
        // pingora would refuse a request whose `Connection` names, say, X-Forwarded-For; `upstream::nominated` does without.
        options.http_upstream_request_policy =
            HttpUpstreamRequestPolicy { strip_connection_nominated: false, ..HttpUpstreamRequestPolicy::deny_upgrades() };
        peer.client_cert_key.clone_from(&self.identity);
        peer.group_key = self.group;
        peer
    }
}

impl std::fmt::Debug for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiring").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
