//! HTTP/2 from clients (RFC 9113), over TLS or with prior knowledge: a connection's streams, each judged like a request of
//! HTTP/1, and the bounds of all of them together.
//!
//! What a connection may hold: `h2_streams` exchanges, [`HEADS`] of heads, a window of [`CONNECTION_WINDOW`] of bodies that
//! nobody has read, and [`SEND_BUFFER`] a stream of answers that the client has not taken.

mod calls;
mod exchange;
mod frames;
mod request;
mod session;
mod tap;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::ServerSession;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Gateway;
use super::framing::Fault;
use super::line::{Line, Peer};
use super::live::Shared;
use crate::config::Limits;
use calls::Calls;
use exchange::{Exchange, Outcome};
pub(crate) use frames::PREFACE;
use request::Head;
use tap::{Alarm, Tap};

/// Of the body of one stream, before the gateway has read it.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Of the bodies of all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Of an answer, before the client has taken it.
const SEND_BUFFER: usize = 64 * 1024;
/// Of the heads of all open requests of a connection, decoded; the first is always heard.
const HEADS: usize = 1024 * 1024;
/// Streams that the client's faults have the engine reset, in a connection's life.
const FAULTS: usize = 100;
/// Streams that the client has reset, and which the engine still remembers.
const RESETS: usize = 20;
/// What of a body is read after its answer, in bytes and time.
const REST: (usize, Duration) = (16 * 1024 * 1024, Duration::from_secs(2));
/// The second frame of a request often comes in a segment of its own.
const MOMENT: Duration = Duration::from_millis(20);
/// For a goodbye to arrive, and what crosses it.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long a client may take nothing of what is written.
const STALL: Duration = Duration::from_mins(1);

/// What serving a stream needs.
#[derive(Clone)]
struct Serving {
    proxy: Arc<HttpProxy<Gateway>>,
    peer: Peer,
    calls: Arc<Calls>,
    closing: watch::Receiver<bool>,
}

/// Serves a connection until it ends. `read` is what of it was read already.
pub(crate) async fn run(
    proxy: Arc<HttpProxy<Gateway>>,
    shared: Arc<Shared>,
    stream: Stream,
    read: BytesMut,
    peer: Peer,
    closing: watch::Receiver<bool>,
) {
    let limits = shared.live.load().config.server.limits.clone();
    let alarm = Arc::new(Alarm::default());
    let tap = Tap::new(stream, read, Arc::clone(&alarm), limits.header_timeout, STALL);
    let Ok(Ok(connection)) = timeout(limits.header_timeout, builder(&limits).handshake(tap)).await else { return };
    let calls = Arc::new(Calls::new(limits.h2_streams));
    let serving = Serving { proxy, peer, calls: Arc::clone(&calls), closing };
    serve(connection, &shared, &alarm, &serving).await;
    // The streams' tasks see that it is gone; what they log is still to be written.
    let _ = timeout(GOODBYE, calls.until_idle()).await;
}

fn builder(limits: &Limits) -> Builder {
    // HPACK counts 32 bytes more a field, and pseudo-headers: what is over the limit is to be heard, and refused with an answer.
    let list = limits.headers + limits.request_line + 64 * limits.header_count + 4096;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(u32::try_from(limits.h2_streams).unwrap_or(u32::MAX))
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESETS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(Some(FAULTS));
    builder
}

async fn serve(mut connection: Connection<Tap, Bytes>, shared: &Shared, alarm: &Alarm, serving: &Serving) {
    let mut closing = serving.closing.clone();
    let calls = &serving.calls;
    // When it ends, once it was told that it will.
    let mut goodbye: Option<Instant> = None;
    let mut enough = false;
    // Who comes after that is told with its first answer: told at once, many libraries would not even ask.
    let late = shared.is_leaving();
    loop {
        let idle = shared.live.load().config.server.limits.keepalive_timeout;
        let accepted = tokio::select! {
            biased;
            () = alarm.raised(), if !enough => {
                tracing::debug!("too much of a connection");
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                (enough, goodbye) = (true, Some(Instant::now() + GOODBYE));
                continue;
            }
            () = calls.enough(), if !enough => {
                alarm.raise();
                continue;
            }
            _ = closing.wait_for(|closing| *closing), if goodbye.is_none() => {
                connection.graceful_shutdown();
                goodbye = Some(Instant::now() + GOODBYE);
                continue;
            }
            () = shared.until_leaving(), if goodbye.is_none() && !late => {
                connection.graceful_shutdown();
                goodbye = Some(Instant::now() + GOODBYE);
                continue;
            }
            accepted = accept(&mut connection, calls) => accepted,
            () = calls.freed(), if calls.is_full() => continue,
            () = calls.idle_for(idle), if goodbye.is_none() => {
                connection.graceful_shutdown();
                goodbye = Some(Instant::now() + GOODBYE);
                continue;
            }
            () = over(goodbye, calls, enough) => return,
        };
        match accepted {
            Some(Ok((request, respond))) => {
                begin(request, respond, shared, serving);
                if late && goodbye.is_none() {
                    connection.graceful_shutdown();
                    goodbye = Some(Instant::now() + GOODBYE);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection ended");
                return;
            }
            None => return,
        }
    }
}

type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// The next stream. While there are too many, the connection is only kept going.
async fn accept(connection: &mut Connection<Tap, Bytes>, calls: &Calls) -> Accepted {
    if calls.is_full() {
        return poll_fn(|cx| connection.poll_closed(cx)).await.err().map(Err);
    }
    connection.accept().await
}

/// The end of a connection that was told: none of its streams is open, and those that crossed the goodbye have come.
async fn over(goodbye: Option<Instant>, calls: &Calls, at_once: bool) {
    let Some(goodbye) = goodbye else { return std::future::pending().await };
    sleep_until(goodbye).await;
    if !at_once {
        calls.until_idle().await;
    }
}

fn begin(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: &Shared, serving: &Serving) {
    let (parts, body) = request.into_parts();
    let Some(call) = serving.calls.begin(request::size(&parts), HEADS) else {
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    };
    let limits = &shared.live.load().config.server.limits;
    let Head { line, header, length } = Head::read(parts, serving.peer, limits);
    let outcome = Arc::new(Outcome::default());
    let (mut exchange, rest) = Exchange::new(header, Arc::clone(&line), body, respond, Arc::clone(&outcome));
    let serving = serving.clone();
    tokio::spawn(async move {
        if length.is_some() && !exchange.is_body_done() && !exchange.look_ahead(MOMENT).await {
            line.set_fault(Fault::Malformed("the body is not of the length that was announced"));
        }
        let session = ServerSession::new_custom(Box::new(exchange));
        Line::carry(line, serving.proxy.process_new_http(session, &serving.closing)).await;
        call.done(outcome.has_left());
        if let Ok(body) = { rest }.try_recv() {
            let _ = timeout(REST.1, drain(body)).await;
        }
    });
}

/// Reads what a client sends after its answer, within bounds: then the engine says that no more is wanted.
async fn drain(mut body: RecvStream) {
    let mut left = REST.0;
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
        left = match left.checked_sub(bytes.len()) {
            Some(left) => left,
            None => return,
        };
    }
}
