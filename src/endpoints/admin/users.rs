//! `/admin/users`: everybody's accounts.

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::acting::AsAdmin;
use super::super::answer::Refused;
use super::super::body::{Json, Query, wrong};
use super::super::fields::{Scopes, present};
use super::super::paging::{listed, page};
use super::super::refusals::{Problem, ToAccounts, ToBodies, ToIds, ToQueries};
use crate::accounts::admin::{NewUser, UserPatch};
use crate::domain::{ScopeSet, SecretString, User, UserId};
use crate::problem::Refusal;

/// Which accounts are shown.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct UserQuery {
    /// A part of the username or the e-mail address, without regard to case.
    q: Option<String>,
    /// How many are left out.
    #[param(minimum = 0)]
    skip: Option<i64>,
    /// How many are shown, 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// An account as admins see it: never its password.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, named as clients know it")]
pub(in crate::endpoints) struct UserView {
    /// The user id: `sub` in tokens.
    id: String,
    /// Its login name.
    username: String,
    /// Its e-mail address.
    email: Option<String>,
    /// Whether somebody vouched for the address.
    email_verified: bool,
    /// Its full name.
    full_name: Option<String>,
    /// The roles assigned to it.
    roles: Vec<String>,
    /// Scopes beside those of its roles.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// For `where` and identity headers.
    #[schema(value_type = Object)]
    attributes: Map<String, Value>,
    /// Whether it may do nothing any more.
    disabled: bool,
    /// The opposite of `disabled`.
    is_active: bool,
    /// Whether it is a machine's, without a password.
    service: bool,
    /// RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username,
            email: user.email,
            email_verified: user.email_verified,
            full_name: user.full_name,
            roles: user.roles,
            scopes: user.scopes,
            attributes: user.attributes,
            disabled: user.disabled,
            is_active: !user.disabled,
            service: user.service,
            created_at: user.created_at.to_string(),
        }
    }
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
pub(in crate::endpoints) struct NewUserBody {
    /// 1 to 64 of the letters a-z, digits and `. _ - + @`; unique without regard to case, in one namespace with addresses.
    username: String,
    /// Its password; a service account has none.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Its e-mail address, which counts as verified.
    email: Option<String>,
    /// Its full name.
    full_name: Option<String>,
    /// Its roles; without them `accounts.default_role`.
    roles: Option<Vec<String>>,
    /// Scopes beside those of its roles.
    scopes: Option<Scopes>,
    /// For `where` and identity headers.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
    /// Whether it is a machine's, without a password.
    service: Option<bool>,
}

/// What of an account changes; what is not there stays.
#[derive(Deserialize, ToSchema)]
#[expect(clippy::option_option, reason = "not there, `null` and a value are three things")]
pub(in crate::endpoints) struct UserPatchBody {
    /// Its full name; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    full_name: Option<Option<String>>,
    /// Its e-mail address, which counts as verified unless `email_verified` says otherwise; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// Whether the address is known to be its own.
    email_verified: Option<bool>,
    /// Its roles, in place of those it has.
    roles: Option<Vec<String>>,
    /// Scopes beside those of its roles, in place of those it has.
    scopes: Option<Scopes>,
    /// Attributes to set; `null` removes one, others stay.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Map<String, Value>>,
    /// Whether it may do nothing any more.
    disabled: Option<bool>,
    /// The opposite of `disabled`, for clients that say it that way.
    is_active: Option<bool>,
    /// A new password, which ends all sessions.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
}

impl UserPatchBody {
    fn read(self) -> Result<UserPatch, Refusal> {
        let disabled = match (self.disabled, self.is_active) {
            (Some(disabled), Some(active)) if disabled == active => {
                return Err(wrong("is_active", "`is_active` and `disabled` say the opposite of each other."));
            }
            (disabled, active) => disabled.or(active.map(|active| !active)),
        };
        Ok(UserPatch {
            full_name: self.full_name,
            email: self.email,
            email_verified: self.email_verified,
            roles: self.roles,
            scopes: self.scopes.map(|scopes| scopes.read("scopes")).transpose()?,
            attributes: self.attributes,
            disabled,
            password: self.password,
        })
    }
}

