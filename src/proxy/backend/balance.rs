//! Which of several servers is asked next.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::target::Target;
use crate::config::Balance;

/// What a choice may depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lot {
    /// Random.
    pub(crate) chance: u64,
    /// Of the client address or the principal.
    pub(crate) key: u64,
}

impl Lot {
    /// For balancing that needs neither.
    pub(crate) const NONE: Self = Self { chance: 0, key: 0 };
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: AtomicUsize,
    /// How much each target is owed, where their weights differ.
    owed: Mutex<Vec<(Arc<Target>, i64)>>,
}

impl Turns {
    /// One of `candidates`; none where there are none.
    pub(crate) fn choose<'a>(&self, balance: Balance, candidates: &[&'a Arc<Target>], lot: Lot) -> Option<&'a Arc<Target>> {
        match candidates {
            [] => None,
            [only] => Some(only),
            _ => match balance {
                Balance::RoundRobin => self.in_turn(candidates),
                Balance::Random => by_chance(candidates, lot.chance),
                Balance::LeastConnections => self.least_busy(candidates),
                Balance::HashIp | Balance::HashUser => by_key(candidates, lot.key),
            },
        }
    }

    fn in_turn<'a>(&self, candidates: &[&'a Arc<Target>]) -> Option<&'a Arc<Target>> {
        let first = candidates.first()?.server.weight;
        if candidates.iter().all(|target| target.server.weight == first) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            return candidates.get(turn.checked_rem(candidates.len())?).copied();
        }
        self.smoothly(candidates)
    }

    /// Smooth weighted round robin, as nginx does it: each is owed its weight, who is owed most is asked and owes the rest.
    fn smoothly<'a>(&self, candidates: &[&'a Arc<Target>]) -> Option<&'a Arc<Target>> {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let total: i64 = candidates.iter().map(|target| i64::from(target.server.weight)).sum();
        let mut best: Option<(usize, i64)> = None;
        let mut chosen = None;
        for &candidate in candidates {
            let known = owed.iter().position(|(target, _)| Arc::ptr_eq(target, candidate));
            let index = known.unwrap_or_else(|| {
                owed.push((Arc::clone(candidate), 0));
                owed.len() - 1
            });
            let Some((_, due)) = owed.get_mut(index) else { continue };
            *due += i64::from(candidate.server.weight);
            if best.is_none_or(|(_, most)| *due > most) {
                (best, chosen) = (Some((index, *due)), Some(candidate));
            }
        }
        if let Some((_, due)) = best.and_then(|(index, _)| owed.get_mut(index)) {
            *due -= total;
        }
        chosen
    }

    /// Forgets targets that are gone.
    pub(crate) fn keep(&self, targets: &[Arc<Target>]) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.retain(|(target, _)| targets.iter().any(|other| Arc::ptr_eq(target, other)));
    }

    /// The fewest requests under way for its weight; equal ones take turns.
    fn least_busy<'a>(&self, candidates: &[&'a Arc<Target>]) -> Option<&'a Arc<Target>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(candidates.len())?;
        let (before, after) = candidates.split_at_checked(turn)?;
        // Compared as fractions: (a + 1) / weight of a against the same of b.
        let busy = |target: &Target| target.state.in_flight() as u128 + 1;
        after.iter().chain(before).copied().reduce(|best, other| {
            let less = busy(other) * u128::from(best.server.weight) < busy(best) * u128::from(other.server.weight);
            if less { other } else { best }
        })
    }
}

fn by_chance<'a>(candidates: &[&'a Arc<Target>], chance: u64) -> Option<&'a Arc<Target>> {
    let total: u64 = candidates.iter().map(|target| u64::from(target.server.weight)).sum();
    let mut left = chance.checked_rem(total)?;
    candidates
        .iter()
        .find(|target| {
            let weight = u64::from(target.server.weight);
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        })
        .copied()
}

/// Rendezvous hashing: each target draws a number for the key, and the best one, by weight, is asked. Where one is lost, its
/// keys draw anew among the others, and nobody else's do. Every replica draws the same.
fn by_key<'a>(candidates: &[&'a Arc<Target>], key: u64) -> Option<&'a Arc<Target>> {
    let score = |target: &Target| {
        let mut hasher = DefaultHasher::new();
        (key, target.address).hash(&mut hasher);
        // A number between 0 and 1, never either of them.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let draw = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -f64::from(target.server.weight) / draw.ln()
    };
    candidates.iter().copied().max_by(|one, other| score(one).total_cmp(&score(other)))
}

