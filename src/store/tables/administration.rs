//! Lists by the page, and changes that must leave somebody who can administer.

use async_trait::async_trait;
use sqlx::Row;

use super::{Db, DbConnection, DbRow, Outcome, locks, rows, users};
use crate::domain::{ApiKeyRecord, Entry, SessionRecord, Timestamp, User, UserId};
use crate::store::fold::{holding, holding_exactly};
use crate::store::text::is_nobodys;
use crate::store::{Administration, Guard, Listed, Page, StoreError, StoreResult, sql};

/// Whether `before` may become `after`, or be gone.
///
/// Whoever takes the last one has to see what all who came before took: [`locks::admins`] comes first.
pub(super) async fn check(connection: &mut DbConnection, guard: &Guard, before: &User, after: Option<&User>) -> Outcome<()> {
    if before.generation != guard.generation {
        return Err(StoreError::Changed.into());
    }
    let counts = |user: &User| !user.disabled && !user.service && holds_one(&user.roles, guard);
    if counts(before) && !after.is_some_and(counts) && !is_another(connection, guard, before.id).await? {
        return Err(StoreError::Last.into());
    }
    Ok(())
}

fn holds_one(roles: &[String], guard: &Guard) -> bool {
    roles.iter().any(|role| guard.roles.contains(role))
}

/// Whether somebody else holds one of the roles.
async fn is_another(connection: &mut DbConnection, guard: &Guard, but: UserId) -> Outcome<bool> {
    for role in &guard.roles {
        let pattern = holding_exactly(&rows::json(role)?);
        let query = sqlx::query(sql::ROLES_OF_OTHERS).bind(but.to_string()).bind(pattern);
        for row in query.fetch_all(&mut *connection).await? {
            // `LIKE` takes no account of case.
            if rows::roles(&row)?.contains(role) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn total(row: &DbRow) -> Outcome<u64> {
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
}

#[async_trait]
impl Administration for Db {
    async fn delete_user_guarded(&self, id: UserId, guard: &Guard, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::admins(&mut tx).await?;
            locks::user(&mut tx, id).await?;
            let user = users::find(&mut tx, id).await?.ok_or(StoreError::NotFound("user"))?;
            check(&mut tx, guard, &user, None).await?;
            let entries = users::delete(&mut tx, id, now, until).await?;
            Ok((tx, entries))
        })
        .await
    }

    async fn list_users(&self, query: Option<&str>, page: Page) -> StoreResult<Listed<User>> {
        if query.is_some_and(is_nobodys) {
            return Ok(Listed { items: Vec::new(), total: 0 });
        }
        self.reading(|| async {
            let readers = self.readers().await?;
            let pattern = query.map(holding);
            let (list, count) = match &pattern {
                Some(_) => (sql::USERS_LIKE, sql::COUNT_USERS_LIKE),
                None => (sql::USERS, sql::COUNT_USERS),
            };
            let mut select = sqlx::query(list).bind(i64::from(page.limit)).bind(i64::from(page.skip));
            let mut counted = sqlx::query(count);
            if let Some(pattern) = pattern {
                select = select.bind(pattern.clone());
                counted = counted.bind(pattern);
            }
            let items = select.fetch_all(&readers).await?.iter().map(rows::user).collect::<Outcome<_>>()?;
            Ok(Listed { items, total: total(&counted.fetch_one(&readers).await?)? })
        })
        .await
    }

    async fn list_sessions(&self, user: Option<UserId>, now: Timestamp, page: Page) -> StoreResult<Listed<SessionRecord>> {
        self.reading(|| async {
            let readers = self.readers().await?;
            let (list, count) = match user {
                Some(_) => (sql::LIST_SESSIONS_OF_USER, sql::COUNT_SESSIONS_OF_USER),
                None => (sql::LIST_SESSIONS, sql::COUNT_SESSIONS),
            };
            let mut select = sqlx::query(list).bind(now.as_millis()).bind(i64::from(page.limit)).bind(i64::from(page.skip));
            let mut counted = sqlx::query(count).bind(now.as_millis());
            if let Some(user) = user {
                select = select.bind(user.to_string());
                counted = counted.bind(user.to_string());
            }
            let items = select.fetch_all(&readers).await?.iter().map(rows::session).collect::<Outcome<_>>()?;
            Ok(Listed { items, total: total(&counted.fetch_one(&readers).await?)? })
        })
        .await
    }

    async fn list_keys(&self, owner: Option<UserId>, page: Page) -> StoreResult<Listed<ApiKeyRecord>> {
        self.reading(|| async {
            let readers = self.readers().await?;
            let (list, count) = match owner {
                Some(_) => (sql::LIST_KEYS_OF_OWNER, sql::COUNT_KEYS_OF_OWNER),
                None => (sql::LIST_KEYS, sql::COUNT_KEYS),
            };
            let mut select = sqlx::query(list).bind(i64::from(page.limit)).bind(i64::from(page.skip));
            let mut counted = sqlx::query(count);
            if let Some(owner) = owner {
                select = select.bind(owner.to_string());
                counted = counted.bind(owner.to_string());
            }
            let items = select.fetch_all(&readers).await?.iter().map(rows::key).collect::<Outcome<_>>()?;
            Ok(Listed { items, total: total(&counted.fetch_one(&readers).await?)? })
        })
        .await
    }
}
