//! `/admin/sessions`: everybody's logins.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::acting::AsAdmin;
use super::super::answer::Refused;
use super::super::body::Query;
use super::super::paging::{listed, page};
use super::super::refusals::{ToAccounts, ToIds, ToQueries};
use super::super::sessions::SessionView;
use crate::problem::Refusal;

/// Which sessions are shown.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct SessionQuery {
    /// Those of this account only: its id, username or e-mail address.
    user: Option<String>,
    /// How many are left out.
    #[param(minimum = 0)]
    skip: Option<i64>,
    /// How many are shown, 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Whose sessions end.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct EndQuery {
    /// The account: its id, username or e-mail address.
    user: String,
}

/// A login and whose it is.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct UserSession {
    /// The username.
    user: Option<String>,
    /// The id of the account.
    user_id: String,
    /// The login.
    #[serde(flatten)]
    session: SessionView,
}

/// Live sessions, newest first; `X-Total-Count` says how many there are.
#[utoipa::path(
    get, path = "/admin/sessions", tag = "admin", operation_id = "sessions", params(SessionQuery),
    responses(
        (status = 200, description = "The sessions.", body = Vec<UserSession>, headers(("X-Total-Count" = u64))),
        ToAccounts, ToQueries
    )
)]
pub(in crate::endpoints) async fn list(AsAdmin(acting): AsAdmin, Query(query): Query<SessionQuery>) -> Result<Response, Refused> {
    let sessions = acting.sessions(query.user.as_deref(), page(query.skip, query.limit)?).await?;
    let shown = |(session, user): (crate::domain::SessionRecord, _)| UserSession {
        user,
        user_id: session.user.to_string(),
        session: session.into(),
    };
    Ok(listed(sessions.items.into_iter().map(shown).collect(), sessions.total))
}

/// Ends all sessions of a user.
#[utoipa::path(
    delete, path = "/admin/sessions", tag = "admin", operation_id = "end_sessions", params(EndQuery),
    responses((status = 204, description = "The sessions are dead everywhere."), ToAccounts, ToQueries)
)]
pub(in crate::endpoints) async fn end_of_user(
    AsAdmin(acting): AsAdmin,
    Query(query): Query<EndQuery>,
) -> Result<StatusCode, Refused> {
    acting.end_sessions(&query.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session, with its open streams; once more changes nothing.
#[utoipa::path(
    delete, path = "/admin/sessions/{id}", tag = "admin", operation_id = "end_session",
    params(("id" = String, Path, description = "The session's id.")),
    responses((status = 204, description = "The session is dead everywhere."), ToAccounts, ToIds)
)]
pub(in crate::endpoints) async fn end(AsAdmin(acting): AsAdmin, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refusal::NotFound("session"))?;
    acting.end_session(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
