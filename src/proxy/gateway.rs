//! pingora's phases. Each only says what happens in it; how is said in the modules beside.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::Version;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::ErrorType::{ConnectError, InternalError, InvalidHTTPHeader};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::attempts::{Standing, destination};
use super::backend::Pool;
use super::context::{Ctx, Recorded};
use super::cors;
use super::failure::Failure;
use super::framing::Fault;
use super::live::Shared;
use super::refuse::{invite_body, malformed, refuse};
use super::{stream, upstream, websocket};
use crate::policy::Permit;
use crate::problem::Refusal;

/// How long a client may not take what it is sent.
const CLIENT_WRITES: Duration = Duration::from_mins(1);

const SWITCHING_PROTOCOLS: StatusCode = StatusCode::SWITCHING_PROTOCOLS;

/// The proxy: no state but what is shared.
pub(crate) struct Gateway {
    pub(super) shared: Arc<Shared>,
    /// For upgrades; all else is connected by pingora.
    connector: TransportConnector,
}

impl Gateway {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let options = ConnectorOptions { ca_file: shared.live.load().backends.ca_file(), ..ConnectorOptions::new(128) };
        Self { shared, connector: TransportConnector::new(Some(options)) }
    }

    pub(super) const fn connector(&self) -> &TransportConnector {
        &self.connector
    }
}

