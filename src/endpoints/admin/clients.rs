//! `/admin/clients`: OAuth clients.

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::acting::AsAdmin;
use super::super::answer::Refused;
use super::super::body::{Json, Query, wrong};
use super::super::fields::Scopes;
use super::super::paging::{listed, page};
use super::super::refusals::{Problem, ToAccounts, ToBodies, ToIds, ToQueries};
use crate::accounts::admin::NewClient;
use crate::domain::{ClientRecord, Grant, ScopeSet};
use crate::problem::Refusal;

/// Which clients are shown.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct ClientQuery {
    /// How many are left out.
    #[param(minimum = 0)]
    skip: Option<i64>,
    /// How many are shown, 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A client to be made.
#[derive(Deserialize, ToSchema)]
pub(in crate::endpoints) struct NewClientBody {
    /// What people call it; unique without regard to case.
    name: String,
    /// How it may get tokens: `password`, `refresh_token`, `client_credentials`, `authorization_code`. Without them what suits
    /// its kind.
    grants: Option<Vec<String>>,
    /// What its tokens may do at most; one that acts as itself may do all of it.
    scopes: Option<Scopes>,
    /// Where codes may be sent.
    redirect_uris: Option<Vec<String>>,
    /// Whether it can't keep a secret: a program in a browser or on a phone.
    public: Option<bool>,
}

/// An OAuth client: never its secret.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct ClientView {
    /// Its id.
    client_id: String,
    /// What people call it.
    name: String,
    /// How it may get tokens.
    grants: Vec<&'static str>,
    /// What its tokens may do at most.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// Where codes may be sent.
    redirect_uris: Vec<String>,
    /// Whether it has no secret.
    public: bool,
    /// RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<ClientRecord> for ClientView {
    fn from(client: ClientRecord) -> Self {
        Self {
            client_id: client.id.to_string(),
            name: client.name,
            grants: client.grants.iter().map(|grant| grant.as_str()).collect(),
            scopes: client.scopes,
            redirect_uris: client.redirect_uris,
            public: client.secret.is_none(),
            created_at: client.created_at.to_string(),
        }
    }
}

/// A client that was made.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct MadeClient {
    /// Its secret: this once, and never again. Public clients have none.
    client_secret: Option<String>,
    /// What is kept of it.
    #[serde(flatten)]
    made: ClientView,
}

/// OAuth clients by name; `X-Total-Count` says how many there are.
#[utoipa::path(
    get, path = "/admin/clients", tag = "admin", operation_id = "clients", params(ClientQuery),
    responses(
        (status = 200, description = "The clients.", body = Vec<ClientView>, headers(("X-Total-Count" = u64))),
        ToAccounts, ToQueries
    )
)]
pub(in crate::endpoints) async fn list(AsAdmin(acting): AsAdmin, Query(query): Query<ClientQuery>) -> Result<Response, Refused> {
    let clients = acting.clients(page(query.skip, query.limit)?).await?;
    Ok(listed(clients.items.into_iter().map(ClientView::from).collect(), clients.total))
}

/// Makes an OAuth client.
#[utoipa::path(
    post, path = "/admin/clients", tag = "admin", operation_id = "create_client", request_body = NewClientBody,
    responses(
        (status = 201, description = "The client, and its secret this once.", body = MadeClient),
        (status = 409, description = "The name is taken.", body = Problem, content_type = "application/problem+json"),
        ToAccounts, ToBodies
    )
)]
pub(in crate::endpoints) async fn create(
    AsAdmin(acting): AsAdmin,
    Json(body): Json<NewClientBody>,
) -> Result<(StatusCode, Answer<MadeClient>), Refused> {
    let new = NewClient {
        name: body.name,
        grants: body.grants.map(|grants| grants.iter().map(|grant| named(grant)).collect()).transpose()?,
        scopes: body.scopes.map(|scopes| scopes.read("scopes")).transpose()?,
        redirect_uris: body.redirect_uris.unwrap_or_default(),
        public: body.public.unwrap_or_default(),
    };
    let created = acting.create_client(new).await?;
    let client_secret = created.secret.map(|secret| secret.expose().to_owned());
    Ok((StatusCode::CREATED, Answer(MadeClient { client_secret, made: created.record.into() })))
}

/// Deletes a client, with its tokens and the sessions that were opened through it.
#[utoipa::path(
    delete, path = "/admin/clients/{id}", tag = "admin", operation_id = "delete_client",
    params(("id" = String, Path, description = "The `client_id`.")),
    responses((status = 204, description = "The client is gone everywhere."), ToAccounts, ToIds)
)]
pub(in crate::endpoints) async fn remove(AsAdmin(acting): AsAdmin, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refusal::NotFound("client"))?;
    acting.delete_client(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(grant: &str) -> Result<Grant, Refusal> {
    let all = Grant::ALL.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(", ");
    let found = Grant::ALL.into_iter().find(|known| known.as_str() == grant);
    found.ok_or_else(|| wrong("grants", format!("`grants` may hold {all}.")))
}
