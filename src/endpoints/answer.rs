//! The one place where the endpoints' refusals become answers, so that none leaves as anything but problem+json.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{EndpointState, RequestId};
use crate::credential::cookie;
use crate::problem::{Answer, Context, Refusal};

/// A handler's refusal; [`answered`] writes it out.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The same of an endpoint of OAuth 2, which refuses in its RFC's words.
#[derive(Clone, Debug)]
pub(super) struct OAuthRefused(pub(super) Refusal);

impl From<Refusal> for OAuthRefused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for OAuthRefused {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Nothing is at this path.
pub(super) async fn no_endpoint() -> Refused {
    Refused(Refusal::NoRoute)
}

/// Something is, for another method; axum adds `Allow`, from which [`answered`] takes the list.
pub(super) async fn wrong_method() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

/// Writes refusals out, and marks every answer that says nothing else as not to be stored.
pub(super) async fn answered(State(state): State<Arc<EndpointState>>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let is_head = *request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    if let Some(OAuthRefused(refusal)) = response.extensions().get::<OAuthRefused>().cloned() {
        response = written(&refusal, Refusal::oauth_answer, &state, &id);
    } else if let Some(refusal) = refusal_of(&response) {
        response = written(&refusal, Refusal::answer, &state, &id);
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

fn refusal_of(response: &Response) -> Option<Refusal> {
    if let Some(Refused(refusal)) = response.extensions().get::<Refused>() {
        return Some(refusal.clone());
    }
    if response.extensions().get::<Refusal>().is_some() {
        // A page has said it.
        return None;
    }
    // What axum refuses by itself is plain text; it is said our way.
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = response.headers().get(ALLOW).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
            Some(Refusal::MethodNotAllowed(allow.split(',').map(str::trim).collect::<Vec<_>>().join(", ")))
        }
        status if status.is_client_error() => Some(Refusal::InvalidRequest("The request can't be read.")),
        status if status.is_server_error() => Some(Refusal::Unavailable {
            detail: "The gateway failed to answer. Try again.",
            retry_after: std::time::Duration::from_secs(1),
        }),
        _ => None,
    }
}

/// Writes `refusal` as `say` says it.
fn written(refusal: &Refusal, say: impl Fn(&Refusal, &Context<'_>) -> Answer, state: &EndpointState, id: &RequestId) -> Response {
    let context = Context { realm: &state.config.auth.realm, api_key_header: &state.config.api_keys.header, request_id: &id.0 };
    let answer = say(refusal, &context);
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    if *refusal == Refusal::InvalidSession {
        response.headers_mut().append(SET_COOKIE, cookie::clearing(&state.config));
    }
    // For the access log: why it was refused.
    response.extensions_mut().insert(refusal.clone());
    response
}
