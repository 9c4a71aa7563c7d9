//! An empty database, and things to put into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::refresh::RefreshToken;
use portcullis::domain::{
    ApiKeyRecord, Entry, Hash256, KeyId, LOGIN_CLIENT, Revoked, ScopeSet, SecretString, SessionId, SessionRecord, SystemEntropy,
    Timestamp, User, UserId,
};
use portcullis::store::{self, Rotated, Rotation, Store};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::postgres::Database;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const GRACE: Duration = Duration::from_secs(10);
pub(crate) const TTL: Duration = Duration::from_hours(7 * 24);
/// Until when what these tests revoke is kept.
pub(crate) const UNTIL: Timestamp = Timestamp::from_secs(1_800_001_000);

/// An empty database, gone when this is dropped.
pub(crate) struct Place {
    folder: TempDir,
    /// Where it is not in the folder.
    database: Option<Database>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), database: None }
    }

    pub(crate) fn postgres() -> Self {
        Self { database: Some(Database::new()), ..Self::sqlite() }
    }

    /// Where SQLite keeps it: in a folder that is not there yet.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data/portcullis.db")
    }

    pub(crate) fn url(&self) -> SecretString {
        match &self.database {
            Some(database) => database.url.clone().into(),
            None => format!("sqlite://{}", self.path().display()).into(),
        }
    }

    /// Runs a statement as another program would.
    pub(crate) async fn run(&self, statement: &'static str) {
        if self.database.is_some() {
            let mut other = PgConnection::connect(self.url().expose_secret()).await.expect("connected");
            sqlx::raw_sql(statement).execute(&mut other).await.expect("it runs");
            other.close().await.expect("closed");
        } else {
            let mut other = SqliteConnection::connect(self.url().expose_secret()).await.expect("opened");
            sqlx::raw_sql(statement).execute(&mut other).await.expect("it runs");
            other.close().await.expect("closed");
        }
    }

    /// The number that a query gives another program.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        if self.database.is_some() {
            let mut other = PgConnection::connect(self.url().expose_secret()).await.expect("connected");
            sqlx::query(query).fetch_one(&mut other).await.expect("a row").get(0)
        } else {
            let mut other = SqliteConnection::connect(self.url().expose_secret()).await.expect("opened");
            let count = sqlx::query(query).fetch_one(&mut other).await.expect("a row").get(0);
            other.close().await.expect("closed");
            count
        }
    }

    /// Opens it, once more if it is open already, as another replica would.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.url()).await.expect("opened")
    }
}

pub(crate) fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    text.parse().expect("scopes")
}

pub(crate) fn user(username: &str) -> User {
    User {
        id: UserId::generate(NOW, &SystemEntropy),
        username: username.to_owned(),
        email: None,
        email_verified: false,
        full_name: Some("Somebody".to_owned()),
        roles: vec!["viewer".to_owned()],
        scopes: scopes("items:read"),
        attributes: json!({ "tenant": "a1" }).as_object().expect("an object").clone(),
        disabled: false,
        service: false,
        generation: 1,
        password: Some("$argon2id$old".into()),
        created_at: NOW,
    }
}

pub(crate) fn session(user: &User) -> SessionRecord {
    SessionRecord {
        id: SessionId::generate(NOW, &SystemEntropy),
        user: user.id,
        client_id: "portcullis".to_owned(),
        granted: Some(scopes("items:read")),
        device: "curl".to_owned(),
        address: "192.0.2.1".to_owned(),
        created_at: NOW,
        used_at: NOW,
        expires_at: NOW.plus(TTL),
        ended_at: None,
    }
}

pub(crate) fn key(owner: &User) -> ApiKeyRecord {
    let id = KeyId::generate(&SystemEntropy);
    ApiKeyRecord {
        hash: Hash256::of(id.as_str().as_bytes()),
        id,
        owner: owner.id,
        name: "ci".to_owned(),
        scopes: scopes("items"),
        allowed_cidrs: vec!["10.0.0.0/8".to_owned()],
        rate_limit: Some("100/1m".parse().expect("a rate")),
        created_at: NOW,
        expires_at: Some(UNTIL),
        used_at: None,
        revoked_at: None,
    }
}

pub(crate) fn token() -> RefreshToken {
    RefreshToken::generate(&SystemEntropy)
}

pub(crate) async fn saved_user(store: &dyn Store, username: &str) -> User {
    let user = user(username);
    store.create_user(&user).await.expect("created");
    user
}

/// A session with its first refresh token.
pub(crate) async fn opened(store: &dyn Store, user: &User) -> (SessionRecord, RefreshToken) {
    let (session, first) = (session(user), token());
    store.open_session(&session, first.hash()).await.expect("opened");
    (session, first)
}

pub(crate) async fn rotate(store: &dyn Store, presented: &RefreshToken, now: Timestamp) -> Rotated {
    let successor = token();
    let rotation = Rotation {
        presented,
        client: LOGIN_CLIENT,
        successor: &successor,
        may_go_on: &|_, _| true,
        now,
        grace: GRACE,
        ttl: TTL,
        revoke_until: UNTIL,
    };
    store.rotate(rotation).await.expect("rotated")
}

/// The refresh token that came of a refresh that has to work.
pub(crate) async fn refreshed(store: &dyn Store, presented: &RefreshToken, now: Timestamp) -> RefreshToken {
    match rotate(store, presented, now).await {
        Rotated::Live { refresh, .. } => refresh,
        other @ (Rotated::Reused { .. } | Rotated::Refused | Rotated::NotLikeThis) => panic!("{other:?}"),
    }
}

pub(crate) async fn is_refused(store: &dyn Store, presented: &RefreshToken, now: Timestamp) -> bool {
    matches!(rotate(store, presented, now).await, Rotated::Refused)
}

pub(crate) fn what(entries: &[Entry]) -> Vec<Revoked> {
    entries.iter().map(|entry| entry.what.clone()).collect()
}

pub(crate) async fn whole_log(store: &dyn Store) -> Vec<Entry> {
    store.revocations_after(0, 10_000).await.expect("read")
}

pub(crate) async fn is_ended(store: &dyn Store, id: SessionId) -> bool {
    store.session(id).await.expect("read").expect("there").ended_at.is_some()
}
