//! `/me`: the caller's own account.

#![expect(clippy::option_option, reason = "a name of null takes it away, none leaves it")]

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{FromRequest, Request, State};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::answer::Refused;
use super::body::Json;
use super::caller::caller_with;
use super::{EndpointState, caller};
use crate::accounts::{MeChange, Origin, Profile};
use crate::domain::{Scope, SecretString};

/// What of one's own account is to change. What is not there stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct MeBody {
    /// The name for people to read; `null` takes it away.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    full_name: Option<Option<String>>,
    /// The e-mail address: in force once the link that is mailed to it is confirmed.
    email: Option<String>,
    /// The current password, needed for another e-mail address.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// Tells a `null` from what is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The account behind the credential; its scopes are the credential's.
#[utoipa::path(
    get, path = "/me", tag = "account", operation_id = "me",
    responses((status = 200, description = "The account.", body = Profile))
)]
pub(super) async fn me(State(state): State<Arc<EndpointState>>, request: Request) -> Result<Answer<Profile>, Refused> {
    let (parts, _) = request.into_parts();
    let caller = caller(&state, &parts).await?;
    Ok(Answer(state.accounts.me(&caller.principal).await?))
}

/// Changes the account behind the credential.
#[utoipa::path(
    patch, path = "/me", tag = "account", operation_id = "change_me",
    request_body(content((MeBody = "application/json"))),
    responses(
        (status = 200, description = "The account as it is now; another e-mail address shows once it is confirmed.", body = Profile),
        (status = 401, description = "No credential that counts, or a wrong current password."),
        (status = 403, description = "The scope portcullis:account is missing, or e-mail addresses can't be changed here."),
        (status = 422, description = "A field is wrong: it is named."),
        (status = 429, description = "Too many wrong passwords, or too many mails to this address.")
    )
)]
pub(super) async fn change(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<Answer<Profile>, Refused> {
    let (parts, body) = request.into_parts();
    let caller = caller_with(&state, &parts, Scope::ACCOUNT).await?;
    let Json(body): Json<MeBody> = Json::from_request(Request::from_parts(parts, body), &()).await?;
    let MeBody { full_name, email, current_password } = body;
    let change = MeChange { full_name, email, current_password };
    Ok(Answer(state.accounts.change_me(&caller.principal, change, origin).await?))
}

/// The same as PATCH: what is not there stays.
#[utoipa::path(
    put, path = "/me", tag = "account", operation_id = "put_me",
    request_body(content((MeBody = "application/json"))),
    responses(
        (status = 200, description = "The account as it is now; another e-mail address shows once it is confirmed.", body = Profile),
        (status = 401, description = "No credential that counts, or a wrong current password."),
        (status = 403, description = "The scope portcullis:account is missing, or e-mail addresses can't be changed here."),
        (status = 422, description = "A field is wrong: it is named."),
        (status = 429, description = "Too many wrong passwords, or too many mails to this address.")
    )
)]
pub(super) async fn replace(
    state: State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<Answer<Profile>, Refused> {
    change(state, origin, request).await
}
