//! Who wants to be told of a revocation: open streams, by what they concern. A revocation costs as much as there are
//! streams that it ends, however many others are open.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Concern, KeyId, Revoked, SessionId, TokenId, UserId};

/// Locks, so that streams that begin and end on several threads rarely meet.
const SHARDS: usize = 64;

/// Told when something of its concern is revoked. Must not block: it is called where revocations arrive.
pub trait OnRevoked: Send + Sync {
    /// Something was revoked; may be called more than once.
    fn revoked(&self);
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Token(TokenId),
    Session(SessionId),
    Account(UserId),
    Key(KeyId),
}

struct Watcher {
    id: u64,
    /// The generation that it knows of; of no matter but for accounts.
    generation: i64,
    listener: Arc<dyn OnRevoked>,
}

type Shard = Mutex<HashMap<Subject, Vec<Watcher>>>;

/// All who watch.
pub(super) struct Watchers {
    shards: [Shard; SHARDS],
    hasher: RandomState,
    next: AtomicU64,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::default()), hasher: RandomState::new(), next: AtomicU64::new(0) }
    }
}

impl Watchers {
    /// Has `listener` told of everything in `concern` until the answer is dropped.
    pub(super) fn add(self: &Arc<Self>, concern: &Concern, listener: &Arc<dyn OnRevoked>) -> Watch {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (account, generation) = concern.account.unzip();
        let subjects: Vec<Subject> = [
            concern.token.map(Subject::Token),
            concern.session.map(Subject::Session),
            account.map(Subject::Account),
            concern.key.clone().map(Subject::Key),
        ]
        .into_iter()
        .flatten()
        .collect();
        for subject in &subjects {
            let watcher = Watcher { id, generation: generation.unwrap_or(i64::MAX), listener: Arc::clone(listener) };
            self.with(subject, |shard| {
                shard.entry(subject.clone()).or_insert_with(|| Vec::with_capacity(1)).push(watcher);
            });
        }
        Watch { watchers: Arc::clone(self), id, subjects }
    }

    /// Tells those whom it concerns.
    pub(super) fn tell(&self, what: &Revoked) {
        let (subject, below) = match what {
            Revoked::Token { id } => (Subject::Token(*id), None),
            Revoked::Session { id } => (Subject::Session(*id), None),
            Revoked::Generation { subject, below } => (Subject::Account(*subject), Some(*below)),
            Revoked::ApiKey { id } => (Subject::Key(id.clone()), None),
        };
        self.with(&subject, |shard| {
            for watcher in shard.get(&subject).into_iter().flatten() {
                if below.is_none_or(|below| watcher.generation < below) {
                    watcher.listener.revoked();
                }
            }
        });
    }

    fn with<R>(&self, subject: &Subject, work: impl FnOnce(&mut HashMap<Subject, Vec<Watcher>>) -> R) -> Option<R> {
        let place = usize::try_from(self.hasher.hash_one(subject) % SHARDS as u64).unwrap_or(0);
        Some(work(&mut self.shards.get(place)?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").finish_non_exhaustive()
    }
}

/// A place among those who are told; given back when dropped.
#[must_use = "nobody is told once it is dropped"]
pub struct Watch {
    watchers: Arc<Watchers>,
    id: u64,
    subjects: Vec<Subject>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for subject in &self.subjects {
            self.watchers.with(subject, |shard| {
                if let Some(all) = shard.get_mut(subject) {
                    all.retain(|watcher| watcher.id != self.id);
                    if all.is_empty() {
                        shard.remove(subject);
                    }
                }
            });
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("subjects", &self.subjects).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::List;
    use super::*;
    use crate::domain::{Entry, SystemEntropy, Timestamp};

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl OnRevoked for Told {
        fn revoked(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn entry(what: Revoked) -> Entry {
        Entry { seq: 1, what, until: Timestamp::from_secs(1_800_000_000) }
    }

    fn concern() -> Concern {
        let at = Timestamp::from_secs(1_700_000_000);
        Concern {
            token: Some(TokenId::generate(at, &SystemEntropy)),
            session: Some(SessionId::generate(at, &SystemEntropy)),
            account: Some((UserId::generate(at, &SystemEntropy), 3)),
            key: Some(KeyId::generate(&SystemEntropy)),
        }
    }

    /// Everything that ends what has this concern.
    fn ends(concern: &Concern) -> Vec<Revoked> {
        [
            concern.token.map(|id| Revoked::Token { id }),
            concern.session.map(|id| Revoked::Session { id }),
            concern.account.map(|(subject, generation)| Revoked::Generation { subject, below: generation + 1 }),
            concern.key.clone().map(|id| Revoked::ApiKey { id }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[test]
    fn each_revocation_tells_those_whom_it_concerns_and_nobody_else() {
        for which in 0..4 {
            let (list, concerned, other) = (List::default(), Arc::new(Told::default()), Arc::new(Told::default()));
            let mine = concern();
            let _watching = list.watch(&mine, &(Arc::clone(&concerned) as Arc<dyn OnRevoked>));
            let _other = list.watch(&concern(), &(Arc::clone(&other) as Arc<dyn OnRevoked>));
            list.apply(&entry(ends(&mine)[which].clone()));
            assert_eq!((concerned.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)), (1, 0), "{which}");
        }
    }

    #[test]
    fn a_generation_tells_older_ones_only() {
        let (list, told, mine) = (List::default(), Arc::new(Told::default()), concern());
        let _watching = list.watch(&mine, &(Arc::clone(&told) as Arc<dyn OnRevoked>));
        let (subject, generation) = mine.account.unwrap();
        list.apply(&entry(Revoked::Generation { subject, below: generation }));
        assert_eq!(told.0.load(Ordering::Relaxed), 0);
        list.apply(&entry(Revoked::Generation { subject, below: generation + 1 }));
        assert_eq!(told.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_was_revoked_before_is_told_at_once() {
        let (list, told, mine) = (List::default(), Arc::new(Told::default()), concern());
        list.apply(&entry(ends(&mine)[1].clone()));
        let _watching = list.watch(&mine, &(Arc::clone(&told) as Arc<dyn OnRevoked>));
        assert_eq!(told.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_has_left_is_told_nothing_and_takes_no_room() {
        let (list, told, mine) = (List::default(), Arc::new(Told::default()), concern());
        drop(list.watch(&mine, &(Arc::clone(&told) as Arc<dyn OnRevoked>)));
        list.apply(&entry(ends(&mine)[0].clone()));
        assert_eq!((told.0.load(Ordering::Relaxed), list.watchers().len()), (0, 0));
    }
}
