//! API keys, by the endpoints.

use std::time::Duration;

use ipnet::IpNet;

use super::super::{check, of};
use super::{Acting, refused, unchanged, wrong};
use crate::accounts::admin::CreatedKey;
use crate::accounts::{store_is_down, to_the_end};
use crate::credential::ApiKey;
use crate::domain::{ApiKeyRecord, AuditKind, KeyId, Rate, Scope, ScopeSet, Timestamp, User};
use crate::problem::Refusal;
use crate::store::{Listed, Page, StoreError};

/// Live keys that an account makes for itself at most, each with a `rate_limit` of its own if it has one.
const OWN_MAX: usize = 100;
/// The longest life of a key; who wants more says nothing.
const LIFE_MAX: Duration = Duration::from_hours(100 * 366 * 24);

/// A key that is asked for.
#[derive(Clone, Debug, Default)]
pub struct KeyWish {
    /// What people call it.
    pub name: String,
    /// What it may do; of each the narrower of asked and held. `None` is what may be given but the gateway's own scopes.
    pub scopes: Option<ScopeSet>,
    /// When it ends by itself.
    pub expires_in: Option<Duration>,
    /// The networks that it may be used from; empty is any.
    pub allowed_cidrs: Vec<String>,
    /// How often it may be used on routes; `None` is as often as those allow.
    pub rate_limit: Option<Rate>,
}

/// Keys with the names of their owners, where they are known.
pub type KeyPage = Listed<(ApiKeyRecord, Option<String>)>;

impl Acting {
    /// The acting account's keys that were not revoked, newest first.
    pub async fn own_keys(&self) -> Result<Vec<ApiKeyRecord>, Refusal> {
        let mut keys = self.admin.store.keys(Some(self.user.id)).await.map_err(|error| store_is_down(&error))?;
        keys.retain(|key| key.revoked_at.is_none());
        Ok(keys)
    }

    /// Makes a key for the acting account.
    pub async fn create_own_key(self, wish: KeyWish) -> Result<CreatedKey, Refusal> {
        to_the_end(async move {
            let now = self.admin.clock.now();
            let live = |key: &ApiKeyRecord| key.expires_at.is_none_or(|end| now < end);
            if self.own_keys().await?.into_iter().filter(live).count() >= OWN_MAX {
                return Err(Refusal::Forbidden("There are too many API keys of this account. Revoke one first."));
            }
            let owner = self.user.clone();
            self.create(&owner, wish).await
        })
        .await
    }

    /// Revokes a key of the acting account; revoking it again changes nothing.
    pub async fn revoke_own_key(self, id: KeyId) -> Result<(), Refusal> {
        to_the_end(async move {
            let found = self.admin.store.key(&id).await.map_err(|error| store_is_down(&error))?;
            match found {
                Some((key, _)) if key.owner == self.user.id => self.revoke(key).await,
                _ => Err(Refusal::NotFound("API key")),
            }
        })
        .await
    }

    /// Keys of one owner or of all, newest first, revoked ones too.
    pub async fn keys(&self, owner: Option<&str>, page: Page) -> Result<KeyPage, Refusal> {
        let owner = match owner {
            Some(name) => Some(self.named(name, "owner").await?.id),
            None => None,
        };
        let keys = self.admin.store.list_keys(owner, page).await.map_err(|error| store_is_down(&error))?;
        let names = self.names(keys.items.iter().map(|key| key.owner)).await?;
        let items = keys.items.into_iter().map(|key| (names.get(&key.owner).cloned(), key)).map(|(name, key)| (key, name));
        Ok(Listed { items: items.collect(), total: keys.total })
    }

    /// Makes a key for any account that the acting credential may become.
    pub async fn create_key(self, owner: &str, wish: KeyWish) -> Result<(CreatedKey, String), Refusal> {
        let owner = self.named(owner, "owner").await?;
        to_the_end(async move {
            if owner.disabled {
                return Err(wrong("owner", "The account is disabled: its keys would not work."));
            }
            if owner.id != self.user.id {
                self.may_become(&owner)?;
            }
            Ok((self.create(&owner, wish).await?, owner.username))
        })
        .await
    }

    /// Revokes any key.
    pub async fn revoke_key(self, id: KeyId) -> Result<(), Refusal> {
        to_the_end(async move {
            let found = self.admin.store.key(&id).await.map_err(|error| store_is_down(&error))?;
            let (key, _) = found.ok_or(Refusal::NotFound("API key"))?;
            self.revoke(key).await
        })
        .await
    }

