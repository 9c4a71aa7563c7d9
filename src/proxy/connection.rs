//! One client connection: requests one after the other, each judged by [`Wire`] before pingora reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, StatusCode};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_proxy::HttpProxy;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::Gateway;
use super::arrival::{Arrived, Negotiated};
use super::framing::Fault;
use super::line::Line;
use super::live::Shared;
use super::refuse::problem;
use super::wire::{Next, Wire};
use super::{http2, request_id};
use crate::config::Limits;
use crate::problem::Refusal;
use crate::telemetry::{self, AccessRecord};

/// Serves a connection until it ends.
pub(crate) async fn run(
    proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    Arrived { stream, peer, negotiated }: Arrived,
    closing: watch::Receiver<bool>,
) {
    match negotiated {
        Negotiated::Http2 => http2::run(proxy, shared, stream, BytesMut::new(), peer, closing).await,
        Negotiated::Http1 => http1(proxy, shared, Wire::new(stream, peer), closing).await,
        Negotiated::Nothing => http1(proxy, shared, Wire::undecided(stream, peer), closing).await,
    }
}

/// Requests one after the other.
async fn http1(proxy: Arc<HttpProxy<Gateway>>, shared: Arc<Shared>, wire: Wire, mut closing: watch::Receiver<bool>) {
    let mut wire = Box::new(wire);
    loop {
        let config = Arc::clone(&shared.live.load().config);
        if !begins(&mut wire, &config.server.limits, &mut closing).await {
            return;
        }
        let began = shared.clock.monotonic();
        match wire.next(&config.server.limits).await {
            Next::Request => {}
            Next::Http2 => {
                let peer = wire.peer();
                let (stream, read) = wire.into_parts();
                return http2::run(proxy, shared, stream, read, peer, closing).await;
            }
            Next::Closed => return,
            Next::Refused(fault, method) => return refuse(&mut wire, &shared, began, fault, method).await,
        }
        let Some(line) = wire.line().cloned() else { return };
        let session = ServerSession::new_http1(wire);
        let Some(reusable) = Line::carry(line, proxy.process_new_http(session, &closing)).await else { return };
        let (stream, _) = reusable.consume();
        match Wire::from_stream(stream) {
            Some(same) if same.is_between_requests() && !*closing.borrow() => wire = same,
            _ => return,
        }
    }
}

/// Waits for the first byte of a request. An idle connection ends with the gateway; one that has begun to speak is heard.
async fn begins(wire: &mut Wire, limits: &Limits, closing: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        begins = wire.begins(limits.keepalive_timeout) => begins,
        _ = closing.wait_for(|closing| *closing) => false,
    }
}

/// Answers what is no request: bare, and with the end of the connection.
async fn refuse(wire: &mut Wire, shared: &Shared, began: Duration, fault: Fault, method: Option<Method>) {
    let id = request_id::fresh(shared.clock.now(), &*shared.entropy);
    let (status, reason, answer) = match fault {
        Fault::Malformed(what) => {
            tracing::debug!(request_id = %id, what, "refused what is no request");
            (StatusCode::BAD_REQUEST, "malformed", bare(StatusCode::BAD_REQUEST, &id))
        }
        Fault::Connect => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", bare(StatusCode::METHOD_NOT_ALLOWED, &id)),
        Fault::TooSlow => (StatusCode::REQUEST_TIMEOUT, "request_timeout", bare(StatusCode::REQUEST_TIMEOUT, &id)),
        Fault::TooLarge => {
            let live = shared.live.load();
            let refusal = Refusal::HeadersTooLarge;
            (refusal.status(), refusal.code(), problem(&refusal, &live.config, &id, method.as_ref() == Some(&Method::HEAD)))
        }
    };
    let _ = wire.write_all(&answer).await;
    let duration = shared.clock.monotonic().saturating_sub(began);
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |head| answer.len() - head - 4);
    shared.metrics.request("", "deny", status.as_u16(), duration, None);
    if shared.live.load().config.log.access {
        telemetry::access(&AccessRecord {
            request_id: &id,
            client: Some(wire.peer().address),
            method: method.as_ref().map_or("-", Method::as_str),
            path: "-",
            route: None,
            status: status.as_u16(),
            decision: "deny",
            reason: Some(reason),
            missing_scopes: None,
            detail: None,
            principal: None,
            credential: None,
            backend: None,
            bytes_in: 0,
            bytes_out: body as u64,
            duration,
            upstream: None,
        });
    }
    wire.linger().await;
}

fn bare(status: StatusCode, id: &str) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("HTTP/1.1 {} {reason}\r\nX-Request-Id: {id}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.as_u16())
        .into_bytes()
}
