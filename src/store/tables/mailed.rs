//! What was mailed to users.

use async_trait::async_trait;

use super::{Db, DbConnection, Outcome, locks, rows, users};
use crate::domain::{Entry, Hash256, MailPurpose, MailedToken, Timestamp, User, UserId};
use crate::store::{MailedTokens, StoreError, StoreResult, UserChange, sql};

async fn forget(connection: &mut DbConnection, user: UserId, purpose: MailPurpose) -> Outcome<()> {
    sqlx::query(sql::DELETE_MAILED).bind(user.to_string()).bind(purpose.as_str()).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl MailedTokens for Db {
    async fn mail(&self, token: &MailedToken, generation: Option<i64>) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user(&mut tx, token.user).await?;
            if let Some(generation) = generation
                && users::find(&mut tx, token.user).await?.is_none_or(|user| user.generation != generation)
            {
                return Err(StoreError::Changed.into());
            }
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
        self.reading(|| async {
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
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user_of_mailed(&mut tx, *hash).await?;
            let query = sqlx::query(sql::MAILED).bind(hash.as_bytes().as_slice()).bind(purpose.as_str());
            let token = query.fetch_optional(&mut *tx).await?.as_ref().map(rows::mailed).transpose()?;
            let token = token.filter(|token| now < token.expires_at).ok_or(StoreError::NotFound("token"))?;
            forget(&mut tx, token.user, purpose).await?;
            let changed = users::change(&mut tx, token.user, change.clone(), now, until).await?;
            Ok((tx, changed))
        })
        .await
    }
}
