//! A connection that speaks another protocol by now: bytes as they come, until one side ends it.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;

use super::Wire;

/// How long a client that has closed its side still gets what its backend says: since the last byte of that.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Wire {
    /// What the client said since the backend agreed, before and after. Its end is passed on once the backend has been
    /// silent for a moment: pingora drops what a backend says behind it, such as the answer to a closing frame.
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.inbox.is_empty() {
                let count = self.inbox.len().min(buf.remaining());
                buf.put_slice(&self.inbox.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if self.client_left {
                self.patience.cap(LAST_WORDS);
                return self.poll_alarm(cx).map(|_| Ok(()));
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