/// How long a permit's backend may take until the response's header.
fn until_headers(pool: &Pool, permit: &Permit) -> Duration {
    permit.route().spec().timeout.unwrap_or(pool.backend.timeout)
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// In a box: pingora moves it from hand to hand.
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Box<Ctx> {
        Box::new(Ctx::new(&self.shared))
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<bool> {
        upstream::adopt(session.req_header_mut(), ctx.line.as_ref().and_then(|line| line.take_fields()));
        session.set_write_timeout(Some(CLIENT_WRITES));
        session.set_ignore_info_resp(true);
        if self.shared.is_leaving() {
            session.set_keepalive(None);
        }
        match self.judge(session, ctx).await {
            Ok(false) => return Ok(true),
            Ok(true) => {}
            Err(_) if ctx.line.as_ref().and_then(|line| line.fault()).is_some_and(|fault| fault != Fault::TooLarge) => {
                return Box::pin(malformed(session, ctx)).await.map(|()| true);
            }
            Err(refusal) => {
                // Who sends such a target may mean two requests where we see one; who was too slow gets no more time.
                let close = matches!(refusal, Refusal::AmbiguousTarget(_) | Refusal::RequestTimeout);
                return Box::pin(refuse(session, ctx, &refusal, close)).await.map(|()| true);
            }
        }
        if ctx.upgrades {
            return Box::pin(self.upgrade(session, ctx)).await.map(|()| true);
        }
        // Whatever it asked for, it is a plain request from here on.
        session.req_header_mut().remove_header(&UPGRADE);
        invite_body(session).await?;
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<Box<HttpPeer>> {
        let Some((pool, permit)) = destination(ctx) else {
            return Error::e_explain(InternalError, "nothing reaches a backend without a permit");
        };
        let (until_headers, lot) = (until_headers(&pool, permit), self.lot(&pool.backend, permit, ctx));
        let idempotent = session.req_header().method.is_idempotent();
        let now = self.shared.clock.monotonic();
        let found = ctx.trip.next(&pool, idempotent, lot, now).await;
        let target = found.ok_or_else(|| Error::explain(ConnectError, "its name does not resolve").into_up())?;
        (ctx.server, ctx.body_seen) = (Some(target.server.address.clone()), 0);
        ctx.sent_at = Some(self.shared.clock.monotonic());
        let mut peer = Box::new(pool.peer(&target, until_headers));
        // What an event stream may not have, nor a call whose client is still sending; `Patience` is what a silent backend loses.
        peer.options.read_timeout = None;
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        if let (false, Some(target)) = (reused, ctx.trip.target()) {
            target.state.answered();
        }
        if let (Some(line), Some((pool, permit))) = (&ctx.line, destination(ctx)) {
            line.patience.set(until_headers(&pool, permit));
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        upstream::nominated(&session.req_header().headers, request);
        upstream::request(ctx, request)?;
        upstream::trailers(session.req_header(), request)?;
        if ctx.upgrades { websocket::ask(request) } else { Ok(()) }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        stream::goes_on(ctx, end, &self.shared)?;
        stream::uploads(ctx, session.req_header(), end, &self.shared)?;
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

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        let switches = response.status == SWITCHING_PROTOCOLS;
        if switches && !(ctx.upgrades && websocket::is_agreed(response)) {
            return Err(Error::explain(InvalidHTTPHeader, "the backend upgraded what nobody asked it to").into_up());
        }
        if response.status.is_informational() && !switches {
            return Ok(());
        }
        upstream::framing(response)?;
        ctx.upstream = ctx.sent_at.map(|sent| self.shared.clock.monotonic().saturating_sub(sent));
        if let (Some(line), Some((pool, _))) = (&ctx.line, destination(ctx)) {
            if switches || stream::is_events(response) {
                line.patience.clear();
            } else {
                line.patience.set(pool.backend.read_timeout);
            }
            pool.note(true);
            self.shared.metrics.backend(&pool.backend.name, "answered");
        }
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, ctx: &mut Box<Ctx>) -> Result<()> {
        if response.status == SWITCHING_PROTOCOLS {
            return self.switch(response, ctx);
        }
        if response.status.is_informational() {
            return Ok(());
        }
        if session.is_process_shutting_down() || self.shared.is_leaving() {
            session.set_keepalive(None);
        }
        // The version is each connection's own (RFC 9112 §2.3): a backend's HTTP/1.0 is not ours.
        response.set_version(Version::HTTP_11);
        // HTTP/1.0 knows no chunks: the end of the connection ends the body (RFC 9112 §6.3).
        let ends_by_closing = session.req_header().version == Version::HTTP_10 && !response.headers.contains_key(CONTENT_LENGTH);
        if ends_by_closing {
            response.remove_header(&TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        upstream::response(ctx, response)?;
        if let Some(cors) = &ctx.cors {
            cors::mark(&session.req_header().headers, cors, response)?;
        }
        stream::begins(ctx, response, &self.shared)?;
        if ends_by_closing {
            // Now: of a backend's HTTP/2 pingora would make chunks behind this.
            session.write_response_header_ref(response, false).await?;
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Duration>> {
        stream::goes_on(ctx, end, &self.shared)?;
        ctx.body_passed += body.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(line) = &ctx.line {
            line.patience.touch();
        }
        Ok(None)
    }

    fn fail_to_connect(&self, session: &mut Session, _peer: &HttpPeer, ctx: &mut Box<Ctx>, mut error: Box<Error>) -> Box<Error> {
        error.set_retry(self.unreachable(&error, session.req_header().method.is_idempotent(), ctx));
        error
    }

    /// A connection that was kept may have been closed meanwhile, or a server may have died: what may be repeated, and is
    /// still at hand, goes again.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Box<Ctx>,
        reused: bool,
    ) -> Box<Error> {
        let unanswered = session.response_written().is_none_or(|response| response.status.is_informational());
        let repeatable = unanswered && !session.as_ref().retry_buffer_truncated();
        let standing = Standing { idempotent: session.req_header().method.is_idempotent(), reused, repeatable };
        error.set_retry(self.broken(&error, standing, ctx));
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Box<Ctx>) -> FailToProxy {
        let failure = Failure::of(error, ctx);
        self.note(&failure, error, ctx);
        let written = match &failure {
            Failure::ClientLeft => Ok(()),
            Failure::Cut => return FailToProxy { error_code: 0, can_reuse_downstream: false },
            Failure::Malformed => malformed(session, ctx).await,
            Failure::Refused(refusal) => refuse(session, ctx, refusal, true).await,
        };
        if written.is_ok() {
            session.shutdown().await;
        }
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Box<Ctx>) {
        if ctx.recorded != Recorded::AtTheEnd {
            ctx.record(session);
        }
    }

    /// pingora's own lines show the client's query; ours do not.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Ctx>, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Box<Ctx>,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

impl Gateway {
    /// The backend agreed to a WebSocket: from here on bytes pass as they come.
    fn switch(&self, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        response.set_version(Version::HTTP_11);
        upstream::response(ctx, response)?;
        websocket::agree(response)?;
        stream::begins(ctx, response, &self.shared)?;
        if let Some(line) = &ctx.line {
            line.set_upgraded();
        }
        Ok(())
    }
}
