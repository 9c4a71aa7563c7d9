//! What the backend is sent, and what of its answer the client gets (RFC 9110 §7.6.1).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, SET_COOKIE, TE, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, Version};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::Ctx;
use super::facts::{Facts, without_own_cookies};
use super::forwarded::Origin;
use super::refuse::REQUEST_ID;
use crate::credential::cookie;
use crate::domain::CredentialKind;
use crate::policy::{HeaderRule, HostRewrite, Permit};
use crate::problem::Allowance;

/// Whether a field is for one connection only; `Transfer-Encoding` is pingora's business.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "upgrade"
            | "http2-settings"
    )
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Room for the fields that are added to most requests.
const ADDED: usize = 24;

/// Gives a session's request the fields that it came with, of which pingora saw those about the connection only. Their names are
/// in lower case, as HTTP/2 has them: pingora would keep another map of how a client spelled each, and look into both for
/// whatever is done to one.
pub(crate) fn adopt(request: &mut RequestHeader, fields: Option<HeaderMap>) {
    let mut parts = take(request);
    if let Some(fields) = fields {
        parts.headers = fields;
    }
    *request = parts.into();
}

/// What is in a request, which is none until something is put back.
fn take(request: &mut RequestHeader) -> Parts {
    let (nothing, ()) = http::Request::new(()).into_parts();
    std::mem::replace(request, nothing.into()).into()
}

/// Turns the client's request into the one that the permit allows: the judged path, the judged caller.
pub(crate) fn request(ctx: &Ctx, request: &mut RequestHeader) -> Result<()> {
    let (Some(permit), Some(facts), Some(origin)) = (&ctx.permit, &ctx.facts, &ctx.origin) else {
        return Error::e_explain(ErrorType::InternalError, "nothing reaches a backend without a permit");
    };
    match &facts.query {
        Some(query) => request.set_raw_path([permit.upstream_path(), "?", query].concat().as_bytes())?,
        None => request.set_raw_path(permit.upstream_path().as_bytes())?,
    }
    let mut parts = take(request);
    let sent = fields(&mut parts, ctx, permit, facts, origin);
    *request = parts.into();
    sent
}

fn fields(parts: &mut Parts, ctx: &Ctx, permit: &Permit, facts: &Facts, origin: &Origin) -> Result<()> {
    let (spec, headers) = (permit.route().spec(), &mut parts.headers);
    strip(ctx, headers);
    if permit.principal().is_some_and(|caller| caller.method == CredentialKind::Bearer) && !spec.forward_credential {
        headers.remove(AUTHORIZATION);
    }
    cookies(headers);
    headers.reserve(ADDED);
    let host = match &spec.host {
        HostRewrite::Preserve => match facts.target.authority() {
            // The client's own, in the spelling that was judged.
            Some(authority) => Some(authority.to_header()),
            // HTTP/1.0 may name no host, HTTP/2 may not do without (RFC 9113 §8.3.1).
            None if parts.version == Version::HTTP_2 => ctx.server.as_deref().map(HeaderValue::from_str),
            None => None,
        },
        HostRewrite::Backend => ctx.server.as_deref().map(HeaderValue::from_str),
        HostRewrite::Name(name) => Some(Ok(name.clone())),
    };
    if let Some(host) = host {
        headers.insert(HOST, host.or_err(ErrorType::InvalidHTTPHeader, "a host is no header value")?);
    }
    let told = ctx.line.as_ref().map_or_else(|| origin.headers().into(), |line| line.told.of(origin));
    let identity = ctx.live.identity.emit(permit);
    for (name, value) in told.iter().chain(&ctx.assertion).chain(identity.iter()) {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(REQUEST_ID, ctx.request_id_value()?);
    for rule in &spec.request_headers {
        match &rule.value {
            Some(value) => drop(headers.insert(rule.name.clone(), value.clone())),
            None => drop(headers.remove(&rule.name)),
        }
    }
    Ok(())
}

/// Tells a server of HTTP/2 that trailers come through, where they do: those of gRPC take no call without.
pub(crate) fn trailers(client: &RequestHeader, request: &mut RequestHeader) -> Result<()> {
    let takes = |client: &RequestHeader| client.headers.get_all(TE).iter().any(|te| te == "trailers");
    if client.version == Version::HTTP_2 && request.version == Version::HTTP_2 && takes(client) {
        request.insert_header(TE, "trailers")?;
    }
    Ok(())
}

/// Removes what the client's `Connection` names (RFC 9110 §7.6.1), but for what says where the request goes and where it
/// ends. Only the client's own fields can go this way: the gateway's are set later.
pub(crate) fn nominated(client: &HeaderMap, request: &mut RequestHeader) {
    let tokens = client.get_all(CONNECTION).iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    for name in tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok()) {
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            request.remove_header(&name);
        }
    }
}

