//! The durable log of revocations, and forgetting.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row;

use super::{Db, DbConnection, Outcome, locks, rows};
use crate::domain::{Entry, Revoked, Timestamp};
use crate::store::{RevocationLog, StoreResult, sql};

const DAY: Duration = Duration::from_hours(24);
/// How long a network stays known.
const NETWORK: Duration = Duration::from_hours(30 * 24);
/// Rows a transaction of `prune` takes at most, so that no login waits long behind it.
const BATCH: i64 = 1000;

/// Writes entries in the transaction that revokes, in order.
pub(super) async fn append(
    connection: &mut DbConnection,
    what: impl IntoIterator<Item = Revoked>,
    until: Timestamp,
) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    for what in what {
        let seq: i64 = sqlx::query(sql::NEXT_SEQ).bind(1).fetch_one(&mut *connection).await?.try_get(0)?;
        let (kind, id, below) = match &what {
            Revoked::Token { id } => ("token", id.to_string(), None),
            Revoked::Session { id } => ("session", id.to_string(), None),
            Revoked::Generation { subject, below } => ("generation", subject.to_string(), Some(*below)),
            Revoked::ApiKey { id } => ("api_key", id.to_string(), None),
        };
        sqlx::query(sql::INSERT_REVOCATION)
            .bind(seq)
            .bind(kind)
            .bind(id)
            .bind(below)
            .bind(until.as_millis())
            .execute(&mut *connection)
            .await?;
        entries.push(Entry { seq, what, until });
    }
    Ok(entries)
}

#[async_trait]
impl RevocationLog for Db {
    async fn revoke(&self, what: &Revoked, until: Timestamp) -> StoreResult<Entry> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let mut entries = append(&mut tx, [what.clone()], until).await?;
            let entry = entries.pop().ok_or(sqlx::Error::RowNotFound)?;
            Ok((tx, entry))
        })
        .await
    }

    async fn revocations_after(&self, seq: i64, limit: u32) -> StoreResult<Vec<Entry>> {
        self.reading(|| async {
            let query = sqlx::query(sql::REVOCATIONS_AFTER).bind(seq).bind(i64::from(limit));
            let page: Option<String> = query.fetch_one(&self.followers().await?).await?.try_get(0)?;
            rows::entries(page.as_deref().unwrap_or_default())
        })
        .await
    }

    async fn last_revocation(&self) -> StoreResult<i64> {
        self.reading(|| async { Ok(sqlx::query(sql::LAST_SEQ).fetch_one(&self.followers().await?).await?.try_get(0)?) }).await
    }

    async fn prune(&self, now: Timestamp, grace: Duration) -> StoreResult<u64> {
        let mut pruned = 0;
        for (statement, before) in [
            (sql::PRUNE_REVOCATIONS, now),
            (sql::PRUNE_SEALED, now.minus(grace)),
            (sql::PRUNE_ENDED_SESSIONS, now.minus(DAY)),
            (sql::PRUNE_EXPIRED_SESSIONS, now.minus(DAY)),
            // A token that ended by itself is dead without its row; the row of a living session's would stay for ever.
            (sql::PRUNE_REFRESH, now.minus(DAY)),
            (sql::PRUNE_NETWORKS, now.minus(NETWORK)),
            (sql::PRUNE_MAILED, now),
        ] {
            loop {
                let gone = self
                    .writing(|| async {
                        let mut tx = self.begin().await?;
                        if !locks::pruning(&mut tx).await? {
                            return Ok((tx, 0));
                        }
                        let query = sqlx::query(statement).bind(before.as_millis()).bind(BATCH);
                        let gone = query.execute(&mut *tx).await?.rows_affected();
                        Ok((tx, gone))
                    })
                    .await?;
                pruned += gone;
                if gone < BATCH.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(pruned)
    }
}
