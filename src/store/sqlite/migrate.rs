//! The schema, brought up to this release's under a lock.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, Row, SqlSafeStr, SqliteConnection};

use crate::store::{StoreError, StoreResult, sql};

/// The schema that this release writes: the number of its last migration.
const SCHEMA: i64 = 3;

fn migrations() -> Migrator {
    let start = include_str!("../migrations/sqlite/0001_start.sql");
    let key_hashes = include_str!("../migrations/sqlite/0002_key_hashes.sql");
    let clients = include_str!("../migrations/sqlite/0003_clients.sql");
    let all = [(1, "start", start), (2, "key hashes", key_hashes), (3, "clients", clients)];
    let mut migrator = Migrator::with_migrations(
        all.map(|(version, name, text)| Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false))
            .into(),
    );
    // A later release may have been here; whether it left the schema readable is what `min_compatible` says.
    migrator.set_ignore_missing(true);
    migrator
}

/// Applies what is missing, all or nothing; replicas that start together wait for each other at `BEGIN IMMEDIATE`.
pub(super) async fn run(connection: &mut SqliteConnection) -> StoreResult<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    refuse_incompatible(&mut tx).await?;
    // Not `run`: its future is not `Send` for every lifetime ("`Acquire` is not general enough").
    migrations().run_direct(None, &mut *tx, false).await.map_err(refused)?;
    Ok(tx.commit().await?)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are differing checksums and their like, which no waiting cures")]
fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Corrupt(other.to_string()),
    }
}

async fn refuse_incompatible(connection: &mut SqliteConnection) -> StoreResult<()> {
    let meta = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'");
    if meta.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(());
    }
    let needed: i64 = sqlx::query(sql::META).bind("min_compatible").fetch_one(connection).await?.try_get(0)?;
    if needed > SCHEMA {
        return Err(StoreError::Corrupt(format!(
            "its schema needs a release that knows schema {needed}, this one knows {SCHEMA}: run the newer release"
        )));
    }
    Ok(())
}
