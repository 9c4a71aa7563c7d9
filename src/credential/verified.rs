//! Tokens whose signature was checked lately, and what each proved: who calls again is not verified again.
//!
//! Only what verified is kept, under the whole token, for as long as it is good. What can end sooner is asked on each call all
//! the same: revocation and generations by who calls, the issuer's keys and the clock here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use papaya::HashMap;

use super::Accepted;
use super::external::StillSigned;
use super::judging::Lifespan;
use crate::domain::Timestamp;

/// How much a half may hold, in bytes, about.
const HALF: usize = 32 * 1024 * 1024;
/// What an entry holds beside its token: claims as a tree, names, headers.
const OVERHEAD: usize = 1024;
/// How much longer than their token claims are as a tree.
const GROWTH: usize = 4;

/// What a token proved.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) accepted: Accepted,
    /// When it is good.
    pub(super) lifespan: Lifespan,
    /// Whether its issuer still has the key, where that can change while a gateway runs.
    pub(super) signed: Option<StillSigned>,
}

impl Verified {
    fn holds(&self, now: Timestamp) -> bool {
        self.lifespan.holds(now) && self.signed.as_ref().is_none_or(StillSigned::holds)
    }
}

/// Verified tokens, those that were used last: bounded, and read without a lock.
///
/// There are two halves. New ones go into the young half, and so does what is found in the old one; when the young half is full,
/// it is the old one from then on, and what was in that is forgotten.
pub(super) struct VerifiedTokens {
    halves: ArcSwap<Halves>,
    half: usize,
}

struct Halves {
    young: Arc<Half>,
    old: Arc<Half>,
}

#[derive(Default)]
struct Half {
    known: HashMap<Box<str>, Verified, RandomState>,
    /// Bytes, about.
    weight: AtomicUsize,
}

impl VerifiedTokens {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::of(HALF)
    }

    fn of(half: usize) -> Self {
        let empty = || Arc::new(Half::default());
        Self { halves: ArcSwap::from_pointee(Halves { young: empty(), old: empty() }), half }
    }

    /// What `token` proved, where that is known and holds at `now`.
    pub(super) fn find(&self, token: &str, now: Timestamp) -> Option<Accepted> {
        let halves = self.halves.load();
        if let Some(known) = halves.young.known.pin().get(token) {
            return known.holds(now).then(|| known.accepted.clone());
        }
        let known = halves.old.known.pin().get(token).filter(|known| known.holds(now))?.clone();
        let accepted = known.accepted.clone();
        drop(halves);
        self.keep(token, known);
        Some(accepted)
    }

    /// Keeps what `token` proved.
    pub(super) fn keep(&self, token: &str, verified: Verified) {
        let halves = self.halves.load_full();
        let weight = token.len() * GROWTH + OVERHEAD;
        // What stands there already, or is put there twice at once, weighs twice: that turns the halves early, no more.
        halves.young.known.pin().insert(token.into(), verified);
        if halves.young.weight.fetch_add(weight, Ordering::Relaxed) + weight > self.half {
            let next = Arc::new(Halves { young: Arc::new(Half::default()), old: Arc::clone(&halves.young) });
            // Of several that find it full, one turns.
            self.halves.compare_and_swap(&halves, next);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let empty = || Arc::new(Half::default());
        self.halves.store(Arc::new(Halves { young: empty(), old: empty() }));
    }
}

/// Counts them, and shows none.
impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halves = self.halves.load();
        f.debug_tuple("VerifiedTokens").field(&(halves.young.known.len() + halves.old.known.len())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Concern, CredentialKind, Principal};

    const NOW: Timestamp = Timestamp::from_secs(1_795_360_500);

    fn verified(subject: &str) -> Verified {
        let concern = Concern { token: None, session: None, account: None, key: None };
        let principal = Arc::new(Principal::own(subject, CredentialKind::Bearer));
        let lifespan = Lifespan::of(NOW.plus(Duration::from_mins(1)), Some(NOW), Duration::from_secs(30));
        Verified { accepted: Accepted { principal, concern, expires_at: None, rate_limit: None }, lifespan, signed: None }
    }

    fn subject(known: &VerifiedTokens, token: &str, now: Timestamp) -> Option<String> {
        known.find(token, now).map(|accepted| accepted.principal.subject.clone())
    }

    #[test]
    fn a_token_is_known_by_all_of_its_bytes() {
        let known = VerifiedTokens::new();
        known.keep("a.b.c", verified("ann"));
        assert_eq!(subject(&known, "a.b.c", NOW).as_deref(), Some("ann"));
        for other in ["a.b.C", "a.b.cc", "a.b.", "A.b.c", "a.b.c "] {
            assert_eq!(subject(&known, other, NOW), None, "{other}");
        }
    }

    #[test]
    fn it_is_known_for_as_long_as_it_is_good_by_whatever_the_clock_says() {
        let known = VerifiedTokens::new();
        known.keep("t", verified("ann"));
        let at = |secs: i64| Timestamp::from_secs(NOW.as_secs() + secs);
        for (secs, good) in [(-31, false), (-30, true), (0, true), (89, true), (90, false), (3600, false)] {
            assert_eq!(known.find("t", at(secs)).is_some(), good, "{secs}");
        }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes_when_it_is_full() {
        let room = 20;
        let known = VerifiedTokens::of(room * (OVERHEAD + 3 * GROWTH));
        known.keep("ann", verified("ann"));
        for n in 0..1000 {
            known.keep(&format!("{n:03}"), verified("other"));
            assert!(known.find("ann", NOW).is_some(), "{n}");
            let halves = known.halves.load();
            assert!(halves.young.known.len() + halves.old.known.len() <= 2 * room + 2, "{n}");
        }
        assert!(known.find("000", NOW).is_none());
        assert!(known.find("999", NOW).is_some());
        known.clear();
        assert!(known.find("ann", NOW).is_none());
    }
}
