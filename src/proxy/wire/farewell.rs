//! The end of a connection whose client may still be sending: it gets a chance to read its answer (RFC 9112 §9.6).
//!
//! Closing a socket with unread bytes resets it, and the reset can overtake the answer. So our side is closed first, and
//! what still comes is read and dropped, within bounds.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Wire;

/// How long it takes at most.
const TOTAL: Duration = Duration::from_secs(10);
/// How long a client may be silent meanwhile.
const SILENCE: Duration = Duration::from_secs(1);

/// How far it is.
pub(super) struct Farewell {
    end: Instant,
    /// Our side is closed.
    said: bool,
    alarm: Pin<Box<Sleep>>,
}

impl Farewell {
    fn new() -> Self {
        let end = Instant::now() + TOTAL;
        Self { end, said: false, alarm: Box::pin(sleep_until(end)) }
    }

    /// Something came, or went: waits for more. False when time is up.
    fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        self.alarm.as_mut().reset(self.end.min(now + SILENCE));
        now < self.end
    }
}

impl Wire {
    /// Closes our side, then reads and drops what comes until the client is done, silent, or out of time.
    pub(crate) async fn linger(&mut self) {
        poll_fn(|cx| self.poll_farewell(cx, true)).await;
    }

    /// Whether the client has sent, or may be sending, what nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        !self.client_left && (!self.body_is_done() || !self.inbox.is_empty())
    }

    pub(super) fn poll_farewell(&mut self, cx: &mut Context<'_>, drains: bool) -> Poll<()> {
        if self.is_cut() {
            // Nothing is said any more.
            self.outbox.clear();
            return Poll::Ready(());
        }
        let mut farewell = self.farewell.take().unwrap_or_else(Farewell::new);
        let done = self.poll_with(&mut farewell, cx, drains);
        self.farewell = Some(farewell);
        done
    }

    fn poll_with(&mut self, farewell: &mut Farewell, cx: &mut Context<'_>, drains: bool) -> Poll<()> {
        if !farewell.said {
            let sent = match self.poll_send(cx) {
                Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_shutdown(cx),
                unsent @ (Poll::Pending | Poll::Ready(Err(_))) => unsent,
            };
            match sent {
                // A client that takes nothing does not keep its connection for that.
                Poll::Pending => return farewell.alarm.as_mut().poll(cx),
                Poll::Ready(Ok(())) if drains => farewell.said = farewell.goes_on(),
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        loop {
            self.inbox.clear();
            match self.poll_fill(cx) {
                Poll::Ready(Ok(1..)) if farewell.goes_on() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return farewell.alarm.as_mut().poll(cx),
            }
        }
    }
}