/// The key of whatever tells callers apart.
pub(crate) fn key(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::target::{Busy, State};
    use super::*;
    use crate::config::BackendServer;

    fn targets(weights: &[u32]) -> Vec<Arc<Target>> {
        let target = |(number, weight): (usize, &u32)| {
            let address = format!("10.0.0.{}:80", number + 1);
            let server = BackendServer { address: address.clone(), weight: *weight };
            Arc::new(Target { server, address: address.parse().unwrap(), state: Arc::new(State::new()) })
        };
        weights.iter().enumerate().map(target).collect()
    }

    fn number(target: &Target) -> usize {
        let std::net::IpAddr::V4(address) = target.address.ip() else { panic!("IPv4") };
        usize::from(address.octets()[3] - 1)
    }

    /// How often each was chosen, with `lot` made of the number of the choice.
    fn counts(balance: Balance, weights: &[u32], times: u64, lot: impl Fn(u64) -> Lot) -> Vec<usize> {
        let (all, turns) = (targets(weights), Turns::default());
        let candidates: Vec<_> = all.iter().collect();
        let mut counts = vec![0; weights.len()];
        for time in 0..times {
            counts[number(turns.choose(balance, &candidates, lot(time)).unwrap())] += 1;
        }
        counts
    }

    const NONE: Lot = Lot::NONE;

    #[test]
    fn turns_follow_the_weights_exactly_and_smoothly() {
        assert_eq!(counts(Balance::RoundRobin, &[1, 1, 1], 9, |_| NONE), [3, 3, 3]);
        assert_eq!(counts(Balance::RoundRobin, &[5, 1, 1], 700, |_| NONE), [500, 100, 100]);
        let (all, turns) = (targets(&[5, 1, 1]), Turns::default());
        let candidates: Vec<_> = all.iter().collect();
        let order: Vec<_> = (0..7).map(|_| number(turns.choose(Balance::RoundRobin, &candidates, NONE).unwrap())).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0], "not five in a row");
        let rest: Vec<_> = all.iter().skip(1).collect();
        let order: Vec<_> = (0..4).map(|_| number(turns.choose(Balance::RoundRobin, &rest, NONE).unwrap())).collect();
        assert_eq!(order, [1, 2, 1, 2], "without the first, the others share evenly");
    }

    #[test]
    fn chance_follows_the_weights() {
        let spread = |number: u64| Lot { chance: number.wrapping_mul(0x9E37_79B9_7F4A_7C15), key: 0 };
        let counts = counts(Balance::Random, &[3, 1], 10_000, spread);
        assert!((7300..7700).contains(&counts[0]), "{counts:?}");
        let always = |chance| self::counts(Balance::Random, &[3, 1], 10, move |_| Lot { chance, key: 0 });
        assert_eq!((always(0), always(3)), (vec![10, 0], vec![0, 10]), "by chance alone, and not in turn");
    }

    #[test]
    fn the_least_busy_for_its_weight_is_asked() {
        let (all, turns) = (targets(&[1, 2, 1]), Turns::default());
        let candidates: Vec<_> = all.iter().collect();
        let busy: Vec<_> =
            (0..40).map(|_| Busy::new(Arc::clone(turns.choose(Balance::LeastConnections, &candidates, NONE).unwrap()))).collect();
        let under_way: Vec<_> = all.iter().map(|target| target.state.in_flight()).collect();
        assert_eq!(under_way, [10, 20, 10]);
        drop(busy);
        assert!(all.iter().all(|target| target.state.in_flight() == 0));
        let long: Vec<_> = (0..6).map(|_| Busy::new(Arc::clone(&all[0]))).collect();
        let rest: Vec<_> = (0..6)
            .map(|_| Busy::new(Arc::clone(turns.choose(Balance::LeastConnections, &[&all[0], &all[2]], NONE).unwrap())))
            .collect();
        assert!(rest.iter().all(|busy| number(busy.target()) == 2), "what is under way elsewhere counts, whoever chose it");
        drop(long);
    }

    #[test]
    fn a_key_stays_where_it_is_and_a_lost_server_moves_only_its_share() {
        let weights = [1, 1, 2, 1];
        let (all, turns) = (targets(&weights), Turns::default());
        let everybody: Vec<_> = all.iter().collect();
        let without: Vec<_> = all.iter().filter(|target| number(target) != 1).collect();
        let choose = |candidates: &[&Arc<Target>], who: u64| {
            number(turns.choose(Balance::HashIp, candidates, Lot { chance: 0, key: key(who) }).unwrap())
        };
        let mut shares = BTreeMap::new();
        for who in 0..10_000 {
            let (before, after) = (choose(&everybody, who), choose(&without, who));
            assert_eq!(before, choose(&everybody, who));
            assert!(before == 1 || before == after, "{who} moved from {before} to {after}");
            *shares.entry(before).or_insert(0) += 1;
        }
        for (server, weight) in weights.iter().enumerate() {
            let expected = i64::from(*weight) * 2000;
            assert!((i64::from(shares[&server]) - expected).abs() < 200, "{shares:?}");
        }
    }
}
