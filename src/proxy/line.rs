//! What the connection knows of the request in hand, whatever version of HTTP it came by: pingora carries the request, this
//! goes beside it, from the task that serves it to [`Ctx`](super::context::Ctx).

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use pingora_http::ResponseHeader;
use tokio::sync::Notify;

use super::forwarded::Told;
use super::framing::Fault;
use super::patience::Patience;
use super::wire::Tunnel;
use crate::revocation::OnRevoked;

/// What serves a request that is cut gets this long to notice and leave its line in the log. It can't pass a byte then.
const NOTICES: Duration = Duration::from_millis(5);

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

/// Why a stream was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its credential or session was revoked.
    Revoked,
    /// Its credential or session has ended by itself.
    Expired,
    /// Its backend neither takes the request nor answers.
    Silent,
}

impl Cut {
    /// As the access log and the metrics name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Silent => "gateway_timeout",
        }
    }
}

/// An answer that is made before it is known whether anybody will be there to make it.
#[derive(Debug)]
pub(crate) struct LastWord {
    /// Its head.
    pub(crate) head: ResponseHeader,
    /// Its body, which is short.
    pub(crate) body: Bytes,
}

/// A request's line to its client.
pub(crate) struct Line {
    /// Who asks.
    pub(crate) peer: Peer,
    /// What for.
    pub(crate) request: Request,
    /// How long the backend may be silent.
    pub(crate) patience: Arc<Patience>,
    /// What the connection's backends are told of where it comes from.
    pub(crate) told: Arc<Told>,
    fields: Mutex<Option<HeaderMap>>,
    broken: AtomicBool,
    starved: AtomicBool,
    full: AtomicBool,
    fault: OnceLock<Fault>,
    upgraded: AtomicBool,
    tunnel: Mutex<Option<Tunnel>>,
    last_word: OnceLock<LastWord>,
    /// Bytes that passed behind an upgrade, from the client.
    pub(crate) up: AtomicU64,
    /// And to it.
    pub(crate) down: AtomicU64,
    cut: AtomicU8,
    /// Rings when it is cut.
    bell: Notify,
}

impl Line {
    pub(crate) fn new(peer: Peer, request: Request, patience: Arc<Patience>, told: Arc<Told>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            request,
            patience,
            told,
            fields: Mutex::new(None),
            broken: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            full: AtomicBool::new(false),
            fault: OnceLock::new(),
            upgraded: AtomicBool::new(false),
            tunnel: Mutex::new(None),
            last_word: OnceLock::new(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            cut: AtomicU8::new(0),
            bell: Notify::new(),
        })
    }

    /// Runs what serves the request: below it, [`Line::current`] is this one. Ends it, with `None`, when the line is cut.
    pub(crate) async fn carry<T>(self: Arc<Self>, serving: impl Future<Output = Option<T>>) -> Option<T> {
        let mut serving = pin!(LINE.scope(Arc::clone(&self), serving));
        tokio::select! {
            biased;
            served = &mut serving => return served,
            () = self.bell.notified() => {}
        }
        tokio::time::timeout(NOTICES, serving).await.ok().flatten()
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

    /// From now on no byte passes, in neither direction.
    pub(crate) fn cut(&self, why: Cut) {
        let _ = self.cut.compare_exchange(0, why as u8 + 1, Ordering::AcqRel, Ordering::Acquire);
        self.bell.notify_one();
    }

    /// Whether it was cut, and why.
    pub(crate) fn is_cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Acquire) {
            0 => None,
            cut if cut == Cut::Revoked as u8 + 1 => Some(Cut::Revoked),
            cut if cut == Cut::Silent as u8 + 1 => Some(Cut::Silent),
            _ => Some(Cut::Expired),
        }
    }

    /// Whether client and backend speak another protocol than HTTP by now.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// The backend has agreed to another protocol.
    pub(crate) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Leaves the request's fields here, where pingora was not given all of them.
    pub(crate) fn carry_fields(&self, fields: HeaderMap) {
        *self.fields.lock().unwrap_or_else(PoisonError::into_inner) = Some(fields);
    }

    /// The fields that were left.
    pub(crate) fn take_fields(&self) -> Option<HeaderMap> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves a tunnel here until the client's side is free for it.
    pub(crate) fn leave(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// The tunnel that was left.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Cuts a line whose backend does nothing, with what its client is told if no answer has begun.
    pub(crate) fn give_up(&self, last_word: LastWord) {
        let _ = self.last_word.set(last_word);
        self.cut(Cut::Silent);
    }

    /// What a client is told whose line was cut.
    pub(crate) fn last_word(&self) -> Option<&LastWord> {
        self.last_word.get()
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

    /// Whether the client does not take what it is sent, as of now.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether it is the client that is waited for, in either direction.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.is_starved() || self.full.load(Ordering::Relaxed)
    }
}

impl OnRevoked for Line {
    fn revoked(&self) {
        self.cut(Cut::Revoked);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("peer", &self.peer).field("request", &self.request).finish_non_exhaustive()
    }
}
