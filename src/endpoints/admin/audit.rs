//! `/admin/audit`: what happened.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::acting::AsAdmin;
use super::super::answer::Refused;
use super::super::body::Query;
use super::super::paging::page;
use super::super::refusals::{ToAccounts, ToQueries};
use crate::domain::{AuditEvent, AuditKind};

/// Which events are shown.
#[derive(Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::endpoints) struct AuditQuery {
    /// How many of the latest are left out.
    #[param(minimum = 0)]
    skip: Option<i64>,
    /// How many are shown, 100 where nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// An event of the audit log.
#[derive(Serialize, ToSchema)]
pub(in crate::endpoints) struct EventView {
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// What.
    #[schema(value_type = String, example = "roles_changed")]
    kind: AuditKind,
    /// Who did it: a user id, `cli`, or nobody known.
    actor: Option<String>,
    /// Whom or what it concerns, by id.
    subject: Option<String>,
    /// From which address.
    address: Option<String>,
    /// With which request.
    request_id: Option<String>,
    /// One sentence more.
    detail: Option<String>,
}

impl From<AuditEvent> for EventView {
    fn from(event: AuditEvent) -> Self {
        let AuditEvent { at, kind, actor, subject, address, request_id, detail } = event;
        Self { at: at.to_string(), kind, actor, subject, address, request_id, detail }
    }
}

/// What happened, the latest first.
#[utoipa::path(
    get, path = "/admin/audit", tag = "admin", operation_id = "audit", params(AuditQuery),
    responses((status = 200, description = "The events.", body = Vec<EventView>), ToAccounts, ToQueries)
)]
pub(in crate::endpoints) async fn list(
    AsAdmin(acting): AsAdmin,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Vec<EventView>>, Refused> {
    let events = acting.events(page(query.skip, query.limit)?).await?;
    Ok(Json(events.into_iter().map(EventView::from).collect()))
}
