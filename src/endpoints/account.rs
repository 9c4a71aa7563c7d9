//! `GET /me`: the caller's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};

use super::answer::Refused;
use super::{EndpointState, caller};
use crate::accounts::Profile;

/// The account behind the credential; its scopes are the credential's.
#[utoipa::path(
    get, path = "/me", tag = "account", operation_id = "me",
    responses((status = 200, description = "The account.", body = Profile))
)]
pub(super) async fn me(State(state): State<Arc<EndpointState>>, request: Request) -> Result<Json<Profile>, Refused> {
    let (parts, _) = request.into_parts();
    let caller = caller(&state, &parts).await?;
    Ok(Json(state.accounts.me(&caller.principal).await?))
}
