//! Accounts, by the endpoints.

use serde_json::{Map, Value};

use super::super::{NewUser, check, of};
use super::{ADMIN, Acting, refused, unchanged, wrong};
use crate::accounts::{store_is_down, to_the_end, try_again};
use crate::domain::{AuditKind, Entry, ScopeSet, SecretString, User, UserId};
use crate::problem::Refusal;
use crate::store::{Guard, Listed, NewPassword, Page, StoreError, StoreResult, UserChange};

/// How often a change is judged anew when the account changes meanwhile.
const TRIES: usize = 5;

/// What of an account is to change; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// For people to read.
    pub full_name: Option<Option<String>>,
    /// Its address, which counts as verified unless `email_verified` says otherwise.
    pub email: Option<Option<String>>,
    /// Whether the address is known to be its own.
    pub email_verified: Option<bool>,
    /// Its roles.
    pub roles: Option<Vec<String>>,
    /// Scopes beside those of its roles.
    pub scopes: Option<ScopeSet>,
    /// Attributes to set; `null` removes one.
    pub attributes: Option<Map<String, Value>>,
    /// Whether it may do nothing any more.
    pub disabled: Option<bool>,
    /// Its password.
    pub password: Option<SecretString>,
}

impl Acting {
    /// Accounts by username, those whose name or address holds `query`.
    pub async fn users(&self, query: Option<&str>, page: Page) -> Result<Listed<User>, Refusal> {
        self.admin.store.list_users(query, page).await.map_err(|error| store_is_down(&error))
    }

    /// The account of that id.
    pub async fn user(&self, id: UserId) -> Result<User, Refusal> {
        let user = self.admin.store.user(id).await.map_err(|error| store_is_down(&error))?;
        user.ok_or(Refusal::NotFound("user"))
    }

    /// Makes an account.
    pub async fn create_user(self, new: NewUser) -> Result<User, Refusal> {
        to_the_end(async move {
            match (new.service, &new.password) {
                (true, Some(_)) => {
                    return Err(wrong("password", "A service account has no password: leave one of the two away."));
                }
                (false, None) => return Err(wrong("password", "`password` is missing; only a service account has none.")),
                _ => {}
            }
            let user = self.admin.made(new).await.map_err(refused)?;
            self.may_give(None, &user)?;
            self.admin.add_user(&user, &self.by()).await.map_err(|error| unchanged(&error))?;
            Ok(user)
        })
        .await
    }

    /// Changes an account. Nobody disables or demotes himself, nor the last admin.
    pub async fn change_user(self, id: UserId, patch: UserPatch) -> Result<User, Refusal> {
        to_the_end(async move { self.change(id, patch).await }).await
    }

    /// Deletes an account with its sessions and keys: nobody his own, nor the last admin's.
    pub async fn delete_user(self, id: UserId) -> Result<(), Refusal> {
        to_the_end(async move {
            if id == self.user.id {
                return Err(Refusal::Forbidden("Nobody deletes their own account."));
            }
            for _ in 0..TRIES {
                let user = self.user(id).await?;
                let now = self.admin.clock.now();
                let until = self.admin.revoke_key_until(now);
                match self.admin.store.delete_user_guarded(id, &self.guard(&user), now, until).await {
                    Err(StoreError::Changed) => {}
                    Err(error) => return Err(unchanged(&error)),
                    Ok(entries) => {
                        let detail = format!("{}{}", user.username, self.by());
                        self.admin.done(AuditKind::UserDeleted, id.to_string(), detail, entries).await;
                        return Ok(());
                    }
                }
            }
            Err(CONTENDED)
        })
        .await
    }

    async fn change(&self, id: UserId, patch: UserPatch) -> Result<User, Refusal> {
        let mut hash = None;
        for _ in 0..TRIES {
            let user = self.user(id).await?;
            let (mut change, told) = self.judged(&user, &patch)?;
            if told.is_empty() {
                return Ok(user);
            }
            if let (None, Some(password)) = (&hash, &patch.password) {
                hash =
                    Some(self.admin.hashed(user.login_names(), password.clone()).await.map_err(of("password")).map_err(refused)?);
            }
            change.password = hash.clone().map(|hash| NewPassword { hash, keep: None });
            match self.changed(&user, change, &told).await {
                Err(StoreError::Changed) => {}
                Err(error) => return Err(unchanged(&error)),
                Ok(user) => return Ok(user),
            }
        }
        Err(CONTENDED)
    }

