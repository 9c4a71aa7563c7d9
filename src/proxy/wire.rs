//! The client's connection as pingora sees it: one judged request at a time, never a byte of the next.
//!
//! [`Wire`] reads a head strictly ([`super::framing`]), hands pingora the plain form of it, and then exactly the body
//! that the head announced. What was read beyond stays here until the next request begins, so that a request that
//! was refused, or a backend that answers early, can't shift the place where the next one starts.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::Method;
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::chunked::Chunks;
use super::forwarded::Told;
use super::framing::{Delimiter, Fault, Head, HeadReader};
use super::http2::PREFACE;
use super::line::{Line, Peer, Request};
use super::patience::{Alarm, Patience};
use super::socket;
use crate::config::Limits;

mod farewell;
mod passive;
mod tunnel;

pub(crate) use tunnel::Tunnel;

/// What is read of a request at first.
const FIRST: usize = 4 * 1024;
/// What is read ahead of the request in hand, at most.
const INBOX: usize = 64 * 1024;
/// What is written together, at most.
const OUTBOX: usize = 8 * 1024;
/// How long a client that has closed its side still gets its answer.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// What came of waiting for a request.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is one, and pingora may read it.
    Request,
    /// The client speaks HTTP/2, with prior knowledge.
    Http2,
    /// The client left, or said nothing for too long.
    Closed,
    /// What came is none.
    Refused(Fault, Option<Method>),
}

enum Read {
    Head(Box<Head>),
    Preface,
    Closed,
}

#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Chunks),
    Broken,
}

/// A client's connection.
pub(crate) struct Wire {
    stream: Stream,
    peer: Peer,
    /// Read, and not judged.
    inbox: BytesMut,
    /// Judged, for pingora.
    ready: BytesMut,
    /// From pingora, for the client.
    outbox: BytesMut,
    body: Body,
    line: Option<Arc<Line>>,
    client_left: bool,
    patience: Arc<Patience>,
    told: Arc<Told>,
    alarm: Alarm,
    farewell: Option<farewell::Farewell>,
    /// Nobody has said so far that it is HTTP/1: it may turn out to be HTTP/2.
    undecided: bool,
    tunnel: Option<tunnel::Running>,
}

impl Wire {
    /// Takes a connection over.
    pub(crate) fn new(stream: Stream, peer: Peer) -> Self {
        Self {
            stream,
            peer,
            inbox: BytesMut::new(),
            ready: BytesMut::new(),
            outbox: BytesMut::new(),
            body: Body::Length(0),
            line: None,
            client_left: false,
            patience: Arc::new(Patience::new()),
            told: Arc::default(),
            alarm: Alarm::default(),
            farewell: None,
            undecided: false,
            tunnel: None,
        }
    }

    /// The wire in a stream that pingora gives back.
    pub(crate) fn from_stream(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// Takes a connection over whose client may begin by speaking HTTP/2, with prior knowledge.
    pub(crate) fn undecided(stream: Stream, peer: Peer) -> Self {
        let mut wire = Self::new(stream, peer);
        wire.undecided = true;
        wire
    }

    /// The connection, and what of it was read.
    pub(crate) fn into_parts(mut self) -> (Stream, BytesMut) {
        (std::mem::replace(&mut self.stream, nothing()), self.inbox.split())
    }

    /// What goes beside the request in hand.
    pub(crate) const fn line(&self) -> Option<&Arc<Line>> {
        self.line.as_ref()
    }

    /// Who connected.
    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the next request may be read: pingora has had all of this one.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.ready.is_empty() && self.body_is_done() && !self.client_left_for_good() && !self.is_upgraded()
    }

