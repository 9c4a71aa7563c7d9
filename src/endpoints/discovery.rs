//! What clients can learn of the gateway: its keys (RFC 7517 §5) and what it offers (RFC 8414).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::EndpointState;
use crate::domain::{Grant, Scope};
use crate::policy::own::{INTROSPECT, JWKS, REVOKE, TOKEN};

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

/// What the gateway offers (RFC 8414 §2): what works, and nothing else.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    /// The `iss` of its tokens.
    issuer: String,
    /// Where tokens are given out.
    token_endpoint: String,
    /// Where tokens are ended (RFC 7009).
    revocation_endpoint: String,
    /// Where clients ask about tokens (RFC 7662).
    introspection_endpoint: String,
    /// The keys that verify its tokens.
    jwks_uri: String,
    /// The scopes that the operator wrote down, and the gateway's own.
    scopes_supported: Vec<String>,
    /// What an authorization endpoint answers: there is none.
    #[schema(value_type = Vec<String>)]
    response_types_supported: [&'static str; 0],
    /// The grant types of the token endpoint.
    grant_types_supported: Vec<&'static str>,
    /// How clients authenticate there.
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_methods_supported: [&'static str; 3],
    /// How clients authenticate to end tokens.
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// How clients authenticate to ask about tokens.
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
}

/// How a client with a secret authenticates (RFC 8414 §2, RFC 7591 §2).
const WITH_SECRET: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// How any client does.
const ANY: [&str; 3] = [WITH_SECRET[0], WITH_SECRET[1], "none"];

#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "discovery", operation_id = "metadata", security(()),
    responses((status = 200, description = "Authorization server metadata (RFC 8414 §3.2).", body = Metadata))
)]
/// What the gateway offers to clients of OAuth 2.
pub(super) async fn metadata(State(state): State<Arc<EndpointState>>) -> Json<Metadata> {
    Json(offered(&state))
}

#[utoipa::path(
    get, path = "/.well-known/openid-configuration", tag = "discovery", operation_id = "openid_configuration", security(()),
    responses((status = 200, description = "The same as the authorization server metadata.", body = Metadata))
)]
/// The same, where clients of `OpenID` Connect look for it.
pub(super) async fn openid(State(state): State<Arc<EndpointState>>) -> Json<Metadata> {
    Json(offered(&state))
}

fn offered(state: &EndpointState) -> Metadata {
    let config = &state.config;
    let (issuer, prefix) = (&config.server.public_url, &config.auth.prefix);
    let own = [Scope::ACCOUNT, Scope::ADMIN].map(str::to_owned);
    let grants = [Grant::Password, Grant::RefreshToken, Grant::ClientCredentials];
    let offered = |grant: &Grant| *grant != Grant::Password || state.accounts.takes_passwords().is_ok();
    Metadata {
        issuer: issuer.clone(),
        token_endpoint: format!("{issuer}{prefix}{TOKEN}"),
        revocation_endpoint: format!("{issuer}{prefix}{REVOKE}"),
        introspection_endpoint: format!("{issuer}{prefix}{INTROSPECT}"),
        jwks_uri: format!("{issuer}{JWKS}"),
        scopes_supported: config.scopes.keys().map(ToString::to_string).chain(own).collect(),
        response_types_supported: [],
        grant_types_supported: grants.into_iter().filter(offered).map(Grant::as_str).collect(),
        token_endpoint_auth_methods_supported: ANY,
        revocation_endpoint_auth_methods_supported: ANY,
        introspection_endpoint_auth_methods_supported: WITH_SECRET,
    }
}
