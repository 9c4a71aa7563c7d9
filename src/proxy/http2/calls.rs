//! The open streams of a connection, counted: how many, how much their heads hold, and how many were given up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::frames::Budget;

/// Streams that a client may give up before they are answered; each answered one gives another, and so does time.
const GIVEN_UP: u32 = 200;

/// All of a connection.
#[derive(Debug)]
pub(super) struct Calls {
    most: usize,
    open: AtomicUsize,
    heads: AtomicUsize,
    /// For the connection's own task alone, which waits for one thing at a time.
    ended: Notify,
    given_up: Mutex<Budget>,
    enough: AtomicBool,
}

impl Calls {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            heads: AtomicUsize::new(0),
            ended: Notify::new(),
            given_up: Mutex::new(Budget::new(GIVEN_UP, 10)),
            enough: AtomicBool::new(false),
        }
    }

    /// One begins, whose head takes `size`; `None` when the others' take too much for it.
    pub(super) fn begin(self: &Arc<Self>, size: usize, most: usize) -> Option<Call> {
        let others = self.heads.load(Ordering::Relaxed);
        if others > 0 && others + size > most {
            self.give_up();
            return None;
        }
        self.heads.fetch_add(size, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Call { calls: Arc::clone(self), size })
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Acquire) >= self.most
    }

    fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    fn give_up(&self) {
        if !self.given_up.lock().unwrap_or_else(PoisonError::into_inner).spend() {
            self.enough.store(true, Ordering::Release);
            self.ended.notify_waiters();
        }
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let ended = self.ended.notified();
            if holds(self) {
                return;
            }
            ended.await;
        }
    }

    /// Waits until there is room for one more.
    pub(super) async fn freed(&self) {
        self.until(|calls| !calls.is_full()).await;
    }

    /// Waits until none is open.
    pub(super) async fn until_idle(&self) {
        self.until(Self::is_idle).await;
    }

    /// Waits until none has been open for `span`.
    pub(super) async fn idle_for(&self, span: Duration) {
        self.until_idle().await;
        sleep(span).await;
    }

    /// Waits until too many were given up.
    pub(super) async fn enough(&self) {
        self.until(|calls| calls.enough.load(Ordering::Acquire)).await;
    }
}

/// One open stream; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    size: usize,
}

impl Call {
    /// It is answered, or its client has left before.
    pub(super) fn done(&self, left: bool) {
        if left {
            self.calls.give_up();
        } else {
            self.calls.given_up.lock().unwrap_or_else(PoisonError::into_inner).earn(1.0);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.heads.fetch_sub(self.size, Ordering::Relaxed);
        self.calls.open.fetch_sub(1, Ordering::AcqRel);
        self.calls.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn streams_that_are_given_up_are_bounded_and_those_that_are_answered_are_not() {
        let calls = Arc::new(Calls::new(10));
        for _ in 0..1000 {
            calls.begin(1, 10).unwrap().done(false);
        }
        for _ in 0..200 {
            calls.begin(1, 10).unwrap().done(true);
        }
        assert!(!calls.enough.load(Ordering::Acquire));
        calls.begin(1, 10).unwrap().done(true);
        calls.enough().await;
    }

    #[test]
    fn heads_are_bounded_together_and_the_first_is_heard() {
        let calls = Arc::new(Calls::new(10));
        let first = calls.begin(100, 10).unwrap();
        assert!(calls.begin(1, 10).is_none());
        drop(first);
        let _one = calls.begin(5, 10).unwrap();
        assert!(calls.begin(5, 10).is_some() && calls.begin(6, 10).is_none());
    }

    #[tokio::test]
    async fn it_is_full_at_its_most_and_idle_at_none() {
        let calls = Arc::new(Calls::new(1));
        let call = calls.begin(1, 10).unwrap();
        assert!(calls.is_full());
        drop(call);
        calls.freed().await;
        calls.until_idle().await;
    }
}
