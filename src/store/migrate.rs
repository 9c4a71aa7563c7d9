//! What every database's schema has gone through: the same steps under the same numbers.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::{Fault, StoreError};

/// The schema that this release writes: the number of its last migration.
pub(super) const SCHEMA: i64 = 4;

/// The text of each step, of the folder of one database.
macro_rules! steps {
    ($folder:literal) => {
        [
            include_str!(concat!("migrations/", $folder, "/0001_start.sql")),
            include_str!(concat!("migrations/", $folder, "/0002_key_hashes.sql")),
            include_str!(concat!("migrations/", $folder, "/0003_clients.sql")),
            include_str!(concat!("migrations/", $folder, "/0004_key_limits.sql")),
        ]
    };
}

const NAMES: [&str; 4] = ["start", "key hashes", "clients", "key limits"];

pub(super) fn sqlite() -> Migrator {
    migrator(steps!("sqlite"))
}

pub(super) fn postgres() -> Migrator {
    migrator(steps!("postgres"))
}

fn migrator(texts: [&'static str; NAMES.len()]) -> Migrator {
    let steps = (1..)
        .zip(NAMES)
        .zip(texts)
        .map(|((version, name), text)| Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false));
    let mut migrator = Migrator::with_migrations(steps.collect());
    // A later release may have been here; whether it left the schema readable is what `min_compatible` says.
    migrator.set_ignore_missing(true);
    migrator
}

/// Refuses a schema that only releases from `min_compatible` on can read.
pub(super) fn refuse_incompatible(min_compatible: i64) -> Result<(), StoreError> {
    if min_compatible > SCHEMA {
        return Err(StoreError::Corrupt(format!(
            "its schema needs a release that knows schema {min_compatible}, this one knows {SCHEMA}: run the newer release"
        )));
    }
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are differing checksums and their like, which no waiting cures")]
pub(super) fn refused(error: MigrateError) -> Fault {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Corrupt(other.to_string()).into(),
    }
}
