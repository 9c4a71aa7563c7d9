//! A request's way to a server: where it was, whether it may go on elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::backend::{Busy, Call, Lot, Pool, Target};

/// Other addresses of a server's name that are tried, whatever the method: nothing was sent yet.
const ADDRESSES: u32 = 3;
/// How often a call goes to the same server again, because a kept connection was closed or the server said that it did nothing.
const AGAIN: u32 = 3;

/// One request's.
#[derive(Debug, Default)]
pub(crate) struct Trip {
    at: Option<Busy>,
    tried: Vec<Arc<Target>>,
    begun: bool,
    /// The next attempt goes where the last one went.
    stays: bool,
    /// The next attempt goes to another address of this server.
    only: Option<String>,
    retries: u32,
    addresses: u32,
    again: u32,
}

/// What a failed attempt leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same server once more.
    Same,
    /// Another server.
    Other,
    /// There would be another server, but too many calls are tried again already.
    Exhausted,
    /// Its end.
    End,
}

impl Next {
    /// Whether there is another attempt.
    pub(crate) const fn goes_on(self) -> bool {
        matches!(self, Self::Same | Self::Other)
    }
}

impl Trip {
    /// Where the next attempt goes.
    pub(crate) async fn next(&mut self, pool: &Arc<Pool>, idempotent: bool, lot: Lot, now: Duration) -> Option<Arc<Target>> {
        if !self.begun {
            self.begun = true;
            pool.count();
        }
        if std::mem::take(&mut self.stays)
            && let Some(at) = &self.at
        {
            return Some(Arc::clone(at.target()));
        }
        pool.ready().await;
        let only = self.only.take();
        let target = pool.choose(&Call { idempotent, lot, now, tried: &self.tried, only: only.as_deref() })?;
        self.at = Some(Busy::new(Arc::clone(&target)));
        Some(target)
    }

    /// Where it is.
    pub(crate) fn target(&self) -> Option<&Target> {
        self.at.as_deref()
    }

    /// The server at hand took no connection.
    pub(crate) fn unreachable(&mut self, pool: &Pool, idempotent: bool, now: Duration) -> Next {
        let Some(at) = &self.at else { return Next::End };
        at.state.refused(now);
        let server = at.server.address.clone();
        self.tried.push(Arc::clone(at.target()));
        if self.addresses < ADDRESSES && pool.has_other(&self.tried, Some(&server)) {
            self.addresses += 1;
            self.only = Some(server);
            return Next::Same;
        }
        self.elsewhere(pool, idempotent, now)
    }

    /// A connection that was kept was closed before an answer: most likely it had been before the call.
    pub(crate) fn stale(&mut self, pool: &Pool, now: Duration) -> Next {
        self.again += 1;
        let alone = self.at.as_ref().is_none_or(|at| !pool.has_other(std::slice::from_ref(at.target()), None));
        if self.again <= if alone { AGAIN * 2 } else { 1 } {
            self.stays = true;
            return Next::Same;
        }
        self.broken(pool, true, now)
    }

    /// The server said that it did nothing of it.
    pub(crate) fn untouched(&mut self, pool: &Pool, now: Duration) -> Next {
        self.again += 1;
        if self.again > AGAIN {
            return Next::End;
        }
        if !pool.spend(now) {
            return Next::Exhausted;
        }
        Next::Other
    }

    /// The server at hand broke before an answer.
    pub(crate) fn broken(&mut self, pool: &Pool, idempotent: bool, now: Duration) -> Next {
        if let Some(at) = &self.at {
            self.tried.push(Arc::clone(at.target()));
        }
        self.elsewhere(pool, idempotent, now)
    }

    fn elsewhere(&mut self, pool: &Pool, idempotent: bool, now: Duration) -> Next {
        if !idempotent || self.retries >= pool.backend.retries || !pool.has_other(&self.tried, None) {
            return Next::End;
        }
        if !pool.spend(now) {
            return Next::Exhausted;
        }
        self.retries += 1;
        Next::Other
    }
}
