//! OAuth 2: `POST /token` (RFC 6749), `POST /revoke` (RFC 7009), `POST /introspect` (RFC 7662). Refusals are in those RFCs' words.

mod credentials;
mod refusals;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{HeaderMap, HeaderName, PRAGMA};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::EndpointState;
use super::answer::OAuthRefused;
use super::body::{OAuthForm, scopes};
use crate::accounts::{GrantRequest, Introspection, Issued, Origin, TokenRequest};
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{Grant, SecretString};
use crate::problem::{OAuthError, Refusal};
pub(super) use refusals::OAuthErrorBody;

use credentials::presented;
use refusals::ToClients;

/// Beside `Cache-Control: no-store`, which every endpoint says (RFC 6749 §5.1).
const NO_CACHE: [(HeaderName, &str); 1] = [(PRAGMA, "no-cache")];

/// What is given for tokens. Each parameter comes once.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenForm {
    /// `password`, `refresh_token` or `client_credentials`.
    grant_type: String,
    /// With `password`: a username or an e-mail address.
    #[schema(value_type = Option<String>)]
    username: Option<SecretString>,
    /// With `password`: the password.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// With `refresh_token`: the refresh token that this client was given last.
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<SecretString>,
    /// The scopes that the access token is narrowed to, separated by spaces; all that there are if there are none.
    scope: Option<String>,
    /// The client, where it does not say so by `Authorization: Basic`.
    client_id: Option<String>,
    /// Its secret, where it does not say so by `Authorization: Basic`.
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<SecretString>,
}

/// RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedResponse {
    /// The access token, a JWT by RFC 9068.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long the access token lives, in seconds.
    expires_in: u64,
    /// What the next refresh takes; a client's own token has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What the access token may do, separated by spaces.
    scope: String,
}

/// A token, and the client that it concerns.
#[derive(Deserialize, ToSchema)]
pub(super) struct TokenOfClient {
    /// An access token or a refresh token.
    #[schema(value_type = String, format = Password)]
    token: SecretString,
    /// Not needed: what a token is can be seen.
    #[serde(rename = "token_type_hint")]
    #[schema(rename = "token_type_hint")]
    _token_type_hint: Option<String>,
    /// The client, where it does not say so by `Authorization: Basic`.
    client_id: Option<String>,
    /// Its secret, where it does not say so by `Authorization: Basic`.
    #[schema(value_type = Option<String>, format = Password)]
    client_secret: Option<SecretString>,
}

impl From<Issued> for IssuedResponse {
    fn from(issued: Issued) -> Self {
        Self {
            access_token: issued.access.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: issued.expires_in.as_secs(),
            refresh_token: issued.refresh.map(|refresh| refresh.expose().to_owned()),
            scope: issued.scope.to_string(),
        }
    }
}

/// Gives out tokens: for a user's password, for a refresh token, or to a client as itself.
///
/// A wrong password is `invalid_grant` here; `POST /login` answers it with 401.
#[utoipa::path(
    post, path = "/token", tag = "oauth", operation_id = "token", security((), ("client" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Tokens (RFC 6749 §5.1).", body = IssuedResponse),
        ToClients
    )
)]
pub(super) async fn token(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    headers: HeaderMap,
    OAuthForm(form): OAuthForm<TokenForm>,
) -> Result<([(HeaderName, &'static str); 1], Json<IssuedResponse>), OAuthRefused> {
    let client = presented(&headers, form.client_id, form.client_secret)?;
    let given = |what: Option<SecretString>, missing| what.ok_or(Refusal::OAuth(OAuthError::InvalidRequest, missing));
    let grant = match form.grant_type.as_str() {
        grant if grant == Grant::Password.as_str() => {
            state.accounts.takes_passwords()?;
            GrantRequest::Password {
                login: given(form.username, "username is missing.")?,
                password: given(form.password, "password is missing.")?,
            }
        }
        grant if grant == Grant::RefreshToken.as_str() => {
            GrantRequest::RefreshToken(given(form.refresh_token, "refresh_token is missing.")?)
        }
        grant if grant == Grant::ClientCredentials.as_str() => GrantRequest::ClientCredentials,
        _ => {
            let offered = "The grant types of this endpoint are password, refresh_token and client_credentials.";
            return Err(Refusal::OAuth(OAuthError::UnsupportedGrantType, offered).into());
        }
    };
    let scope = scopes(form.scope.as_deref())?;
    let issued = state.accounts.grant(TokenRequest { client, grant, scope, origin }).await?;
    Ok((NO_CACHE, Json(issued.into())))
}

/// Ends a token of the client that asks: a refresh token with its whole session, or one access token (RFC 7009).
#[utoipa::path(
    post, path = "/revoke", tag = "oauth", operation_id = "revoke", security((), ("client" = [])),
    request_body(content = TokenOfClient, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is dead everywhere, or was none."),
        ToClients
    )
)]
pub(super) async fn revoke(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    headers: HeaderMap,
    OAuthForm(form): OAuthForm<TokenOfClient>,
) -> Result<[(HeaderName, &'static str); 1], OAuthRefused> {
    let client = presented(&headers, form.client_id, form.client_secret)?;
    state.accounts.revoke_token(client, form.token, origin).await?;
    Ok(NO_CACHE)
}

/// Tells a client with a secret whether an access token is good, and whose it is (RFC 7662).
#[utoipa::path(
    post, path = "/introspect", tag = "oauth", operation_id = "introspect", security((), ("client" = [])),
    request_body(content = TokenOfClient, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is known of the token.", body = Introspection),
        ToClients
    )
)]
pub(super) async fn introspect(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    headers: HeaderMap,
    OAuthForm(form): OAuthForm<TokenOfClient>,
) -> Result<([(HeaderName, &'static str); 1], Json<Introspection>), OAuthRefused> {
    let client = presented(&headers, form.client_id, form.client_secret)?;
    Ok((NO_CACHE, Json(state.accounts.introspect(client, form.token, origin).await?)))
}
