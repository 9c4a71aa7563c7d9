//! Where links in mails lead: pages with a button, and what the button sends. Looking at a page changes nothing, so that a mail
//! scanner that follows links uses none up.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::EndpointState;
use super::answer::Refused;
use super::body::JsonOrForm;
use super::page;
use crate::accounts::Origin;
use crate::domain::SecretString;
use crate::problem::Refusal;

/// What a link carries.
#[derive(Deserialize)]
pub(super) struct Link {
    /// The secret that was mailed.
    #[serde(default)]
    token: SecretString,
}

/// A new password by who reads the mails.
#[derive(Deserialize, ToSchema)]
pub(super) struct ResetConfirmBody {
    /// The secret that was mailed. It works once, for half an hour.
    #[schema(value_type = String, format = Password)]
    token: SecretString,
    /// The password that is to be.
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// An address by who reads its mails.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmailConfirmBody {
    /// The secret that was mailed. It works once, for half an hour.
    #[schema(value_type = String, format = Password)]
    token: SecretString,
}

/// The page where a new password is typed.
#[utoipa::path(
    get, path = "/password/reset/confirm", tag = "account", operation_id = "password_reset_page", security(()), params(("token" = String, Query, description = "The secret that was mailed.")),
    responses((status = 200, description = "A page with a form.", body = String, content_type = "text/html"))
)]
pub(super) async fn reset_page(State(state): State<Arc<EndpointState>>, link: Result<Query<Link>, QueryRejection>) -> Response {
    page::new_password(&token(link), state.config.passwords.min_length, None)
}

/// Sets a new password with a mailed secret, and ends all sessions of the account.
#[utoipa::path(
    post, path = "/password/reset/confirm", tag = "account", operation_id = "confirm_password_reset", security(()),
    request_body(content((ResetConfirmBody = "application/json"), (ResetConfirmBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The same, as a page: where a browser sent the form.", body = String, content_type = "text/html"),
        (status = 204, description = "Set. Log in with it."),
        (status = 422, description = "The secret is used up or expired, or the password breaks a rule: the field is named.")
    )
)]
pub(super) async fn reset(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    headers: HeaderMap,
    body: JsonOrForm<ResetConfirmBody>,
) -> Result<Response, Refused> {
    let ResetConfirmBody { token, new_password } = body.fields;
    let done = state.accounts.reset(token.clone(), new_password, origin).await;
    if !(body.is_form && takes_html(&headers)) {
        return Ok(done.map(|()| StatusCode::NO_CONTENT.into_response())?);
    }
    Ok(match done {
        Ok(()) => page::done("The password is set", "You are logged out everywhere. Log in with the new password."),
        Err(refusal) if is_about(&refusal, "new_password") => {
            page::new_password(&token, state.config.passwords.min_length, Some(refusal))
        }
        Err(refusal) => page::refused(refusal),
    })
}

/// The page where an address is confirmed.
#[utoipa::path(
    get, path = "/email/confirm", tag = "account", operation_id = "email_page", security(()), params(("token" = String, Query, description = "The secret that was mailed.")),
    responses((status = 200, description = "A page with a button.", body = String, content_type = "text/html"))
)]
pub(super) async fn email_page(link: Result<Query<Link>, QueryRejection>) -> Response {
    page::confirm_email(&token(link))
}

/// Puts an e-mail address in force with the secret that was mailed to it.
#[utoipa::path(
    post, path = "/email/confirm", tag = "account", operation_id = "confirm_email", security(()),
    request_body(content((EmailConfirmBody = "application/json"), (EmailConfirmBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The same, as a page: where a browser sent the form.", body = String, content_type = "text/html"),
        (status = 204, description = "The address is the account's."),
        (status = 409, description = "The address is another account's by now."),
        (status = 422, description = "The secret is used up or expired.")
    )
)]
pub(super) async fn confirm(
    State(state): State<Arc<EndpointState>>,
    origin: Origin,
    headers: HeaderMap,
    body: JsonOrForm<EmailConfirmBody>,
) -> Result<Response, Refused> {
    let done = state.accounts.confirm_email(body.fields.token, origin).await;
    if !(body.is_form && takes_html(&headers)) {
        return Ok(done.map(|()| StatusCode::NO_CONTENT.into_response())?);
    }
    Ok(match done {
        Ok(()) => page::done("The address is confirmed", "You can close this page."),
        Err(refusal) => page::refused(refusal),
    })
}

fn token(link: Result<Query<Link>, QueryRejection>) -> SecretString {
    link.map_or_else(|_| SecretString::from(""), |Query(link)| link.token)
}

/// Whether a browser asks, for people to read the answer.
fn takes_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

fn is_about(refusal: &Refusal, name: &str) -> bool {
    matches!(refusal, Refusal::InvalidBody { field, .. } if field == name)
}
