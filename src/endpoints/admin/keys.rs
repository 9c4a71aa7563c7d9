//! `/admin/keys`: everybody's API keys.

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::acting::AsAdmin;
use super::super::answer::Refused;
use super::super::body::{Json, Query};
use super::super::fields::{Scopes, Span};
use super::super::keys::{KeyView, MadeKey, NewKeyBody};
use super::super::paging::{listed, page};
use super::super::refusals::{ToAccounts, ToBodies, ToIds, ToQueries};
use crate::problem::Refusal;

/// Which keys are shown.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct KeyQuery {
    /// Those of this account only: its id, username or e-mail address.
    owner: Option<String>,
    /// How many are left out.
    #[param(minimum = 0)]
    skip: Option<i64>,
    /// How many are shown, 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A key to be made for somebody.
#[derive(Deserialize, ToSchema)]
pub(in crate::endpoints) struct NewKeyOfBody {
    /// Whose rights bound it: an id, a username or an e-mail address.
    owner: String,
    /// What people call it, 1 to 64 bytes on one line.
    name: String,
    /// What it may do: of each the narrower of asked and held. Without them all that may be given, but the gateway's own scopes.
    scopes: Option<Scopes>,
    /// When it ends by itself; without it never.
    expires_in: Option<Span>,
    /// The networks that it may be used from, such as `10.0.0.0/8`; without them any.
    allowed_cidrs: Option<Vec<String>>,
    /// How often it may be used on routes, such as `100/1m`, beside what those allow its owner; without it as often as they do.
    #[schema(example = "100/1m")]
    rate_limit: Option<String>,
}

/// A key and its owner's name.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct OwnedKey {
    /// The username of its owner.
    owner: Option<String>,
    /// The key.
    #[serde(flatten)]
    key: KeyView,
}

/// A key that was made, and its owner's name.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct MadeOwnedKey {
    /// The username of its owner.
    owner: String,
    /// The key.
    #[serde(flatten)]
    key: MadeKey,
}

/// Keys, newest first, revoked ones too; `X-Total-Count` says how many there are.
#[utoipa::path(
    get, path = "/admin/keys", tag = "admin", operation_id = "keys", params(KeyQuery),
    responses(
        (status = 200, description = "The keys.", body = Vec<OwnedKey>, headers(("X-Total-Count" = u64))),
        ToAccounts, ToQueries
    )
)]
pub(in crate::endpoints) async fn list(AsAdmin(acting): AsAdmin, Query(query): Query<KeyQuery>) -> Result<Response, Refused> {
    let keys = acting.keys(query.owner.as_deref(), page(query.skip, query.limit)?).await?;
    let items = keys.items.into_iter().map(|(key, owner)| OwnedKey { owner, key: KeyView::from(key) }).collect();
    Ok(listed(items, keys.total))
}

/// Makes a key for an account: one's own, or one that holds nothing which the acting credential lacks.
#[utoipa::path(
    post, path = "/admin/keys", tag = "admin", operation_id = "create_key", request_body = NewKeyOfBody,
    responses((status = 201, description = "The key, this once.", body = MadeOwnedKey), ToAccounts, ToBodies)
)]
pub(in crate::endpoints) async fn create(
    AsAdmin(acting): AsAdmin,
    Json(body): Json<NewKeyOfBody>,
) -> Result<(StatusCode, Answer<MadeOwnedKey>), Refused> {
    let NewKeyOfBody { owner, name, scopes, expires_in, allowed_cidrs, rate_limit } = body;
    let wish = NewKeyBody { name, scopes, expires_in, allowed_cidrs, rate_limit }.read()?;
    let (key, owner) = acting.create_key(&owner, wish).await?;
    Ok((StatusCode::CREATED, Answer(MadeOwnedKey { owner, key: key.into() })))
}

/// Revokes a key; once more changes nothing.
#[utoipa::path(
    delete, path = "/admin/keys/{id}", tag = "admin", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's id: the 26 characters behind `ptc_`.")),
    responses((status = 204, description = "The key is dead everywhere."), ToAccounts, ToIds)
)]
pub(in crate::endpoints) async fn revoke(AsAdmin(acting): AsAdmin, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refusal::NotFound("API key"))?;
    acting.revoke_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
