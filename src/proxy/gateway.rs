//! pingora's phases. Each only says what happens in it; how is said in the modules beside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use http::header::{TRANSFER_ENCODING, UPGRADE};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::ErrorType::{
    ConnectError, ConnectionClosed, H2Downgrade, H2Error, InternalError, InvalidH2, InvalidHTTPHeader, ReadError, WriteError,
};
use pingora_error::{Error, ErrorSource, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::backend::Pool;
use super::context::Ctx;
use super::facts::{self, Facts};
use super::failure::{self, Failure};
use super::framing::Fault;
use super::live::Shared;
use super::refuse::{REQUEST_ID, invite_body, malformed, refuse};
use super::{bridge, decide, request_id, upstream};
use crate::config::Backend;
use crate::policy::Permit;
use crate::problem::Refusal;

/// How long a client may not take what it is sent.
const CLIENT_WRITES: Duration = Duration::from_mins(1);

/// The proxy: no state but what is shared.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
}

impl Gateway {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Who and what: the origin is known even where the target is refused.
    fn read(&self, session: &Session, ctx: &mut Ctx) -> Result<Facts, Refusal> {
        let line = ctx.line.clone().ok_or(decide::unavailable("The connection is gone."))?;
        let facts = Facts::read(&line, &ctx.live.config);
        let headers = &session.req_header().headers;
        let origin = facts::origin(&line, headers, facts.as_ref().ok().map(|facts| &facts.target), &ctx.live.config);
        let sent = headers.get(REQUEST_ID).map(http::HeaderValue::as_bytes);
        ctx.request_id = request_id::kept(sent, origin.trusted)
            .unwrap_or_else(|| request_id::fresh(&*self.shared.clock, &*self.shared.entropy));
        ctx.origin = Some(origin);
        match line.fault() {
            Some(Fault::TooLarge) => return Err(Refusal::HeadersTooLarge),
            Some(_) => return Err(Refusal::InvalidRequest("It is no request.")),
            None => {}
        }
        decide::expectation(headers, session.req_header().version)?;
        facts
    }

    /// Own endpoints are answered here; of all others, true means that there is a permit now.
    async fn judge(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool, Refusal> {
        let facts = self.read(session, ctx)?;
        if ctx.live.is_own(&facts) {
            let response = bridge::ask(session, &facts, ctx, &self.shared).await;
            ctx.facts = Some(facts);
            let written = bridge::answer(session, ctx, response?).await;
            return written.map(|()| false).or(Ok(false));
        }
        let permit = decide::decide(&session.req_header().headers, &facts, ctx, &self.shared).await;
        ctx.facts = Some(facts);
        let permit = permit?;
        ctx.assertion = ctx.live.assertion(&permit)?;
        ctx.permit = Some(permit);
        ctx.decision = "allow";
        Ok(true)
    }
}

/// The backend of a permit, and its servers.
fn destination(ctx: &Ctx) -> Option<(Arc<Backend>, &Pool, &Permit)> {
    let permit = ctx.permit.as_ref()?;
    let backend = permit.route().spec().backend.as_ref()?;
    Some((Arc::clone(backend), ctx.live.backends.pool(backend)?, permit))
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(&self.shared)
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        session.set_write_timeout(Some(CLIENT_WRITES));
        session.set_ignore_info_resp(true);
        if self.shared.is_leaving() {
            session.set_keepalive(None);
        }
        match self.judge(session, ctx).await {
            Ok(false) => return Ok(true),
            Ok(true) => {}
            Err(_) if ctx.line.as_ref().and_then(|line| line.fault()).is_some_and(|fault| fault != Fault::TooLarge) => {
                return malformed(session, ctx).await.map(|()| true);
            }
            Err(refusal) => {
                // Who sends such a target may mean two requests where we see one; who was too slow gets no more time.
                let close = matches!(refusal, Refusal::AmbiguousTarget(_) | Refusal::RequestTimeout);
                return refuse(session, ctx, &refusal, close).await.map(|()| true);
            }
        }
        // Whatever it asked for besides WebSocket, it is a plain request from here on.
        session.req_header_mut().remove_header(&UPGRADE);
        invite_body(session).await?;
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let Some((backend, pool, permit)) = destination(ctx) else {
            return Error::e_explain(InternalError, "nothing reaches a backend without a permit");
        };
        let until_headers = permit.route().spec().timeout.unwrap_or(backend.timeout);
        let turn = ctx.turn.unwrap_or_else(|| pool.turn());
        let found = pool.address(turn, backend.connect_timeout).await;
        let (server, address) = found.ok_or_else(|| Error::explain(ConnectError, "its name does not resolve").into_up())?;
        let peer = pool.peer(&backend, server, address, until_headers);
        let server = server.address.clone();
        (ctx.turn, ctx.server, ctx.body_seen) = (Some(turn), Some(server), 0);
        ctx.sent_at = Some(self.shared.clock.monotonic());
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if let (Some(line), Some((backend, _, permit))) = (&ctx.line, destination(ctx)) {
            line.patience.set(permit.route().spec().timeout.unwrap_or(backend.timeout));
        }
        Ok(())
    }

