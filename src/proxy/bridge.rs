//! The gateway's own endpoints: from a pingora request to the axum router in this process, and back.

use std::time::Duration;

/// What answers: known by its name in `live`, and to no other module.
pub(crate) use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use pingora_error::Result as PingoraResult;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::timeout;
use tower::ServiceExt;

use super::admin;
use super::context::Ctx;
use super::cors;
use super::decide::unavailable;
use super::facts::Facts;
use super::live::Shared;
use super::refuse::{REQUEST_ID, answer_to, invite_body};
use crate::endpoints::{CalledAs, ClientAddress, Noted, QueryKeys, RequestId};
use crate::problem::Refusal;

/// The largest body that an endpoint takes.
const LARGEST: usize = 16 * 1024;
/// The largest answer of an endpoint.
const ANSWER: usize = 4 * 1024 * 1024;
/// The longest that an endpoint may take: password checks wait in a queue of their own bounds.
const DEADLINE: Duration = Duration::from_mins(1);

/// Reads the body, asks the router, and keeps its whole answer.
pub(crate) async fn ask(
    session: &mut Session,
    facts: &Facts,
    ctx: &mut Ctx,
    shared: &Shared,
) -> Result<Response<Bytes>, Refusal> {
    let body = match timeout(ctx.live.config.server.limits.body_timeout, read_body(session)).await {
        Ok(body) => body?,
        Err(_) => return Err(Refusal::RequestTimeout),
    };
    let live = std::sync::Arc::clone(&ctx.live);
    let path = live.config.auth.alias(facts.target.path.as_str());
    if let Some(well) = path.as_deref().and_then(|path| admin::is_well(path, shared)) {
        return health(&facts.method, well, ctx);
    }
    let mut request = request(session.req_header(), path.as_deref(), facts, ctx, body)?;
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    // On a runtime of its own: a client that hangs up does not leave a login half done.
    let answer = shared.runtime.spawn(call(ctx.live.router.clone(), request));
    let answer = timeout(DEADLINE, answer).await;
    if let Some(called) = noted.get() {
        (ctx.credential, ctx.principal) = (Some(called.credential), called.principal.clone());
    }
    match answer {
        Ok(Ok(Some(response))) => Ok(response),
        _ => Err(unavailable("The gateway could not finish this request.")),
    }
}

async fn read_body(session: &mut Session) -> Result<Bytes, Refusal> {
    let too_large = Refusal::BodyTooLarge(LARGEST as u64);
    let length = session.get_header(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LARGEST) {
        return Err(too_large);
    }
    if session.is_body_done() {
        return Ok(Bytes::new());
    }
    invite_body(session).await.map_err(|_| Refusal::RequestTimeout)?;
    let mut body = BytesMut::new();
    while let Some(bytes) = session.read_request_body().await.map_err(|_| Refusal::InvalidRequest("The body is broken off."))? {
        if body.len() + bytes.len() > LARGEST {
            return Err(too_large);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(body.freeze())
}

/// Health in a word: store, backends and versions are for the admin listener.
fn health(method: &Method, well: bool, ctx: &Ctx) -> Result<Response<Bytes>, Refusal> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Ok(refused(Refusal::MethodNotAllowed("GET, HEAD".to_owned()), ctx));
    }
    let (status, body) = if well { (200, r#"{"status":"ok"}"#) } else { (503, r#"{"status":"unavailable"}"#) };
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json").header(CACHE_CONTROL, "no-store");
    response.body(Bytes::from_static(body.as_bytes())).map_err(|_| unavailable("Health can't be told."))
}

/// A refusal as the router would have answered it: a preflight reads its `Allow`.
fn refused(refusal: Refusal, ctx: &Ctx) -> Response<Bytes> {
    let answer = answer_to(&refusal, ctx);
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    response.extensions_mut().insert(refusal);
    response
}

/// The request for the endpoint at `path`, or at the request's own where that is no alias.
fn request(
    head: &http::request::Parts,
    path: Option<&str>,
    facts: &Facts,
    ctx: &Ctx,
    body: Bytes,
) -> Result<Request<Body>, Refusal> {
    let path = path.unwrap_or_else(|| facts.target.path.as_str());
    let uri = match &facts.query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut request = Request::builder()
        .method(facts.method.clone())
        .uri(uri)
        .body(Body::from(body))
        .map_err(|_| Refusal::AmbiguousTarget("it is no path"))?;
    let hop_by_hop = [CONNECTION, TRANSFER_ENCODING, EXPECT];
    let headers = head.headers.iter().filter(|(name, _)| !hop_by_hop.contains(name));
    *request.headers_mut() =
        headers.map(|(name, value)| (name.clone(), value.clone())).fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
    // pingora does not know it: the target was read without it.
    if let Some(host) = facts.target.authority().and_then(|authority| HeaderValue::try_from(authority.to_string()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(client) = ctx.client() {
        request.extensions_mut().insert(ClientAddress(client));
    }
    request.extensions_mut().insert(CalledAs(facts.target.path.as_str().to_owned()));
    request.extensions_mut().insert(QueryKeys(facts.query_keys.clone()));
    request.extensions_mut().insert(RequestId(ctx.request_id.clone()));
    Ok(request)
}

async fn call(router: Router, request: Request<Body>) -> Option<Response<Bytes>> {
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (parts, body) = response.into_parts();
    Some(Response::from_parts(parts, to_bytes(body, ANSWER).await.ok()?))
}

/// Writes an endpoint's answer.
pub(crate) async fn answer(session: &mut Session, ctx: &mut Ctx, response: Response<Bytes>) -> PingoraResult<()> {
    let (parts, body) = response.into_parts();
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 4))?;
    for (name, value) in &parts.headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING && *name != CONNECTION {
            header.append_header(name.clone(), value.clone())?;
        }
    }
    if let Some(cors) = &ctx.cors {
        cors::mark(&session.req_header().headers, cors, &mut header)?;
    }
    header.insert_header(REQUEST_ID, ctx.request_id.as_str())?;
    let head_only = session.req_header().method == Method::HEAD;
    if parts.status != http::StatusCode::NO_CONTENT && !(head_only && body.is_empty()) {
        header.insert_header(CONTENT_LENGTH, body.len())?;
    }
    (ctx.decision, ctx.reason) = ("own", parts.extensions.get::<Refusal>().map(Refusal::code));
    session.write_response_header(Box::new(header), head_only || body.is_empty()).await?;
    session.write_response_body(Some(if head_only { Bytes::new() } else { body }), true).await
}
