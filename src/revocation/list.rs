//! What is revoked, in memory. Readers take no lock: each proxied call asks here.

use std::sync::Arc;

use papaya::{HashMap, Operation};

use super::watch::{OnRevoked, Watch, Watchers};
use crate::domain::{Concern, Entry, KeyId, Revoked, SessionId, Timestamp, TokenId, UserId};

/// Everything that is revoked and can still matter. Entries are only ever added, and forgotten when their time is over.
#[derive(Debug, Default)]
pub struct List {
    tokens: HashMap<TokenId, Held>,
    sessions: HashMap<SessionId, Held>,
    generations: HashMap<UserId, Raised>,
    keys: HashMap<KeyId, Held>,
    watchers: Arc<Watchers>,
}

/// What is remembered of an entry beside its id: enough to publish it again.
#[derive(Clone, Copy, Debug)]
struct Held {
    seq: i64,
    until: Timestamp,
}

/// The lowest generation of an account that lives.
#[derive(Clone, Copy, Debug)]
struct Raised {
    below: i64,
    held: Held,
}

impl List {
    /// Adds an entry; says whether that changed anything. A lower generation never replaces a higher one, and an earlier
    /// end never a later one, so entries may come twice and in any order.
    pub fn apply(&self, entry: &Entry) -> bool {
        let changed = self.hold(entry);
        if changed {
            self.watchers.tell(&entry.what);
        }
        changed
    }

    /// Has `listener` told once anything that `concern` names is revoked, and at once if it is by now.
    pub fn watch(&self, concern: &Concern, listener: &Arc<dyn OnRevoked>) -> Watch {
        let watch = self.watchers.add(concern, listener);
        // Asked behind that, so that what comes between is not missed.
        if self.revoked(concern) {
            listener.revoked();
        }
        watch
    }

    #[cfg(test)]
    pub(super) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    fn hold(&self, entry: &Entry) -> bool {
        let held = Held { seq: entry.seq, until: entry.until };
        match &entry.what {
            Revoked::Token { id } => hold(&self.tokens, *id, held),
            Revoked::Session { id } => hold(&self.sessions, *id, held),
            Revoked::ApiKey { id } => hold(&self.keys, id.clone(), held),
            Revoked::Generation { subject, below } => {
                let raised = Raised { below: *below, held };
                changed(&self.generations.pin().compute(*subject, |known| match known {
                    Some((_, known)) if known.below >= *below && known.held.until >= held.until => Operation::Abort(()),
                    Some((_, known)) if known.below >= *below => {
                        Operation::Insert(Raised { below: known.below, held: Held { seq: known.held.seq, until: held.until } })
                    }
                    Some((_, known)) => Operation::Insert(Raised {
                        below: *below,
                        held: Held { seq: held.seq, until: held.until.max(known.held.until) },
                    }),
                    None => Operation::Insert(raised),
                }))
            }
        }
    }

    /// Whether anything that `concern` names is revoked.
    #[must_use]
    pub fn revoked(&self, concern: &Concern) -> bool {
        concern.session.is_some_and(|id| self.sessions.pin().contains_key(&id))
            || concern.token.is_some_and(|id| self.tokens.pin().contains_key(&id))
            || concern.account.is_some_and(|(id, generation)| self.is_outdated(id, generation))
            || concern.key.as_ref().is_some_and(|id| self.keys.pin().contains_key(id))
    }

    /// Whether `generation` of an account lies below the lowest that lives.
    #[must_use]
    pub fn is_outdated(&self, account: UserId, generation: i64) -> bool {
        self.generations.pin().get(&account).is_some_and(|raised| generation < raised.below)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len() + self.sessions.len() + self.generations.len() + self.keys.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what ended before `now`.
    pub fn sweep(&self, now: Timestamp) {
        self.tokens.pin().retain(|_, held| held.until >= now);
        self.sessions.pin().retain(|_, held| held.until >= now);
        self.generations.pin().retain(|_, raised| raised.held.until >= now);
        self.keys.pin().retain(|_, held| held.until >= now);
    }

    /// All entries that have not ended by `now`, to publish them again.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.len());
        let mut add = |held: Held, what: Revoked| {
            if held.until >= now {
                entries.push(Entry { seq: held.seq, what, until: held.until });
            }
        };
        for (id, held) in &self.tokens.pin() {
            add(*held, Revoked::Token { id: *id });
        }
        for (id, held) in &self.sessions.pin() {
            add(*held, Revoked::Session { id: *id });
        }
        for (id, raised) in &self.generations.pin() {
            add(raised.held, Revoked::Generation { subject: *id, below: raised.below });
        }
        for (id, held) in &self.keys.pin() {
            add(*held, Revoked::ApiKey { id: id.clone() });
        }
        entries
    }
}

