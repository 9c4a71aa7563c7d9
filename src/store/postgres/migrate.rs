//! The schema, brought up to this release's under a lock.

use sqlx::{Connection, PgConnection, Row};

use crate::store::{Outcome, migrate, sql};

/// Of `pg_advisory_xact_lock`: "portcullis" on a telephone's keys.
const MIGRATING: i64 = 7_678_285_547;

/// Applies what is missing, all or nothing; replicas that start together wait for each other.
pub(super) async fn run(connection: &mut PgConnection) -> Outcome<()> {
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    // Migrations may take as long as they need.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *tx).await?;
    sqlx::query("SET LOCAL lock_timeout = 0").execute(&mut *tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATING).execute(&mut *tx).await?;
    if !is_current(&mut tx).await? {
        migrate::postgres().run_direct(None, &mut *tx, false).await.map_err(migrate::refused)?;
    }
    Ok(tx.commit().await?)
}

/// Whether the schema is this release's, or a later one that this release can read.
pub(super) async fn is_current(connection: &mut PgConnection) -> Outcome<bool> {
    let has_tables: bool = sqlx::query("SELECT to_regclass('meta') IS NOT NULL").fetch_one(&mut *connection).await?.try_get(0)?;
    if !has_tables {
        return Ok(false);
    }
    let needed: i64 = sqlx::query(sql::META).bind("min_compatible").fetch_one(&mut *connection).await?.try_get(0)?;
    migrate::refuse_incompatible(needed)?;
    let version: i64 = sqlx::query(sql::META).bind("schema_version").fetch_one(connection).await?.try_get(0)?;
    Ok(version >= migrate::SCHEMA)
}