    fn is_upgraded(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_upgraded())
    }

    fn is_cut(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_cut().is_some())
    }

    fn body_is_done(&self) -> bool {
        match &self.body {
            Body::Length(left) => *left == 0,
            Body::Chunked(chunks) => chunks.is_done() && self.ready.is_empty(),
            Body::Broken => false,
        }
    }

    fn client_left_for_good(&self) -> bool {
        self.client_left && self.inbox.is_empty()
    }

    /// Waits at most `limit` for a request's first byte; false when the client leaves or stays silent.
    pub(crate) async fn begins(&mut self, limit: Duration) -> bool {
        self.line = None;
        self.let_go();
        self.patience.set(limit);
        let begun = !self.inbox.is_empty() || poll_fn(|cx| self.poll_first(cx)).await;
        self.patience.clear();
        begun
    }

    /// An idle connection holds no memory for what it may have to read and write.
    fn let_go(&mut self) {
        for buffer in [&mut self.inbox, &mut self.ready, &mut self.outbox] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// The first bytes of what may be long in coming: read from the stack, so that they have a place only when they are there.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.client_left {
            return Poll::Ready(false);
        }
        let mut bytes = [const { MaybeUninit::uninit() }; FIRST];
        let mut read = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                self.inbox.extend_from_slice(read.filled());
                self.client_left = read.filled().is_empty();
                Poll::Ready(!self.client_left)
            }
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending => self.alarm.poll(&self.patience, cx).map(|()| false),
        }
    }

    /// Reads a request that has begun, within `header_timeout` for all of its head.
    pub(crate) async fn next(&mut self, limits: &Limits) -> Next {
        let mut reader = HeadReader::default();
        let head = match timeout(limits.header_timeout, self.read_head(&mut reader, limits)).await {
            Err(_) => return Next::Refused(Fault::TooSlow, None),
            Ok(Err(fault)) => return Next::Refused(fault, reader.method()),
            Ok(Ok(Read::Closed)) => return Next::Closed,
            Ok(Ok(Read::Preface)) => return Next::Http2,
            Ok(Ok(Read::Head(head))) => head,
        };
        let method = head.method.clone();
        match self.begin(head).await {
            Ok(()) => Next::Request,
            Err(fault) => Next::Refused(fault, Some(method)),
        }
    }

    async fn read_head(&mut self, reader: &mut HeadReader, limits: &Limits) -> Result<Read, Fault> {
        loop {
            if self.undecided && self.inbox.starts_with(PREFACE) {
                return Ok(Read::Preface);
            }
            // What can still become the preface of HTTP/2 is no request yet; all else is one for good.
            self.undecided = self.undecided && PREFACE.starts_with(&self.inbox);
            if !self.undecided
                && let Some((head, length)) = reader.advance(&self.inbox, limits)?
            {
                self.inbox.advance(length);
                return Ok(Read::Head(Box::new(head)));
            }
            if !matches!(self.fill().await, Ok(1..)) {
                return Ok(Read::Closed);
            }
        }
    }

    /// Makes a head the request in hand. What came of a chunked body along with it is judged first, so that a body
    /// that is wrong from the start reaches no backend.
    async fn begin(&mut self, head: Box<Head>) -> Result<(), Fault> {
        let request = Request { method: head.method, target: head.target, version: head.version, hosts: head.hosts };
        let line = Line::new(self.peer, request, Arc::clone(&self.patience), Arc::clone(&self.told));
        line.carry_fields(head.headers);
        self.line = Some(line);
        self.ready = head.wire;
        self.body = match head.body {
            Delimiter::Length(length) => Body::Length(length),
            Delimiter::Chunked => Body::Chunked(Chunks::new()),
        };
        if head.body == Delimiter::Chunked && !head.expects {
            // Head and body often come in two segments: the second gets a moment.
            while self.inbox.is_empty() && matches!(timeout(Duration::from_millis(20), self.fill()).await, Ok(Ok(1..))) {}
            self.decode()?;
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<(), Fault> {
        let Body::Chunked(chunks) = &mut self.body else { return Ok(()) };
        chunks.advance(&mut self.inbox, &mut self.ready, INBOX).inspect_err(|_| {
            self.body = Body::Broken;
            if let Some(line) = &self.line {
                line.set_broken();
            }
        })
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.inbox.reserve(4096);
        let count = self.stream.read_buf(&mut self.inbox).await?;
        self.client_left |= count == 0;
        Ok(count)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbox.reserve(16 * 1024);
        let count = ready!(pin!(self.stream.read_buf(&mut self.inbox)).poll(cx))?;
        self.client_left |= count == 0;
        Poll::Ready(Ok(count))
    }

    /// Nothing more belongs to this request: waits for the client to leave, or for patience to end.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.client_left && self.inbox.len() < INBOX {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.client_left {
            self.patience.cap(HALF_CLOSED);
        }
        self.poll_alarm(cx)
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alarm.poll(&self.patience, cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn note_full<T>(&self, wrote: &Poll<T>) {
        if let Some(line) = &self.line {
            line.set_full(wrote.is_pending());
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outbox))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// What stands in the place of a connection that was taken.
fn nothing() -> Stream {
    Box::new(tokio::io::duplex(1).0)
}

/// However it ends, what was cut does not look whole: a body may have no other end than the connection's.
impl Drop for Wire {
    fn drop(&mut self) {
        if self.is_cut() {
            socket::reset_when_closed(&self.stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if wire.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // pingora waits for somebody: what it wrote so far has to be on its way.
        if !wire.outbox.is_empty()
            && let Poll::Ready(Err(error)) = wire.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        loop {
            if !wire.ready.is_empty() {
                let count = wire.ready.len().min(buf.remaining());
                buf.put_slice(&wire.ready.split_to(count));
                wire.patience.touch();
                return Poll::Ready(Ok(()));
            }
            if wire.body_is_done() {
                return wire.poll_idle(cx);
            }
            if let Body::Length(left) = &mut wire.body
                && !wire.inbox.is_empty()
            {
                let count = wire.inbox.len().min(buf.remaining()).min(usize::try_from(*left).unwrap_or(usize::MAX));
                buf.put_slice(&wire.inbox.split_to(count));
                *left -= count as u64;
                wire.patience.touch();
                return Poll::Ready(Ok(()));
            }
            if wire.decode().is_err() || matches!(wire.body, Body::Broken) {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if wire.ready.is_empty() {
                let filled = wire.poll_fill(cx);
                if let Some(line) = &wire.line {
                    line.set_starved(filled.is_pending());
                }
                if filled.is_pending() {
                    // The backend waits for the rest as long as it would be waited for.
                    return wire.poll_alarm(cx);
                }
                if ready!(filled)? == 0 {
                    // The client left in the middle of a body.
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.outbox.len() + buf.len() <= OUTBOX {
            self.outbox.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        let sent = self.poll_send(cx);
        self.note_full(&sent);
        ready!(sent)?;
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_full(&wrote);
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let sent = self.poll_send(cx);
        self.note_full(&sent);
        ready!(sent)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Where the backend has agreed to another protocol this is where pingora lets go.
        if self.is_upgraded() {
            return self.poll_tunnel(cx).map(Ok);
        }
        // pingora closes by this too, with a body unread where it has refused early.
        let drains = self.has_unread();
        self.poll_farewell(cx, drains).map(Ok)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What clients send stays out of logs.
        f.debug_struct("Wire").field("peer", &self.peer).finish_non_exhaustive()
    }
}
