//! `POST /logout`.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;

use super::EndpointState;
use super::answer::Refused;
use super::body::Fields;
use super::caller::proofs;
use crate::accounts::{LogoutRequest, Origin};

/// Ends the session of whatever is presented, or all of the user's; a body is not needed.
pub(super) async fn logout(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<StatusCode, Refused> {
    let (parts, body) = request.into_parts();
    let mut fields = Fields::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let (refresh_token, everywhere) = (fields.text("refresh_token")?, fields.flag("everywhere")?.unwrap_or(false));
    let proofs = proofs(&state, &parts).await?;
    state.accounts.logout(LogoutRequest { proofs, refresh_token, everywhere, origin }).await?;
    Ok(StatusCode::NO_CONTENT)
}
