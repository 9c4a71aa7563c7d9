//! Logins.

use async_trait::async_trait;

use super::{Db, DbConnection, DbRow, Outcome, locks, log, rotate, rows, users};
use crate::domain::{Entry, Hash256, Revoked, SessionId, SessionRecord, Timestamp, User, UserId};
use crate::store::text::kept;
use crate::store::{Rotated, Rotation, Sessions, StoreError, StoreResult, sql};

/// Ends one session, ended or not; `false` when there is none.
pub(super) async fn end(connection: &mut DbConnection, id: SessionId, now: Timestamp) -> Outcome<bool> {
    let query = sqlx::query(sql::END_SESSION).bind(id.to_string()).bind(now.as_millis());
    let found = query.execute(&mut *connection).await?.rows_affected() > 0;
    erase_sealed(connection, id).await?;
    Ok(found)
}

/// Ends what is open of `user` but `except`, and gives what that revokes.
pub(super) async fn end_all(
    connection: &mut DbConnection,
    user: UserId,
    except: Option<SessionId>,
    now: Timestamp,
) -> Outcome<Vec<Revoked>> {
    let query = sqlx::query(sql::END_SESSIONS).bind(user.to_string()).bind(now.as_millis());
    // No id is the empty text, so that without an exception all match.
    let query = query.bind(except.map(|id| id.to_string()).unwrap_or_default());
    let rows = query.fetch_all(&mut *connection).await?;
    ended(connection, rows).await
}

/// What the ending of sessions revokes, whose rows hold their ids.
pub(super) async fn ended(connection: &mut DbConnection, sessions: Vec<DbRow>) -> Outcome<Vec<Revoked>> {
    let mut ended = Vec::new();
    for row in sessions {
        let id = rows::parsed(&row, "id")?;
        erase_sealed(connection, id).await?;
        ended.push(Revoked::Session { id });
    }
    Ok(ended)
}

async fn erase_sealed(connection: &mut DbConnection, id: SessionId) -> Outcome<()> {
    sqlx::query(sql::ERASE_SEALED_OF_SESSION).bind(id.to_string()).execute(connection).await?;
    Ok(())
}

/// Adds a refresh token that nobody used yet.
pub(super) async fn insert_refresh(
    connection: &mut DbConnection,
    session: SessionId,
    hash: Hash256,
    parent: Option<Hash256>,
    expires_at: Timestamp,
) -> Outcome<()> {
    sqlx::query(sql::INSERT_REFRESH)
        .bind(hash.as_bytes().as_slice())
        .bind(session.to_string())
        .bind(parent.map(|parent| parent.as_bytes().to_vec()))
        .bind(expires_at.as_millis())
        .execute(connection)
        .await?;
    Ok(())
}

#[async_trait]
impl Sessions for Db {
    async fn open_session(&self, session: &SessionRecord, refresh: Hash256) -> StoreResult<User> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user(&mut tx, session.user).await?;
            let user = users::find(&mut tx, session.user).await?.filter(|user| !user.disabled);
            let user = user.ok_or(StoreError::NotFound("user"))?;
            sqlx::query(sql::INSERT_SESSION)
                .bind(session.id.to_string())
                .bind(session.user.to_string())
                .bind(&session.client_id)
                .bind(session.granted.as_ref().map(ToString::to_string))
                .bind(kept(&session.device))
                .bind(kept(&session.address))
                .bind(session.created_at.as_millis())
                .bind(session.used_at.as_millis())
                .bind(session.expires_at.as_millis())
                .bind(session.ended_at.map(Timestamp::as_millis))
                .execute(&mut *tx)
                .await?;
            insert_refresh(&mut tx, session.id, refresh, None, session.expires_at).await?;
            Ok((tx, user))
        })
        .await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> StoreResult<Rotated> {
        let known = self
            .reading(|| async {
                let query = sqlx::query(sql::REFRESH_EXISTS).bind(rotation.presented.hash().as_bytes().to_vec());
                Ok(query.fetch_optional(&self.readers().await?).await?.is_some())
            })
            .await?;
        if !known {
            // Strangers' guesses must not queue where logins and logouts do.
            return Ok(Rotated::Refused);
        }
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let rotated = rotate::present(&mut tx, &rotation).await?;
            Ok((tx, rotated))
        })
        .await
    }

    async fn session(&self, id: SessionId) -> StoreResult<Option<SessionRecord>> {
        self.reading(|| async {
            let row = sqlx::query(sql::SESSION).bind(id.to_string()).fetch_optional(&self.readers().await?).await?;
            row.as_ref().map(rows::session).transpose()
        })
        .await
    }

    async fn session_of_refresh(&self, token: Hash256) -> StoreResult<Option<SessionRecord>> {
        self.reading(|| async {
            let query = sqlx::query(sql::SESSION_OF_REFRESH).bind(token.as_bytes().as_slice());
            query.fetch_optional(&self.readers().await?).await?.as_ref().map(rows::session).transpose()
        })
        .await
    }

    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> StoreResult<Vec<SessionRecord>> {
        self.reading(|| async {
            let query = match user {
                Some(user) => sqlx::query(sql::SESSIONS_OF_USER).bind(now.as_millis()).bind(user.to_string()),
                None => sqlx::query(sql::SESSIONS).bind(now.as_millis()),
            };
            query.fetch_all(&self.readers().await?).await?.iter().map(rows::session).collect()
        })
        .await
    }

    async fn end_session(&self, id: SessionId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user_of_session(&mut tx, id).await?;
            if !end(&mut tx, id, now).await? {
                return Err(StoreError::NotFound("session").into());
            }
            let entries = log::append(&mut tx, [Revoked::Session { id }], until).await?;
            Ok((tx, entries))
        })
        .await
    }

    async fn end_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user(&mut tx, user).await?;
            let ended = end_all(&mut tx, user, except, now).await?;
            let entries = log::append(&mut tx, ended, until).await?;
            Ok((tx, entries))
        })
        .await
    }
}
