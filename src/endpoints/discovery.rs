//! `GET /.well-known/jwks.json` (RFC 7517 §5).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CACHE_CONTROL;
use serde_json::Value;

use super::EndpointState;

/// The keys that verify our tokens, those that do not sign yet included.
pub(super) async fn jwks(State(state): State<Arc<EndpointState>>) -> ([(HeaderName, &'static str); 1], Json<Value>) {
    ([(CACHE_CONTROL, "public, max-age=300")], Json(state.keys.jwks()))
}
