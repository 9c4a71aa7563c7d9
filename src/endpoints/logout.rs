//! `POST /logout`.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::EndpointState;
use super::answer::Refused;
use super::body::JsonOrForm;
use super::caller::proofs;
use crate::accounts::{LogoutRequest, Origin};
use crate::domain::SecretString;

/// What ends. A bearer token or a cookie needs no body.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogoutBody {
    /// A refresh token of the session.
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<SecretString>,
    /// Whether all sessions of the user end.
    everywhere: Option<bool>,
}

/// Ends the session of whatever is presented, or all of the user's; a body is not needed.
#[utoipa::path(
    post, path = "/logout", tag = "session", operation_id = "logout", security((), ("bearer" = [])),
    request_body(content((Option<LogoutBody> = "application/json"), (Option<LogoutBody> = "application/x-www-form-urlencoded"))),
    responses((status = 204, description = "The session is dead everywhere."))
)]
pub(super) async fn logout(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<StatusCode, Refused> {
    let (parts, body) = request.into_parts();
    let body: JsonOrForm<LogoutBody> = JsonOrForm::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let LogoutBody { refresh_token, everywhere } = body.fields;
    let proofs = proofs(&state, &parts).await?;
    let everywhere = everywhere.unwrap_or(false);
    state.accounts.logout(LogoutRequest { proofs, refresh_token, everywhere, origin }).await?;
    Ok(StatusCode::NO_CONTENT)
}
