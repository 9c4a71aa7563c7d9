//! Floor 1: what is kept. Traits that every database has to satisfy; `tests/store_contract.rs` asks each of them.
//!
//! Rules that hold for every method: it runs in one transaction; when it returns `Ok` the change is durable; when it
//! returns `Err` nothing was changed. A change that revokes something writes its [`Entry`] in the same transaction and
//! returns it, numbered in commit order.
//! A future that is dropped leaves the change done or undone, never half done; so does a commit that gives no answer in
//! time, which is [`StoreError::Unavailable`] too.

mod error;
mod fold;
mod migrate;
mod postgres;
mod sql;
mod sqlite;
mod text;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use crate::domain::refresh::RefreshToken;
use crate::domain::{
    ApiKeyRecord, AuditEvent, ClientId, ClientRecord, Entry, Hash256, KeyId, MailPurpose, MailedToken, ScopeSet, SecretString,
    SessionId, SessionRecord, Timestamp, User, UserId,
};

use error::{Fault, Outcome};

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The name or address is taken; says which field.
    #[error("the {0} is taken")]
    Taken(&'static str),
    /// There is no such thing.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The account is not as it was when the change was judged ([`Guard`]).
    #[error("the account was changed meanwhile")]
    Changed,
    /// Nobody would be left who holds a role that somebody has to hold ([`Guard`]).
    #[error("the account is the last of its kind")]
    Last,
    /// It is busy, full, gone or too slow: try again later. The text is for the log.
    #[error("the store can't be used: {0}")]
    Unavailable(String),
    /// A row can't be read, or the schema is not ours. The text is for the log.
    #[error("the store holds something this release can't read: {0}")]
    Corrupt(String),
}

/// What a store method gives.
pub type StoreResult<T> = Result<T, StoreError>;

/// Opens the store at `url` (`sqlite://PATH` or `postgres://…`), and brings its schema up to date.
///
/// A file of SQLite that is not there is made with mode 0600, its folder with 0700.
pub async fn open(url: &SecretString) -> StoreResult<Arc<dyn Store>> {
    if is_postgres(url) {
        let store = postgres::Postgres::new(url)?;
        store.ensure_open().await?;
        return Ok(Arc::new(store));
    }
    let store = sqlite::Sqlite::new(url)?;
    store.ensure_open().await?;
    Ok(Arc::new(store))
}

/// A store that opens itself at its first use, and tries again at the next as long as that fails (with the
/// store down at start the gateway listens all the same).
///
/// Errors only where no waiting would help: `url` is not one of a store.
pub fn open_lazily(url: &SecretString) -> StoreResult<Arc<dyn Store>> {
    Ok(if is_postgres(url) { Arc::new(postgres::Postgres::new(url)?) } else { Arc::new(sqlite::Sqlite::new(url)?) })
}

fn is_postgres(url: &SecretString) -> bool {
    let scheme = url.expose_secret().split_once("://").map(|(scheme, _)| scheme);
    matches!(scheme, Some("postgres" | "postgresql"))
}

/// How many accounts are added at once, at most.
pub const IMPORT_MAX: usize = 20_000;

/// What of a user changes; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// For people to read.
    pub full_name: Option<Option<String>>,
    /// The address, and whether it is verified.
    pub email: Option<Option<(String, bool)>>,
    /// The roles assigned. Raises the generation.
    pub roles: Option<Vec<String>>,
    /// Scopes beside the roles'. Raises the generation.
    pub scopes: Option<ScopeSet>,
    /// Attributes to set; `null` removes one. Raises the generation.
    pub attributes: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whether it may do nothing any more. Raises the generation.
    pub disabled: Option<bool>,
    /// The password's new hash. Raises the generation, ends all sessions but the one named, and forgets what was mailed.
    pub password: Option<NewPassword>,
    /// What has to hold for all this; nothing where there is none.
    pub guard: Option<Guard>,
}

/// What has to hold in the transaction that changes or deletes an account.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The generation that the change was judged by; another is [`StoreError::Changed`].
    pub generation: i64,
    /// Roles one of which has to be left to a person who is not disabled: who takes it from the last is told
    /// [`StoreError::Last`].
    pub roles: Vec<String>,
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many come before it.
    pub skip: u32,
    /// How many it holds at most.
    pub limit: u32,
}

/// What is on a page, and how many there are on all.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// On all pages.
    pub total: u64,
}

/// A password that was changed.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// The PHC string.
    pub hash: SecretString,
    /// The session that made the change, and goes on.
    pub keep: Option<SessionId>,
}

