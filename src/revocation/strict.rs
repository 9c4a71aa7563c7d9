//! `check = "strict"`: each call is confirmed with Redis, or with the store where Redis can't say. Calls that come at the
//! same time share one question; a question that was already under way does not count, as it may have been answered before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::feed::Feed;
use super::store::StoreFollower;

/// Calls that wait at most; more are told that nobody knows.
const WAITING: usize = 16_384;

/// Where calls ask.
pub(super) struct Confirmations {
    questions: mpsc::Sender<oneshot::Sender<bool>>,
}

/// Who answers them.
pub(super) struct Confirmer {
    asked: mpsc::Receiver<oneshot::Sender<bool>>,
    feed: Option<Arc<Feed>>,
    store: Arc<StoreFollower>,
}

impl Confirmations {
    pub(super) fn new(feed: Option<Arc<Feed>>, store: Arc<StoreFollower>) -> (Self, Confirmer) {
        let (questions, asked) = mpsc::channel(WAITING);
        (Self { questions }, Confirmer { asked, feed, store })
    }

    /// Whether the list is now known to hold all that was revoked before this was called; `false` after `deadline`.
    pub(super) async fn confirmed(&self, deadline: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.questions.try_send(answer).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(deadline, answered).await, Ok(Ok(true)))
    }
}

impl Confirmer {
    /// Answers for ever.
    pub(super) async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.asked.recv_many(&mut waiting, WAITING).await > 0 {
            let confirmed = self.ask().await;
            for answer in waiting.drain(..) {
                // Whoever hung up in the meantime needs no answer.
                let _ = answer.send(confirmed);
            }
        }
    }

    async fn ask(&self) -> bool {
        if let Some(feed) = &self.feed {
            match feed.confirm().await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "the store is asked instead of Redis"),
            }
        }
        self.store.poll().await.is_ok()
    }
}
