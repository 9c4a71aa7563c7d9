//! A WebSocket's way to its backend: the same phases as any request's, driven here. pingora's own way reads from a backend
//! only while that takes what it is sent, holds 64 KiB a side of every idle one, and ends one whose backend agrees before
//! the task that says "no body" was seen.

use std::time::Duration;

use http::Version;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::{ProxyHttp as _, Session};
use tokio::time::timeout;

use super::Gateway;
use super::context::{Ctx, Recorded};
use super::websocket;
use super::wire::Tunnel;
use crate::problem::Refusal;

impl Gateway {
    /// Asks the backend of the permit for a WebSocket. Where it agrees the tunnel is left on the line, to begin when
    /// pingora lets go of the client; any other answer is passed on as it is.
    pub(super) async fn upgrade(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<()> {
        let (mut backend, header) = self.ask(session, ctx).await?;
        if header.status != http::StatusCode::SWITCHING_PROTOCOLS {
            return self.decline(session, ctx, backend, header).await;
        }
        let mut header = header;
        self.upstream_response_filter(session, &mut header, ctx).await?;
        self.response_filter(session, &mut header, ctx).await?;
        session.write_response_header(Box::new(header), false).await?;
        // What came behind the 101 is there already, or is not asked for.
        let said = timeout(Duration::ZERO, backend.read_body_bytes()).await.ok().and_then(Result::ok).flatten();
        if let Some(line) = &ctx.line {
            line.leave(Tunnel::new(backend.into_inner(), said.unwrap_or_default()));
            ctx.recorded = Recorded::AtTheEnd;
        }
        Ok(())
    }

    /// The backend's answer to the handshake, with the connection that it came by.
    async fn ask(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<(HttpSession, ResponseHeader)> {
        let (mut backend, peer) = self.reach(session, ctx).await?;
        self.connected_to_upstream(session, false, &peer, -1, None, ctx).await?;
        let mut request = session.req_header().clone();
        self.upstream_request_filter(session, &mut request, ctx).await?;
        request.set_version(Version::HTTP_11);
        let asked = async {
            backend.write_request_header(Box::new(request)).await?;
            loop {
                let header = backend.read_resp_header_parts().await?;
                if !header.status.is_informational() || header.status == http::StatusCode::SWITCHING_PROTOCOLS {
                    return Ok(*header);
                }
            }
        };
        // The client is watched meanwhile, and the deadlines with it.
        let header = tokio::select! {
            biased;
            header = asked => header.map_err(Error::into_up)?,
            left = session.downstream_session.read_body_or_idle(true) => return left_early(left),
        };
        Ok((backend, header))
    }

    /// A connection to a server of the permit's backend.
    async fn reach(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<(HttpSession, Box<HttpPeer>)> {
        loop {
            let mut peer = self.upstream_peer(session, ctx).await?;
            if peer.options.alpn == ALPN::H2 {
                ctx.late = Some(Refusal::UpgradeRefused);
                return Error::e_explain(ErrorType::InternalError, "the backend speaks HTTP/2 only");
            }
            websocket::prepare(&mut peer);
            match self.connector().new_stream(&*peer).await {
                Ok(stream) => return Ok((HttpSession::new_with_options(stream, &*peer), peer)),
                Err(mut error) => {
                    error.as_up();
                    let error = self.fail_to_connect(session, &peer, ctx, error);
                    if !error.retry() {
                        return Err(error.into_up());
                    }
                }
            }
        }
    }

    /// Passes on an answer that agrees to nothing.
    async fn decline(
        &self,
        session: &mut Session,
        ctx: &mut Box<Ctx>,
        mut backend: HttpSession,
        mut header: ResponseHeader,
    ) -> Result<()> {
        let mut ended = backend.is_body_done();
        self.upstream_response_filter(session, &mut header, ctx).await?;
        if !ended && !header.headers.contains_key(CONTENT_LENGTH) && !header.headers.contains_key(TRANSFER_ENCODING) {
            header.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        self.response_filter(session, &mut header, ctx).await?;
        session.write_response_header(Box::new(header), ended).await?;
        while !ended {
            let mut piece = tokio::select! {
                biased;
                piece = backend.read_body_bytes() => piece.map_err(Error::into_up)?,
                left = session.downstream_session.read_body_or_idle(true) => return left_early(left),
            };
            ended = piece.is_none() || backend.is_body_done();
            self.upstream_response_body_filter(session, &mut piece, ended, ctx)?;
            session.write_response_body(piece, ended).await?;
        }
        Ok(())
    }
}

/// The client left, or its patience with the backend has ended: which of them is known to the line.
fn left_early<T, R>(left: Result<T>) -> Result<R> {
    match left {
        Err(error) => Err(error.into_down()),
        Ok(_) => Err(Error::explain(ErrorType::ConnectionClosed, "the client left").into_down()),
    }
}
