//! What sqlx says, in the store's words.

use std::time::Duration;

use sqlx::error::ErrorKind;

use super::StoreError;

// https://www.sqlite.org/rescode.html: the low byte of a result code says what kind of fault it is.
const SQLITE_ERROR: i32 = 1;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_MISMATCH: i32 = 20;
const SQLITE_NOTADB: i32 = 26;

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
                _ if is_unreadable(fault.code().as_deref()) => Self::Corrupt(error.to_string()),
                _ => Self::Unavailable(error.to_string()),
            },
            sqlx::Error::PoolTimedOut => Self::Unavailable("too many wait for it".to_owned()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

fn is_unreadable(code: Option<&str>) -> bool {
    let primary = code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
    matches!(primary, Some(SQLITE_ERROR | SQLITE_CORRUPT | SQLITE_MISMATCH | SQLITE_NOTADB))
}

impl StoreError {
    /// A column of a row that does not hold what it should; the value itself stays out of the log.
    pub(super) fn unreadable(column: &str) -> Self {
        Self::Corrupt(format!("{column} does not hold what it should"))
    }

    pub(super) fn too_slow(deadline: Duration) -> Self {
        Self::Unavailable(format!("no answer within {deadline:?}"))
    }
}
