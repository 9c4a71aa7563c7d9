//! Ids of tokens or sessions that are revoked, a million of them and more: 24 bytes each, found without a lock.
//!
//! They lie in many small arrays, in order of their random end. Who adds copies an array and swaps it; who looks one up knows
//! about where in its array it would be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::domain::Timestamp;

/// The number of arrays is two to the power of this: each has a few hundred of a million ids.
const BITS: u32 = 12;
/// How far from where it would be an id is looked for first.
const NEAR: usize = 24;

/// An id's bytes.
pub(super) type Id = [u8; 16];

/// An id, and until when it is held.
#[derive(Clone, Copy)]
struct Held {
    id: Id,
    until: Timestamp,
}

/// All of one kind.
pub(super) struct Ids {
    parts: Box<[ArcSwapOption<Vec<Held>>]>,
    length: AtomicUsize,
    /// Locked by who changes something, never by who asks.
    changing: Mutex<()>,
}

impl Default for Ids {
    fn default() -> Self {
        let parts = std::iter::repeat_with(ArcSwapOption::empty).take(1 << BITS).collect();
        Self { parts, length: AtomicUsize::new(0), changing: Mutex::default() }
    }
}

impl Ids {
    /// Whether it is there.
    pub(super) fn contains(&self, id: &Id) -> bool {
        self.part(key(id)).is_some_and(|part| part.load().as_ref().is_some_and(|held| find(held, key(id)).is_ok()))
    }

    /// Adds ids; gives how many were new or are held for longer now. An earlier end never replaces a later one.
    pub(super) fn add(&self, mut ids: Vec<(Id, Timestamp)>) -> usize {
        // Of one that comes twice the later end stands last, and counts.
        ids.sort_unstable_by_key(|(id, until)| (key(id), *until));
        let changing = self.change();
        let same_part = |one: &(Id, _), other: &(Id, _)| place(key(&one.0)) == place(key(&other.0));
        let changed = ids.chunk_by(same_part).map(|new| self.merge(new)).sum();
        drop(changing);
        changed
    }

    /// Adds ids of one part, in order.
    fn merge(&self, new: &[(Id, Timestamp)]) -> usize {
        let Some(part) = new.first().and_then(|(id, _)| self.part(key(id))) else { return 0 };
        let old = part.load();
        let old = old.as_ref().map_or(&[][..], |held| held.as_slice());
        let lasts = |(id, until): &&(Id, Timestamp)| {
            let known = find(old, key(id)).ok().and_then(|at| old.get(at));
            known.is_none_or(|known| known.until < *until)
        };
        let new: Vec<_> = new.iter().filter(lasts).collect();
        if new.is_empty() {
            return 0;
        }
        let mut made: Vec<Held> = Vec::with_capacity(old.len() + new.len());
        let mut rest = old.iter().copied().peekable();
        for (id, until) in &new {
            while let Some(held) = rest.next_if(|held| key(&held.id) < key(id)) {
                made.push(held);
            }
            rest.next_if(|held| held.id == *id);
            match made.last_mut().filter(|last| last.id == *id) {
                Some(last) => last.until = *until,
                None => made.push(Held { id: *id, until: *until }),
            }
        }
        made.extend(rest);
        self.length.fetch_add(made.len() - old.len(), Ordering::Relaxed);
        part.store(Some(Arc::new(made)));
        new.len()
    }

    /// Forgets what ended before `now`.
    pub(super) fn sweep(&self, now: Timestamp) {
        for part in &self.parts {
            let changing = self.change();
            let Some(held) = part.load_full() else { continue };
            let left: Vec<Held> = held.iter().filter(|held| held.until >= now).copied().collect();
            if left.len() < held.len() {
                self.length.fetch_sub(held.len() - left.len(), Ordering::Relaxed);
                part.store((!left.is_empty()).then(|| Arc::new(left)));
            }
            drop(changing);
        }
    }

