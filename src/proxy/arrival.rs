//! From an accepted connection to one that speaks HTTP: what comes before it, within one deadline.

use pingora_core::protocols::Stream;
use tokio::time::timeout;

use super::line::Peer;
use super::live::Shared;
use super::socket::Socket;
use super::{announced, tls};
use crate::config::Listener;

/// A connection that is to speak HTTP.
pub(crate) struct Arrived {
    /// What it says.
    pub(crate) stream: Stream,
    /// Who it is.
    pub(crate) peer: Peer,
    /// What was agreed on.
    pub(crate) negotiated: Negotiated,
}

/// Which HTTP both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Negotiated {
    /// HTTP/2, by ALPN (RFC 7301).
    Http2,
    /// HTTP/1.1, by ALPN.
    Http1,
    /// Nothing: there was no ALPN, or no TLS.
    Nothing,
}

/// Makes one of what `listener` accepted; `None`: it is no such thing, and closed.
pub(crate) async fn of(stream: Socket, peer: Peer, listener: &Listener, shared: &Shared) -> Option<Arrived> {
    let live = shared.live.load_full();
    let deadline = live.config.server.limits.header_timeout;
    let refused = |reason: &'static str| {
        shared.metrics.refused(reason);
        tracing::debug!(peer = %peer.address, listener = %listener.address, reason, "a connection is closed before it speaks HTTP");
    };
    let arriving = async {
        let mut stream = stream;
        let mut peer = Peer { redirect: listener.redirect_to_https, tls: listener.tls, ..peer };
        if listener.proxy_protocol {
            if !announced::may_say(peer.address, &live.config.server.trusted_proxies) {
                return Err("untrusted_proxy");
            }
            match announced::client(&mut stream).await {
                Some(client) => peer.address = client.unwrap_or(peer.address),
                None => return Err("proxy_protocol"),
            }
        }
        if !listener.tls {
            return Ok(Arrived { stream: Box::new(stream), peer, negotiated: Negotiated::Nothing });
        }
        let config = live.tls.clone().ok_or("tls")?;
        let (stream, negotiated) = tls::accept(stream, config).await.ok_or("tls")?;
        Ok(Arrived { stream, peer, negotiated })
    };
    timeout(deadline, arriving).await.unwrap_or(Err("too_slow")).map_err(refused).ok()
}
