//! API keys.

use async_trait::async_trait;

use super::{Db, log, rows};
use crate::domain::{ApiKeyRecord, Entry, Hash256, KeyId, Revoked, Timestamp, User, UserId};
use crate::store::text::kept;
use crate::store::{ApiKeys, StoreError, StoreResult, sql};

#[async_trait]
impl ApiKeys for Db {
    async fn create_key(&self, key: &ApiKeyRecord) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            sqlx::query(sql::INSERT_KEY)
                .bind(key.id.as_str())
                .bind(key.hash.as_bytes().as_slice())
                .bind(key.owner.to_string())
                .bind(kept(&key.name))
                .bind(key.scopes.to_string())
                .bind(rows::json(&key.allowed_cidrs)?)
                .bind(key.created_at.as_millis())
                .bind(key.expires_at.map(Timestamp::as_millis))
                .bind(key.used_at.map(Timestamp::as_millis))
                .bind(key.revoked_at.map(Timestamp::as_millis))
                .bind(key.rate_limit.map(|rate| rate.to_string()))
                .execute(&mut *tx)
                .await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn key(&self, id: &KeyId) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.reading(|| async {
            let row = sqlx::query(sql::KEY).bind(id.as_str()).fetch_optional(&self.readers().await?).await?;
            row.map(|row| Ok((rows::key(&row)?, rows::user(&row)?))).transpose()
        })
        .await
    }

    async fn key_by_hash(&self, hash: &Hash256) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.reading(|| async {
            let query = sqlx::query(sql::KEY_BY_HASH).bind(hash.as_bytes().as_slice());
            let row = query.fetch_optional(&self.readers().await?).await?;
            row.map(|row| Ok((rows::key(&row)?, rows::user(&row)?))).transpose()
        })
        .await
    }

    async fn keys(&self, owner: Option<UserId>) -> StoreResult<Vec<ApiKeyRecord>> {
        self.reading(|| async {
            let query = match owner {
                Some(owner) => sqlx::query(sql::KEYS_OF_OWNER).bind(owner.to_string()),
                None => sqlx::query(sql::KEYS),
            };
            query.fetch_all(&self.readers().await?).await?.iter().map(rows::key).collect()
        })
        .await
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let query = sqlx::query(sql::REVOKE_KEY).bind(id.as_str()).bind(now.as_millis());
            if query.execute(&mut *tx).await?.rows_affected() == 0 {
                return Err(StoreError::NotFound("API key").into());
            }
            let entries = log::append(&mut tx, [Revoked::ApiKey { id: id.clone() }], until).await?;
            Ok((tx, entries))
        })
        .await
    }

    async fn touch_keys(&self, seen: &[(KeyId, Timestamp)]) -> StoreResult<()> {
        if seen.is_empty() {
            return Ok(());
        }
        // In one order, so that replicas that note the same keys do not wait for each other crosswise.
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_unstable();
        self.writing(|| async {
            let mut tx = self.begin().await?;
            for (id, at) in &seen {
                sqlx::query(sql::TOUCH_KEY).bind(id.as_str()).bind(at.as_millis()).execute(&mut *tx).await?;
            }
            Ok((tx, ()))
        })
        .await
    }
}
