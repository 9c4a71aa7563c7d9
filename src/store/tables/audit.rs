//! The audit log at rest.

use async_trait::async_trait;

use super::{Db, DbConnection, Outcome, rows};
use crate::domain::AuditEvent;
use crate::store::text::kept;
use crate::store::{Audit, StoreResult, sql};

/// Writes it down in a transaction.
pub(super) async fn insert(connection: &mut DbConnection, event: &AuditEvent) -> Outcome<()> {
    sqlx::query(sql::INSERT_EVENT)
        .bind(event.at.as_millis())
        .bind(event.kind.as_str())
        .bind(event.actor.as_deref().map(kept))
        .bind(event.subject.as_deref().map(kept))
        .bind(event.address.as_deref().map(kept))
        .bind(event.request_id.as_deref().map(kept))
        .bind(event.detail.as_deref().map(kept))
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl Audit for Db {
    async fn record(&self, event: &AuditEvent) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            insert(&mut tx, event).await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn events(&self, skip: u32, limit: u32) -> StoreResult<Vec<AuditEvent>> {
        self.reading(|| async {
            let query = sqlx::query(sql::EVENTS).bind(i64::from(limit)).bind(i64::from(skip));
            query.fetch_all(&self.readers().await?).await?.iter().filter_map(|row| rows::event(row).transpose()).collect()
        })
        .await
    }
}
