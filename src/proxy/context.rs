//! What one request carries from phase to phase.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use pingora_proxy::Session;

use super::facts::Facts;
use super::forwarded::Origin;
use super::line::Line;
use super::live::{Live, Shared};
use super::trip::Trip;
use crate::config::Cors;
use crate::domain::CredentialKind;
use crate::policy::{Permit, Route, RouteCors};
use crate::problem::{Allowance, Refusal};
use crate::telemetry::{self, AccessRecord};

/// A request's context.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// The state that this request sees, to its end.
    pub(crate) live: Arc<Live>,
    /// The connection's side of it.
    pub(crate) line: Option<Arc<Line>>,
    pub(crate) started: Duration,
    pub(crate) request_id: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) facts: Option<Facts>,
    /// Without one nothing reaches a backend.
    pub(crate) permit: Option<Permit>,
    /// What is signed about the caller, and its header.
    pub(crate) assertion: Option<(HeaderName, HeaderValue)>,
    pub(crate) stale_cookie: bool,
    pub(crate) route: Option<Arc<str>>,
    /// What browsers are told on the answer, whoever makes it: `[cors]`, until a route is known.
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) credential: Option<CredentialKind>,
    /// Whose the credential is, for the access log: known before there is a permit, and where there will be none.
    pub(crate) principal: Option<String>,
    pub(crate) decision: &'static str,
    pub(crate) reason: Option<&'static str>,
    /// Scopes that the caller lacks.
    pub(crate) missing: Option<String>,
    /// What the route's limit leaves the caller.
    pub(crate) allowance: Option<Allowance>,
    /// Why an observing route would have refused.
    pub(crate) detail: Option<String>,
    /// A refusal found while the body streamed.
    pub(crate) late: Option<Refusal>,
    pub(crate) body_seen: u64,
    /// Its way to a server.
    pub(crate) trip: Trip,
    pub(crate) server: Option<String>,
    pub(crate) sent_at: Option<Duration>,
    pub(crate) upstream: Option<Duration>,
}

impl Ctx {
    pub(crate) fn new(shared: &Shared) -> Self {
        let live = shared.live.load_full();
        Self {
            cors: live.config.cors.clone(),
            live,
            line: Line::current(),
            started: shared.clock.monotonic(),
            request_id: String::new(),
            origin: None,
            facts: None,
            permit: None,
            assertion: None,
            stale_cookie: false,
            route: None,
            credential: None,
            principal: None,
            decision: "error",
            reason: None,
            missing: None,
            detail: None,
            allowance: None,
            late: None,
            body_seen: 0,
            trip: Trip::default(),
            server: None,
            sent_at: None,
            upstream: None,
        }
    }

    /// Takes note of the route, as soon as it is known.
    pub(crate) fn matched(&mut self, route: &Route) {
        let spec = route.spec();
        self.route = Some(Arc::clone(&spec.name));
        self.cors = match &spec.cors {
            RouteCors::Rules(cors) => Some(Arc::clone(cors)),
            RouteCors::None | RouteCors::Backend => None,
        };
    }

    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.origin.as_ref().map(|origin| origin.client)
    }

    /// One line of the access log, and the metrics.
    pub(crate) fn record(&self, session: &Session, shared: &Shared) {
        // 499, as nginx says it: the client left before there was an answer.
        let answered = session.response_written().filter(|response| !response.status.is_informational());
        let status = answered.map_or(499, |response| response.status.as_u16());
        let duration = shared.clock.monotonic().saturating_sub(self.started);
        let route = self.route.as_deref();
        let overhead = self.upstream.map(|upstream| duration.saturating_sub(upstream));
        shared.metrics.request(route.unwrap_or_default(), self.decision, status, duration, overhead);
        if !self.live.config.log.access {
            return;
        }
        telemetry::access(&AccessRecord {
            request_id: &self.request_id,
            client: self.client(),
            method: session.req_header().method.as_str(),
            path: self.facts.as_ref().map_or("-", |facts| facts.target.path.as_str()),
            route,
            status,
            decision: self.decision,
            reason: self.reason,
            missing_scopes: self.missing.as_deref(),
            detail: self.detail.as_deref(),
            principal: self.principal.as_deref(),
            credential: self.credential,
            backend: self.permit.as_ref().and_then(|permit| Some(permit.route().spec().backend.as_ref()?.name.as_str())),
            bytes_in: session.body_bytes_read() as u64,
            bytes_out: session.body_bytes_sent() as u64,
            duration,
            upstream: self.upstream,
        });
    }
}
