//! The bytes of an HTTP/2 connection on their way to the engine, which knows no deadlines and no floods: a header block has
//! to arrive within a total deadline, frames that carry nothing come from a budget, and a client that takes nothing is left.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::frames::Frames;

/// Set once there was enough of this connection.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    raised: AtomicBool,
    waiter: Notify,
}

impl Alarm {
    /// It is enough.
    pub(super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.waiter.notify_one();
    }

    /// Waits until it is enough.
    pub(super) async fn raised(&self) {
        while !self.raised.load(Ordering::Acquire) {
            self.waiter.notified().await;
        }
    }
}

/// A client's connection.
pub(super) struct Tap {
    stream: Stream,
    /// Read before it was known to be HTTP/2.
    read: BytesMut,
    frames: Frames,
    alarm: Arc<Alarm>,
    /// For all of a header block.
    patience: Duration,
    block: Option<Pin<Box<Sleep>>>,
    /// How long a client may take nothing of what is written.
    stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Tap {
    pub(super) fn new(stream: Stream, read: BytesMut, alarm: Arc<Alarm>, patience: Duration, stall: Duration) -> Self {
        Self { stream, read, frames: Frames::new(), alarm, patience, block: None, stall, stalled: None }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.read.len().min(buf.remaining());
        buf.put_slice(self.read.get(..count).unwrap_or_default());
        self.read.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Whether the header block that is under way has had its time.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.frames.in_header_block() {
            self.block = None;
            return Poll::Pending;
        }
        self.block.get_or_insert_with(|| Box::pin(sleep(self.patience))).as_mut().poll(cx)
    }

    fn poll_wrote(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = wrote {
            self.stalled = None;
            self.frames.earn(*result.as_ref().unwrap_or(&0));
            return Poll::Ready(result);
        }
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(self.stall))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = &mut *self;
        let before = buf.filled().len();
        let polled = tap.poll_bytes(cx, buf);
        let enough = match &polled {
            Poll::Ready(Ok(())) => !tap.frames.advance(buf.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(_)) | Poll::Pending => false,
        };
        if enough || tap.poll_block(cx).is_ready() {
            // Nothing more is read; the connection's task says goodbye.
            tap.alarm.raise();
            buf.set_filled(before);
            return Poll::Pending;
        }
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_wrote(cx, wrote)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What clients send stays out of logs.
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_left_and_one_that_takes_a_little_is_not() {
        let (mut client, stream) = duplex(16);
        let stall = Duration::from_mins(1);
        let mut tap = Tap::new(Box::new(stream), BytesMut::new(), Arc::default(), stall, stall);
        let taking = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(Duration::from_secs(50)).await;
                client.read_exact(&mut [0; 16]).await.unwrap();
            }
            client
        });
        tap.write_all(&[0; 5 * 16]).await.unwrap();
        let (_client, began) = (taking.await.unwrap(), Instant::now());
        let left = timeout(Duration::from_mins(10), tap.write_all(&[0; 16])).await.expect("it is left");
        assert_eq!((left.unwrap_err().kind(), began.elapsed()), (io::ErrorKind::TimedOut, stall));
    }
}
