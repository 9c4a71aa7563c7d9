//! What the backend is sent, and what of its answer the client gets (RFC 9110 §7.6.1).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Version};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::Ctx;
use super::facts::without_own_cookies;
use super::refuse::REQUEST_ID;
use crate::credential::cookie;
use crate::domain::CredentialKind;
use crate::policy::{HeaderRule, HostRewrite};
use crate::problem::Allowance;

/// Fields that are for one connection only; `Transfer-Encoding` is pingora's business.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Turns the client's request into the one that the permit allows: the judged path, the judged caller.
pub(crate) fn request(ctx: &Ctx, request: &mut RequestHeader) -> Result<()> {
    let (Some(permit), Some(facts), Some(origin)) = (&ctx.permit, &ctx.facts, &ctx.origin) else {
        return Error::e_explain(ErrorType::InternalError, "nothing reaches a backend without a permit");
    };
    let spec = permit.route().spec();
    let path = match &facts.query {
        Some(query) => format!("{}?{query}", permit.upstream_path()),
        None => permit.upstream_path().to_owned(),
    };
    request.set_raw_path(path.as_bytes())?;
    strip(ctx, request);
    if permit.principal().is_some_and(|caller| caller.method == CredentialKind::Bearer) && !spec.forward_credential {
        request.remove_header(&AUTHORIZATION);
    }
    cookies(request)?;
    match &spec.host {
        // The client's own, in the spelling that was judged.
        HostRewrite::Preserve => {
            if let Some(authority) = facts.target.authority() {
                request.insert_header(HOST, authority.to_string())?;
            } else if request.version == Version::HTTP_2
                && let Some(server) = &ctx.server
            {
                // HTTP/1.0 may name no host, HTTP/2 may not do without (RFC 9113 §8.3.1).
                request.insert_header(HOST, server.as_str())?;
            }
        }
        HostRewrite::Backend => {
            if let Some(server) = &ctx.server {
                request.insert_header(HOST, server.as_str())?;
            }
        }
        HostRewrite::Name(name) => request.insert_header(HOST, name.clone())?,
    }
    for (name, value) in origin.headers().into_iter().chain(ctx.assertion.clone()) {
        request.insert_header(name, value)?;
    }
    for (name, value) in ctx.live.identity.emit(permit).iter() {
        request.insert_header(name.clone(), value.clone())?;
    }
    request.insert_header(REQUEST_ID, ctx.request_id.as_str())?;
    for rule in &spec.request_headers {
        match &rule.value {
            Some(value) => request.insert_header(rule.name.clone(), value.clone())?,
            None => drop(request.remove_header(&rule.name)),
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
fn strip(ctx: &Ctx, request: &mut RequestHeader) {
    let goes =
        |name: &HeaderName| HOP_BY_HOP.contains(name) || *name == EXPECT || ctx.live.identity.removes(name.as_str().as_bytes());
    let names: Vec<HeaderName> = request.headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
}

fn cookies(request: &mut RequestHeader) -> Result<()> {
    let fields: Vec<HeaderValue> = request.headers.get_all(COOKIE).iter().cloned().collect();
    if fields.iter().all(|field| without_own_cookies(field.as_bytes()).is_none()) {
        return Ok(());
    }
    request.remove_header(&COOKIE);
    for field in fields {
        match without_own_cookies(field.as_bytes()) {
            None => drop(request.append_header(COOKIE, field)?),
            Some(rest) if rest.is_empty() => {}
            Some(rest) => {
                if let Ok(rest) = HeaderValue::from_bytes(&rest) {
                    request.append_header(COOKIE, rest)?;
                }
            }
        }
    }
    Ok(())
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
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|field| field.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // A backend's slip must not cost the answer its framing.
        .filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        .collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        response.remove_header(name);
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
    response.insert_header(REQUEST_ID, ctx.request_id.as_str())
}

/// `Clear-Site-Data` would clear the gateway's cookies with the backend's; what else it names goes on.
fn keep_site_data(response: &mut ResponseHeader) -> Result<()> {
    let named = |kind: &&[u8]| {
        let kind = kind.trim_ascii();
        let bare = kind.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(kind);
        bare == b"*" || bare.eq_ignore_ascii_case(b"cookies")
    };
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
