//! Letters on their way: a bounded number, each tried a few times, none kept beyond this process.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::smtp::{Smtp, Undelivered};
use super::{Letter, Place, Post};
use crate::domain::entropy::random_text;
use crate::domain::{Clock, Entropy};
use crate::telemetry::metrics::Metrics;

/// Letters that may be on their way at once, those that wait for another try included.
const PLACES: usize = 256;
/// Connections to the mail server at once.
const CONNECTIONS: usize = 4;
/// When a letter is tried again: 13 minutes in all, well within what its link lives.
const AGAIN: [Duration; 6] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
];

/// What a mail's id is made of.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Sends letters in the background.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    smtp: ArcSwapOption<Smtp>,
    places: Arc<Semaphore>,
    connections: Semaphore,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
}

impl Outbox {
    /// An outbox that sends on `runtime`; nowhere, until it is [told](Self::set).
    #[must_use]
    pub fn new(runtime: Handle, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, metrics: Arc<Metrics>) -> Self {
        let inner = Inner {
            smtp: ArcSwapOption::empty(),
            places: Arc::new(Semaphore::new(PLACES)),
            connections: Semaphore::new(CONNECTIONS),
            runtime,
            clock,
            entropy,
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends by `smtp` from now on, letters that wait for another try too.
    pub fn set(&self, smtp: Option<Smtp>) {
        self.inner.smtp.store(smtp.map(Arc::new));
    }

    /// Waits until nothing is on its way any more, at most for `patience`.
    pub async fn finish(&self, patience: Duration) {
        let all = u32::try_from(PLACES).unwrap_or(u32::MAX);
        if tokio::time::timeout(patience, self.inner.places.acquire_many(all)).await.is_err() {
            tracing::warn!("{} mails were not sent before the end", PLACES - self.inner.places.available_permits());
        }
    }
}

impl Post for Outbox {
    fn place(&self) -> Option<Place> {
        let place = Arc::clone(&self.inner.places).try_acquire_owned().ok()?;
        let inner = Arc::clone(&self.inner);
        Some(Place::new(move |letter| drop(inner.runtime.clone().spawn(inner.deliver(letter, place)))))
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

impl Inner {
    async fn deliver(self: Arc<Self>, letter: Letter, place: OwnedSemaphorePermit) {
        let kind = letter.kind.as_str();
        // The same at each try, so that one that arrived twice is seen to be one.
        let id = random_text(&*self.entropy, ALPHABET, 24);
        for pause in AGAIN.into_iter().map(Some).chain([None]) {
            match (self.attempt(&letter, &id).await, pause) {
                (Ok(()), _) => {
                    self.metrics.mail(kind, "sent");
                    tracing::debug!(kind, "a mail was sent");
                    break;
                }
                (Err(Undelivered::ForNow(error)), Some(pause)) => {
                    self.metrics.mail(kind, "retried");
                    tracing::warn!(kind, error, "a mail was not sent; tried again in {pause:?}");
                    tokio::time::sleep(pause).await;
                }
                (Err(error), _) => {
                    self.metrics.mail(kind, "failed");
                    tracing::error!(kind, %error, "a mail was not sent");
                    break;
                }
            }
        }
        drop(place);
    }

    async fn attempt(&self, letter: &Letter, id: &str) -> Result<(), Undelivered> {
        let Ok(_connection) = self.connections.acquire().await else {
            return Err(Undelivered::ForGood("the gateway is stopping".to_owned()));
        };
        let Some(smtp) = self.smtp.load_full() else {
            return Err(Undelivered::ForGood("there is no [mail] any more".to_owned()));
        };
        smtp.send(letter, id, self.clock.now()).await
    }
}
