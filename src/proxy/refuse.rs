//! A refusal on its way to the client.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, SET_COOKIE};
use http::{HeaderMap, Method, header};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::timeout;

use super::context::Ctx;
use super::cors;
use super::grpc;
use super::line::LastWord;
use crate::config::Config;
use crate::credential::cookie;
use crate::policy::own;
use crate::problem::{Answer, Context, Refusal};

/// `X-Request-Id`
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What of an unread body is read so that the connection can go on, in bytes and time.
const DRAIN: (usize, Duration) = (64 * 1024, Duration::from_secs(1));

/// Answers with `refusal`, unless an answer is on its way already. `close` ends the connection after it.
pub(crate) async fn refuse(session: &mut Session, ctx: &mut Ctx, refusal: &Refusal, close: bool) -> Result<()> {
    ctx.decision = if refusal.status().is_server_error() { "error" } else { "deny" };
    ctx.reason = Some(refusal.code());
    if session.response_written().is_some_and(|response| !response.status.is_informational()) {
        return late(session, refusal).await;
    }
    if close {
        session.set_keepalive(None);
    } else {
        drain(session).await;
    }
    let answer = answer_in_kind(session.req_header(), ctx, refusal);
    send(session, ctx, answer).await
}

/// What a client is told, as HTTP or as gRPC.
fn answer_in_kind(request: &RequestHeader, ctx: &Ctx, refusal: &Refusal) -> Answer {
    let answer = answer_to(refusal, ctx);
    if grpc::is_call(request) { grpc::answer(refusal, answer) } else { answer }
}

/// The whole answer, for when nothing of the request will be at hand.
pub(crate) fn last_word(request: &RequestHeader, ctx: &Ctx, refusal: &Refusal) -> Result<LastWord> {
    let answer = answer_in_kind(request, ctx, refusal);
    let mut head = head(&request.headers, ctx, &answer)?;
    if !head.headers.contains_key(grpc::STATUS) {
        head.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    let body = if request.method == Method::HEAD { Bytes::new() } else { answer.body.into() };
    Ok(LastWord { head, body })
}

/// What a client is told, which is to forget a cookie that is of no use any more. A client of OAuth 2 is told in its RFC's
/// words, wherever it is refused.
pub(crate) fn answer_to(refusal: &Refusal, ctx: &Ctx) -> Answer {
    let (config, facts) = (&ctx.live.config, ctx.facts.as_ref());
    let context = context(config, &ctx.request_id);
    let is_of_oauth = facts.is_some_and(|facts| own::speaks_oauth(config, facts.target.path.as_str()));
    let mut answer = if is_of_oauth { refusal.oauth_answer(&context) } else { refusal.answer(&context) };
    answer.headers.extend(ctx.stale_cookie.then(|| (SET_COOKIE, cookie::clearing(&ctx.live.config))));
    answer
}

/// A call of gRPC whose answer has begun ends with the reason; any other answer breaks off.
async fn late(session: &mut Session, refusal: &Refusal) -> Result<()> {
    if grpc::has_begun(session.req_header(), session.response_written()) {
        session.as_downstream_mut().write_response_trailers(grpc::trailers(refusal)).await?;
    }
    Ok(())
}

/// Answers a message that turned out to be none: bare, and with the end of the connection.
pub(crate) async fn malformed(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    (ctx.decision, ctx.reason) = ("deny", Some("malformed"));
    if session.response_written().is_some_and(|response| !response.status.is_informational()) {
        return Ok(());
    }
    session.set_keepalive(None);
    let bare = Answer { status: http::StatusCode::BAD_REQUEST, headers: Vec::new(), body: Vec::new() };
    send(session, ctx, bare).await
}

/// Answers with what is no refusal.
pub(crate) async fn answer(session: &mut Session, ctx: &mut Ctx, answer: Answer) -> Result<()> {
    drain(session).await;
    send(session, ctx, answer).await
}

/// The head of an answer: all that does not depend on how it is sent.
pub(crate) fn head(request: &HeaderMap, ctx: &Ctx, answer: &Answer) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(answer.status, Some(answer.headers.len() + 4))?;
    for (name, value) in &answer.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    if let Some(cors) = &ctx.cors {
        // A page can then read what was wrong.
        cors::mark(request, cors, &mut header)?;
    }
    header.insert_header(REQUEST_ID, ctx.request_id.as_str())?;
    Ok(header)
}

async fn send(session: &mut Session, ctx: &Ctx, answer: Answer) -> Result<()> {
    let mut header = head(&session.req_header().headers, ctx, &answer)?;
    if header.headers.contains_key(grpc::STATUS)
        && let Some(stream) = session.as_downstream_mut().as_custom_mut()
    {
        // Head and trailers in one: it has to be the last frame.
        return stream.write_response_header(Box::new(header), true).await;
    }
    header.insert_header(CONTENT_LENGTH, answer.body.len())?;
    let head_only = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(header), head_only).await?;
    let body = if head_only { Bytes::new() } else { answer.body.into() };
    session.write_response_body(Some(body), true).await
}

/// Reads a rest of the body within bounds; what is not read then ends the connection (CVE-2025-4366).
pub(crate) async fn drain(session: &mut Session) {
    // What an HTTP/2 client still sends holds up nothing: it is read after the answer.
    if session.req_header().version == http::Version::HTTP_2 {
        return;
    }
    // A client that waits for 100-continue has not sent its body, and now never will.
    if session.req_header().headers.contains_key(header::EXPECT) {
        return;
    }
    let read = async {
        let mut left = DRAIN.0;
        while !session.is_body_done() {
            match session.read_request_body().await {
                Ok(Some(bytes)) if bytes.len() <= left => left -= bytes.len(),
                Ok(None) => return,
                _ => break,
            }
        }
    };
    let _ = timeout(DRAIN.1, read).await;
}

/// Tells a client that waits for it to send its body (RFC 9110 §10.1.1).
pub(crate) async fn invite_body(session: &mut Session) -> Result<()> {
    if session.get_header(header::EXPECT).is_none() || session.is_body_done() {
        return Ok(());
    }
    // pingora would take it for an early answer, and end the connection after the real one.
    session.set_close_on_response_before_downstream_finish(false);
    let written = session.write_continue_response().await;
    session.set_close_on_response_before_downstream_finish(true);
    written
}

/// The bytes of a refusal where there is no session to write it.
pub(crate) fn problem(refusal: &Refusal, config: &Config, id: &str, head_only: bool) -> Vec<u8> {
    let answer = refusal.answer(&context(config, id));
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\n{REQUEST_ID}: {id}\r\n{CONTENT_LENGTH}: {}\r\n{CONNECTION}: close\r\n",
        answer.status.as_u16(),
        answer.status.canonical_reason().unwrap_or_default(),
        answer.body.len()
    )
    .into_bytes();
    for (name, value) in &answer.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    if !head_only {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}

pub(super) fn context<'a>(config: &'a Config, request_id: &'a str) -> Context<'a> {
    Context { realm: &config.auth.realm, api_key_header: &config.api_keys.header, request_id }
}
