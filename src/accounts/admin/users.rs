//! Accounts.

use serde_json::{Map, Value};

use super::check;
use super::{Admin, AdminError, AdminResult, Fault, of};
use crate::domain::secret::ExposeSecret;
use crate::domain::{AuditKind, ScopeSet, SecretString, User, UserId};
use crate::password::strength;
use crate::store::{NewPassword, StoreResult, UserChange};

/// An account to be made.
#[derive(Debug, Default)]
pub struct NewUser {
    /// Its login name.
    pub username: String,
    /// Its e-mail address; who makes accounts this way vouches for it.
    pub email: Option<String>,
    /// Its full name.
    pub full_name: Option<String>,
    /// Its roles; `None` is `accounts.default_role`.
    pub roles: Option<Vec<String>>,
    /// Scopes beside those of its roles.
    pub scopes: ScopeSet,
    /// For `where` and identity headers.
    pub attributes: Map<String, Value>,
    /// A machine's account: without a password.
    pub service: bool,
    /// Its password.
    pub password: Option<SecretString>,
}

impl Admin {
    /// Makes an account.
    pub async fn create_user(&self, new: NewUser) -> AdminResult<User> {
        let user = self.made(new).await.map_err(|(_, error)| error)?;
        self.add_user(&user, "").await?;
        Ok(user)
    }

    /// The account as it would be; nothing is kept yet.
    pub(super) async fn made(&self, new: NewUser) -> Result<User, Fault> {
        let roles = new.roles.unwrap_or_else(|| vec![self.config.accounts.default_role.clone()]);
        let username = check::username(&new.username).map_err(of("username"))?;
        let email = new.email.as_deref().map(check::email).transpose().map_err(of("email"))?;
        let full_name = new.full_name.as_deref().map(check::full_name).transpose().map_err(of("full_name"))?;
        let roles = check::roles(&roles, &self.config.roles).map_err(of("roles"))?;
        check::in_token("scopes", new.scopes.to_string().len()).map_err(of("scopes"))?;
        check::attributes(&new.attributes).map_err(of("attributes"))?;
        let wrong = |text: &str| ("password", AdminError::Invalid(text.to_owned()));
        let password = match (new.service, new.password) {
            (true, None) => None,
            (true, Some(_)) => return Err(wrong("a service account has no password: leave one of the two away")),
            (false, None) => return Err(wrong("a password is needed, or --service for an account without one")),
            (false, Some(password)) => {
                let names = std::iter::once(username.as_str()).chain(email.as_deref());
                Some(self.hashed(names, password).await.map_err(of("password"))?)
            }
        };
        let now = self.clock.now();
        Ok(User {
            id: UserId::generate(now, &*self.entropy),
            username,
            email_verified: email.is_some(),
            email,
            full_name,
            roles,
            scopes: new.scopes,
            attributes: new.attributes,
            disabled: false,
            service: new.service,
            generation: 1,
            password,
            created_at: now,
        })
    }

    /// Keeps an account; `by` is what the audit log says of the credential beside who acts.
    pub(super) async fn add_user(&self, user: &User, by: &str) -> StoreResult<()> {
        self.store.create_user(user).await?;
        let User { username, roles, scopes, .. } = user;
        let detail = format!("{username}: roles: {}, scopes: {scopes}{by}", roles.join(", "));
        self.done(AuditKind::UserCreated, user.id.to_string(), detail, Vec::new()).await;
        Ok(())
    }

    /// The account with that username or e-mail address.
    pub async fn user(&self, name: &str) -> AdminResult<User> {
        let user = self.store.user_by_login(name.trim()).await?;
        user.ok_or_else(|| {
            AdminError::NotFound(format!("there is no user `{}`: `portcullis user list` shows all", name.escape_debug()))
        })
    }

    /// Accounts by username, those whose name or address holds `query`.
    pub async fn users(&self, query: Option<&str>, skip: u32, limit: u32) -> AdminResult<Vec<User>> {
        Ok(self.store.users(query, skip, limit).await?)
    }

