//! `/me`: the caller's own account.

#![expect(clippy::option_option, reason = "a name of null takes it away, none leaves it")]

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{FromRequest, Request, State};
use serde::Deserialize;
use utoipa::{IntoResponses, ToSchema};

use super::answer::Refused;
use super::body::Json;
use super::caller::caller_with;
use super::fields::present;
use super::{EndpointState, caller};
use crate::accounts::{MeChange, Origin, Profile};
use crate::domain::{Scope, SecretString};

/// What of one's own account is to change. What is not there stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct MeBody {
    /// The name for people to read; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    full_name: Option<Option<String>>,
    /// The e-mail address: in force once the link that is mailed to it is confirmed.
    email: Option<String>,
    /// The current password, needed for another e-mail address.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<SecretString>,
}

/// How a change of one's own account is answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
enum Changed {
    /// The account as it is now; another e-mail address shows once it is confirmed.
    #[response(status = 200)]
    Done(Profile),
    /// No credential that counts, or a wrong current password.
    #[response(status = 401)]
    Stranger,
    /// The scope portcullis:account is missing, or e-mail addresses can't be changed here.
    #[response(status = 403)]
    Forbidden,
    /// A field is wrong: it is named.
    #[response(status = 422)]
    Wrong,
    /// Too many wrong passwords, or too many mails to this address.
    #[response(status = 429)]
    TooMany,
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
    responses(Changed)
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
    responses(Changed)
)]
pub(super) async fn replace(
    state: State<Arc<EndpointState>>,
    origin: Origin,
    request: Request,
) -> Result<Answer<Profile>, Refused> {
    change(state, origin, request).await
}
