//! How long a silent backend is waited for: kept beside the client's connection, which pingora watches all the while.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a silent backend is waited for: a span since the last sign of life.
#[derive(Debug)]
pub(crate) struct Patience {
    base: Instant,
    /// Milliseconds; 0 is for ever.
    span: AtomicU64,
    /// The same, where the client has closed its side.
    cap: AtomicU64,
    since: AtomicU64,
    ended: AtomicBool,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            span: AtomicU64::new(0),
            cap: AtomicU64::new(0),
            since: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Waits for `span` from now on.
    pub(crate) fn set(&self, span: Duration) {
        self.span.store(millis(span).max(1), Ordering::Relaxed);
        self.touch();
    }

    /// Something came: begins anew.
    pub(crate) fn touch(&self) {
        self.since.store(millis(self.base.elapsed()), Ordering::Relaxed);
    }

    /// Waits for ever.
    pub(crate) fn clear(&self) {
        self.span.store(0, Ordering::Relaxed);
        self.ended.store(false, Ordering::Relaxed);
    }

    /// Whether it ended before something came.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// It ends now.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// From the first call on, waits no longer than `span`, whatever is set.
    pub(crate) fn cap(&self, span: Duration) {
        if self.cap.swap(millis(span), Ordering::Relaxed) == 0 {
            self.touch();
        }
    }

    /// Whether it is the cap that ends it, before what is set would.
    pub(crate) fn is_capped(&self) -> bool {
        let (span, cap) = (self.span.load(Ordering::Relaxed), self.cap.load(Ordering::Relaxed));
        cap > 0 && (span == 0 || cap < span)
    }

    /// When it ends, as things stand.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (span, cap) = (self.span.load(Ordering::Relaxed), self.cap.load(Ordering::Relaxed));
        let span = match (span, cap) {
            (0, 0) => return None,
            (0, one) | (one, 0) => one,
            (span, cap) => span.min(cap),
        };
        Some(self.base + Duration::from_millis(self.since.load(Ordering::Relaxed).saturating_add(span)))
    }
}

/// Rings when patience has ended. The timer is left where it stands while it rings early enough: one is set in many
/// requests, not in each.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready when `patience` has ended, which it then knows.
    pub(crate) fn poll(&mut self, patience: &Patience, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = patience.deadline() else { return Poll::Pending };
            if Instant::now() >= deadline {
                patience.end();
                return Poll::Ready(());
            }
            let alarm = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.is_elapsed() || alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}
