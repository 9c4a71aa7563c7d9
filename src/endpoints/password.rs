//! `/password` and `/password/reset`: a new password, with the old one or by mail.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::EndpointState;
use super::answer::Refused;
use super::body::{Json, JsonOrForm};
use super::caller::caller_with;
use crate::accounts::{Origin, PasswordChange};
use crate::domain::{Scope, SecretString};

/// Where a link for a new password is asked for.
pub(super) const RESET: &str = "/password/reset";

/// A new password by who knows the old one.
#[derive(Deserialize, ToSchema)]
pub(super) struct PasswordBody {
    /// The password that is.
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    /// The one that is to be.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Who forgot the password.
#[derive(Deserialize, ToSchema)]
pub(super) struct ResetBody {
    /// The account's confirmed e-mail address.
    email: String,
}

/// Changes the password. All other sessions end; access tokens of before are dead, the caller's too: refresh it.
#[utoipa::path(
    post, path = "/password", tag = "account", operation_id = "change_password",
    request_body(content((PasswordBody = "application/json"))),
    responses(
        (status = 204, description = "Changed. The session of the caller goes on with a refresh."),
        (status = 401, description = "No credential that counts, or a wrong current password."),
        (status = 403, description = "The scope portcullis:account is missing."),
        (status = 422, description = "A field is wrong, or the new password breaks a rule: it is named."),
        (status = 429, description = "Too many wrong passwords.")
    )
)]
pub(super) async fn change(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<StatusCode, Refused> {
    let (parts, body) = request.into_parts();
    let caller = caller_with(&state, &parts, Scope::ACCOUNT).await?;
    let Json(body): Json<PasswordBody> = Json::from_request(Request::from_parts(parts, body), &()).await?;
    let PasswordBody { current_password: current, new_password: new } = body;
    let change = PasswordChange { session: caller.concern.session, current, new, origin };
    state.accounts.change_password(&caller.principal, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mails a link that sets a new password, if the address is the confirmed one of an account. The answer is the same if not.
#[utoipa::path(
    post, path = "/password/reset", tag = "account", operation_id = "ask_password_reset", security(()),
    request_body(content((ResetBody = "application/json"), (ResetBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 202, description = "If there is such an account, a mail is on its way."),
        (status = 422, description = "A field is wrong: it is named."),
        (status = 429, description = "Too many from this address of the network, or for this address of mail.")
    )
)]
pub(super) async fn ask_reset(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    body: JsonOrForm<ResetBody>,
) -> Result<StatusCode, Refused> {
    state.accounts.ask_reset(&body.fields.email, origin).await?;
    Ok(StatusCode::ACCEPTED)
}
