//! Accounts that people make themselves (`POST /auth/register`).

use super::{Accounts, Origin, Profile, busy, fields, store_is_down, to_the_end};
use crate::domain::{AuditKind, SecretString, User, UserId, folded};
use crate::problem::Refusal;
use crate::store::StoreError;

/// What somebody wants to be called.
#[derive(Debug)]
pub struct Registration {
    /// The login name.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// For people to read.
    pub full_name: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Accounts {
    /// Makes an account with `accounts.default_role`.
    ///
    /// Where there is `[mail]` the address becomes the account's with the mailed link and not before, so that nobody learns here
    /// whether it is somebody's, and nobody holds an address that he can't read. The profile shows it, not verified.
    /// Without, it is taken as it is, not verified, and one that is somebody's is refused.
    pub async fn register(&self, new: Registration) -> Result<Profile, Refusal> {
        let this = self.clone();
        to_the_end(async move { this.make(new).await }).await
    }

    async fn make(&self, new: Registration) -> Result<Profile, Refusal> {
        let (parts, origin) = (&self.parts, &new.origin);
        if !parts.config.accounts.registration {
            return Err(Refusal::NoRoute);
        }
        let username = fields::username(&new.username)?;
        let email = fields::email(&new.email)?;
        let full_name = new.full_name.as_deref().map(fields::full_name).transpose()?.flatten();
        fields::password(&parts.config.passwords, "password", [username.as_str(), &email], &new.password)?;
        if let Err(quota) = parts.strangers.register(origin.address).await {
            return Err(self.limited(quota, origin, None, "too many registrations from this address").await);
        }
        let place = self.place().transpose()?;
        if place.is_some()
            && let Err(quota) = parts.strangers.mail(&folded(&email)).await
        {
            return Err(self.limited(quota, origin, None, "too many mails to one address").await);
        }
        // Asked before the password is hashed, which costs; the store decides all the same.
        if parts.store.user_by_login(&username).await.map_err(|error| store_is_down(&error))?.is_some() {
            return Err(Refusal::Conflict("username"));
        }
        let hash = parts.passwords.hash(new.password).await.map_err(busy)?;
        let now = parts.clock.now();
        let mut user = User {
            id: UserId::generate(now, &*parts.entropy),
            username,
            email: place.is_none().then(|| email.clone()),
            email_verified: false,
            full_name,
            roles: vec![parts.config.accounts.default_role.clone()],
            scopes: crate::domain::ScopeSet::default(),
            attributes: serde_json::Map::new(),
            disabled: false,
            service: false,
            generation: 1,
            password: Some(hash),
            created_at: now,
        };
        parts.store.create_user(&user).await.map_err(|error| match error {
            StoreError::Taken(field) => Refusal::Conflict(field),
            error @ (StoreError::NotFound(_)
            | StoreError::Changed
            | StoreError::Last
            | StoreError::Unavailable(_)
            | StoreError::Corrupt(_)) => store_is_down(&error),
        })?;
        let detail = format!("{} registered", user.username);
        self.audit.note(AuditKind::UserCreated, origin, Some(user.id.to_string()), Some(detail)).await;
        if let Some(place) = place {
            self.ask_to_confirm(user.clone(), email.clone(), place);
            user.email = Some(email);
        }
        let scopes = parts.config.roles.held_by(&user);
        Ok(Profile::of(user, scopes))
    }
}
