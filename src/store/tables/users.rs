//! Accounts.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{Db, DbConnection, Outcome, administration, audit, locks, log, rows, sessions};
use crate::domain::folded;
use crate::domain::{AuditEvent, Entry, Revoked, SecretString, Timestamp, User, UserId};
use crate::store::fold::holding;
use crate::store::text::{is_nobodys, kept};
use crate::store::{StoreError, StoreResult, UserChange, Users, sql};

/// How long an import may take, which may hold as many accounts as an application had.
const IMPORT_DEADLINE: Duration = Duration::from_mins(1);

/// The account of that id, as the transaction sees it.
pub(super) async fn find(connection: &mut DbConnection, id: UserId) -> Outcome<Option<User>> {
    let row = sqlx::query(sql::USER).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(rows::user).transpose()
}

async fn insert(connection: &mut DbConnection, user: &User) -> Outcome<()> {
    let inserted = sqlx::query(sql::INSERT_USER)
        .bind(user.id.to_string())
        .bind(&user.username)
        .bind(&user.email)
        .bind(user.email_verified)
        .bind(user.full_name.as_deref().map(kept))
        .bind(rows::json(&user.roles)?)
        .bind(user.scopes.to_string())
        .bind(rows::json(&user.attributes)?)
        .bind(user.disabled)
        .bind(user.service)
        .bind(user.generation)
        .bind(user.password.as_ref().map(SecretString::expose_secret))
        .bind(user.created_at.as_millis())
        .execute(connection)
        .await?;
    if inserted.rows_affected() == 0 { Err(StoreError::Taken("id").into()) } else { Ok(()) }
}

async fn update(connection: &mut DbConnection, user: &User) -> Outcome<()> {
    sqlx::query(sql::UPDATE_USER)
        .bind(user.id.to_string())
        .bind(&user.email)
        .bind(user.email_verified)
        .bind(user.full_name.as_deref().map(kept))
        .bind(rows::json(&user.roles)?)
        .bind(user.scopes.to_string())
        .bind(rows::json(&user.attributes)?)
        .bind(user.disabled)
        .bind(user.generation)
        .bind(user.password.as_ref().map(SecretString::expose_secret))
        .execute(connection)
        .await?;
    Ok(())
}

async fn claim(connection: &mut DbConnection, user: &User, kind: &'static str, name: &str) -> Outcome<()> {
    let query = sqlx::query(sql::INSERT_LOGIN_NAME).bind(name).bind(user.id.to_string()).bind(kind);
    if query.execute(connection).await?.rows_affected() == 0 { Err(StoreError::Taken(kind).into()) } else { Ok(()) }
}

/// Claims the user's address, unless it is his own username, which he holds already.
async fn claim_email(connection: &mut DbConnection, user: &User) -> Outcome<()> {
    match user.email.as_deref().map(folded) {
        Some(email) if email != folded(&user.username) => claim(connection, user, "email", &email).await,
        _ => Ok(()),
    }
}

async fn add(connection: &mut DbConnection, user: &User) -> Outcome<()> {
    insert(connection, user).await?;
    claim(connection, user, "username", &folded(&user.username)).await?;
    claim_email(connection, user).await
}

/// Applies `change`, and says whether access tokens that were issued before must die.
fn apply(user: &mut User, change: UserChange) -> bool {
    let before = user.clone();
    if let Some(full_name) = change.full_name {
        user.full_name = full_name;
    }
    if let Some(email) = change.email {
        (user.email, user.email_verified) = email.map_or((None, false), |(email, verified)| (Some(email), verified));
    }
    if let Some(roles) = change.roles {
        user.roles = roles;
    }
    if let Some(scopes) = change.scopes {
        user.scopes = scopes;
    }
    if let Some(attributes) = change.attributes {
        merge(&mut user.attributes, attributes);
    }
    if let Some(disabled) = change.disabled {
        user.disabled = disabled;
    }
    let new_password = change.password.is_some();
    if let Some(password) = change.password {
        user.password = Some(password.hash);
    }
    let set = |roles: &[String]| roles.iter().cloned().collect::<BTreeSet<_>>();
    new_password
        || set(&user.roles) != set(&before.roles)
        || user.scopes != before.scopes
        || user.attributes != before.attributes
        || user.disabled != before.disabled
}

fn merge(attributes: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            attributes.remove(&name);
        } else {
            attributes.insert(name, value);
        }
    }
}

