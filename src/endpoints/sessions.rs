//! `/sessions`: one's own logins.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::acting::AsAccount;
use super::answer::Refused;
use super::refusals::{ToAccounts, ToIds};
use crate::domain::{ScopeSet, SessionRecord};
use crate::problem::Refusal;

/// A login.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Its id: `sid` in tokens.
    id: String,
    /// The OAuth client it was opened through; `portcullis` for logins.
    client_id: String,
    /// What it was narrowed to; `null` is all that the user has.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<ScopeSet>,
    /// The `User-Agent` that logged in.
    device: String,
    /// The address it logged in from.
    address: String,
    /// When it logged in (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last refreshed.
    #[schema(format = DateTime)]
    last_used_at: String,
    /// When it ends, unless it is refreshed.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<SessionRecord> for SessionView {
    fn from(session: SessionRecord) -> Self {
        Self {
            id: session.id.to_string(),
            client_id: session.client_id,
            scopes: session.granted,
            device: session.device,
            address: session.address,
            created_at: session.created_at.to_string(),
            last_used_at: session.used_at.to_string(),
            expires_at: session.expires_at.to_string(),
        }
    }
}

/// A login of one's own.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnSession {
    /// The login.
    #[serde(flatten)]
    session: SessionView,
    /// Whether it is the one that asks.
    current: bool,
}

/// One's own live sessions, newest first.
#[utoipa::path(
    get, path = "/sessions", tag = "session", operation_id = "own_sessions",
    responses((status = 200, description = "The sessions.", body = Vec<OwnSession>), ToAccounts)
)]
pub(super) async fn list(AsAccount(acting): AsAccount) -> Result<Json<Vec<OwnSession>>, Refused> {
    let (sessions, current) = acting.own_sessions().await?;
    let own = |session: SessionRecord| OwnSession { current: Some(session.id) == current, session: session.into() };
    Ok(Json(sessions.into_iter().map(own).collect()))
}

/// Ends a session of one's own, with its open streams; once more changes nothing.
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "session", operation_id = "end_own_session",
    params(("id" = String, Path, description = "The session's id.")),
    responses((status = 204, description = "The session is dead everywhere."), ToAccounts, ToIds)
)]
pub(super) async fn end(AsAccount(acting): AsAccount, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refusal::NotFound("session"))?;
    acting.end_own_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
