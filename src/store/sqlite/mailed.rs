//! What was mailed to users.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{Sqlite, reading, users, writing};
use crate::domain::{Entry, Hash256, MailPurpose, MailedToken, Timestamp, User, UserId};
use crate::store::{MailedTokens, StoreError, StoreResult, UserChange, rows, sql};

async fn forget(connection: &mut SqliteConnection, user: UserId, purpose: MailPurpose) -> StoreResult<()> {
    sqlx::query(sql::DELETE_MAILED).bind(user.to_string()).bind(purpose.as_str()).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl MailedTokens for Sqlite {
    async fn mail(&self, token: &MailedToken) -> StoreResult<()> {
        writing(async {
            let mut tx = self.begin().await?;
            forget(&mut tx, token.user, token.purpose).await?;
            sqlx::query(sql::INSERT_MAILED)
                .bind(token.hash.as_bytes().as_slice())
                .bind(token.user.to_string())
                .bind(token.purpose.as_str())
                .bind(&token.email)
                .bind(token.created_at.as_millis())
                .bind(token.expires_at.as_millis())
                .execute(&mut *tx)
                .await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn mailed(&self, hash: &Hash256, purpose: MailPurpose, now: Timestamp) -> StoreResult<Option<MailedToken>> {
        reading(async {
            let query = sqlx::query(sql::MAILED).bind(hash.as_bytes().as_slice()).bind(purpose.as_str());
            let row = query.fetch_optional(&self.readers().await?).await?;
            let token = row.as_ref().map(rows::mailed).transpose()?;
            Ok(token.filter(|token| now < token.expires_at))
        })
        .await
    }

    async fn redeem(
        &self,
        hash: &Hash256,
        purpose: MailPurpose,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)> {
        writing(async {
            let mut tx = self.begin().await?;
            let query = sqlx::query(sql::MAILED).bind(hash.as_bytes().as_slice()).bind(purpose.as_str());
            let token = query.fetch_optional(&mut *tx).await?.as_ref().map(rows::mailed).transpose()?;
            let token = token.filter(|token| now < token.expires_at).ok_or(StoreError::NotFound("token"))?;
            forget(&mut tx, token.user, purpose).await?;
            let changed = users::change(&mut tx, token.user, change, now, until).await?;
            Ok((tx, changed))
        })
        .await
    }
}
