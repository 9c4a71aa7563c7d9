//! Floor 4: the gateway's own endpoints, as an axum router that the proxy calls in process.
//!
//! The proxy puts [`ClientAddress`], [`CalledAs`], [`QueryKeys`], [`RequestId`] and [`Noted`] into each request's extensions,
//! and `X-Request-Id` onto each answer; it finds why a request was refused as a [`Refusal`](crate::problem::Refusal) in the answer's.

mod account;
mod acting;
mod admin;
mod answer;
mod body;
mod caller;
mod discovery;
mod docs;
mod document;
mod fields;
mod keys;
mod login;
mod logout;
mod mailed;
mod oauth;
mod page;
mod paging;
mod password;
mod refusals;
mod register;
mod sessions;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Router, middleware};

pub use crate::policy::own::is_own;
pub use caller::caller;

use crate::accounts::{Accounts, EMAIL_CONFIRM, RESET_CONFIRM};
use crate::config::Config;
use crate::credential::{KeyRing, Scheme};
use crate::domain::CredentialKind;
use crate::policy::own::{INTROSPECT, JWKS, METADATA, OPENID, REVOKE, TOKEN};
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

/// The path that the client asked for, which may be an alias of the endpoint's.
#[derive(Clone, Debug)]
pub struct CalledAs(pub String);

/// API keys that came in the query, from which the proxy has taken them: nothing behind it sees them there.
#[derive(Clone, Debug, Default)]
pub struct QueryKeys(pub Vec<String>);
/// Whose credential a request came with, good or not, for the access log: the endpoints note it, the proxy reads it.
#[derive(Clone, Debug, Default)]
pub struct Noted(Arc<OnceLock<Called>>);

/// What is noted.
#[derive(Clone, Debug)]
pub struct Called {
    /// The kind of credential.
    pub credential: CredentialKind,
    /// [`Principal::id`](crate::domain::Principal::id), where it verified.
    pub principal: Option<String>,
}

impl Noted {
    /// Who called, if anybody was noted.
    #[must_use]
    pub fn get(&self) -> Option<&Called> {
        self.0.get()
    }

    /// Of several credentials the first stands.
    fn note(&self, credential: CredentialKind, principal: Option<String>) {
        let _ = self.0.set(Called { credential, principal });
    }
}

/// The table of contents: each endpoint below the prefix.
fn endpoints() -> Vec<(&'static str, MethodRouter<Arc<EndpointState>>)> {
    vec![
        ("/login", post(login::login)),
        ("/refresh", post(login::refresh)),
        ("/logout", post(logout::logout)),
        (TOKEN, post(oauth::token)),
        (REVOKE, post(oauth::revoke)),
        (INTROSPECT, post(oauth::introspect)),
        ("/me", get(account::me).patch(account::change).put(account::replace)),
        ("/password", post(password::change)),
        (password::RESET, post(password::ask_reset)),
        (RESET_CONFIRM, get(mailed::reset_page).post(mailed::reset)),
        (EMAIL_CONFIRM, get(mailed::email_page).post(mailed::confirm)),
        (register::REGISTER, post(register::register)),
        ("/keys", get(keys::list).post(keys::create)),
        ("/keys/{id}", delete(keys::revoke)),
        ("/sessions", get(sessions::list)),
        ("/sessions/{id}", delete(sessions::end)),
        ("/admin/users", get(admin::users::list).post(admin::users::create)),
        ("/admin/users/{id}", get(admin::users::show).patch(admin::users::change).delete(admin::users::remove)),
        ("/admin/sessions", get(admin::sessions::list).delete(admin::sessions::end_of_user)),
        ("/admin/sessions/{id}", delete(admin::sessions::end)),
        ("/admin/keys", get(admin::keys::list).post(admin::keys::create)),
        ("/admin/keys/{id}", delete(admin::keys::revoke)),
        ("/admin/clients", get(admin::clients::list).post(admin::clients::create)),
        ("/admin/clients/{id}", delete(admin::clients::remove)),
        ("/admin/audit", get(admin::audit::list)),
        (document::DOCUMENT, get(document::document)),
        (docs::PAGE, get(docs::page)),
    ]
}

/// What browsers load for the page of endpoints.
fn beside_the_page() -> impl Iterator<Item = (&'static str, MethodRouter<Arc<EndpointState>>)> {
    docs::files().chain([(docs::DOCUMENT, get(document::document))])
}

/// All endpoints, as one service that answers every refusal as a problem document.
pub fn router(state: Arc<EndpointState>) -> Router {
    let mut all = Router::new()
        .route(JWKS, get(discovery::jwks))
        .route(METADATA, get(discovery::metadata))
        .route(OPENID, get(discovery::openid));
    for (path, methods) in endpoints().into_iter().chain(beside_the_page()).filter(|(path, _)| is_on(path, &state.config)) {
        all = all.route(&format!("{}{path}", literal(&state.config.auth.prefix)), methods);
    }
    let all = all.layer(Extension(document::written(&state.config)));
    let all = all.fallback(answer::no_endpoint).method_not_allowed_fallback(answer::wrong_method).with_state(Arc::clone(&state));
    // Around the whole, not around each route: axum adds `Allow` outside of a route's own layers.
    Router::new().fallback_service(all).layer(middleware::from_fn_with_state(state, answer::answered))
}

/// The paths of the endpoints below the prefix. `tests/endpoints` knocks on each.
pub fn paths() -> impl Iterator<Item = &'static str> {
    endpoints().into_iter().map(|(path, _)| path)
}

/// Whether the endpoint at `path` is there: where it is off, it answers as if there were none.
fn is_on(path: &str, config: &Config) -> bool {
    match path {
        register::REGISTER => config.accounts.registration,
        password::RESET | RESET_CONFIRM | EMAIL_CONFIRM => config.mail.is_some(),
        _ => true,
    }
}

/// A path in which axum finds no parameters.
fn literal(path: &str) -> String {
    path.replace('{', "{{").replace('}', "}}")
}