/// Removes what is between client and gateway only, and what could be taken for the gateway's own words.
fn strip(ctx: &Ctx, headers: &mut HeaderMap) {
    let goes = |name: &HeaderName| is_hop_by_hop(name) || *name == EXPECT || ctx.live.identity.removes(name.as_str().as_bytes());
    let names: Vec<HeaderName> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().all(|field| without_own_cookies(field.as_bytes()).is_none()) {
        return;
    }
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for field in fields {
        match without_own_cookies(field.as_bytes()) {
            None => drop(headers.append(COOKIE, field)),
            Some(rest) if rest.is_empty() => {}
            Some(rest) => {
                if let Ok(rest) = HeaderValue::from_bytes(&rest) {
                    headers.append(COOKIE, rest);
                }
            }
        }
    }
}

/// Makes sure that the client can't read another end of the answer than the gateway did: one length, or chunks alone.
///
/// # Errors
/// Where the answer is coded in a way that nobody asked for (RFC 9112 §6.1).
pub(crate) fn framing(response: &mut ResponseHeader) -> Result<()> {
    let mut codings = response.headers.get_all(TRANSFER_ENCODING).iter();
    let (coding, more) = (codings.next(), codings.next());
    if more.is_some() || coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "the answer is coded in a way that nobody asked for").into_up());
    }
    // pingora has seen that all of them say the same; `2, 2` and two fields become one.
    let mut lengths = response.headers.get_all(CONTENT_LENGTH).iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    let length = lengths.next().map(|length| length.trim_ascii().to_vec());
    match length {
        Some(length) if lengths.next().is_some() => response.insert_header(CONTENT_LENGTH, length),
        _ => Ok(()),
    }
}

/// Turns the backend's answer into the client's.
pub(crate) fn response(ctx: &Ctx, response: &mut ResponseHeader) -> Result<()> {
    let nominated = response.headers.get_all(CONNECTION).iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    let nominated = nominated.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    // A backend's slip must not cost the answer its framing.
    let nominated = nominated.filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name));
    let between = response.headers.keys().filter(|name| is_hop_by_hop(name)).cloned();
    for name in nominated.chain(between).collect::<Vec<_>>() {
        response.remove_header(&name);
    }
    if response.status == http::StatusCode::NO_CONTENT {
        // Not even 0 (RFC 9110 §8.6).
        response.remove_header(&CONTENT_LENGTH);
    }
    keep_our_cookies(response)?;
    keep_site_data(response)?;
    if let Some(permit) = &ctx.permit {
        for HeaderRule { name, value } in &permit.route().spec().response_headers {
            match value {
                Some(value) => response.insert_header(name.clone(), value.clone())?,
                None => drop(response.remove_header(name)),
            }
        }
    }
    if ctx.stale_cookie {
        response.append_header(SET_COOKIE, cookie::clearing(&ctx.live.config))?;
    }
    // Beside the backend's own: each policy has its name.
    for (name, value) in ctx.allowance.iter().chain(&ctx.key_allowance).flat_map(Allowance::fields) {
        response.append_header(name, value)?;
    }
    response.insert_header(REQUEST_ID, ctx.request_id_value()?)
}

/// `Clear-Site-Data` would clear the gateway's cookies with the backend's; what else it names goes on.
fn keep_site_data(response: &mut ResponseHeader) -> Result<()> {
    let named = |kind: &&[u8]| {
        let kind = kind.trim_ascii();
        let bare = kind.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(kind);
        bare == b"*" || bare.eq_ignore_ascii_case(b"cookies")
    };
    if !response.headers.contains_key(&CLEAR_SITE_DATA) {
        return Ok(());
    }
    let fields: Vec<HeaderValue> = response.headers.get_all(&CLEAR_SITE_DATA).iter().cloned().collect();
    let kinds = || fields.iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    if !kinds().any(|kind| named(&kind)) {
        return Ok(());
    }
    response.remove_header(&CLEAR_SITE_DATA);
    for kind in kinds().filter(|kind| !named(kind)) {
        if let Ok(kind) = HeaderValue::from_bytes(kind.trim_ascii()) {
            response.append_header(CLEAR_SITE_DATA, kind)?;
        }
    }
    Ok(())
}

/// Backends neither set nor clear the gateway's cookies.
fn keep_our_cookies(response: &mut ResponseHeader) -> Result<()> {
    let touches = |value: &HeaderValue| {
        // Browsers send `=name=value` as `name=value`.
        let text = value.as_bytes().trim_ascii_start();
        let text = text.strip_prefix(b"=").unwrap_or(text);
        let name = text.split(|&b| b == b'=' || b == b';').next().unwrap_or_default().trim_ascii();
        cookie::NAMES.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    };
    if !response.headers.get_all(SET_COOKIE).iter().any(touches) {
        return Ok(());
    }
    let kept: Vec<HeaderValue> = response.headers.get_all(SET_COOKIE).iter().filter(|value| !touches(value)).cloned().collect();
    response.remove_header(&SET_COOKIE);
    for value in kept {
        response.append_header(SET_COOKIE, value)?;
    }
    Ok(())
}