/// Whether a session of a user may go on as its client asks.
pub type MayGoOn<'a> = &'a (dyn Fn(&SessionRecord, &User) -> bool + Sync);

/// What a refresh needs of the store.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a question has nothing to print")]
pub struct Rotation<'a> {
    /// The token that was presented.
    pub presented: &'a RefreshToken,
    /// Who presents it: the client that the session was opened through. Of another client it is refused and stays as it is.
    pub client: &'a str,
    /// What replaces it, if it is to be replaced.
    pub successor: &'a RefreshToken,
    /// Asked in the transaction, when the token turned out to be good, and before anything changes.
    pub may_go_on: MayGoOn<'a>,
    /// The time of the refresh.
    pub now: Timestamp,
    /// How long a used token still gives its successor (`tokens.refresh_grace`).
    pub grace: Duration,
    /// How long the successor lives (`tokens.refresh_ttl`).
    pub ttl: Duration,
    /// Until when a revocation that this may cause has to be kept.
    pub revoke_until: Timestamp,
}

/// What came of a refresh.
#[derive(Clone, Debug)]
pub enum Rotated {
    /// The session goes on with `refresh`: the new successor, or the very same one again.
    Live {
        /// The session, as it is now.
        session: SessionRecord,
        /// Its user, as he is now.
        user: User,
        /// The refresh token to hand out.
        refresh: RefreshToken,
    },
    /// An old token came back: the session was ended. The entries are to be published.
    Reused {
        /// The session that was ended.
        session: SessionRecord,
        /// What was revoked.
        entries: Vec<Entry>,
    },
    /// Unknown, expired, or of a session that ended or whose account is disabled or gone.
    Refused,
    /// The token is good, but the session may not go on as is asked: nothing was changed.
    NotLikeThis,
}

/// Accounts.
#[async_trait]
pub trait Users: Send + Sync {
    /// Adds an account; [`StoreError::Taken`] when its username or e-mail is somebody's username or e-mail already.
    async fn create_user(&self, user: &User) -> StoreResult<()>;
    /// Adds accounts with what is to be noted of them, all or none; [`StoreError::Taken`] as for one. Others who write wait
    /// meanwhile: [`IMPORT_MAX`] at once.
    async fn create_users(&self, users: &[User], events: &[AuditEvent]) -> StoreResult<()>;
    /// The account of that id.
    async fn user(&self, id: UserId) -> StoreResult<Option<User>>;
    /// The account with that username or e-mail, without regard to case.
    async fn user_by_login(&self, login: &str) -> StoreResult<Option<User>>;
    /// Accounts by username, those whose name or address holds `query`.
    async fn users(&self, query: Option<&str>, skip: u32, limit: u32) -> StoreResult<Vec<User>>;
    /// Changes an account; what the change revokes lives until `until`.
    async fn change_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)>;
    /// Replaces a hash by a better one of the same password; changes nothing else, and nothing if the hash is another by now.
    async fn rehash_password(&self, id: UserId, old: &SecretString, new: &SecretString) -> StoreResult<()>;
    /// Deletes an account with its sessions and keys; revokes its tokens until `until`.
    async fn delete_user(&self, id: UserId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>>;
    /// Notes that `user` logged in from the address prefix `network`.
    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> StoreResult<()>;
    /// Whether `user` logged in from `network` at `since` or later.
    async fn knows_network(&self, user: UserId, network: &str, since: Timestamp) -> StoreResult<bool>;
}