    /// Replaces the roles; tokens that say otherwise die.
    pub async fn set_roles(&self, name: &str, roles: &[String]) -> AdminResult<User> {
        let roles = check::roles(roles, &self.config.roles)?;
        let detail = format!("roles: {}", roles.join(", "));
        let change = UserChange { roles: Some(roles), ..UserChange::default() };
        self.change(name, change, AuditKind::RolesChanged, detail).await
    }

    /// Replaces the scopes beside those of the roles; tokens that say otherwise die.
    pub async fn set_scopes(&self, name: &str, scopes: ScopeSet) -> AdminResult<User> {
        check::in_token("scopes", scopes.to_string().len())?;
        let detail = format!("scopes: {scopes}");
        let change = UserChange { scopes: Some(scopes), ..UserChange::default() };
        self.change(name, change, AuditKind::UserChanged, detail).await
    }

    /// Sets attributes, and removes those that are `null`; tokens that say otherwise die.
    pub async fn set_attributes(&self, name: &str, attributes: Map<String, Value>) -> AdminResult<User> {
        let mut all = self.user(name).await?.attributes;
        all.extend(attributes.clone());
        all.retain(|_, value| !value.is_null());
        check::attributes(&attributes)?;
        check::attributes(&all)?;
        let detail = format!("attributes: {}", attributes.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
        let change = UserChange { attributes: Some(attributes), ..UserChange::default() };
        self.change(name, change, AuditKind::UserChanged, detail).await
    }

    /// Disables an account, so that nothing of it works any more, or enables it again.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> AdminResult<User> {
        let detail = if disabled { "disabled" } else { "enabled" };
        let change = UserChange { disabled: Some(disabled), ..UserChange::default() };
        self.change(name, change, AuditKind::UserChanged, detail.to_owned()).await
    }

    /// Replaces the password, and ends all sessions.
    pub async fn set_password(&self, name: &str, password: SecretString) -> AdminResult<User> {
        let user = self.user(name).await?;
        Self::may_have_password(&user)?;
        let hash = self.hashed(user.login_names(), password).await?;
        let change = UserChange { password: Some(NewPassword { hash, keep: None }), ..UserChange::default() };
        self.change(name, change, AuditKind::PasswordChanged, "password set".to_owned()).await
    }

    /// Whether it is a person's account.
    pub fn may_have_password(user: &User) -> AdminResult<()> {
        if user.service {
            let name = &user.username;
            return Err(AdminError::Invalid(format!(
                "`{name}` is a service account, which has no password: make it a key with `portcullis key create --owner {name}`"
            )));
        }
        Ok(())
    }

    /// Deletes an account with its sessions and keys.
    pub async fn delete_user(&self, name: &str) -> AdminResult<User> {
        let user = self.user(name).await?;
        let now = self.clock.now();
        // Its keys die with it, so the longer of the two spans.
        let entries = self.store.delete_user(user.id, now, self.revoke_key_until(now)).await?;
        self.done(AuditKind::UserDeleted, user.id.to_string(), user.username.clone(), entries).await;
        Ok(user)
    }

    async fn change(&self, name: &str, change: UserChange, kind: AuditKind, detail: String) -> AdminResult<User> {
        let id = self.user(name).await?.id;
        let now = self.clock.now();
        // API keys of the account are cached by its generation: kept for as long as those.
        let (user, entries) = self.store.change_user(id, change, now, self.revoke_key_until(now)).await?;
        self.done(kind, id.to_string(), format!("{}: {detail}", user.username), entries).await;
        Ok(user)
    }

    /// Judged first: by rules that cost nothing, then hashed.
    pub(super) async fn hashed<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        password: SecretString,
    ) -> AdminResult<SecretString> {
        let judged = strength::check(&self.config.passwords, names, password.expose_secret());
        judged.map_err(|weakness| {
            AdminError::Invalid(format!("{weakness} Choose another ([passwords] in gateway.toml has the rules)."))
        })?;
        Ok(self.passwords.hash(password).await?)
    }
}
