//! The refresh token's state machine, run in one transaction.

use sqlx::Row;

use super::{DbConnection, Outcome, locks, log, rows, sessions, users};
use crate::domain::refresh::{Presented, RefreshRow, RefreshToken};
use crate::domain::{Hash256, Revoked, SessionRecord};
use crate::store::{Rotated, Rotation, StoreError, sql};

/// Decides what `rotation.presented` leads to, and does it.
pub(super) async fn present(tx: &mut DbConnection, rotation: &Rotation<'_>) -> Outcome<Rotated> {
    let hash = rotation.presented.hash();
    locks::user_of_refresh(tx, hash).await?;
    let Some(found) = sqlx::query(sql::REFRESH).bind(hash.as_bytes().to_vec()).fetch_optional(&mut *tx).await? else {
        return Ok(Rotated::Refused);
    };
    let id: String = found.try_get("session_id")?;
    let session = sqlx::query(sql::SESSION).bind(id).fetch_one(&mut *tx).await?;
    let session = rows::session(&session)?;
    // Of another client's hands nothing is taken: neither a token that is used up by it, nor an end of the session.
    if session.ended_at.is_some() || session.client_id != rotation.client {
        return Ok(Rotated::Refused);
    }
    let child = rows::hash(&found, "child_hash")?;
    let row = RefreshRow {
        expires_at: rows::time(&found, "expires_at")?,
        used_at: rows::maybe_time(&found, "used_at")?,
        sealed_successor: found.try_get("sealed_successor")?,
        successor_used: rows::maybe_time(&found, "child_used_at")?.is_some(),
    };
    let refresh = match row.present(rotation.now, rotation.grace) {
        Presented::Expired => return Ok(Rotated::Refused),
        Presented::Rotate => None,
        // Asked before the account is: who keeps an old token keeps it when the account is enabled again.
        Presented::Reuse => return end(tx, session, rotation).await,
        Presented::Again(sealed) => match unsealed(rotation.presented, &sealed, child) {
            Some(successor) => Some(successor),
            // The client can't be given its successor, and its token must not work twice: it has to log in again.
            None => return end(tx, session, rotation).await,
        },
    };
    let Some(user) = users::find(tx, session.user).await?.filter(|user| !user.disabled) else {
        return Ok(Rotated::Refused);
    };
    if !(rotation.may_go_on)(&session, &user) {
        return Ok(Rotated::NotLikeThis);
    }
    if let Some(refresh) = refresh {
        return Ok(Rotated::Live { session, user, refresh });
    }
    let session = replace(tx, session, rotation, rows::hash(&found, "parent")?).await?;
    Ok(Rotated::Live { session, user, refresh: rotation.successor.clone() })
}

/// The successor that was sealed, if it is the one that the store knows.
fn unsealed(presented: &RefreshToken, sealed: &[u8], child: Option<Hash256>) -> Option<RefreshToken> {
    presented.unseal(sealed).filter(|successor| child.is_some_and(|child| child.matches(&successor.hash())))
}

async fn replace(
    tx: &mut DbConnection,
    session: SessionRecord,
    rotation: &Rotation<'_>,
    parent: Option<Hash256>,
) -> Outcome<SessionRecord> {
    let Rotation { presented, successor, now, .. } = *rotation;
    let expires_at = now.plus(rotation.ttl);
    let sealed = presented.seal(successor).ok_or_else(|| StoreError::Unavailable("sealing a token failed".to_owned()))?;
    let swap = sqlx::query(sql::USE_REFRESH).bind(presented.hash().as_bytes().to_vec()).bind(now.as_millis()).bind(sealed);
    let extend = sqlx::query(sql::EXTEND_SESSION).bind(session.id.to_string()).bind(now.as_millis()).bind(expires_at.as_millis());
    let swapped = swap.execute(&mut *tx).await?.rows_affected() == 1 && extend.execute(&mut *tx).await?.rows_affected() == 1;
    if !swapped {
        return Err(StoreError::Unavailable("another refresh came first: ask again".to_owned()).into());
    }
    sessions::insert_refresh(tx, session.id, successor.hash(), Some(presented.hash()), expires_at).await?;
    if let Some(parent) = parent {
        // This token is the parent's sealed successor, and it has been used now.
        sqlx::query(sql::ERASE_SEALED).bind(parent.as_bytes().to_vec()).execute(&mut *tx).await?;
    }
    Ok(SessionRecord { used_at: now, expires_at, ..session })
}

async fn end(tx: &mut DbConnection, session: SessionRecord, rotation: &Rotation<'_>) -> Outcome<Rotated> {
    sessions::end(tx, session.id, rotation.now).await?;
    let entries = log::append(tx, [Revoked::Session { id: session.id }], rotation.revoke_until).await?;
    Ok(Rotated::Reused { session: SessionRecord { ended_at: Some(rotation.now), ..session }, entries })
}
