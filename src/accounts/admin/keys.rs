//! API keys.

use std::time::Duration;

use super::check;
use super::{Admin, AdminError, AdminResult, Fault, of};
use crate::credential::{ApiKey, ImportedKey};
use crate::domain::{ApiKeyRecord, AuditKind, Hash256, KeyId, Rate, Scope, ScopeSet, User};

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Whose rights bound it: a username or e-mail address.
    pub owner: String,
    /// What people call it.
    pub name: String,
    /// What it may do; `None` is what its owner may now, without the gateway's own scopes.
    pub scopes: Option<ScopeSet>,
    /// When it ends by itself.
    pub expires_in: Option<Duration>,
    /// The networks it may be used from; empty is any.
    pub allow: Vec<String>,
    /// How often it may be used on routes; `None` is as often as those allow.
    pub rate_limit: Option<Rate>,
}

/// A key that was made. The key itself is shown once, and known to nobody afterwards.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key itself.
    pub key: ApiKey,
    /// What the store keeps of it.
    pub record: ApiKeyRecord,
}

impl Admin {
    /// Makes a key, which never holds more than its owner.
    pub async fn create_key(&self, new: NewKey) -> AdminResult<CreatedKey> {
        let key = ApiKey::generate(&*self.entropy);
        let record = self.add_key(new, key.id().clone(), key.hash(), "key").await?;
        Ok(CreatedKey { key, record })
    }

    /// Takes a key over that another system made. It is kept as its hash; a key can be taken over once, and not after it was revoked.
    pub async fn import_key(&self, new: NewKey, key: &ImportedKey) -> AdminResult<ApiKeyRecord> {
        if let Some((there, owner)) = self.store.key_by_hash(&key.hash()).await? {
            let state = if there.revoked_at.is_some() { ", and revoked: give the client a new one" } else { "" };
            return Err(AdminError::Taken(format!(
                "this key is there already: {} (`{}` of {}){state}",
                there.id, there.name, owner.username
            )));
        }
        let id = KeyId::generate(&*self.entropy);
        match self.add_key(new, id, key.hash(), "imported key").await {
            Err(AdminError::Taken(_)) => Err(AdminError::Taken("this key is there already".to_owned())),
            other => other,
        }
    }

    async fn add_key(&self, new: NewKey, id: KeyId, hash: Hash256, what: &str) -> AdminResult<ApiKeyRecord> {
        let owner = self.user(&new.owner).await?;
        if owner.disabled {
            return Err(AdminError::Invalid(format!(
                "`{0}` is disabled, its keys would not work: enable it with `portcullis user enable {0}`",
                owner.username
            )));
        }
        let now = self.clock.now();
        let record = ApiKeyRecord {
            id,
            hash,
            owner: owner.id,
            allowed_cidrs: check::cidrs(&new.allow)?,
            rate_limit: new.rate_limit,
            scopes: self.scopes_for(&owner, new.scopes)?,
            name: new.name,
            created_at: now,
            expires_at: new.expires_in.map(|span| now.plus(span)),
            used_at: None,
            revoked_at: None,
        };
        self.put_key(&record, &owner, what).await.map_err(|(_, error)| error)?;
        Ok(record)
    }

    /// Keeps a key, whose name and end are judged here.
    pub(super) async fn put_key(&self, record: &ApiKeyRecord, owner: &User, what: &str) -> Result<(), Fault> {
        let name = &record.name;
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            let text = "a key needs a name of 1 to 64 bytes on one line, such as backup-job";
            return Err(("name", AdminError::Invalid(text.to_owned())));
        }
        if record.expires_at.is_some_and(|end| end <= record.created_at) {
            return Err(("expires_in", AdminError::Invalid("a key that expires at once is no use: write it as 30d".to_owned())));
        }
        self.store.create_key(record).await.map_err(of("id"))?;
        let detail = format!("{what} `{name}` of {}: scopes: {}", owner.username, record.scopes);
        self.done(AuditKind::KeyCreated, record.id.to_string(), detail, Vec::new()).await;
        Ok(())
    }

    /// Keys, of one owner or of all, newest first.
    pub async fn keys(&self, owner: Option<&str>) -> AdminResult<Vec<ApiKeyRecord>> {
        let owner = match owner {
            Some(name) => Some(self.user(name).await?.id),
            None => None,
        };
        Ok(self.store.keys(owner).await?)
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: &KeyId) -> AdminResult<()> {
        let now = self.clock.now();
        let entries = self.store.revoke_key(id, now, self.revoke_key_until(now)).await?;
        self.done(AuditKind::KeyRevoked, id.to_string(), "API key".to_owned(), entries).await;
        Ok(())
    }

    fn scopes_for(&self, owner: &User, asked: Option<ScopeSet>) -> AdminResult<ScopeSet> {
        let held = self.config.roles.held_by(owner);
        let Some(asked) = asked else {
            let own = |scope: &&Scope| [Scope::ACCOUNT, Scope::ADMIN].contains(&scope.as_str());
            return Ok(held.iter().filter(|scope| !own(scope)).cloned().collect());
        };
        let given = held.narrowed_to(&asked);
        if let Some(missing) = asked.iter().find(|scope| !given.covers(scope) || (!given.names(scope) && !scope.is_all())) {
            return Err(AdminError::Invalid(format!(
                "`{}` does not hold the scope `{missing}`, so a key of it can't either: it holds `{held}`",
                owner.username
            )));
        }
        Ok(asked)
    }
}