/// Logins.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens a session with its first refresh token, and gives its user as he is in that transaction;
    /// [`StoreError::NotFound`] when the account is gone or disabled by now.
    async fn open_session(&self, session: &SessionRecord, refresh: Hash256) -> StoreResult<User>;
    /// Replaces a refresh token by [`RefreshRow::present`](crate::domain::refresh::RefreshRow::present), in one compare-and-swap.
    async fn rotate(&self, rotation: Rotation<'_>) -> StoreResult<Rotated>;
    /// The session of that id, ended or not.
    async fn session(&self, id: SessionId) -> StoreResult<Option<SessionRecord>>;
    /// The live session that a refresh token belongs to, be the token fresh or used.
    async fn session_of_refresh(&self, token: Hash256) -> StoreResult<Option<SessionRecord>>;
    /// Live sessions, of one user or of all, newest first.
    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> StoreResult<Vec<SessionRecord>>;
    /// Ends a session; ending an ended one again gives its entry again.
    async fn end_session(&self, id: SessionId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>>;
    /// Ends all sessions of a user but `except`.
    async fn end_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Vec<Entry>>;
}

/// API keys.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Adds a key; [`StoreError::Taken`] when there is one of that id or hash.
    async fn create_key(&self, key: &ApiKeyRecord) -> StoreResult<()>;
    /// The key of that id and its owner as he is now.
    async fn key(&self, id: &KeyId) -> StoreResult<Option<(ApiKeyRecord, User)>>;
    /// The key of that hash and its owner as he is now.
    async fn key_by_hash(&self, hash: &Hash256) -> StoreResult<Option<(ApiKeyRecord, User)>>;
    /// Keys, of one owner or of all, newest first.
    async fn keys(&self, owner: Option<UserId>) -> StoreResult<Vec<ApiKeyRecord>>;
    /// Revokes a key; [`StoreError::NotFound`] when there is none.
    async fn revoke_key(&self, id: &KeyId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>>;
    /// Notes when keys were last used; never moves a time back.
    async fn touch_keys(&self, seen: &[(KeyId, Timestamp)]) -> StoreResult<()>;
}

/// OAuth clients.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Adds a client; [`StoreError::Taken`] when there is one of that name, without regard to case.
    async fn create_client(&self, client: &ClientRecord) -> StoreResult<()>;
    /// The client of that id.
    async fn client(&self, id: ClientId) -> StoreResult<Option<ClientRecord>>;
    /// All clients by name.
    async fn clients(&self) -> StoreResult<Vec<ClientRecord>>;
    /// Deletes a client, ends the sessions that were opened through it, and revokes its own tokens until `until`;
    /// [`StoreError::NotFound`] when there is none.
    async fn delete_client(&self, id: ClientId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>>;
}

/// What was mailed to users.
#[async_trait]
pub trait MailedTokens: Send + Sync {
    /// Keeps a token in place of all that the same user was sent for the same purpose. With a `generation` only while the user is
    /// of it: [`StoreError::Changed`] else.
    async fn mail(&self, token: &MailedToken, generation: Option<i64>) -> StoreResult<()>;
    /// The token of that hash, if it was sent for `purpose` and has not expired.
    async fn mailed(&self, hash: &Hash256, purpose: MailPurpose, now: Timestamp) -> StoreResult<Option<MailedToken>>;
    /// Changes the account of a token as [`Users::change_user`] does, and forgets all that its user was sent for that purpose,
    /// in one transaction: of two that come at once one finds it. [`StoreError::NotFound`] when there is no such token.
    async fn redeem(
        &self,
        hash: &Hash256,
        purpose: MailPurpose,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)>;
}

/// The durable log of revocations.
#[async_trait]
pub trait RevocationLog: Send + Sync {
    /// Revokes one thing.
    async fn revoke(&self, what: &crate::domain::Revoked, until: Timestamp) -> StoreResult<Entry>;
    /// The entries behind `seq` in commit order, at most `limit`; one that commits later never has a lower number.
    async fn revocations_after(&self, seq: i64, limit: u32) -> StoreResult<Vec<Entry>>;
    /// The number of the last entry ever written, 0 when there was none.
    async fn last_revocation(&self) -> StoreResult<i64>;
    /// Forgets entries that ended before `now`, sealed successors older than `grace`, sessions and refresh tokens that have
    /// been dead for a day, and networks not seen for 30 days; says how many. In several short transactions, so that nobody
    /// waits long behind it.
    async fn prune(&self, now: Timestamp, grace: Duration) -> StoreResult<u64>;
}

/// What those who administer ask beside.
#[async_trait]
pub trait Administration: Send + Sync {
    /// Deletes an account as [`Users::delete_user`] does, if `guard` holds.
    async fn delete_user_guarded(&self, id: UserId, guard: &Guard, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>>;
    /// Accounts as [`Users::users`] lists them.
    async fn list_users(&self, query: Option<&str>, page: Page) -> StoreResult<Listed<User>>;
    /// Live sessions as [`Sessions::sessions`] lists them.
    async fn list_sessions(&self, user: Option<UserId>, now: Timestamp, page: Page) -> StoreResult<Listed<SessionRecord>>;
    /// Keys as [`ApiKeys::keys`] lists them.
    async fn list_keys(&self, owner: Option<UserId>, page: Page) -> StoreResult<Listed<ApiKeyRecord>>;
}

/// What happened.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes one event down.
    async fn record(&self, event: &AuditEvent) -> StoreResult<()>;
    /// The latest events first.
    async fn events(&self, skip: u32, limit: u32) -> StoreResult<Vec<AuditEvent>>;
}

/// Everything that is kept.
#[async_trait]
pub trait Store: Users + Sessions + ApiKeys + Clients + MailedTokens + RevocationLog + Administration + Audit {
    /// Whether it answers.
    async fn ping(&self) -> StoreResult<()>;
}