/// Changes an account in a transaction that somebody else began, and that has locked it.
pub(super) async fn change(
    connection: &mut DbConnection,
    id: UserId,
    change: UserChange,
    now: Timestamp,
    until: Timestamp,
) -> Outcome<(User, Vec<Entry>)> {
    let mut user = find(&mut *connection, id).await?.ok_or(StoreError::NotFound("user"))?;
    let guard = change.guard.clone();
    let before = user.clone();
    let new_email = change.email.is_some();
    let keep = change.password.as_ref().map(|password| password.keep);
    let mut revoked = Vec::new();
    if apply(&mut user, change) {
        user.generation = user.generation.saturating_add(1);
        revoked.push(Revoked::Generation { subject: id, below: user.generation });
    }
    if let Some(guard) = guard {
        administration::check(&mut *connection, &guard, &before, Some(&user)).await?;
    }
    update(&mut *connection, &user).await?;
    if new_email {
        sqlx::query(sql::DELETE_EMAIL_NAME).bind(id.to_string()).execute(&mut *connection).await?;
        claim_email(&mut *connection, &user).await?;
    }
    if let Some(keep) = keep {
        revoked.extend(sessions::end_all(&mut *connection, id, keep, now).await?);
        // Whoever changes the password shuts out whoever asked for a link before.
        sqlx::query(sql::DELETE_ALL_MAILED).bind(id.to_string()).execute(&mut *connection).await?;
    }
    let entries = log::append(connection, revoked, until).await?;
    Ok((user, entries))
}

/// Deletes an account in a transaction that somebody else began.
pub(super) async fn delete(connection: &mut DbConnection, id: UserId, now: Timestamp, until: Timestamp) -> Outcome<Vec<Entry>> {
    let mut revoked = vec![Revoked::Generation { subject: id, below: i64::MAX }];
    revoked.extend(sessions::end_all(&mut *connection, id, None, now).await?);
    for row in sqlx::query(sql::LIVE_KEYS).bind(id.to_string()).fetch_all(&mut *connection).await? {
        revoked.push(Revoked::ApiKey { id: rows::parsed(&row, "id")? });
    }
    // Names, sessions, tokens, keys and networks go with the row.
    if sqlx::query(sql::DELETE_USER).bind(id.to_string()).execute(&mut *connection).await?.rows_affected() == 0 {
        return Err(StoreError::NotFound("user").into());
    }
    log::append(connection, revoked, until).await
}

#[async_trait]
impl Users for Db {
    async fn create_user(&self, user: &User) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            add(&mut tx, user).await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn create_users(&self, users: &[User], events: &[AuditEvent]) -> StoreResult<()> {
        self.writing_within(IMPORT_DEADLINE, || async {
            let mut tx = self.begin().await?;
            for user in users {
                add(&mut tx, user).await?;
            }
            for event in events {
                audit::insert(&mut tx, event).await?;
            }
            Ok((tx, ()))
        })
        .await
    }

    async fn user(&self, id: UserId) -> StoreResult<Option<User>> {
        self.reading(|| async {
            let row = sqlx::query(sql::USER).bind(id.to_string()).fetch_optional(&self.readers().await?).await?;
            row.as_ref().map(rows::user).transpose()
        })
        .await
    }

    async fn user_by_login(&self, login: &str) -> StoreResult<Option<User>> {
        if is_nobodys(login) {
            return Ok(None);
        }
        self.reading(|| async {
            let query = sqlx::query(sql::USER_BY_LOGIN).bind(folded(login));
            query.fetch_optional(&self.readers().await?).await?.as_ref().map(rows::user).transpose()
        })
        .await
    }

    async fn users(&self, query: Option<&str>, skip: u32, limit: u32) -> StoreResult<Vec<User>> {
        if query.is_some_and(is_nobodys) {
            return Ok(Vec::new());
        }
        self.reading(|| async {
            let statement = if query.is_some() { sql::USERS_LIKE } else { sql::USERS };
            let mut select = sqlx::query(statement).bind(i64::from(limit)).bind(i64::from(skip));
            if let Some(query) = query {
                select = select.bind(holding(query));
            }
            select.fetch_all(&self.readers().await?).await?.iter().map(rows::user).collect()
        })
        .await
    }

    async fn change_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            if change.guard.as_ref().is_some_and(|guard| !guard.roles.is_empty()) {
                locks::admins(&mut tx).await?;
            }
            locks::user(&mut tx, id).await?;
            let changed = self::change(&mut tx, id, change.clone(), now, until).await?;
            Ok((tx, changed))
        })
        .await
    }

    async fn rehash_password(&self, id: UserId, old: &SecretString, new: &SecretString) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let query = sqlx::query(sql::REHASH).bind(id.to_string());
            query.bind(old.expose_secret()).bind(new.expose_secret()).execute(&mut *tx).await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn delete_user(&self, id: UserId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            locks::user(&mut tx, id).await?;
            let entries = delete(&mut tx, id, now, until).await?;
            Ok((tx, entries))
        })
        .await
    }

    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> StoreResult<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let query = sqlx::query(sql::REMEMBER_NETWORK).bind(user.to_string()).bind(network).bind(now.as_millis());
            query.execute(&mut *tx).await?;
            Ok((tx, ()))
        })
        .await
    }

    async fn knows_network(&self, user: UserId, network: &str, since: Timestamp) -> StoreResult<bool> {
        self.reading(|| async {
            let query = sqlx::query(sql::KNOWS_NETWORK).bind(user.to_string()).bind(network).bind(since.as_millis());
            Ok(query.fetch_optional(&self.readers().await?).await?.is_some())
        })
        .await
    }
}