    async fn upstream_request_filter(&self, session: &mut Session, request: &mut RequestHeader, ctx: &mut Ctx) -> Result<()> {
        upstream::nominated(&session.req_header().headers, request);
        upstream::request(ctx, request)?;
        upstream::trailers(session.req_header(), request)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.body_seen += body.as_ref().map_or(0, Bytes::len) as u64;
        let limit = ctx.permit.as_ref().and_then(|permit| permit.route().spec().max_body);
        match limit {
            Some(limit) if ctx.body_seen > limit => {
                ctx.late = Some(Refusal::BodyTooLarge(limit));
                Err(Error::explain(InternalError, "the body is over the route's limit").into_down())
            }
            _ => Ok(()),
        }
    }

    async fn upstream_response_filter(&self, _session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::explain(InvalidHTTPHeader, "the backend upgraded what nobody asked it to").into_up());
        }
        if response.status.is_informational() {
            return Ok(());
        }
        ctx.upstream = ctx.sent_at.map(|sent| self.shared.clock.monotonic().saturating_sub(sent));
        if let (Some(line), Some((backend, pool, _))) = (&ctx.line, destination(ctx)) {
            line.patience.set(backend.read_timeout);
            pool.note(true);
            self.shared.metrics.backend(&backend.name, "answered");
        }
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        if session.is_process_shutting_down() || self.shared.is_leaving() {
            session.set_keepalive(None);
        }
        // The version is each connection's own (RFC 9112 §2.3): a backend's HTTP/1.0 is not ours.
        response.set_version(Version::HTTP_11);
        if session.req_header().version == Version::HTTP_10 && response.remove_header(&TRANSFER_ENCODING).is_some() {
            // It knows no chunks: the end of the connection ends the body (RFC 9112 §6.3).
            session.set_keepalive(None);
        }
        upstream::response(ctx, response)
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        if let Some(line) = &ctx.line {
            line.patience.touch();
        }
        Ok(None)
    }

    fn fail_to_connect(&self, session: &mut Session, _peer: &HttpPeer, ctx: &mut Ctx, mut error: Box<Error>) -> Box<Error> {
        error.set_retry(self.try_elsewhere(session.req_header().method.is_idempotent(), ctx));
        error
    }

    /// A connection that was kept may have been closed meanwhile: what may be repeated, and is still at hand, goes again.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        _ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        let unanswered = session.response_written().is_none_or(|response| response.status.is_informational());
        let at_hand = !session.as_ref().retry_buffer_truncated();
        let repeatable = session.req_header().method.is_idempotent();
        let closed = matches!(error.etype(), ReadError | WriteError | ConnectionClosed | H2Error)
            && *error.esource() == ErrorSource::Upstream;
        // The server has said that it did not look at it (RFC 9113 §8.7), or that it takes HTTP/1.1 only: pingora sees to that.
        let untouched =
            failure::is_untouched(&error) || (matches!(error.etype(), H2Downgrade | InvalidH2) && error.retry() && repeatable);
        error.set_retry(unanswered && at_hand && (untouched || (reused && repeatable && closed)));
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> FailToProxy {
        let failure = Failure::of(error, ctx);
        self.note(&failure, error, ctx);
        let written = match &failure {
            Failure::ClientLeft => Ok(()),
            Failure::Malformed => malformed(session, ctx).await,
            Failure::Refused(refusal) => refuse(session, ctx, refusal, true).await,
        };
        if written.is_ok() {
            session.shutdown().await;
        }
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        ctx.record(session, &self.shared);
    }

    /// pingora's own lines show the client's query; ours do not.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error, _context: ProxyWarnLogContext) -> bool {
        true
    }
}

impl Gateway {
    /// A server can't be reached: another of its addresses is asked, and for calls that may be repeated another server.
    fn try_elsewhere(&self, idempotent: bool, ctx: &mut Ctx) -> bool {
        let (addresses, attempts) = (ctx.addresses + 1, ctx.attempts + 1);
        let Some((backend, pool, _)) = destination(ctx) else { return false };
        let turn = ctx.turn.unwrap_or(0);
        if addresses < pool.shun(turn) {
            ctx.addresses = addresses;
            return true;
        }
        self.shared.metrics.backend(&backend.name, "unreachable");
        pool.note(false);
        let again = idempotent && attempts <= usize::try_from(backend.retries).unwrap_or(0) && attempts < pool.len();
        (ctx.turn, ctx.addresses, ctx.attempts) = (Some(turn.wrapping_add(1)), 0, attempts);
        again
    }

    /// Whether it was the backend's doing goes to log and metrics.
    fn note(&self, failure: &Failure, error: &Error, ctx: &mut Ctx) {
        let outcome = match failure {
            Failure::Refused(Refusal::GatewayTimeout) => "silent",
            Failure::Refused(Refusal::BadGateway) => "broken",
            Failure::Refused(_) | Failure::Malformed => return,
            Failure::ClientLeft => {
                ctx.reason.get_or_insert("client_left");
                return;
            }
        };
        let Some((backend, pool, _)) = destination(ctx) else { return };
        pool.note(false);
        self.shared.metrics.backend(&backend.name, outcome);
        let (id, server, cause) = (&ctx.request_id, ctx.server.as_deref(), failure::cause(error));
        let error = error.etype().as_str();
        tracing::warn!(request_id = %id, backend = %backend.name, server, outcome, error, cause, "a backend failed");
    }
}
