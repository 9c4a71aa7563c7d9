//! What a transaction locks before it reads, so that each of its statements sees what the one before it in line has done.
//!
//! The order is always the same: a user, then what is his, then the counter of the revocation log.

use sqlx::Row;

use super::{DbConnection, Outcome};
use crate::domain::{ClientId, Hash256, SessionId, UserId};

/// Of `pg_try_advisory_xact_lock`: "portcullis" on a telephone's keys, and one more than migrations lock.
const PRUNING: i64 = 7_678_285_548;

/// Of `pg_advisory_xact_lock`: one more than that of forgetting.
const ADMINS: i64 = 7_678_285_549;

const USER: &str = "SELECT id FROM users WHERE id = $1 FOR UPDATE";
const USER_OF_SESSION: &str = "SELECT u.id FROM users u JOIN sessions s ON s.user_id = u.id WHERE s.id = $1 FOR UPDATE OF u";
const USER_OF_REFRESH: &str = "SELECT u.id FROM users u JOIN sessions s ON s.user_id = u.id \
     JOIN refresh_tokens t ON t.session_id = s.id WHERE t.hash = $1 FOR UPDATE OF u";
const USER_OF_MAILED: &str =
    "SELECT u.id FROM users u JOIN mailed_tokens m ON m.user_id = u.id WHERE m.hash = $1 FOR UPDATE OF u";
const USERS_OF_CLIENT: &str = "SELECT u.id FROM users u \
     WHERE u.id IN (SELECT user_id FROM sessions WHERE client_id = $1 AND ended_at IS NULL) ORDER BY u.id FOR UPDATE OF u";

/// Those whose change may leave nobody who administers, before they lock a user.
pub(super) async fn admins(connection: &mut DbConnection) -> Outcome<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(ADMINS).execute(connection).await?;
    Ok(())
}

pub(super) async fn user(connection: &mut DbConnection, id: UserId) -> Outcome<()> {
    sqlx::query(USER).bind(id.to_string()).execute(connection).await?;
    Ok(())
}

pub(super) async fn user_of_session(connection: &mut DbConnection, id: SessionId) -> Outcome<()> {
    sqlx::query(USER_OF_SESSION).bind(id.to_string()).execute(connection).await?;
    Ok(())
}

pub(super) async fn user_of_refresh(connection: &mut DbConnection, hash: Hash256) -> Outcome<()> {
    sqlx::query(USER_OF_REFRESH).bind(hash.as_bytes().as_slice()).execute(connection).await?;
    Ok(())
}

pub(super) async fn user_of_mailed(connection: &mut DbConnection, hash: Hash256) -> Outcome<()> {
    sqlx::query(USER_OF_MAILED).bind(hash.as_bytes().as_slice()).execute(connection).await?;
    Ok(())
}

/// All who have a session through that client, in order, so that two who lock several do not wait for each other.
pub(super) async fn users_of_client(connection: &mut DbConnection, id: ClientId) -> Outcome<()> {
    sqlx::query(USERS_OF_CLIENT).bind(id.to_string()).execute(connection).await?;
    Ok(())
}

/// Whether this is the one who forgets what has ended: one replica at a time is enough.
pub(super) async fn pruning(connection: &mut DbConnection) -> Outcome<bool> {
    Ok(sqlx::query("SELECT pg_try_advisory_xact_lock($1)").bind(PRUNING).fetch_one(connection).await?.try_get(0)?)
}
