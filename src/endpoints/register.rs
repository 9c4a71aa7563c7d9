//! `POST /register`, where `accounts.registration` lets people make their own accounts.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::EndpointState;
use super::answer::Refused;
use super::body::Json;
use crate::accounts::{Origin, Profile, Registration};
use crate::domain::SecretString;

/// Where accounts are made.
pub(super) const REGISTER: &str = "/register";

/// An account to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct RegisterBody {
    /// 1 to 64 of the letters a-z, digits and `. _ - +`.
    username: String,
    /// The e-mail address.
    email: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// The name for people to read.
    full_name: Option<String>,
}

/// Makes an account. Where the gateway sends mail, the address is the account's once the mailed link is confirmed.
#[utoipa::path(
    post, path = "/register", tag = "account", operation_id = "register", security(()),
    request_body(content((RegisterBody = "application/json"))),
    responses(
        (status = 201, description = "The account. It can log in.", body = Profile),
        (status = 409, description = "The username is taken; without mail also: the e-mail address is."),
        (status = 422, description = "A field is wrong, or the password breaks a rule: it is named."),
        (status = 429, description = "Too many from this address.")
    )
)]
pub(super) async fn register(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, Answer<Profile>), Refused> {
    let RegisterBody { username, email, password, full_name } = body;
    let made = state.accounts.register(Registration { username, email, password, full_name, origin }).await?;
    Ok((StatusCode::CREATED, Answer(made)))
}
