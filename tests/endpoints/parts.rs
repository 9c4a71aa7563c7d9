//! Stand-ins that count, fail and wait on command.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::domain::secret::ExposeSecret;
use portcullis::domain::{
    ApiKeyRecord, AuditEvent, ClientId, ClientRecord, Concern, Entry, Hash256, KeyId, MailPurpose, MailedToken, Revoked,
    SecretString, SessionId, SessionRecord, Timestamp, User, UserId,
};
use portcullis::mail::{Kind, Letter, Place, Post};
use portcullis::password::{Busy, Passwords, Verdict};
use portcullis::revocation::{List, Revocations, Standing};
use portcullis::store::{
    self, Administration, ApiKeys, Audit, Clients, Guard, MailedTokens, Page, RevocationLog, Rotated, Rotation, Sessions, Store,
    StoreError, StoreResult, UserChange, Users,
};

/// Hashes by writing `plain:` before the password, and counts.
#[derive(Default)]
pub(crate) struct PlainPasswords {
    pub(crate) checks: AtomicUsize,
    pub(crate) full: AtomicBool,
    /// While held, checks wait.
    pub(crate) door: tokio::sync::RwLock<()>,
}

#[async_trait]
impl Passwords for PlainPasswords {
    async fn verify(&self, password: SecretString, stored: Option<SecretString>) -> Result<Verdict, Busy> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Busy::QueueFull);
        }
        self.checks.fetch_add(1, Ordering::SeqCst);
        drop(self.door.read().await);
        let Some(stored) = stored else { return Ok(Verdict::Wrong) };
        let (kind, right) = stored.expose_secret().split_once(':').expect("a plain hash");
        Ok(match (password.expose_secret() == right, kind) {
            (false, _) => Verdict::Wrong,
            (true, "weak") => Verdict::Right { rehashed: Some(format!("plain:{right}").into()) },
            (true, _) => Verdict::Right { rehashed: None },
        })
    }

    async fn hash(&self, password: SecretString) -> Result<SecretString, Busy> {
        Ok(format!("plain:{}", password.expose_secret()).into())
    }
}

/// Keeps letters instead of sending them.
#[derive(Clone, Default)]
pub(crate) struct Letterbox {
    letters: Arc<Mutex<Vec<Letter>>>,
    pub(crate) full: Arc<AtomicBool>,
}

impl Letterbox {
    /// The letters that came in so far, as kind and recipient.
    pub(crate) fn all(&self) -> Vec<(Kind, String)> {
        let letters = self.letters.lock().expect("letters");
        letters.iter().map(|letter| (letter.kind, letter.to.clone())).collect()
    }

    /// The `number`th letter to come in, waited for.
    pub(crate) async fn letter(&self, number: usize) -> Letter {
        for _ in 0..10_000 {
            if let Some(letter) = self.letters.lock().expect("letters").get(number) {
                return letter.clone();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("no letter {number}: {:?}", self.all())
    }

    /// The secret in its link.
    pub(crate) async fn token(&self, number: usize) -> String {
        let text = self.letter(number).await.text.expose_secret().to_owned();
        let secret = text.split("?token=").nth(1).expect("a link");
        secret.split_whitespace().next().expect("a secret").to_owned()
    }
}

impl Post for Letterbox {
    fn place(&self) -> Option<Place> {
        let letters = self.letters.clone();
        let send = move |letter| letters.lock().expect("letters").push(letter);
        (!self.full.load(Ordering::SeqCst)).then(|| Place::new(send))
    }
}

/// The real list, without anybody to follow.
#[derive(Default)]
pub(crate) struct Listed {
    list: List,
    pub(crate) unknown: AtomicBool,
    pub(crate) published: AtomicUsize,
}

#[async_trait]
impl Revocations for Listed {
    async fn standing(&self, concern: &Concern) -> Standing {
        match (self.list.revoked(concern), self.unknown.load(Ordering::SeqCst)) {
            (true, _) => Standing::Revoked,
            (false, true) => Standing::Unknown,
            (false, false) => Standing::Live,
        }
    }

    fn is_outdated(&self, account: UserId, generation: i64) -> bool {
        self.list.is_outdated(account, generation)
    }

    async fn publish(&self, entries: Vec<Entry>) {
        self.published.fetch_add(entries.len(), Ordering::SeqCst);
        for entry in &entries {
            self.list.apply(entry);
        }
    }

    fn is_ready(&self) -> bool {
        true
    }
}

/// A real store that can be made to fail before it is asked.
pub(crate) struct Flaky {
    pub(crate) real: Arc<dyn Store>,
    pub(crate) down: AtomicBool,
}

impl Flaky {
    fn real(&self) -> StoreResult<&dyn Store> {
        if self.down.load(Ordering::SeqCst) { Err(StoreError::Unavailable("pulled the plug".into())) } else { Ok(&*self.real) }
    }
}

#[async_trait]
impl Users for Flaky {
    async fn create_user(&self, user: &User) -> StoreResult<()> {
        self.real()?.create_user(user).await
    }
    async fn create_users(&self, users: &[User], events: &[AuditEvent]) -> StoreResult<()> {
        self.real()?.create_users(users, events).await
    }
    async fn user(&self, id: UserId) -> StoreResult<Option<User>> {
        self.real()?.user(id).await
    }
    async fn user_by_login(&self, login: &str) -> StoreResult<Option<User>> {
        self.real()?.user_by_login(login).await
    }
    async fn users(&self, query: Option<&str>, skip: u32, limit: u32) -> StoreResult<Vec<User>> {
        self.real()?.users(query, skip, limit).await
    }
    async fn change_user(
        &self,
        id: UserId,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)> {
        self.real()?.change_user(id, change, now, until).await
    }
    async fn rehash_password(&self, id: UserId, old: &SecretString, new: &SecretString) -> StoreResult<()> {
        self.real()?.rehash_password(id, old, new).await
    }
    async fn delete_user(&self, id: UserId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.real()?.delete_user(id, now, until).await
    }
    async fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> StoreResult<()> {
        self.real()?.remember_network(user, network, now).await
    }
    async fn knows_network(&self, user: UserId, network: &str, since: Timestamp) -> StoreResult<bool> {
        self.real()?.knows_network(user, network, since).await
    }
}

#[async_trait]
impl Sessions for Flaky {
    async fn open_session(&self, session: &SessionRecord, refresh: Hash256) -> StoreResult<User> {
        self.real()?.open_session(session, refresh).await
    }
    async fn rotate(&self, rotation: Rotation<'_>) -> StoreResult<Rotated> {
        self.real()?.rotate(rotation).await
    }
    async fn session(&self, id: SessionId) -> StoreResult<Option<SessionRecord>> {
        self.real()?.session(id).await
    }
    async fn session_of_refresh(&self, token: Hash256) -> StoreResult<Option<SessionRecord>> {
        self.real()?.session_of_refresh(token).await
    }
    async fn sessions(&self, user: Option<UserId>, now: Timestamp) -> StoreResult<Vec<SessionRecord>> {
        self.real()?.sessions(user, now).await
    }
    async fn end_session(&self, id: SessionId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.real()?.end_session(id, now, until).await
    }
    async fn end_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Vec<Entry>> {
        self.real()?.end_sessions(user, except, now, until).await
    }
}

#[async_trait]
impl ApiKeys for Flaky {
    async fn create_key(&self, key: &ApiKeyRecord) -> StoreResult<()> {
        self.real()?.create_key(key).await
    }
    async fn key(&self, id: &KeyId) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.real()?.key(id).await
    }
    async fn key_by_hash(&self, hash: &Hash256) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.real()?.key_by_hash(hash).await
    }
    async fn keys(&self, owner: Option<UserId>) -> StoreResult<Vec<ApiKeyRecord>> {
        self.real()?.keys(owner).await
    }
    async fn revoke_key(&self, id: &KeyId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.real()?.revoke_key(id, now, until).await
    }
    async fn touch_keys(&self, seen: &[(KeyId, Timestamp)]) -> StoreResult<()> {
        self.real()?.touch_keys(seen).await
    }
}