    /// Shows `see` each id with its end.
    pub(super) fn each(&self, mut see: impl FnMut(Id, Timestamp)) {
        for part in &self.parts {
            part.load().iter().flat_map(|held| held.iter()).for_each(|held| see(held.id, held.until));
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    fn part(&self, key: u128) -> Option<&ArcSwapOption<Vec<Held>>> {
        self.parts.get(place(key))
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ids").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What they are ordered by: a UUID begins with the time, and ends in randomness (RFC 9562 §5.7).
const fn key(id: &Id) -> u128 {
    u128::from_le_bytes(*id)
}

fn place(key: u128) -> usize {
    usize::try_from(key >> (u128::BITS - BITS)).unwrap_or_default()
}

/// Where it is, or where it would be.
fn find(held: &[Held], wanted: u128) -> Result<usize, usize> {
    let by = |held: &Held| key(&held.id).cmp(&wanted);
    // Of 2^64 in this part, so many lie before it.
    let before = (wanted << BITS) >> 64;
    let about = usize::try_from((before * held.len() as u128) >> 64).unwrap_or_default();
    let (from, to) = (about.saturating_sub(NEAR), held.len().min(about + NEAR));
    let near = held.get(from..to).filter(|near| {
        near.first().is_some_and(|first| key(&first.id) <= wanted) && near.last().is_some_and(|last| wanted <= key(&last.id))
    });
    near.map_or_else(|| held.binary_search_by(by), |near| near.binary_search_by(by).map(|at| from + at).map_err(|at| from + at))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::{SessionId, SystemEntropy};

    fn id() -> Id {
        *SessionId::generate(Timestamp::from_secs(1_700_000_000), &SystemEntropy).as_bytes()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn all(ids: &Ids) -> HashMap<Id, Timestamp> {
        let mut all = HashMap::new();
        ids.each(|id, until| assert_eq!(all.insert(id, until), None, "twice"));
        all
    }

    /// As random ids are, and as none are: alike at their end, where they are ordered by, or but for it.
    fn shapes() -> [Vec<Id>; 3] {
        let alike = |at: usize| {
            (0..500_u16).map(move |number| {
                let mut id = [7; 16];
                id.get_mut(at..at + 2).expect("two bytes").copy_from_slice(&number.to_le_bytes());
                id
            })
        };
        [(0..20_000).map(|_| id()).collect(), alike(0).collect(), alike(14).collect()]
    }

    #[test]
    fn it_holds_what_a_map_holds_however_it_comes() {
        for ids in shapes() {
            for page in [1, 7, 1000] {
                let (held, mut known) = (Ids::default(), HashMap::new());
                let ends = (1..).map(|number| at(number * 7919 % 100));
                // Each comes twice, with another end.
                for some in ids.iter().chain(&ids).copied().zip(ends).collect::<Vec<_>>().chunks(page) {
                    held.add(some.to_vec());
                    for (id, until) in some {
                        let end = known.entry(*id).or_insert(*until);
                        *end = (*end).max(*until);
                    }
                }
                assert!(all(&held) == known, "{page}");
                assert_eq!(held.len(), known.len());
                assert!(ids.iter().all(|id| held.contains(id)));
                assert!(!(0..1000).any(|_| held.contains(&id())));
                held.sweep(at(50));
                known.retain(|_, until| *until >= at(50));
                assert!(all(&held) == known, "{page}");
                assert_eq!(held.len(), known.len());
            }
        }
    }

    #[test]
    fn it_says_what_changed() {
        let (held, one, other) = (Ids::default(), id(), id());
        assert_eq!(held.add(vec![(one, at(5)), (other, at(5))]), 2);
        assert_eq!(held.add(vec![(one, at(5)), (other, at(4))]), 0);
        assert_eq!(held.add(vec![(one, at(6)), (other, at(4))]), 1);
        assert_eq!(held.add(Vec::new()), 0);
    }

    #[test]
    fn an_id_takes_24_bytes() {
        assert_eq!(size_of::<Held>(), 24);
        let held = Ids::default();
        held.add((0..100_000).map(|_| (id(), at(1))).collect());
        let room: usize = held.parts.iter().filter_map(ArcSwapOption::load_full).map(|part| part.capacity()).sum();
        assert!(room < 101_000, "{room}");
    }
}