    async fn revoke(&self, key: ApiKeyRecord) -> Result<(), Refusal> {
        let now = self.admin.clock.now();
        let until = self.admin.revoke_key_until(now);
        let entries = self.admin.store.revoke_key(&key.id, now, until).await.map_err(|error| unchanged(&error))?;
        let detail = format!("API key `{}`{}", key.name, self.by());
        self.admin.done(AuditKind::KeyRevoked, key.id.to_string(), detail, entries).await;
        Ok(())
    }

    async fn create(&self, owner: &User, wish: KeyWish) -> Result<CreatedKey, Refusal> {
        let now = self.admin.clock.now();
        if wish.expires_in.is_some_and(|span| span > LIFE_MAX) {
            return Err(wrong("expires_in", "A key lives 100 years at most; leave `expires_in` away for one without an end."));
        }
        let key = ApiKey::generate(&*self.admin.entropy);
        let record = ApiKeyRecord {
            id: key.id().clone(),
            hash: key.hash(),
            owner: owner.id,
            name: wish.name,
            scopes: self.scopes_for(owner, wish.scopes.as_ref())?,
            allowed_cidrs: self.networks(&wish.allowed_cidrs)?,
            rate_limit: self.rate(wish.rate_limit)?,
            created_at: now,
            expires_at: self.end_of(wish.expires_in.map(|span| now.plus(span))),
            used_at: None,
            revoked_at: None,
        };
        let what = match self.by().as_str() {
            "" => "key".to_owned(),
            by => format!("key{by},"),
        };
        match self.admin.put_key(&record, owner, &what).await {
            Ok(()) => Ok(CreatedKey { key, record }),
            // The owner was deleted meanwhile.
            Err((_, super::AdminError::NotFound(_))) => Err(unchanged(&StoreError::NotFound("user"))),
            Err(fault) => Err(refused(fault)),
        }
    }

    /// What of `asked` the owner holds, and the acting credential.
    fn scopes_for(&self, owner: &User, asked: Option<&ScopeSet>) -> Result<ScopeSet, Refusal> {
        let held = self.admin.config.roles.held_by(owner);
        let Some(asked) = asked else {
            let both = held.narrowed_to(&self.held);
            return Ok(widest(&both.iter().filter(|scope| !scope.is_reserved()).cloned().collect()));
        };
        let given = widest(&held.narrowed_to(asked).narrowed_to(&self.held));
        if given.is_empty() && !asked.is_empty() { Err(Refusal::InvalidScope) } else { Ok(given) }
    }

    /// A key that a key makes ends with it at the latest.
    fn end_of(&self, asked: Option<Timestamp>) -> Option<Timestamp> {
        let own = self.key.as_ref().and_then(|key| key.expires_at);
        match (asked, own) {
            (Some(asked), Some(own)) => Some(asked.min(own)),
            (asked, own) => asked.or(own),
        }
    }

    /// A key that a key makes may be used no more often.
    fn rate(&self, asked: Option<Rate>) -> Result<Option<Rate>, Refusal> {
        let own = self.key.as_ref().and_then(|key| key.rate_limit);
        match (asked, own) {
            (Some(asked), Some(own)) if !asked.is_within(own) => {
                Err(wrong("rate_limit", format!("A key that an API key makes is limited to {own}, as that key is, or to less.")))
            }
            (asked, own) => Ok(asked.or(own)),
        }
    }

    /// A key that a key makes is good from nowhere where that one is not.
    fn networks(&self, asked: &[String]) -> Result<Vec<String>, Refusal> {
        let asked = check::cidrs(asked).map_err(of("allowed_cidrs")).map_err(refused)?;
        let own = self.key.as_ref().map_or(&[][..], |key| &key.allowed_cidrs);
        if own.is_empty() {
            return Ok(asked);
        }
        if asked.is_empty() {
            return Ok(own.to_vec());
        }
        let parsed = |texts: &[String]| texts.iter().filter_map(|text| text.parse::<IpNet>().ok()).collect::<Vec<_>>();
        let (within, asked_nets) = (parsed(own), parsed(&asked));
        if asked_nets.len() == asked.len() && asked_nets.iter().all(|net| within.iter().any(|own| own.contains(net))) {
            Ok(asked)
        } else {
            Err(wrong("allowed_cidrs", "A key that an API key makes is for networks within that key's own."))
        }
    }
}

/// The same without what others of the set cover: `items` says all of `items:read`.
fn widest(scopes: &ScopeSet) -> ScopeSet {
    let said = |scope: &Scope| scopes.iter().any(|other| other != scope && other.covers(scope) && !scope.is_reserved());
    scopes.iter().filter(|scope| !said(scope)).cloned().collect()
}
