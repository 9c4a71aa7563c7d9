//! One address of a server, and what is known of it: how busy, how well, how lately it refused.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{BackendServer, Health};

/// How long a server that refused a connection is avoided at first, and at most; each further refusal doubles it.
const AVOIDED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// For so long after that, only calls that could be tried elsewhere go to it.
const SUSPECT: Duration = Duration::from_secs(30);

/// One address of a server.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: BackendServer,
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
}

/// What outlives a reload, and the name's next resolution.
#[derive(Debug)]
pub(crate) struct State {
    in_flight: AtomicUsize,
    /// Connections refused since one was not.
    refusals: AtomicU32,
    /// Milliseconds of the monotonic clock.
    avoided_until: AtomicU64,
    healthy: AtomicBool,
    checks: Mutex<Checks>,
}

#[derive(Debug, Default)]
struct Checks {
    due: Option<Instant>,
    /// One is under way: a server that does not answer is not asked over and over.
    asking: bool,
    /// Outcomes in a row that speak against what is believed.
    streak: u32,
}

/// How good a choice a target is; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// As far as is known.
    Good,
    /// It refused a while ago, and has not answered since.
    Suspect,
    /// It has just refused, or its health checks fail.
    Bad,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            refusals: AtomicU32::new(0),
            avoided_until: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
            checks: Mutex::default(),
        }
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether its health checks say so; true before there was one.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// How good a choice it is at `now`.
    pub(crate) fn standing(&self, now: Duration, checked: bool) -> Standing {
        if checked && !self.is_healthy() {
            return Standing::Bad;
        }
        if self.refusals.load(Ordering::Relaxed) == 0 {
            return Standing::Good;
        }
        let (now, until) = (millis(now), self.avoided_until.load(Ordering::Relaxed));
        if now < until {
            Standing::Bad
        } else if now < until.saturating_add(millis(SUSPECT)) {
            Standing::Suspect
        } else {
            Standing::Good
        }
    }

    /// It refused a connection.
    pub(crate) fn refused(&self, now: Duration) {
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        self.avoid(now, before);
    }

    /// A request goes to see whether it answers again: others wait for what comes of it.
    pub(crate) fn probed(&self, now: Duration) {
        let refusals = self.refusals.load(Ordering::Relaxed);
        if refusals > 0 {
            self.avoid(now, refusals - 1);
        }
    }

    fn avoid(&self, now: Duration, before: u32) {
        let span = AVOIDED.0.saturating_mul(1 << before.min(8)).min(AVOIDED.1);
        self.avoided_until.store(millis(now.saturating_add(span)), Ordering::Relaxed);
    }

    /// It took a connection.
    pub(crate) fn answered(&self) {
        if self.refusals.load(Ordering::Relaxed) != 0 {
            self.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Takes the next health check, if it is due at `now`; and when the one after that is.
    pub(crate) fn take_check(&self, now: Instant, interval: Duration) -> (bool, Instant) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let due = checks.due.is_none_or(|due| due <= now);
        let next = if due { now + interval } else { checks.due.unwrap_or(now).min(now + interval) };
        checks.due = Some(next);
        let begins = due && !checks.asking;
        checks.asking |= due;
        (begins, next)
    }

    /// Notes what came of a health check; true where what is believed has changed by it.
    pub(crate) fn checked(&self, good: bool, health: &Health) -> bool {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.asking = false;
        if good == self.is_healthy() {
            checks.streak = 0;
            return false;
        }
        checks.streak += 1;
        let enough = if good { health.healthy_after } else { health.unhealthy_after };
        if checks.streak < enough {
            return false;
        }
        checks.streak = 0;
        self.healthy.store(good, Ordering::Relaxed);
        true
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A target with a request under way to it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Target>);

impl Busy {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        target.state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(target)
    }

    pub(crate) const fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Busy {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_server_that_refuses_is_avoided_for_longer_and_longer_within_bounds() {
        let state = State::new();
        assert_eq!(state.standing(at(100), false), Standing::Good);
        state.refused(at(100));
        assert_eq!(state.standing(at(100), false), Standing::Bad);
        assert_eq!(state.standing(at(101), false), Standing::Suspect);
        state.probed(at(101));
        assert_eq!(state.standing(at(101), false), Standing::Bad, "one goes to see");
        for _ in 0..1000 {
            state.refused(at(200));
        }
        assert_eq!(state.standing(at(229), false), Standing::Bad);
        assert_eq!(state.standing(at(230), false), Standing::Suspect);
        assert_eq!(state.standing(at(260), false), Standing::Good, "at some time everybody may");
        state.refused(at(300));
        state.answered();
        assert_eq!(state.standing(at(300), false), Standing::Good);
    }

    #[test]
    fn health_changes_after_so_many_in_a_row() {
        let health = Health { path: "/".into(), interval: at(1), unhealthy_after: 3, healthy_after: 2 };
        let state = State::new();
        let changes = |outcomes: &[bool]| outcomes.iter().map(|good| state.checked(*good, &health)).collect::<Vec<_>>();
        assert_eq!(changes(&[false, false, true, false, false]), [false; 5]);
        assert_eq!(changes(&[false]), [true]);
        assert_eq!((state.standing(at(0), true), state.standing(at(0), false)), (Standing::Bad, Standing::Good));
        assert_eq!(changes(&[true, false, true]), [false; 3]);
        assert_eq!(changes(&[true]), [true]);
        assert!(state.is_healthy());
    }
}