/// Accounts by username; `X-Total-Count` says how many there are.
#[utoipa::path(
    get, path = "/admin/users", tag = "admin", operation_id = "users", params(UserQuery),
    responses(
        (status = 200, description = "The accounts.", body = Vec<UserView>, headers(("X-Total-Count" = u64))),
        ToAccounts, ToQueries
    )
)]
pub(in crate::endpoints) async fn list(AsAdmin(acting): AsAdmin, Query(query): Query<UserQuery>) -> Result<Response, Refused> {
    let part = query.q.as_deref().filter(|part| !part.is_empty());
    let users = acting.users(part, page(query.skip, query.limit)?).await?;
    Ok(listed(users.items.into_iter().map(UserView::from).collect(), users.total))
}

/// Makes an account.
#[utoipa::path(
    post, path = "/admin/users", tag = "admin", operation_id = "create_user", request_body = NewUserBody,
    responses(
        (status = 201, description = "The account.", body = UserView),
        (status = 409, description = "The name or the address is taken.", body = Problem, content_type = "application/problem+json"),
        ToAccounts, ToBodies
    )
)]
pub(in crate::endpoints) async fn create(
    AsAdmin(acting): AsAdmin,
    Json(body): Json<NewUserBody>,
) -> Result<(StatusCode, Answer<UserView>), Refused> {
    let mut attributes = body.attributes.unwrap_or_default();
    attributes.retain(|_, value| !value.is_null());
    let new = NewUser {
        username: body.username,
        email: body.email,
        full_name: body.full_name,
        roles: body.roles,
        scopes: body.scopes.map(|scopes| scopes.read("scopes")).transpose()?.unwrap_or_default(),
        attributes,
        service: body.service.unwrap_or_default(),
        password: body.password,
    };
    Ok((StatusCode::CREATED, Answer(acting.create_user(new).await?.into())))
}

/// An account.
#[utoipa::path(
    get, path = "/admin/users/{id}", tag = "admin", operation_id = "user",
    params(("id" = String, Path, description = "The user id.")),
    responses((status = 200, description = "The account.", body = UserView), ToAccounts, ToIds)
)]
pub(in crate::endpoints) async fn show(AsAdmin(acting): AsAdmin, Path(id): Path<String>) -> Result<Answer<UserView>, Refused> {
    Ok(Answer(acting.user(user_id(&id)?).await?.into()))
}

/// Changes an account. Tokens that say otherwise die at once.
#[utoipa::path(
    patch, path = "/admin/users/{id}", tag = "admin", operation_id = "change_user", request_body = UserPatchBody,
    params(("id" = String, Path, description = "The user id.")),
    responses(
        (status = 200, description = "The account as it is now.", body = UserView),
        (status = 409, description = "The address is taken.", body = Problem, content_type = "application/problem+json"),
        ToAccounts, ToIds, ToBodies
    )
)]
pub(in crate::endpoints) async fn change(
    AsAdmin(acting): AsAdmin,
    Path(id): Path<String>,
    Json(body): Json<UserPatchBody>,
) -> Result<Answer<UserView>, Refused> {
    Ok(Answer(acting.change_user(user_id(&id)?, body.read()?).await?.into()))
}

/// Deletes an account with its sessions and keys: never one's own, nor the last admin's.
#[utoipa::path(
    delete, path = "/admin/users/{id}", tag = "admin", operation_id = "delete_user",
    params(("id" = String, Path, description = "The user id.")),
    responses((status = 204, description = "The account is gone everywhere."), ToAccounts, ToIds)
)]
pub(in crate::endpoints) async fn remove(AsAdmin(acting): AsAdmin, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    acting.delete_user(user_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn user_id(text: &str) -> Result<UserId, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound("user"))
}