    async fn changed(&self, user: &User, change: UserChange, told: &[(AuditKind, String)]) -> StoreResult<User> {
        let now = self.admin.clock.now();
        let change = UserChange { guard: Some(self.guard(user)), ..change };
        // API keys of the account are cached by its generation: kept for as long as those.
        let until = self.admin.revoke_key_until(now);
        let (user, entries) = self.admin.store.change_user(user.id, change, now, until).await?;
        let mut entries: Vec<Entry> = entries;
        for (kind, what) in told {
            let detail = format!("{}: {what}{}", user.username, self.by());
            self.admin.done(*kind, user.id.to_string(), detail, std::mem::take(&mut entries)).await;
        }
        Ok(user)
    }

    /// The change, without a password's hash, and what the audit log says of it.
    fn judged(&self, user: &User, patch: &UserPatch) -> Result<(UserChange, Vec<(AuditKind, String)>), Refusal> {
        let config = &self.admin.config;
        let (mut change, mut after, mut told) = (UserChange::default(), user.clone(), Vec::new());
        let mut fields = Vec::new();
        if let Some(full_name) = &patch.full_name {
            let full_name = full_name.as_deref().map(check::full_name).transpose().map_err(of("full_name")).map_err(refused)?;
            change.full_name = Some(full_name);
            fields.push("full_name".to_owned());
        }
        if patch.email.is_some() || patch.email_verified.is_some() {
            change.email = Some(email(user, patch)?);
            fields.push("email".to_owned());
        }
        if let Some(roles) = &patch.roles {
            after.roles = check::roles(roles, &config.roles).map_err(of("roles")).map_err(refused)?;
            change.roles = Some(after.roles.clone());
            told.push((AuditKind::RolesChanged, format!("roles: {}", after.roles.join(", "))));
        }
        if let Some(scopes) = &patch.scopes {
            check::in_token("scopes", scopes.to_string().len()).map_err(of("scopes")).map_err(refused)?;
            after.scopes = scopes.clone();
            change.scopes = Some(scopes.clone());
            fields.push(format!("scopes: {scopes}"));
        }
        if let Some(attributes) = &patch.attributes {
            let mut all = user.attributes.clone();
            all.extend(attributes.clone());
            all.retain(|_, value| !value.is_null());
            check::attributes(attributes).and_then(|()| check::attributes(&all)).map_err(of("attributes")).map_err(refused)?;
            change.attributes = Some(attributes.clone());
            fields.push(format!("attributes: {}", attributes.keys().map(String::as_str).collect::<Vec<_>>().join(", ")));
        }
        if let Some(disabled) = patch.disabled {
            after.disabled = disabled;
            change.disabled = Some(disabled);
            fields.push(if disabled { "disabled" } else { "enabled" }.to_owned());
        }
        if !fields.is_empty() {
            told.push((AuditKind::UserChanged, fields.join(", ")));
        }
        if patch.password.is_some() {
            if user.service {
                return Err(wrong("password", "A service account has no password. Make a key for it."));
            }
            told.push((AuditKind::PasswordChanged, "password set".to_owned()));
        }
        self.may_change(user, &after)?;
        if patch.password.is_some() || change.email.is_some() {
            // By either one gets in.
            self.may_become(&after)?;
        }
        Ok((change, told))
    }

    fn may_change(&self, before: &User, after: &User) -> Result<(), Refusal> {
        if before.id == self.user.id {
            if after.disabled {
                return Err(Refusal::Forbidden("Nobody disables their own account."));
            }
            if !self.admin.config.roles.grants(&after.roles, ADMIN) {
                return Err(Refusal::Forbidden("Nobody takes the role `admin` from themselves."));
            }
        }
        self.may_give(Some(before), after)
    }

    /// What has to hold when `user` is changed as he was judged.
    fn guard(&self, user: &User) -> Guard {
        let roles = &self.admin.config.roles;
        let admins = roles.0.keys().filter(|role| roles.grants(std::slice::from_ref(role), ADMIN)).cloned().collect();
        Guard { generation: user.generation, roles: admins }
    }
}

const CONTENDED: Refusal = try_again("The account is being changed by others. Try again.");

/// The address and whether it is verified: who administers vouches for it.
fn email(user: &User, patch: &UserPatch) -> Result<Option<(String, bool)>, Refusal> {
    let address = match &patch.email {
        Some(address) => address.as_deref().map(check::email).transpose().map_err(of("email")).map_err(refused)?,
        None => user.email.clone(),
    };
    match (address, patch.email_verified) {
        (Some(address), verified) => Ok(Some((address, verified.unwrap_or(true)))),
        (None, Some(true)) => Err(wrong("email_verified", "There is no e-mail address that could be verified.")),
        (None, _) => Ok(None),
    }
}