fn hold<K: std::hash::Hash + Eq>(map: &HashMap<K, Held>, key: K, held: Held) -> bool {
    changed(&map.pin().compute(key, |known| match known {
        Some((_, known)) if known.until >= held.until => Operation::Abort(()),
        Some((_, known)) => Operation::Insert(Held { seq: known.seq, until: held.until }),
        None => Operation::Insert(held),
    }))
}

const fn changed<K, V>(done: &papaya::Compute<'_, K, V, ()>) -> bool {
    !matches!(done, papaya::Compute::Aborted(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemEntropy;

    fn user() -> UserId {
        UserId::generate(Timestamp::from_secs(1_700_000_000), &SystemEntropy)
    }

    fn raise(seq: i64, subject: UserId, below: i64, until: i64) -> Entry {
        Entry { seq, what: Revoked::Generation { subject, below }, until: Timestamp::from_secs(until) }
    }

    fn nothing() -> Concern {
        Concern { token: None, session: None, account: None, key: None }
    }

    #[test]
    fn each_kind_is_refused_by_its_own_id_only() {
        let list = List::default();
        let at = Timestamp::from_secs(1_700_000_000);
        let (token, session) = (TokenId::generate(at, &SystemEntropy), SessionId::generate(at, &SystemEntropy));
        let key = KeyId::generate(&SystemEntropy);
        let until = at.plus(std::time::Duration::from_mins(20));
        for (seq, what) in [Revoked::Token { id: token }, Revoked::Session { id: session }, Revoked::ApiKey { id: key.clone() }]
            .into_iter()
            .enumerate()
        {
            let seq = i64::try_from(seq).expect("small");
            assert!(list.apply(&Entry { seq, what: what.clone(), until }));
            assert!(!list.apply(&Entry { seq, what, until }), "the same again changes nothing");
        }
        assert!(list.revoked(&Concern { token: Some(token), ..nothing() }));
        assert!(list.revoked(&Concern { session: Some(session), ..nothing() }));
        assert!(list.revoked(&Concern { key: Some(key), ..nothing() }));
        assert!(!list.revoked(&Concern { token: Some(TokenId(session.0)), ..nothing() }));
        assert!(!list.revoked(&Concern { session: Some(SessionId(token.0)), ..nothing() }));
        assert!(!list.revoked(&nothing()));
        assert_eq!(list.len(), 3);
    }

    #[test]
    fn a_lower_generation_never_replaces_a_higher_one() {
        let (list, subject) = (List::default(), user());
        assert!(list.apply(&raise(2, subject, 5, 100)));
        assert!(list.apply(&raise(1, subject, 3, 200)), "the later end is kept");
        assert!(list.is_outdated(subject, 4));
        assert!(!list.is_outdated(subject, 5));
        assert!(!list.is_outdated(user(), 0));
        list.sweep(Timestamp::from_secs(150));
        assert!(list.is_outdated(subject, 4));
        assert!(list.apply(&raise(3, subject, 6, 160)));
        assert!(list.is_outdated(subject, 5));
        assert_eq!(list.live(Timestamp::from_secs(170)), [raise(3, subject, 6, 200)]);
    }

    #[test]
    fn what_ended_is_forgotten_and_not_before() {
        let (list, subject) = (List::default(), user());
        list.apply(&raise(1, subject, 2, 100));
        list.sweep(Timestamp::from_secs(100));
        assert!(list.is_outdated(subject, 1));
        assert!(list.live(Timestamp::from_secs(101)).is_empty());
        list.sweep(Timestamp::from_secs(101));
        assert!(!list.is_outdated(subject, 1));
        assert!(list.is_empty());
    }
}
