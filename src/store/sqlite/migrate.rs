//! The schema, brought up to this release's under a lock.

use sqlx::{Connection, Row, SqliteConnection};

use crate::store::{Outcome, migrate, sql};

/// Applies what is missing, all or nothing; replicas that start together wait for each other at `BEGIN IMMEDIATE`.
pub(super) async fn run(connection: &mut SqliteConnection) -> Outcome<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    refuse_incompatible(&mut tx).await?;
    // Not `run`: its future is not `Send` for every lifetime ("`Acquire` is not general enough").
    migrate::sqlite().run_direct(None, &mut *tx, false).await.map_err(migrate::refused)?;
    Ok(tx.commit().await?)
}

async fn refuse_incompatible(connection: &mut SqliteConnection) -> Outcome<()> {
    let meta = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'");
    if meta.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(());
    }
    let needed: i64 = sqlx::query(sql::META).bind("min_compatible").fetch_one(connection).await?.try_get(0)?;
    Ok(migrate::refuse_incompatible(needed)?)
}
