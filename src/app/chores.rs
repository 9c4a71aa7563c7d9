//! What has to be done now and then, and once more at the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::parts::Parts;
use crate::proxy::live::Shared;

/// How often the store is asked whether it answers.
const PING: Duration = Duration::from_secs(2);
/// How often times of last use are written down: `key list` is behind by this.
const FLUSH: Duration = Duration::from_secs(3);
/// How often what has ended is forgotten.
const TIDY: Duration = Duration::from_secs(30);

/// How long mails that are on their way have at the end.
const LAST_MAILS: Duration = Duration::from_secs(3);
/// How long the store has at the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts them on `runtime`, where they go on until it ends.
pub(super) fn start(runtime: &Runtime, parts: &Arc<Parts>, shared: &Arc<Shared>) {
    runtime.spawn({
        let parts = Arc::clone(parts);
        async move {
            loop {
                parts.ping_store().await;
                tokio::time::sleep(PING).await;
            }
        }
    });
    runtime.spawn({
        let (parts, shared) = (Arc::clone(parts), Arc::clone(shared));
        async move {
            loop {
                tokio::time::sleep(TIDY).await;
                tidy(&parts, &shared).await;
            }
        }
    });
    runtime.spawn({
        let parts = Arc::clone(parts);
        async move {
            loop {
                tokio::time::sleep(FLUSH).await;
                flush(&parts).await;
            }
        }
    });
}

/// Writes down what would be lost, and ends what talks to others. A store that hangs is not waited for: the drain has had
/// its time.
pub(super) async fn finish(parts: &Parts) {
    if tokio::time::timeout(LAST_WORDS, flush(parts)).await.is_err() {
        tracing::debug!("the store took too long for the keys' times of last use");
    }
    parts.outbox.finish(LAST_MAILS).await;
    parts.revocations.shutdown().await;
}

async fn flush(parts: &Parts) {
    if let Err(error) = parts.flush_last_used().await {
        tracing::debug!(%error, "the keys' times of last use were not written");
    }
}

async fn tidy(parts: &Parts, shared: &Shared) {
    let grace = shared.live.load().config.tokens.refresh_grace;
    if let Err(error) = parts.store.prune(parts.clock.now(), grace).await {
        tracing::debug!(%error, "what has ended was not pruned");
    }
}
