//! A log of revocations in memory that can be told to fail.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::domain::{Entry, Revoked, Timestamp};
use portcullis::store::{RevocationLog, StoreError, StoreResult};

/// How it behaves.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    Working,
    Failing,
    Hanging,
}

/// What the store's log does, without a disk.
#[derive(Default)]
pub(crate) struct MemoryLog {
    entries: Mutex<Vec<Entry>>,
    mood: AtomicU8,
    questions: AtomicUsize,
    /// Milliseconds that a page takes.
    slow: AtomicU64,
}

impl MemoryLog {
    /// Behaves otherwise from now on.
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Takes so long for each page.
    pub(crate) fn slow_down(&self, page: Duration) {
        self.slow.store(u64::try_from(page.as_millis()).expect("not for ever"), Ordering::SeqCst);
    }

    /// Writes an entry down, whatever the mood.
    pub(crate) fn commit(&self, what: Revoked, until: Timestamp) -> Entry {
        let mut entries = self.entries.lock().expect("unpoisoned");
        let seq = entries.last().map_or(1, |last| last.seq + 1);
        let entry = Entry { seq, what, until };
        entries.push(entry.clone());
        entry
    }

    /// As when an older copy of the database was put in place.
    pub(crate) fn forget_all(&self) {
        self.entries.lock().expect("unpoisoned").clear();
    }

    /// How often it was asked for the last number.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    async fn check(&self) -> StoreResult<()> {
        while self.mood.load(Ordering::SeqCst) == Mood::Hanging as u8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.mood.load(Ordering::SeqCst) == Mood::Failing as u8 {
            return Err(StoreError::Unavailable("told to fail".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl RevocationLog for MemoryLog {
    async fn revoke(&self, what: &Revoked, until: Timestamp) -> StoreResult<Entry> {
        self.check().await?;
        Ok(self.commit(what.clone(), until))
    }

    async fn revocations_after(&self, seq: i64, limit: u32) -> StoreResult<Vec<Entry>> {
        self.check().await?;
        tokio::time::sleep(Duration::from_millis(self.slow.load(Ordering::SeqCst))).await;
        let entries = self.entries.lock().expect("unpoisoned");
        Ok(entries.iter().filter(|entry| entry.seq > seq).take(limit as usize).cloned().collect())
    }

    async fn last_revocation(&self) -> StoreResult<i64> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.check().await?;
        Ok(self.entries.lock().expect("unpoisoned").last().map_or(0, |last| last.seq))
    }

    async fn prune(&self, now: Timestamp, _: Duration) -> StoreResult<u64> {
        self.check().await?;
        let mut entries = self.entries.lock().expect("unpoisoned");
        let before = entries.len();
        entries.retain(|entry| entry.until >= now);
        Ok((before - entries.len()) as u64)
    }
}
