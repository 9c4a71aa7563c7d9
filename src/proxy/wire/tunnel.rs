//! A connection that speaks another protocol by now: bytes as they come, both ways at once, until both sides have ended.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::{replace, take};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::{Wire, nothing};
use crate::proxy::line::Line;
use crate::proxy::socket;

/// What is held of each direction, at most.
const BUFFER: usize = 8 * 1024;
/// How long a side that goes on speaking to one that has ended may be silent.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The backend's side of a tunnel that waits for its client's.
pub(crate) struct Tunnel {
    backend: Stream,
    /// What the backend has said already.
    said: Bytes,
}

impl Tunnel {
    pub(crate) fn new(backend: Stream, said: Bytes) -> Self {
        Self { backend, said }
    }
}

/// A tunnel at work.
pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl Wire {
    /// Runs the tunnel that was left on the line to its end, if there is one. Never polled again behind that.
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((tunnel, line)) = self.line.as_ref().and_then(|line| Some((line.take_tunnel()?, Arc::clone(line)))) {
            // The connection is the tunnel's from here on; what is left in its place is nothing.
            let client = replace(&mut self.stream, nothing());
            let (answer, early) = (take(&mut self.outbox).freeze(), take(&mut self.inbox).freeze());
            self.tunnel = Some(Box::pin(run(client, answer, early, tunnel, line)));
        }
        match &mut self.tunnel {
            Some(tunnel) => tunnel.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// One side of a tunnel: not a byte goes in or out of it once its line is cut, also in the middle of what was begun.
struct Side {
    stream: Stream,
    line: Arc<Line>,
}

impl Side {
    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        match self.line.is_cut() {
            None => Ok(Pin::new(&mut self.stream)),
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl AsyncRead for Side {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Side {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if self.line.is_cut().is_some() {
            socket::reset_when_closed(&self.stream);
        }
    }
}

/// Passes `answer` and what the backend has said to the client, `early` to the backend, and then all that comes.
async fn run(client: Stream, answer: Bytes, early: Bytes, tunnel: Tunnel, line: Arc<Line>) {
    let side = |stream| split(Side { stream, line: Arc::clone(&line) });
    let ((client_in, client_out), (backend_in, backend_out)) = (side(client), side(tunnel.backend));
    let up = pump(client_in, backend_out, Bytes::new(), early, &line.up);
    let down = pump(backend_in, client_out, answer, tunnel.said, &line.down);
    let mut both = pin!(both(up, down, &line));
    // Looked at before anything else whenever something has happened: a line that was cut passes nothing.
    poll_fn(|cx| if line.is_cut().is_some() { Poll::Ready(()) } else { both.as_mut().poll(cx) }).await;
}

/// Both directions to their ends. One that has broken ends both; one that has ended leaves the other until it is silent.
async fn both(up: impl Future<Output = io::Result<()>>, down: impl Future<Output = io::Result<()>>, line: &Line) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        ended = &mut up => if ended.is_ok() { last_words(down, &line.down).await },
        ended = &mut down => if ended.is_ok() { last_words(up, &line.up).await },
    }
}

async fn last_words(mut rest: Pin<&mut impl Future<Output = io::Result<()>>>, passed: &AtomicU64) {
    loop {
        let before = passed.load(Ordering::Relaxed);
        if timeout(LAST_WORDS, rest.as_mut()).await.is_ok() || passed.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// One direction, until its source has ended: then its other side is told so. `head` goes first, and what the source has
/// said `already`.
async fn pump(
    mut from: ReadHalf<Side>,
    mut to: WriteHalf<Side>,
    head: Bytes,
    already: Bytes,
    passed: &AtomicU64,
) -> io::Result<()> {
    to.write_all(&head).await?;
    to.write_all(&already).await?;
    to.flush().await?;
    passed.fetch_add(already.len() as u64, Ordering::Relaxed);
    let mut buffer = BytesMut::with_capacity(BUFFER);
    loop {
        if from.read_buf(&mut buffer).await? == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer).await?;
        to.flush().await?;
        passed.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        buffer.clear();
    }
}
