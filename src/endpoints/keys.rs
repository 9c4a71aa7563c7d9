//! `/keys`: one's own API keys.

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::acting::AsAccount;
use super::answer::Refused;
use super::body::{Json, wrong};
use super::fields::{Scopes, Span};
use super::refusals::{ToAccounts, ToBodies, ToIds};
use crate::accounts::admin::{CreatedKey, KeyWish};
use crate::domain::{ApiKeyRecord, Rate, ScopeSet};
use crate::problem::Refusal;

/// A key to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewKeyBody {
    /// What people call it, 1 to 64 bytes on one line.
    pub(super) name: String,
    /// What it may do: of each the narrower of asked and held. Without them all that may be given, but the gateway's own scopes.
    pub(super) scopes: Option<Scopes>,
    /// When it ends by itself; without it never.
    pub(super) expires_in: Option<Span>,
    /// The networks that it may be used from, such as `10.0.0.0/8`; without them any.
    pub(super) allowed_cidrs: Option<Vec<String>>,
    /// How often it may be used on routes, such as `100/1m`, beside what those allow its owner; without it as often as they do.
    #[schema(example = "100/1m")]
    pub(super) rate_limit: Option<String>,
}

impl NewKeyBody {
    /// The key as it is asked for.
    pub(super) fn read(self) -> Result<KeyWish, Refusal> {
        Ok(KeyWish {
            name: self.name,
            scopes: self.scopes.map(|scopes| scopes.read("scopes")).transpose()?,
            expires_in: self.expires_in.map(|span| span.read("expires_in")).transpose()?,
            allowed_cidrs: self.allowed_cidrs.unwrap_or_default(),
            rate_limit: self.rate_limit.map(|text| rate(&text)).transpose()?,
        })
    }
}

fn rate(text: &str) -> Result<Rate, Refusal> {
    text.parse().map_err(|_| wrong("rate_limit", "`rate_limit` must be how many a period, such as 100/1m."))
}

/// An API key: never the key itself, nor its hash.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyView {
    /// Its public part.
    id: String,
    /// What people call it.
    name: String,
    /// The id of the account whose rights bound it.
    owner_id: String,
    /// What it may do, never more than its owner may at the time of the call.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// The networks that it may be used from; empty is any.
    allowed_cidrs: Vec<String>,
    /// How often it may be used on routes; `null` is as often as those allow.
    rate_limit: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was last used, to the minute or so.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

impl From<ApiKeyRecord> for KeyView {
    fn from(key: ApiKeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            owner_id: key.owner.to_string(),
            scopes: key.scopes,
            allowed_cidrs: key.allowed_cidrs,
            rate_limit: key.rate_limit.map(|rate| rate.to_string()),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            last_used_at: key.used_at.map(|at| at.to_string()),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeKey {
    /// The key itself: this once, and never again.
    key: String,
    /// What is kept of it.
    #[serde(flatten)]
    made: KeyView,
}

impl From<CreatedKey> for MadeKey {
    fn from(created: CreatedKey) -> Self {
        Self { key: created.key.expose().to_owned(), made: created.record.into() }
    }
}

/// One's own keys that were not revoked, newest first.
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "own_keys",
    responses((status = 200, description = "The keys.", body = Vec<KeyView>), ToAccounts)
)]
pub(super) async fn list(AsAccount(acting): AsAccount) -> Result<Answer<Vec<KeyView>>, Refused> {
    Ok(Answer(acting.own_keys().await?.into_iter().map(KeyView::from).collect()))
}

/// Makes a key of one's own, which never holds more than the credential that makes it.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "create_own_key", request_body = NewKeyBody,
    responses((status = 201, description = "The key, this once.", body = MadeKey), ToAccounts, ToBodies)
)]
pub(super) async fn create(
    AsAccount(acting): AsAccount,
    Json(body): Json<NewKeyBody>,
) -> Result<(StatusCode, Answer<MadeKey>), Refused> {
    Ok((StatusCode::CREATED, Answer(acting.create_own_key(body.read()?).await?.into())))
}

/// Revokes a key of one's own; once more changes nothing.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "keys", operation_id = "revoke_own_key",
    params(("id" = String, Path, description = "The key's id: the 26 characters behind `ptc_`.")),
    responses((status = 204, description = "The key is dead everywhere."), ToAccounts, ToIds)
)]
pub(super) async fn revoke(AsAccount(acting): AsAccount, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refusal::NotFound("API key"))?;
    acting.revoke_own_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