#[async_trait]
impl Clients for Flaky {
    async fn create_client(&self, client: &ClientRecord) -> StoreResult<()> {
        self.real()?.create_client(client).await
    }
    async fn client(&self, id: ClientId) -> StoreResult<Option<ClientRecord>> {
        self.real()?.client(id).await
    }
    async fn clients(&self) -> StoreResult<Vec<ClientRecord>> {
        self.real()?.clients().await
    }
    async fn delete_client(&self, id: ClientId, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.real()?.delete_client(id, now, until).await
    }
}

#[async_trait]
impl MailedTokens for Flaky {
    async fn mail(&self, token: &MailedToken, generation: Option<i64>) -> StoreResult<()> {
        self.real()?.mail(token, generation).await
    }
    async fn mailed(&self, hash: &Hash256, purpose: MailPurpose, now: Timestamp) -> StoreResult<Option<MailedToken>> {
        self.real()?.mailed(hash, purpose, now).await
    }
    async fn redeem(
        &self,
        hash: &Hash256,
        purpose: MailPurpose,
        change: UserChange,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<(User, Vec<Entry>)> {
        self.real()?.redeem(hash, purpose, change, now, until).await
    }
}

#[async_trait]
impl RevocationLog for Flaky {
    async fn revoke(&self, what: &Revoked, until: Timestamp) -> StoreResult<Entry> {
        self.real()?.revoke(what, until).await
    }
    async fn revocations_after(&self, seq: i64, limit: u32) -> StoreResult<Vec<Entry>> {
        self.real()?.revocations_after(seq, limit).await
    }
    async fn last_revocation(&self) -> StoreResult<i64> {
        self.real()?.last_revocation().await
    }
    async fn prune(&self, now: Timestamp, grace: Duration) -> StoreResult<u64> {
        self.real()?.prune(now, grace).await
    }
}

#[async_trait]
impl Administration for Flaky {
    async fn delete_user_guarded(&self, id: UserId, guard: &Guard, now: Timestamp, until: Timestamp) -> StoreResult<Vec<Entry>> {
        self.real()?.delete_user_guarded(id, guard, now, until).await
    }
    async fn list_users(&self, query: Option<&str>, page: Page) -> StoreResult<store::Listed<User>> {
        self.real()?.list_users(query, page).await
    }
    async fn list_sessions(&self, user: Option<UserId>, now: Timestamp, page: Page) -> StoreResult<store::Listed<SessionRecord>> {
        self.real()?.list_sessions(user, now, page).await
    }
    async fn list_keys(&self, owner: Option<UserId>, page: Page) -> StoreResult<store::Listed<ApiKeyRecord>> {
        self.real()?.list_keys(owner, page).await
    }
}

#[async_trait]
impl Audit for Flaky {
    async fn record(&self, event: &AuditEvent) -> StoreResult<()> {
        self.real()?.record(event).await
    }
    async fn events(&self, skip: u32, limit: u32) -> StoreResult<Vec<AuditEvent>> {
        self.real()?.events(skip, limit).await
    }
}

#[async_trait]
impl Store for Flaky {
    async fn ping(&self) -> StoreResult<()> {
        self.real()?.ping().await
    }
}
