//! What sqlx says, in the store's words.

use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

use super::StoreError;

/// What went wrong inside a transaction: for the caller in the end, and before that for the one who runs it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    pub(super) remedy: Remedy,
}

/// What helps against a [`Fault`], as long as nothing was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing.
    None,
    /// To run the same again: others were in its way.
    Again,
    /// To run the same on a new connection: this one is lost.
    Reconnect,
    /// To make all connections anew, if nobody else was answered meanwhile either.
    Unanswered,
}

/// What work inside a transaction gives.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, remedy: Remedy::None }
    }
}

impl From<sqlx::Error> for Fault {
    #[expect(clippy::wildcard_enum_match_arm, reason = "most errors, now or in a later sqlx, have no remedy")]
    fn from(error: sqlx::Error) -> Self {
        let remedy = match &error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
                Remedy::Reconnect
            }
            sqlx::Error::PoolTimedOut => Remedy::Unanswered,
            sqlx::Error::Database(fault) => postgres_code(&**fault).map_or(Remedy::None, remedy),
            _ => Remedy::None,
        };
        Self { error: error.into(), remedy }
    }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
fn remedy(code: &str) -> Remedy {
    match code {
        // serialization_failure, deadlock_detected.
        "40001" | "40P01" => Remedy::Again,
        // The server ends, crashed or is starting; it cut an idle one off; a failover left a standby at this address; a
        // migration changed what a prepared statement gives.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "25006" | "0A000" => Remedy::Reconnect,
        code if code.starts_with("08") => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

impl From<sqlx::Error> for StoreError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else fails, now or in a later sqlx, is that it can't be reached"
    )]
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound("row"),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. } => Self::Corrupt(error.to_string()),
            sqlx::Error::Database(ref fault) => match fault.kind() {
                ErrorKind::UniqueViolation => Self::Taken("id"),
                ErrorKind::ForeignKeyViolation => Self::NotFound("user"),
                ErrorKind::NotNullViolation | ErrorKind::CheckViolation => Self::Corrupt(error.to_string()),
                _ if is_unreadable(&**fault) => Self::Corrupt(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            },
            sqlx::Error::PoolTimedOut => {
                Self::Unavailable("no connection was to be had: too many wait for one, or the server takes no more".to_owned())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

fn is_unreadable(fault: &dyn DatabaseError) -> bool {
    match postgres_code(fault) {
        // Tables or columns are not ours, but for what we may not touch; pages are damaged.
        Some(code) => code.starts_with("42") && code != "42501" || code.starts_with("XX00"),
        None => is_unreadable_file(fault.code().as_deref()),
    }
}

fn postgres_code(fault: &dyn DatabaseError) -> Option<&str> {
    fault.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
}

// https://www.sqlite.org/rescode.html: the low byte of a result code says what kind of fault it is.
const SQLITE_ERROR: i32 = 1;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_MISMATCH: i32 = 20;
const SQLITE_NOTADB: i32 = 26;

fn is_unreadable_file(code: Option<&str>) -> bool {
    let primary = code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
    matches!(primary, Some(SQLITE_ERROR | SQLITE_CORRUPT | SQLITE_MISMATCH | SQLITE_NOTADB))
}

impl Fault {
    /// A column of a row that does not hold what it should; the value itself stays out of the log.
    pub(super) fn unreadable(column: &str) -> Self {
        StoreError::Corrupt(format!("{column} does not hold what it should")).into()
    }
}

impl StoreError {
    pub(super) fn too_slow(deadline: Duration) -> Self {
        Self::Unavailable(format!("no answer within {deadline:?}"))
    }
}
