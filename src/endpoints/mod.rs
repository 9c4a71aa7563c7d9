//! Floor 4: the gateway's own endpoints (contract §9), as an axum router that the proxy calls in process.
//!
//! The proxy puts [`ClientAddress`] and [`RequestId`] into each request's extensions, and `X-Request-Id` onto each answer.

mod account;
mod answer;
mod body;
mod caller;
mod discovery;
mod login;
mod logout;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Router, middleware};

pub use caller::caller;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::credential::{KeyRing, Scheme};
use crate::revocation::Revocations;

/// What the endpoints work with; made anew by a reload.
#[expect(missing_debug_implementations, reason = "trait objects and keys have nothing to print")]
pub struct EndpointState {
    /// Logins and what comes of them.
    pub accounts: Accounts,
    /// Our own kinds of credential.
    pub schemes: Vec<Arc<dyn Scheme>>,
    /// What is revoked.
    pub revocations: Arc<dyn Revocations>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What the JWKS shows.
    pub keys: Arc<KeyRing>,
}

/// Who connects, as far as trusted proxies say. A request without one counts as from `::`.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl Default for ClientAddress {
    fn default() -> Self {
        Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }
}

/// The request's id.
#[derive(Clone, Debug, Default)]
pub struct RequestId(pub String);

/// Where the JWKS is, on every host and whatever the prefix (RFC 8615).
const JWKS: &str = "/.well-known/jwks.json";

/// Each endpoint: its methods as `Allow` says them, and its path below the prefix. `tests/endpoints.rs` knocks on each.
pub const ENDPOINTS: [(&str, &str); 4] = [("POST", "/login"), ("POST", "/refresh"), ("POST", "/logout"), ("GET,HEAD", "/me")];

/// All endpoints.
pub fn router(state: Arc<EndpointState>) -> Router {
    let at = |path: &str| literal(&format!("{}{path}", state.config.auth.prefix));
    Router::new()
        .route(&at("/login"), post(login::login))
        .route(&at("/refresh"), post(login::refresh))
        .route(&at("/logout"), post(logout::logout))
        .route(&at("/me"), get(account::me))
        .route(JWKS, get(discovery::jwks))
        .fallback(answer::no_endpoint)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), answer::answered))
        .with_state(state)
}

/// Whether the canonical `path` belongs to the gateway itself, so that no route is asked.
#[must_use]
pub fn is_own(config: &Config, path: &str) -> bool {
    let below = path.strip_prefix(config.auth.prefix.as_str());
    path == JWKS || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path in which axum finds no parameters.
fn literal(path: &str) -> String {
    path.replace('{', "{{").replace('}', "}}")
}
