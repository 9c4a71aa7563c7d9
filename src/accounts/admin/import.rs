//! Accounts that come from another application, all of them or none.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::check;
use super::{Admin, AdminError, AdminResult};
use crate::domain::secret::ExposeSecret;
use crate::domain::{AuditEvent, AuditKind, ScopeSet, SecretString, User, UserId, folded};
use crate::password::foreign;
use crate::store::IMPORT_MAX;
use crate::telemetry;

/// An account as a file tells of it.
#[derive(Debug, Default)]
pub struct ImportedUser {
    /// The line that it stands on.
    pub line: u64,
    /// Its login name.
    pub username: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether the address is known to be its own.
    pub email_verified: bool,
    /// Its full name.
    pub full_name: Option<String>,
    /// Its roles; `None` is `accounts.default_role`.
    pub roles: Option<Vec<String>>,
    /// Scopes beside those of its roles.
    pub scopes: ScopeSet,
    /// For `where` and identity headers.
    pub attributes: Map<String, Value>,
    /// Whether it may do nothing.
    pub disabled: bool,
    /// A machine's account: without a password.
    pub service: bool,
    /// The hash of its password.
    pub password_hash: Option<SecretString>,
}

/// What becomes of an account that is to be imported.
#[derive(Debug)]
pub enum Fate {
    /// It can be added.
    New {
        /// As it will be.
        user: Box<User>,
        /// What made the hash of its password.
        scheme: Option<&'static str>,
    },
    /// It is there already, and stays as it is.
    Exists,
    /// Why it can't be added. Never shows a hash.
    Refused(String),
}

impl Admin {
    /// Judges accounts, each on its own and all together; adds none.
    pub async fn judge(&self, accounts: &[ImportedUser]) -> AdminResult<Vec<Fate>> {
        let mut names = HashMap::new();
        let mut fates = Vec::with_capacity(accounts.len());
        for account in accounts {
            let fate = match self.made_of(account) {
                Err(error) => Fate::Refused(error.to_string()),
                Ok((user, scheme)) => match self.place_of(&user, account.line, &mut names).await? {
                    None => Fate::New { user: Box::new(user), scheme },
                    Some(fate) => fate,
                },
            };
            fates.push(fate);
        }
        Ok(fates)
    }

    /// Adds accounts that were judged, in one transaction.
    pub async fn import(&self, users: &[User]) -> AdminResult<()> {
        Self::fit_at_once(users)?;
        let events: Vec<_> = users
            .iter()
            .map(|user| AuditEvent {
                at: user.created_at,
                kind: AuditKind::UserCreated,
                actor: Some(self.actor.clone()),
                subject: Some(user.id.to_string()),
                address: None,
                request_id: None,
                detail: Some(format!("{}: imported", user.username)),
            })
            .collect();
        self.store.create_users(users, &events).await?;
        events.iter().for_each(telemetry::audit);
        Ok(())
    }

    /// Whether they are not too many for one transaction.
    pub fn fit_at_once(users: &[User]) -> AdminResult<()> {
        if users.len() > IMPORT_MAX {
            return Err(AdminError::Invalid(format!(
                "these are {} accounts, and {IMPORT_MAX} can be added at once: divide the file",
                users.len()
            )));
        }
        Ok(())
    }

    /// The account by its own words, and what made its hash.
    fn made_of(&self, account: &ImportedUser) -> AdminResult<(User, Option<&'static str>)> {
        // Nothing that may be a hash in a wrong place is shown.
        let username = check::username(&account.username).map_err(|_| {
            let what = "the username is none: it has 1 to 64 of the letters a-z, digits and . _ - + @";
            AdminError::Invalid(what.to_owned())
        })?;
        let email = account.email.as_deref().map(check::email).transpose();
        let email =
            email.map_err(|_| AdminError::Invalid("the e-mail address is none: write it as name@example.com".to_owned()))?;
        let full_name = account.full_name.as_deref().map(check::full_name).transpose()?;
        let roles = match &account.roles {
            None => vec![self.config.accounts.default_role.clone()],
            Some(roles) if roles.iter().all(|role| is_plain(role)) => check::roles(roles, &self.config.roles)?,
            Some(_) => return Err(AdminError::Invalid("the roles are none: write their names, with commas between".to_owned())),
        };
        check::in_token("scopes", account.scopes.to_string().len())?;
        check::attributes(&account.attributes)?;
        let taken = match (&account.password_hash, account.service) {
            (Some(hash), false) => Some(
                foreign::import(hash.expose_secret(), self.config.passwords.argon2)
                    .map_err(|error| AdminError::Invalid(error.to_string()))?,
            ),
            (None, true) => None,
            (Some(_), true) => {
                return Err(AdminError::Invalid("a service account has no password: leave one of the two away".to_owned()));
            }
            (None, false) => {
                let what = "there is no password hash: put it into `password_hash`, or set `service` for a machine's account";
                return Err(AdminError::Invalid(what.to_owned()));
            }
        };
        let now = self.clock.now();
        let user = User {
            id: UserId::generate(now, &*self.entropy),
            username,
            email_verified: email.is_some() && account.email_verified,
            email,
            full_name,
            roles,
            scopes: account.scopes.clone(),
            attributes: account.attributes.clone(),
            disabled: account.disabled,
            service: account.service,
            generation: 1,
            password: taken.as_ref().map(|taken| taken.hash.clone()),
            created_at: now,
        };
        Ok((user, taken.map(|taken| taken.scheme)))
    }

    /// Whose its names are already: somebody's in the store or, by line, in the same file.
    async fn place_of(&self, user: &User, line: u64, names: &mut HashMap<String, u64>) -> AdminResult<Option<Fate>> {
        let email = user.email.as_deref().map(folded);
        if let Some(found) = self.store.user_by_login(&user.username).await? {
            let is_same = folded(&found.username) == folded(&user.username)
                && (email.is_none() || email == found.email.as_deref().map(folded));
            let other = "the username is taken by another account: usernames and e-mail addresses share one namespace";
            return Ok(Some(if is_same { Fate::Exists } else { Fate::Refused(other.to_owned()) }));
        }
        if let Some(email) = &email
            && self.store.user_by_login(email).await?.is_some()
        {
            let other = "the e-mail address is taken by another account: usernames and e-mail addresses share one namespace";
            return Ok(Some(Fate::Refused(other.to_owned())));
        }
        let own: Vec<_> = [Some(folded(&user.username)), email].into_iter().flatten().collect();
        if let Some(first) = own.iter().find_map(|name| names.get(name)) {
            return Ok(Some(Fate::Refused(format!("its username or e-mail address is on line {first} already"))));
        }
        names.extend(own.into_iter().map(|name| (name, line)));
        Ok(None)
    }
}

/// Whether it can be shown: no hash is made of these alone.
fn is_plain(name: &str) -> bool {
    name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
}
