//! `POST /login` and `POST /refresh`: what answers with a token response (RFC 6749 §5.1).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use serde::Serialize;

use super::answer::Refused;
use super::body::Fields;
use super::{ClientAddress, EndpointState, RequestId};
use crate::accounts::{LoginRequest, Origin, Tokens};
use crate::domain::secret::ExposeSecret;
use crate::problem::Refusal;

/// RFC 6749 §5.1, with a refresh token always.
#[derive(Serialize)]
pub(super) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
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

/// A username or e-mail and a password for tokens.
pub(super) async fn login(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    mut fields: Fields,
) -> Result<Json<TokenResponse>, Refused> {
    // RFC 6749 §4.3.2, as generic OAuth2 clients send it; in JSON it is a member like any other that is not ours.
    if fields.is_form && fields.text("grant_type")?.is_some_and(|grant| !["", "password"].contains(&grant.expose_secret())) {
        let detail = "`grant_type` must be password at this endpoint.";
        return Err(Refusal::InvalidBody { field: "grant_type".into(), detail: detail.into() }.into());
    }
    let (login, password, scope) = (fields.required("username")?, fields.required("password")?, fields.scope("scope")?);
    let tokens = state.accounts.login(LoginRequest { login, password, scope, origin }).await?;
    Ok(Json(tokens.into()))
}

/// A refresh token for its successor and an access token.
pub(super) async fn refresh(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    mut fields: Fields,
) -> Result<Json<TokenResponse>, Refused> {
    let presented = fields.required("refresh_token")?;
    Ok(Json(state.accounts.refresh(presented, origin).await?.into()))
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
