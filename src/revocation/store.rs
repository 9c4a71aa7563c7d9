//! Follows the durable log by its sequence: always, Redis or not, so that no revocation depends on Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::freshness::Freshness;
use super::list::List;
use crate::store::{RevocationLog, StoreError, StoreResult};

/// Entries read at once.
pub(super) const PAGE: u32 = 10_000;
/// How often the store is asked when it is the only source.
const ALONE: Duration = Duration::from_millis(500);

pub(super) struct StoreFollower {
    log: Arc<dyn RevocationLog>,
    list: Arc<List>,
    fresh: Arc<Freshness>,
    /// Everything up to this number is in the list. One reader at a time; a waiting one is served by a read of its own.
    position: Mutex<i64>,
    wake: Notify,
    /// Whether Redis feeds the list, so that the store may be asked less often.
    fed: AtomicBool,
}

impl StoreFollower {
    pub(super) fn new(log: Arc<dyn RevocationLog>, list: Arc<List>, fresh: Arc<Freshness>) -> Self {
        Self { log, list, fresh, position: Mutex::new(0), wake: Notify::new(), fed: AtomicBool::new(false) }
    }

    /// Has the store asked at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Says whether Redis feeds the list; asks the store at once when it no longer does.
    pub(super) fn set_fed(&self, fed: bool) {
        if self.fed.swap(fed, Ordering::AcqRel) && !fed {
            self.wake();
        }
    }

    /// Follows for ever.
    pub(super) async fn run(&self) {
        let mut failing = false;
        loop {
            match self.poll().await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the revocation log can be read again");
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the revocation log can't be read");
                }
                Ok(()) | Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.period()) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Reads what is new, all of it. Each answer of the store has a deadline: a long log takes its time.
    pub(super) async fn poll(&self) -> StoreResult<()> {
        let mut position = self.position.lock().await;
        for _ in 0..2 {
            // What commits behind this moment may be missed: the list is as old as the question.
            let began = self.fresh.now();
            self.catch_up(&mut position).await?;
            self.fresh.store_heard(began);
            // Where it took long, the list is old already: what came meanwhile is little.
            if self.fresh.now().saturating_sub(began) < self.period() {
                break;
            }
        }
        Ok(())
    }

    async fn answer<T>(&self, question: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let deadline = self.fresh.max_staleness().clamp(ALONE, Duration::from_secs(5));
        tokio::time::timeout(deadline, question)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("it did not answer in time".to_owned())))
    }

    async fn catch_up(&self, position: &mut i64) -> StoreResult<()> {
        let last = self.answer(self.log.last_revocation()).await?;
        if last < *position {
            tracing::warn!(last, position = *position, "the revocation log went back: reading it whole");
            *position = 0;
        }
        if last == *position && self.fresh.is_loaded() {
            return Ok(());
        }
        loop {
            let page = self.answer(self.log.revocations_after(*position, PAGE)).await?;
            self.list.apply_all(&page);
            *position = page.iter().map(|entry| entry.seq).fold(*position, i64::max);
            if page.len() < PAGE as usize {
                break;
            }
        }
        // The numbers up to `last` were all committed; those that gave no row were pruned.
        *position = last.max(*position);
        Ok(())
    }

    fn period(&self) -> Duration {
        let allowed = self.fresh.max_staleness();
        // Half and a quarter, so that a list that can be fresh never looks stale between two questions.
        let period = if self.fed.load(Ordering::Acquire) { allowed / 2 } else { ALONE.min(allowed / 4) };
        period.max(Duration::from_millis(10))
    }
}
