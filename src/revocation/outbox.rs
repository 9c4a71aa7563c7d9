//! What this replica has published and has not seen in the stream yet. An answered write may still be lost in a failover:
//! an entry is done only when it came back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Entry, Revoked, Timestamp};

/// Entries kept; beyond, everything live is compared with the stream instead.
const CAPACITY: usize = 10_000;

#[derive(Default)]
pub(super) struct Outbox {
    /// Guarded for a look-up or two; asked by publications and the follower, never by calls.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<Revoked, Waiting>,
    overflowed: bool,
}

struct Waiting {
    entry: Entry,
    /// Whether a command with it is on its way, or was answered.
    sent: bool,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// These, which count as sent now.
    Entries(Vec<Entry>),
    /// More than could be kept: whatever is live.
    Everything,
}

impl Outbox {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes entries that are sent now.
    pub(super) fn sending(&self, entries: &[Entry]) {
        self.inner().note(entries, true);
    }

    /// Notes entries that could not be sent.
    pub(super) fn unsent(&self, entries: &[Entry]) {
        self.inner().note(entries, false);
    }

    /// Everything live has still to be compared.
    pub(super) fn overflow(&self) {
        self.inner().overflowed = true;
    }

    /// An entry was seen in the stream.
    pub(super) fn seen(&self, entry: &Entry) {
        let mut inner = self.inner();
        if inner.waiting.get(&entry.what).is_some_and(|waiting| waiting.entry.until <= entry.until) {
            inner.waiting.remove(&entry.what);
        }
    }

    /// The connection was lost, and with it the certainty that what was sent is there.
    pub(super) fn doubt_all(&self) {
        self.inner().waiting.values_mut().for_each(|waiting| waiting.sent = false);
    }

    /// What is to be sent now.
    pub(super) fn take_unsent(&self) -> Unsent {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.overflowed) {
            return Unsent::Everything;
        }
        let unsent = inner.waiting.values_mut().filter(|waiting| !waiting.sent);
        Unsent::Entries(
            unsent
                .map(|waiting| {
                    waiting.sent = true;
                    waiting.entry.clone()
                })
                .collect(),
        )
    }

    /// Forgets entries that ended before `now`.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.inner().waiting.retain(|_, waiting| waiting.entry.until >= now);
    }

    /// Whether everything published was seen in the stream.
    pub(super) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.waiting.is_empty() && !inner.overflowed
    }
}

impl Inner {
    fn note(&mut self, entries: &[Entry], sent: bool) {
        if self.overflowed {
            return;
        }
        if self.waiting.len().saturating_add(entries.len()) > CAPACITY {
            self.waiting.clear();
            self.overflowed = true;
            return;
        }
        self.waiting.extend(entries.iter().map(|entry| (entry.what.clone(), Waiting { entry: entry.clone(), sent })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionId, SystemEntropy};

    fn entry(until: i64) -> Entry {
        let id = SessionId::generate(Timestamp::from_secs(1), &SystemEntropy);
        Entry { seq: 1, what: Revoked::Session { id }, until: Timestamp::from_secs(until) }
    }

    #[test]
    fn what_was_sent_is_sent_again_after_a_lost_connection_until_it_is_seen() {
        let (outbox, entry) = (Outbox::default(), entry(100));
        outbox.sending(std::slice::from_ref(&entry));
        assert_eq!(outbox.take_unsent(), Unsent::Entries(vec![]));
        outbox.doubt_all();
        assert_eq!(outbox.take_unsent(), Unsent::Entries(vec![entry.clone()]));
        outbox.seen(&entry);
        outbox.doubt_all();
        assert_eq!(outbox.take_unsent(), Unsent::Entries(vec![]));
        assert!(outbox.is_empty());
    }

    #[test]
    fn an_earlier_end_seen_is_not_the_entry() {
        let (outbox, entry) = (Outbox::default(), entry(100));
        outbox.unsent(std::slice::from_ref(&entry));
        outbox.seen(&Entry { until: Timestamp::from_secs(99), ..entry.clone() });
        assert!(!outbox.is_empty());
        outbox.sweep(Timestamp::from_secs(101));
        assert!(outbox.is_empty());
    }

    #[test]
    fn more_than_fits_means_everything_and_takes_no_memory() {
        let outbox = Outbox::default();
        for _ in 0..=CAPACITY {
            outbox.unsent(&[entry(100)]);
        }
        assert_eq!(outbox.take_unsent(), Unsent::Everything);
        assert!(outbox.is_empty());
    }
}
