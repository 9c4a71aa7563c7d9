//! What becomes of a call whose server failed: whether it is tried again, what is counted, what the log says.

use std::sync::Arc;

use pingora_error::Error;
use pingora_error::ErrorType::{ConnectionClosed, H2Downgrade, H2Error, InvalidH2, ReadError, WriteError};
use pingora_error::{ErrorSource, ErrorType};

use super::Gateway;
use super::backend::{self, Lot, Pool};
use super::context::Ctx;
use super::failure::{self, Failure};
use super::trip::Next;
use crate::config::{Backend, Balance};
use crate::domain::entropy::random;
use crate::policy::Permit;
use crate::problem::Refusal;

/// Under which conditions a call failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// By its method (RFC 9110 §9.2.2).
    pub(super) idempotent: bool,
    /// The connection had served others before.
    pub(super) reused: bool,
    /// Nothing of an answer was sent, and all of the body that was read is still at hand.
    pub(super) repeatable: bool,
}

/// The backend of a permit.
pub(super) fn destination(ctx: &Ctx) -> Option<(Arc<Pool>, &Permit)> {
    let permit = ctx.permit.as_ref()?;
    let backend = permit.route().spec().backend.as_ref()?;
    Some((Arc::clone(ctx.live.backends.pool(backend)?), permit))
}

impl Gateway {
    /// What balancing draws for this call.
    pub(super) fn lot(&self, backend: &Backend, permit: &Permit, ctx: &Ctx) -> Lot {
        let address = || backend::key(ctx.client());
        match backend.balance {
            Balance::RoundRobin | Balance::LeastConnections => Lot::NONE,
            Balance::Random => Lot { chance: u64::from_be_bytes(random(&*self.shared.entropy)), ..Lot::NONE },
            Balance::HashIp => Lot { key: address(), ..Lot::NONE },
            Balance::HashUser => {
                let key = permit.principal().map_or_else(address, |caller| backend::key((&caller.issuer, &caller.subject)));
                Lot { key, ..Lot::NONE }
            }
        }
    }

    /// A server takes no connection: whether the call goes on elsewhere.
    pub(super) fn unreachable(&self, error: &Error, idempotent: bool, ctx: &mut Ctx) -> bool {
        let Some((pool, _)) = destination(ctx) else { return false };
        let next = ctx.trip.unreachable(&pool, idempotent, self.shared.clock.monotonic());
        let backend = &pool.backend.name;
        self.shared.metrics.backend(backend, "unreachable");
        pool.note(false);
        if next.goes_on() {
            let (id, cause) = (&ctx.request_id, failure::cause(error));
            let target = ctx.trip.target();
            let (server, address) = (target.map(|target| &target.server.address), target.map(|target| target.address));
            tracing::warn!(request_id = %id, backend, server, address = address.map(tracing::field::display), cause, "a server can't be reached, another is tried");
        }
        self.goes_on(&pool, next)
    }

    /// A server failed with the call in hand: whether it goes again, there or elsewhere.
    pub(super) fn broken(&self, error: &Error, call: Standing, ctx: &mut Ctx) -> bool {
        let Some((pool, _)) = destination(ctx).filter(|_| call.repeatable && *error.esource() == ErrorSource::Upstream) else {
            return false;
        };
        let now = self.shared.clock.monotonic();
        let next = if failure::is_untouched(error) {
            ctx.trip.untouched(&pool, now)
        } else if !call.idempotent {
            Next::End
        } else if matches!(error.etype(), H2Downgrade | InvalidH2) {
            // pingora speaks HTTP/1.1 to it from now on, where that may be.
            if error.retry() { ctx.trip.stale(&pool, now) } else { Next::End }
        } else if is_closed(error.etype()) {
            if call.reused { ctx.trip.stale(&pool, now) } else { ctx.trip.broken(&pool, call.idempotent, now) }
        } else {
            Next::End
        };
        self.goes_on(&pool, next)
    }

    fn goes_on(&self, pool: &Pool, next: Next) -> bool {
        match next {
            Next::Other => self.shared.metrics.backend_retry(&pool.backend.name, "retried"),
            Next::Exhausted => self.shared.metrics.backend_retry(&pool.backend.name, "exhausted"),
            Next::Same | Next::End => {}
        }
        next.goes_on()
    }

    /// Whether it was the backend's doing goes to log and metrics.
    pub(super) fn note(&self, failure: &Failure, error: &Error, ctx: &mut Ctx) {
        let outcome = match failure {
            Failure::Refused(Refusal::GatewayTimeout) => "silent",
            Failure::Refused(Refusal::BadGateway) => "broken",
            Failure::Refused(_) | Failure::Malformed | Failure::Cut => return,
            Failure::ClientLeft => {
                ctx.reason.get_or_insert("client_left");
                return;
            }
        };
        let Some((pool, _)) = destination(ctx) else { return };
        pool.note(false);
        self.shared.metrics.backend(&pool.backend.name, outcome);
        let (id, server, cause) = (&ctx.request_id, ctx.server.as_deref(), failure::cause(error));
        let error = error.etype().as_str();
        tracing::warn!(request_id = %id, backend = %pool.backend.name, server, outcome, error, cause, "a backend failed");
    }
}

/// The connection ended, in whichever way.
const fn is_closed(error: &ErrorType) -> bool {
    matches!(error, ReadError | WriteError | ConnectionClosed | H2Error)
}
