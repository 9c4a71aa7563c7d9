//! OAuth clients.

use async_trait::async_trait;

use super::{Db, locks, log, rows, sessions};
use crate::domain::{ClientId, ClientRecord, Entry, Revoked, Timestamp, folded};
use crate::store::text::kept;
use crate::store::{Clients, StoreError, StoreResult, sql};

#[async_trait]
impl Clients for Db {
    async fn create_client(&self, client: &ClientRecord) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let inserted = sqlx::query(sql::INSERT_CLIENT)
                .bind(client.id.to_string())
                .bind(kept(&client.name))
                .bind(folded(&kept(&client.name)))
                .bind(client.secret.map(|secret| secret.as_bytes().to_vec()))
                .bind(rows::json(&client.grants)?)
                .bind(client.scopes.to_string())
                .bind(rows::json(&client.redirect_uris)?)
                .bind(client.generation)
                .bind(client.created_at.as_millis())
                .execute(&mut *tx)
                .await?;
            if inserted.rows_affected() == 0 { Err(StoreError::Taken("name").into()) } else { Ok((tx, ())) }
        })
        .await
    }

    async fn client(&self, id: ClientId) -> StoreResult<Option<ClientRecord>> {
        self.reading(|| async {
            let row = sqlx::query(sql::CLIENT).bind(id.to_string()).fetch_optional(&self.readers().await?).await?;
            row.as_ref().map(rows::client).transpose()
        })
        .await
    }

    async fn clients(&self) -> StoreResult<Vec<ClientRecord>> {
        self.reading(|| async {
            sqlx::query(sql::CLIENTS).fetch_all(&self.readers().await?).await?.iter().map(rows::client).collect()
        })
        .await
    }

    async fn delete_client(&self, id: ClientId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::users_of_client(&mut tx, id).await?;
            if sqlx::query(sql::DELETE_CLIENT).bind(id.to_string()).execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(StoreError::NotFound("client").into());
            }
            let mut revoked = vec![Revoked::Generation { subject: id.into(), below: i64::MAX }];
            let query = sqlx::query(sql::END_SESSIONS_OF_CLIENT).bind(id.to_string()).bind(now.as_millis());
            let rows = query.fetch_all(&mut *tx).await?;
            revoked.extend(sessions::ended(&mut tx, rows).await?);
            let entries = log::append(&mut tx, revoked, until).await?;
            Ok((tx, entries))
        })
        .await
    }
}
