//! What one request carries from phase to phase.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use pingora_error::{ErrorType, OrErr as _};
use pingora_proxy::Session;

use super::facts::Facts;
use super::forwarded::Origin;
use super::line::{Cut, Line};
use super::live::{Live, Shared};
use super::stream::{Credential, Leash};
use super::trip::Trip;
use crate::config::Cors;
use crate::domain::{CredentialKind, Timestamp};
use crate::policy::{Permit, Route, RouteCors};
use crate::problem::{Allowance, Refusal};
use crate::telemetry::{self, AccessRecord};

/// Whether a request's line is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Not yet.
    Due,
    /// It will be once client and backend, who speak another protocol behind pingora's back, have ended that.
    AtTheEnd,
    /// It is.
    Done,
}

/// A request's context.
#[derive(Debug)]
pub(crate) struct Ctx {
    shared: Arc<Shared>,
    pub(crate) recorded: Recorded,
    /// Of the answer that has begun.
    pub(crate) status: Option<StatusCode>,
    pub(crate) body_passed: u64,
    /// The state that this request sees, to its end.
    pub(crate) live: Arc<Live>,
    /// The connection's side of it.
    pub(crate) line: Option<Arc<Line>>,
    pub(crate) started: Duration,
    /// The same by the wall clock.
    pub(crate) begun_at: Timestamp,
    pub(crate) request_id: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) facts: Option<Arc<Facts>>,
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
    /// What the permit rests on.
    pub(crate) held: Option<Credential>,
    /// Whether it asks for a WebSocket, and may.
    pub(crate) upgrades: bool,
    /// What ends an answer that is open for long.
    pub(crate) leash: Leash,
    /// Scopes that the caller lacks.
    pub(crate) missing: Option<String>,
    /// What the route's limit leaves the caller.
    pub(crate) allowance: Option<Allowance>,
    /// What the API key's own limit leaves.
    pub(crate) key_allowance: Option<Allowance>,
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
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let live = shared.live.load_full();
        Self {
            shared: Arc::clone(shared),
            recorded: Recorded::Due,
            status: None,
            body_passed: 0,
            cors: live.config.cors.clone(),
            live,
            line: Line::current(),
            started: shared.clock.monotonic(),
            begun_at: shared.clock.now(),
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
            held: None,
            upgrades: false,
            leash: Leash::default(),
            missing: None,
            detail: None,
            allowance: None,
            key_allowance: None,
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

    /// Takes note of the path's routes, none of which takes the request: a page is told by the first that lets pages call.
    pub(crate) fn unmatched(&mut self, nearest: &[&Arc<Route>]) {
        let rules = nearest.iter().find_map(|route| match &route.spec().cors {
            RouteCors::Rules(cors) => Some(Arc::clone(cors)),
            RouteCors::None | RouteCors::Backend => None,
        });
        self.cors = rules.or_else(|| self.cors.take());
    }

    /// The request's id as a header's value.
    pub(crate) fn request_id_value(&self) -> pingora_error::Result<HeaderValue> {
        HeaderValue::from_str(&self.request_id).or_err(ErrorType::InvalidHTTPHeader, "an id is no header value")
    }

    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.origin.as_ref().map(|origin| origin.client)
    }

    /// One line of the access log, and the metrics.
    pub(crate) fn record(&mut self, session: &Session) {
        // 499, as nginx says it: the client left before there was an answer.
        let answered = session
            .response_written()
            .filter(|response| !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS);
        self.status = answered.map(|response| response.status);
        let method = self.line.as_ref().map_or(&session.req_header().method, |line| &line.request.method).clone();
        self.note(method.as_str(), session.body_bytes_read() as u64, session.body_bytes_sent() as u64);
    }

    fn note(&mut self, method: &str, bytes_in: u64, bytes_out: u64) {
        self.recorded = Recorded::Done;
        let cut = self.line.as_ref().and_then(|line| line.is_cut());
        match (cut, backend(self.permit.as_ref())) {
            (Some(Cut::Silent), Some(backend)) => {
                self.shared.metrics.backend(backend, "silent");
                self.decision = "error";
            }
            (Some(cut), _) => self.shared.metrics.stream_ended(cut.as_str()),
            (None, _) => {}
        }
        self.reason = cut.map(Cut::as_str).or(self.reason);
        let unanswered = if cut == Some(Cut::Silent) { 504 } else { 499 };
        let status = self.status.map_or(unanswered, |status| status.as_u16());
        let duration = self.shared.clock.monotonic().saturating_sub(self.started);
        let route = self.route.as_deref();
        // Of a WebSocket nobody can tell what the gateway's share was.
        let overhead = self.upstream.filter(|_| status != 101).map(|upstream| duration.saturating_sub(upstream));
        self.shared.metrics.request(route.unwrap_or_default(), self.decision, status, duration, overhead);
        if !self.live.config.log.access {
            return;
        }
        telemetry::access(&AccessRecord {
            request_id: &self.request_id,
            client: self.client(),
            method,
            path: self.facts.as_ref().map_or("-", |facts| facts.target.path.as_str()),
            route,
            status,
            decision: self.decision,
            reason: self.reason,
            missing_scopes: self.missing.as_deref(),
            detail: self.detail.as_deref(),
            principal: self.principal.as_deref(),
            credential: self.credential,
            backend: backend(self.permit.as_ref()),
            bytes_in,
            bytes_out,
            duration,
            upstream: self.upstream,
        });
    }
}

/// The name of the backend that a permit leads to.
fn backend(permit: Option<&Permit>) -> Option<&str> {
    Some(permit?.route().spec().backend.as_ref()?.name.as_str())
}

/// Whatever becomes of a request that was let in is in the log, also where it is dropped in the middle: cut while nobody
/// looked at its client, or with the process.
impl Drop for Ctx {
    fn drop(&mut self) {
        if let (Recorded::Due | Recorded::AtTheEnd, Some(_), Some(line)) = (self.recorded, &self.permit, self.line.clone()) {
            if self.recorded == Recorded::Due {
                self.reason.get_or_insert("cut");
            }
            let (up, down) = (line.up.load(Ordering::Relaxed), line.down.load(Ordering::Relaxed));
            self.note(line.request.method.as_str(), self.body_seen + up, self.body_passed + down);
        }
    }
}
