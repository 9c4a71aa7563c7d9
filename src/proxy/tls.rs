//! TLS towards clients (RFC 8446, RFC 5246): which certificate, what is agreed on, and the stream that pingora gets.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest, UniqueID,
    UniqueIDType,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::arrival::Negotiated;
use super::socket::Socket;
use crate::config::{Certificate, Tls, TlsVersion};

/// What ALPN offers, the best first (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How TLS is spoken with these certificates; `None` without any.
///
/// Each has tickets of its own: after a reload every client shows its certificate again.
pub(crate) fn server_config(tls: &Tls) -> Option<Arc<ServerConfig>> {
    let names = Names::of(&tls.certificates)?;
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_protocol_versions(versions);
    let builder = builder.inspect_err(|error| tracing::error!(%error, "TLS can't be spoken")).ok()?;
    let builder = match &tls.client_ca {
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    if let Ok(ticketer) = aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Some(Arc::new(config))
}

/// Shakes hands; `None`: the client speaks no TLS, none that is taken, or left.
pub(crate) async fn accept(stream: Socket, config: Arc<ServerConfig>) -> Option<(Stream, Negotiated)> {
    let accepted = TlsAcceptor::from(config).accept(stream).await;
    let stream = accepted.inspect_err(|error| tracing::debug!(%error, "no TLS was agreed on")).ok()?;
    let negotiated = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Negotiated::Http2,
        Some(b"http/1.1") => Negotiated::Http1,
        _ => Negotiated::Nothing,
    };
    Some((Box::new(Encrypted(stream)), negotiated))
}

/// Certificates by the name that a client asks for (RFC 6066 §3).
#[derive(Debug)]
struct Names {
    /// Behind each name in the order of the configuration: the same name may have keys of several kinds.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that name nothing, or what is not known.
    default: Arc<CertifiedKey>,
}

impl Names {
    fn of(certificates: &[Certificate]) -> Option<Self> {
        let default = Arc::clone(&certificates.first()?.key);
        let mut by_name: HashMap<String, Vec<_>> = HashMap::new();
        for certificate in certificates {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(&certificate.key));
            }
        }
        Some(Self { by_name, default })
    }

    /// Exactly this name, which rustls gives in lower case; else one whose first label is a wildcard.
    fn find(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let wildcard = || name.split_once('.').and_then(|(_, rest)| self.by_name.get(&format!("*.{rest}")));
        self.by_name.get(name).or_else(wildcard).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name)).unwrap_or_default();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = found.iter().find(fits).or_else(|| found.first()).unwrap_or(&self.default);
        Some(Arc::clone(chosen))
    }
}

/// A connection inside TLS.
pub(crate) struct Encrypted(TlsStream<Socket>);

impl Encrypted {
    /// What is below it.
    pub(crate) fn socket(&self) -> &Socket {
        self.0.get_ref().0
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever waits for the client's next word wants it to have heard the last: what the socket did not take goes now.
        if self.0.get_ref().1.wants_write()
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.0).poll_flush(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Encrypted {
    async fn shutdown(&mut self) {
        let _ = self.0.shutdown().await;
    }
}

impl UniqueID for Encrypted {
    fn id(&self) -> UniqueIDType {
        self.socket().id()
    }
}

impl Ssl for Encrypted {}

impl GetTimingDigest for Encrypted {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.socket().get_timing_digest()
    }
}

impl GetProxyDigest for Encrypted {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.socket().get_proxy_digest()
    }
}

impl GetSocketDigest for Encrypted {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.socket().get_socket_digest()
    }
}

impl Peek for Encrypted {}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor what clients send.
        f.debug_struct("Encrypted").finish_non_exhaustive()
    }
}
