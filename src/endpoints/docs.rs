//! `GET /docs`: the OpenAPI document to read and to try, in Swagger UI. Its files are in the binary (`scripts/swagger-ui` brings
//! them), and nothing is asked of any other host.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::{CalledAs, EndpointState};

/// Where the page is, below the prefix.
pub(super) const PAGE: &str = "/docs";

/// The OpenAPI document once more, where the page finds it under each of its names.
pub(super) const DOCUMENT: &str = "/docs/openapi.json";

/// Nothing inline, nothing from elsewhere, in no frame; `data:` is for the pictures in Swagger UI's style sheet. Styles that it
/// sets on elements go through the DOM, which `style-src` does not concern.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file beside the page.
struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

const FILES: [File; 4] = [
    File { path: "/docs/start.js", kind: "text/javascript; charset=utf-8", content: include_bytes!("docs/start.js") },
    File {
        path: "/docs/swagger-ui.js",
        kind: "text/javascript; charset=utf-8",
        content: include_bytes!("docs/swagger-ui/swagger-ui-bundle.js"),
    },
    File {
        path: "/docs/swagger-ui.css",
        kind: "text/css; charset=utf-8",
        content: include_bytes!("docs/swagger-ui/swagger-ui.css"),
    },
    File { path: "/docs/favicon.png", kind: "image/png", content: include_bytes!("docs/swagger-ui/favicon-32x32.png") },
];

/// Shows these endpoints to people, who can log in and call them there.
#[utoipa::path(
    get, path = "/docs", tag = "discovery", operation_id = "docs", security(()),
    responses((status = 200, description = "A page of HTML.", body = String, content_type = "text/html"))
)]
pub(super) async fn page(called: Option<Extension<CalledAs>>) -> Response {
    // An alias may have another name, and stands for what is below it too. Its segments need no escaping.
    let path = called.as_ref().map_or(PAGE, |Extension(CalledAs(path))| path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    (guarded(kind), include_str!("docs/page.html").replace("{name}", name)).into_response()
}

/// What the page loads beside [`DOCUMENT`]. Browsers keep it and ask whether it is still the same: neither an upgrade nor replicas of two releases
/// mix old with new for longer than a reload.
pub(super) fn files() -> impl Iterator<Item = (&'static str, MethodRouter<Arc<EndpointState>>)> {
    FILES.into_iter().map(|File { path, kind, content }| {
        let tag = tag(content);
        (path, get(move |asked: HeaderMap| std::future::ready(file(&asked, kind, content, &tag))))
    })
}

fn file(asked: &HeaderMap, kind: &'static str, content: &'static [u8], tag: &HeaderValue) -> Response {
    let fresh = [(ETAG, tag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if asked.get_all(IF_NONE_MATCH).iter().any(|known| names(known, tag)) {
        return (StatusCode::NOT_MODIFIED, fresh).into_response();
    }
    (guarded((CONTENT_TYPE, HeaderValue::from_static(kind))), fresh, content).into_response()
}

/// Whether a list of tags holds `tag` or is `*` (RFC 9110 §13.1.2). Tags of ours hold no comma.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn tag(content: &[u8]) -> HeaderValue {
    let mut tag = String::from("\"");
    for byte in digest(&SHA256, content).as_ref().iter().take(16) {
        // Writing to a string does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn guarded(kind: (HeaderName, HeaderValue)) -> [(HeaderName, HeaderValue); 6] {
    let said = HeaderValue::from_static;
    [
        kind,
        (CONTENT_SECURITY_POLICY, said(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, said("nosniff")),
        (X_FRAME_OPTIONS, said("DENY")),
        (REFERRER_POLICY, said("no-referrer")),
        (HeaderName::from_static("cross-origin-resource-policy"), said("same-origin")),
    ]
}
