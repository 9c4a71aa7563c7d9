//! The audit log at rest.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{Sqlite, reading, writing};
use crate::domain::AuditEvent;
use crate::store::{Audit, StoreResult, rows, sql};

/// Writes it down in a transaction.
pub(super) async fn insert(connection: &mut SqliteConnection, event: &AuditEvent) -> StoreResult<()> {
    sqlx::query(sql::INSERT_EVENT)
        .bind(event.at.as_millis())
        .bind(event.kind.as_str())
        .bind(&event.actor)
        .bind(&event.subject)
        .bind(&event.address)
        .bind(&event.request_id)
        .bind(&event.detail)
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl Audit for Sqlite {
    async fn record(&self, event: &AuditEvent) -> StoreResult<()> {
        writing(async {
            let mut tx = self.begin().await?;
            insert(&mut tx, event).await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn events(&self, skip: u32, limit: u32) -> StoreResult<Vec<AuditEvent>> {
        reading(async {
            let query = sqlx::query(sql::EVENTS).bind(i64::from(limit)).bind(i64::from(skip));
            query.fetch_all(&self.readers().await?).await?.iter().filter_map(|row| rows::event(row).transpose()).collect()
        })
        .await
    }
}
