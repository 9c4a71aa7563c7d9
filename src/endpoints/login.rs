//! `POST /login` and `POST /refresh`: what answers with a token response (RFC 6749 §5.1).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Refused;
use super::body::{JsonOrForm, scopes, wrong};
use super::{ClientAddress, EndpointState, RequestId};
use crate::accounts::{LoginRequest, Origin, Tokens};
use crate::domain::SecretString;
use crate::domain::secret::ExposeSecret;

/// Who logs in.
#[derive(Deserialize, ToSchema)]
pub(super) struct LoginBody {
    /// A username or an e-mail address.
    #[schema(value_type = String)]
    username: SecretString,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// The scopes that the tokens are narrowed to, separated by spaces; all that the user has if there are none.
    scope: Option<String>,
    /// In a form: `password` (RFC 6749 §4.3.2).
    #[schema(value_type = Option<String>)]
    grant_type: Option<Value>,
}

/// What a login goes on with.
#[derive(Deserialize, ToSchema)]
pub(super) struct RefreshBody {
    /// The refresh token that was handed out last.
    #[schema(value_type = String, format = Password)]
    refresh_token: SecretString,
}

/// RFC 6749 §5.1, with a refresh token always.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenResponse {
    /// The access token, a JWT by RFC 9068.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long the access token lives, in seconds.
    expires_in: u64,
    /// What the next refresh takes.
    refresh_token: String,
    /// What the access token may do, separated by spaces.
    scope: String,
}

impl From<Tokens> for TokenResponse {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh.expose().to_owned(),
            scope: tokens.scope.to_string(),
        }
    }
}

/// Logs in: a username or e-mail address and a password for tokens.
#[utoipa::path(
    post, path = "/login", tag = "session", operation_id = "login", security(()),
    request_body(content((LoginBody = "application/json"), (LoginBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "Logged in.", body = TokenResponse),
        (status = 400, description = "None of the asked scopes can be granted: `invalid_scope`."),
        (status = 401, description = "The username or the password is wrong: `invalid_credentials`.")
    )
)]
pub(super) async fn login(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    body: JsonOrForm<LoginBody>,
) -> Result<Json<TokenResponse>, Refused> {
    let LoginBody { username: login, password, scope, grant_type } = body.fields;
    // RFC 6749 §4.3.2, as generic OAuth2 clients send it; in JSON it is a member like any other that is not ours.
    let grant = grant_type.as_ref().and_then(Value::as_str).unwrap_or_default();
    if body.is_form && !["", "password"].contains(&grant) {
        return Err(wrong("grant_type", "`grant_type` must be password at this endpoint.").into());
    }
    let scope = scopes(scope.as_deref())?;
    let tokens = state.accounts.login(LoginRequest { login, password, scope, client: None, origin }).await?;
    Ok(Json(tokens.into()))
}

/// Trades a refresh token for its successor and an access token.
#[utoipa::path(
    post, path = "/refresh", tag = "session", operation_id = "refresh", security(()),
    request_body(content((RefreshBody = "application/json"), (RefreshBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The session goes on.", body = TokenResponse),
        (status = 401, description = "The refresh token is of no use any more: `invalid_token`.")
    )
)]
pub(super) async fn refresh(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    body: JsonOrForm<RefreshBody>,
) -> Result<Json<TokenResponse>, Refused> {
    Ok(Json(state.accounts.refresh(body.fields.refresh_token, origin).await?.into()))
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
        Ok(Self {
            address: parts.extensions.get::<ClientAddress>().copied().unwrap_or_default().0,
            device: agent.unwrap_or_default(),
            request_id: parts.extensions.get::<RequestId>().cloned().unwrap_or_default().0,
        })
    }
}
