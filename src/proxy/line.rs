//! What the connection knows of the request in hand, whatever version of HTTP it came by: pingora carries the request, this
//! goes beside it, from the task that serves it to [`Ctx`](super::context::Ctx).

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Method, Version};

use super::framing::Fault;
use super::patience::Patience;

tokio::task_local! {
    static LINE: Arc<Line>;
}

/// Who is at the other end of a connection, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Who connected; IPv4-mapped IPv6 is IPv4.
    pub(crate) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(crate) tls: bool,
    /// Whether it came to a listener that sends every request to HTTPS.
    pub(crate) redirect: bool,
}

impl Peer {
    /// Somebody who speaks in the clear.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self::at(address.ip())
    }

    /// Somebody on this machine, by a Unix socket.
    pub(crate) const fn local() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Somebody at `address` who speaks in the clear.
    pub(crate) const fn at(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), tls: false, redirect: false }
    }
}

/// The request in hand, as it came.
#[derive(Debug)]
pub(crate) struct Request {
    /// Its method.
    pub(crate) method: Method,
    /// Its target, byte for byte.
    pub(crate) target: Bytes,
    /// Its version.
    pub(crate) version: Version,
    /// Its `Host` fields, or its `:authority`.
    pub(crate) hosts: Vec<Bytes>,
}

/// A request's line to its client.
#[derive(Debug)]
pub(crate) struct Line {
    /// Who asks.
    pub(crate) peer: Peer,
    /// What for.
    pub(crate) request: Request,
    /// How long the backend may be silent.
    pub(crate) patience: Arc<Patience>,
    broken: AtomicBool,
    starved: AtomicBool,
    fault: OnceLock<Fault>,
}

impl Line {
    pub(crate) fn new(peer: Peer, request: Request, patience: Arc<Patience>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            request,
            patience,
            broken: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            fault: OnceLock::new(),
        })
    }

    /// Runs what serves the request: below it, [`Line::current`] is this one.
    pub(crate) fn carry<F: Future>(self: Arc<Self>, serving: F) -> impl Future<Output = F::Output> {
        LINE.scope(self, serving)
    }

    /// The line of the request that this task serves.
    pub(crate) fn current() -> Option<Arc<Self>> {
        LINE.try_with(Arc::clone).ok()
    }

    /// Why it is no request, where the connection goes on all the same: it is refused before anything else is asked.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    /// It is no request. The first fault counts.
    pub(crate) fn set_fault(&self, fault: Fault) {
        let _ = self.fault.set(fault);
    }

    /// Whether the body in hand turned out to be malformed.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The body in hand is malformed.
    pub(crate) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Whether all waits for the client: its body goes on, and nothing of it came.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Whether all waits for the client, as of now.
    pub(crate) fn set_starved(&self, starved: bool) {
        self.starved.store(starved, Ordering::Relaxed);
    }
}
