//! A store that may not be there yet: with the database down at start the gateway listens, answers 503 and retries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    ApiKeys, Audit, RevocationLog, Rotated, Rotation, Sessions, Store, StoreError, StoreResult, UserChange, Users,
};
use crate::domain::{
    ApiKeyRecord, AuditEvent, Entry, Hash256, KeyId, Revoked, SecretString, SessionId, SessionRecord, Timestamp, User, UserId,
};

/// How long after a failure the store is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// Passes every call on once the store is open; until then each is [`StoreError::Unavailable`].
#[derive(Default)]
pub struct LateStore {
    open: OnceLock<Arc<dyn Store>>,
    up: AtomicBool,
}

impl LateStore {
    /// Opens the store at `url`, and goes on trying for as long as that fails. `report` hears of every failure.
    pub async fn keep_opening(&self, url: &SecretString, report: impl Fn(&StoreError)) {
        while self.open.get().is_none() {
            match super::open(url).await {
                Ok(store) => {
                    self.open.get_or_init(|| store);
                }
                Err(error) => {
                    report(&error);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Notes whether it answered just now.
    pub fn note(&self, answered: bool) {
        self.up.store(answered, Ordering::Relaxed);
    }

    /// Whether it answered when that was last noted.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    fn get(&self) -> StoreResult<&dyn Store> {
        match self.open.get() {
            Some(store) => Ok(store.as_ref()),
            None => Err(StoreError::Unavailable("it was not opened yet".to_owned())),
        }
    }
}

/// Writes the methods of one trait: each asks the open store.
macro_rules! pass_on {
    ($trait:ident { $(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $result:ty;)* }) => {
        #[async_trait]
        impl $trait for LateStore {
            $(async fn $name(&self $(, $arg: $type)*) -> StoreResult<$result> {
                self.get()?.$name($($arg),*).await
            })*
        }
    };
}

pass_on!(Users {
    fn create_user(&self, user: &User) -> ();
    fn user(&self, id: UserId) -> Option<User>;
    fn user_by_login(&self, login: &str) -> Option<User>;
    fn users(&self, query: Option<&str>, skip: u32, limit: u32) -> Vec<User>;
    fn change_user(&self, id: UserId, change: UserChange, now: Timestamp, until: Timestamp) -> (User, Vec<Entry>);
    fn rehash_password(&self, id: UserId, old: &SecretString, new: &SecretString) -> ();
    fn delete_user(&self, id: UserId, now: Timestamp, until: Timestamp) -> Vec<Entry>;
    fn remember_network(&self, user: UserId, network: &str, now: Timestamp) -> ();
    fn knows_network(&self, user: UserId, network: &str, since: Timestamp) -> bool;
});

pass_on!(Sessions {
    fn open_session(&self, session: &SessionRecord, refresh: Hash256) -> User;
    fn rotate(&self, rotation: Rotation<'_>) -> Rotated;
    fn session(&self, id: SessionId) -> Option<SessionRecord>;
    fn session_of_refresh(&self, token: Hash256) -> Option<SessionRecord>;
    fn sessions(&self, user: Option<UserId>, now: Timestamp) -> Vec<SessionRecord>;
    fn end_session(&self, id: SessionId, now: Timestamp, until: Timestamp) -> Vec<Entry>;
    fn end_sessions(&self, user: UserId, except: Option<SessionId>, now: Timestamp, until: Timestamp) -> Vec<Entry>;
});

pass_on!(ApiKeys {
    fn create_key(&self, key: &ApiKeyRecord) -> ();
    fn key(&self, id: &KeyId) -> Option<(ApiKeyRecord, User)>;
    fn keys(&self, owner: Option<UserId>) -> Vec<ApiKeyRecord>;
    fn revoke_key(&self, id: &KeyId, now: Timestamp, until: Timestamp) -> Vec<Entry>;
    fn touch_keys(&self, seen: &[(KeyId, Timestamp)]) -> ();
});

pass_on!(RevocationLog {
    fn revoke(&self, what: &Revoked, until: Timestamp) -> Entry;
    fn revocations_after(&self, seq: i64, limit: u32) -> Vec<Entry>;
    fn last_revocation(&self) -> i64;
    fn prune(&self, now: Timestamp, grace: Duration) -> u64;
});

pass_on!(Audit {
    fn record(&self, event: &AuditEvent) -> ();
    fn events(&self, skip: u32, limit: u32) -> Vec<AuditEvent>;
});

pass_on!(Store {
    fn ping(&self) -> ();
});

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn before_it_is_open_every_call_is_unavailable() {
        let store = LateStore::default();
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.user_by_login("alice").await, Err(StoreError::Unavailable(_))));
    }
}
