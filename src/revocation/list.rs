//! What is revoked, in memory. Readers take no lock: each proxied call asks here.

use std::sync::Arc;

use papaya::{HashMap, Operation};
use uuid::Uuid;

use super::ids::Ids;
use super::watch::{OnRevoked, Watch, Watchers};
use crate::domain::{Concern, Entry, KeyId, Revoked, SessionId, Timestamp, TokenId, UserId};

/// Everything that is revoked and can still matter. Entries are only ever added, and forgotten when their time is over.
#[derive(Debug, Default)]
pub struct List {
    tokens: Ids,
    sessions: Ids,
    generations: HashMap<UserId, Raised>,
    keys: HashMap<KeyId, Timestamp>,
    watchers: Arc<Watchers>,
}

/// The lowest generation of an account that lives.
#[derive(Clone, Copy, Debug)]
struct Raised {
    below: i64,
    until: Timestamp,
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

    /// Adds a page of the log: as [`Self::apply`] does each, at a fraction of what that costs.
    pub(super) fn apply_all(&self, entries: &[Entry]) {
        let (mut tokens, mut sessions) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entry in entries {
            match &entry.what {
                Revoked::Token { id } => tokens.push((*id.as_bytes(), entry.until)),
                Revoked::Session { id } => sessions.push((*id.as_bytes(), entry.until)),
                Revoked::ApiKey { .. } | Revoked::Generation { .. } => _ = self.hold(entry),
            }
        }
        self.tokens.add(tokens);
        self.sessions.add(sessions);
        for entry in entries {
            self.watchers.tell(&entry.what);
        }
    }

    fn hold(&self, entry: &Entry) -> bool {
        let until = entry.until;
        match &entry.what {
            Revoked::Token { id } => self.tokens.add(vec![(*id.as_bytes(), until)]) > 0,
            Revoked::Session { id } => self.sessions.add(vec![(*id.as_bytes(), until)]) > 0,
            Revoked::ApiKey { id } => changed(&self.keys.pin().compute(id.clone(), |known| match known {
                Some((_, known)) if *known >= until => Operation::Abort(()),
                Some(_) | None => Operation::Insert(until),
            })),
            Revoked::Generation { subject, below } => changed(&self.generations.pin().compute(*subject, |known| match known {
                Some((_, known)) if known.below >= *below && known.until >= until => Operation::Abort(()),
                Some((_, known)) => Operation::Insert(Raised { below: known.below.max(*below), until: known.until.max(until) }),
                None => Operation::Insert(Raised { below: *below, until }),
            })),
        }
    }

    /// Whether anything that `concern` names is revoked.
    #[must_use]
    pub fn revoked(&self, concern: &Concern) -> bool {
        concern.session.is_some_and(|id| self.sessions.contains(id.as_bytes()))
            || concern.token.is_some_and(|id| self.tokens.contains(id.as_bytes()))
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
        self.tokens.sweep(now);
        self.sessions.sweep(now);
        self.generations.pin().retain(|_, raised| raised.until >= now);
        self.keys.pin().retain(|_, until| *until >= now);
    }

    /// The entries that have not ended by `now` and are `wanted`, to publish them again. Their places in the log are not
    /// remembered: they are 0.
    #[must_use]
    pub fn live(&self, now: Timestamp, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut add = |what: Revoked, until: Timestamp| {
            let entry = Entry { seq: 0, what, until };
            if until >= now && wanted(&entry) {
                entries.push(entry);
            }
        };
        self.tokens.each(|id, until| add(Revoked::Token { id: TokenId(Uuid::from_bytes(id)) }, until));
        self.sessions.each(|id, until| add(Revoked::Session { id: SessionId(Uuid::from_bytes(id)) }, until));
        for (id, raised) in &self.generations.pin() {
            add(Revoked::Generation { subject: *id, below: raised.below }, raised.until);
        }
        for (id, until) in &self.keys.pin() {
            add(Revoked::ApiKey { id: id.clone() }, *until);
        }
        entries
    }
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
        assert_eq!(list.live(Timestamp::from_secs(170), |_| true), [raise(0, subject, 6, 200)]);
        assert_eq!(list.live(Timestamp::from_secs(170), |_| false), []);
    }

    #[test]
    fn what_ended_is_forgotten_and_not_before() {
        let (list, subject) = (List::default(), user());
        list.apply(&raise(1, subject, 2, 100));
        list.sweep(Timestamp::from_secs(100));
        assert!(list.is_outdated(subject, 1));
        assert!(list.live(Timestamp::from_secs(101), |_| true).is_empty());
        list.sweep(Timestamp::from_secs(101));
        assert!(!list.is_outdated(subject, 1));
        assert!(list.is_empty());
    }
}
