//! `GET /.well-known/jwks.json` (RFC 7517 §5).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::EndpointState;

#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "discovery", operation_id = "jwks", security(()),
    responses((status = 200, description = "A JWK set (RFC 7517 §5).", body = Value))
)]
/// The keys that verify our tokens, those that do not sign yet included.
///
/// Not to be kept by caches on the way: what was kept for longer than `tokens.activate_after` lacks the key that signs.
pub(super) async fn jwks(State(state): State<Arc<EndpointState>>) -> Json<Value> {
    Json(state.keys.jwks())
}
