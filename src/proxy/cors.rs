//! CORS towards browsers (Fetch standard, "CORS protocol"): preflights are answered here, answers are marked.
//!
//! By hand, though tower-http has a layer for it: that wraps a tower service with one policy, and here each route has its
//! own, answers come from backends, endpoints and refusals alike, and a preflight is matched by the method that it asks for.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::Ctx;
use super::facts::Facts;
use super::live::Live;
use super::refuse::{REQUEST_ID, drain};
use crate::config::{Cors, Origins};
use crate::policy::{Found, Matched, RouteCors};

/// What comes of a preflight.
#[derive(Debug)]
pub(crate) enum Preflight {
    /// It is none, or there is nobody to answer it: an ordinary request.
    Ordinary,
    /// It is answered here, with the methods that there are to call for.
    Answered(Matched, Arc<Cors>, String),
    /// It is the backend's.
    Passed(Matched),
}

/// Which method a preflight asks for: OPTIONS with one `Origin` and one `Access-Control-Request-Method`.
pub(crate) fn asked_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS {
        return None;
    }
    only(headers, &ORIGIN)?;
    Method::from_bytes(only(headers, &ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// What comes of a request that is for a route, should it be a preflight.
pub(crate) fn preflight(headers: &HeaderMap, facts: &Facts, live: &Live) -> Preflight {
    let Some(method) = asked_method(&facts.method, headers) else { return Preflight::Ordinary };
    let Found::Match(matched) = live.table.find(facts.target.host.as_deref(), &facts.target.path, &method) else {
        return Preflight::Ordinary;
    };
    match &matched.route.spec().cors {
        RouteCors::None => Preflight::Ordinary,
        RouteCors::Rules(cors) => {
            let (cors, mut methods) = (Arc::clone(cors), matched.route.allow());
            // A route for all methods names the usual ones only.
            if !methods.split(", ").any(|one| one == method.as_str()) {
                methods.extend([", ", method.as_str()]);
            }
            Preflight::Answered(matched, cors, methods)
        }
        RouteCors::Backend => Preflight::Passed(matched),
    }
}

/// Answers a preflight by `cors`; `methods` is what there is to call for, as `Allow` would say it.
pub(crate) async fn answer(session: &mut Session, ctx: &mut Ctx, cors: &Cors, methods: &str) -> Result<()> {
    drain(session).await;
    let header = head(&session.req_header().headers, ctx, cors, methods)?;
    (ctx.decision, ctx.reason) = ("own", Some("preflight"));
    session.write_response_header(Box::new(header), true).await
}

/// The whole answer to a preflight.
pub(crate) fn head(request: &HeaderMap, ctx: &Ctx, cors: &Cors, methods: &str) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(StatusCode::NO_CONTENT, Some(8))?;
    let allowed = only(request, &ORIGIN).is_some_and(|origin| cors.allow_origins.allow(origin.as_bytes()));
    // Who is not allowed learns nothing, and its browser refuses the call.
    if allowed {
        let default = || format!("Authorization, Content-Type, {}", ctx.live.config.api_keys.header);
        let headers = cors.allow_headers.clone().or_else(|| HeaderValue::try_from(default()).ok());
        let methods = cors.allow_methods.clone().or_else(|| HeaderValue::try_from(methods).ok());
        for (name, value) in [(ACCESS_CONTROL_ALLOW_METHODS, methods), (ACCESS_CONTROL_ALLOW_HEADERS, headers)] {
            if let Some(value) = value {
                header.insert_header(name, value)?;
            }
        }
        header.insert_header(ACCESS_CONTROL_MAX_AGE, cors.max_age.as_secs())?;
    }
    origin_fields(request, cors, &mut header)?;
    header.append_header(VARY, "Access-Control-Request-Method, Access-Control-Request-Headers")?;
    header.insert_header(REQUEST_ID, ctx.request_id.as_str())?;
    Ok(header)
}

/// Marks an answer by the rules that hold for its request: a backend's own `Access-Control-*` make room for the gateway's.
pub(crate) fn mark(request: &HeaderMap, cors: &Cors, header: &mut ResponseHeader) -> Result<()> {
    let own = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let backends: Vec<HeaderName> = header.headers.keys().filter(own).cloned().collect();
    for name in backends {
        header.remove_header(&name);
    }
    if origin_fields(request, cors, header)?
        && let Some(exposed) = &cors.expose_headers
    {
        header.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone())?;
    }
    Ok(())
}

/// What every answer says of the origin; whether it is allowed.
fn origin_fields(request: &HeaderMap, cors: &Cors, header: &mut ResponseHeader) -> Result<bool> {
    if cors.allow_origins == Origins::Any {
        header.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")?;
        return Ok(true);
    }
    // Also where none is named: a cache must not give a page what another was told.
    if !varies(header) {
        header.append_header(VARY, "Origin")?;
    }
    let Some(origin) = only(request, &ORIGIN).filter(|origin| cors.allow_origins.allow(origin.as_bytes())) else {
        return Ok(false);
    };
    header.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
    if cors.allow_credentials {
        header.insert_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
    }
    Ok(true)
}

fn varies(header: &ResponseHeader) -> bool {
    let mut names = header.headers.get_all(VARY).iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"origin"))
}

/// The methods that an endpoint takes: what its 405 to a preflight says, where the asked one is among them.
pub(crate) fn endpoint_methods(asked: &Method, response: &http::Response<bytes::Bytes>) -> Option<String> {
    let refused = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let allow = response.headers().get(ALLOW).filter(|_| refused)?.to_str().ok()?;
    allow.split(',').any(|method| method.trim() == asked.as_str()).then(|| allow.to_owned())
}
