//! What an account changes of itself (`PATCH /auth/me`), and the addresses that it confirms.

use super::{Accounts, Origin, Profile, fields, store_is_down, to_the_end, try_again};
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{AuditKind, MailPurpose, MailSecret, Principal, SecretString, User, folded};
use crate::mail::Letter;
use crate::problem::Refusal;
use crate::store::{StoreError, UserChange};

/// What is to change; what is `None` stays.
#[derive(Debug, Default)]
pub struct MeChange {
    /// The name for people to read; `Some(None)` takes it away.
    pub full_name: Option<Option<String>>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Needed for another address.
    pub current_password: Option<SecretString>,
}

/// A link that is used up, expired, or none.
pub(super) fn dead_link() -> Refusal {
    fields::wrong("token", "This link has been used or has expired. Ask for a new one.")
}

impl Accounts {
    /// Changes the caller's own account. Another e-mail address is in force once its mailed link is confirmed.
    pub async fn change_me(&self, principal: &Principal, change: MeChange, origin: Origin) -> Result<Profile, Refusal> {
        let (this, principal) = (self.clone(), principal.clone());
        to_the_end(async move {
            let user = this.own(&principal).await?;
            let user = this.apply(user, change, &origin).await?;
            Ok(Profile::of(user, principal.scopes))
        })
        .await
    }

    async fn apply(&self, mut user: User, change: MeChange, origin: &Origin) -> Result<User, Refusal> {
        let full_name = match change.full_name {
            Some(Some(name)) => Some(fields::full_name(&name)?),
            other => other.map(|_| None),
        };
        let email = change.email.as_deref().map(fields::email).transpose()?;
        let asks_again = !user.email_verified && change.current_password.is_some() && self.parts.post.is_some();
        // Clients that put the whole account back change nothing by what they did not touch.
        let email = email.filter(|email| user.email.as_deref() != Some(email) || asks_again);
        let letter = match email {
            None => None,
            Some(email) => {
                let place = self.place().ok_or(Refusal::Forbidden(
                    "E-mail addresses are changed by whoever runs this gateway: it sends no mail that could confirm one.",
                ))?;
                let password = change.current_password.as_ref().ok_or_else(|| {
                    fields::wrong("current_password", "`current_password` is needed to change the e-mail address.")
                })?;
                self.prove(&user, password, origin).await?;
                if let Err(quota) = self.parts.strangers.mail(&folded(&email)).await {
                    return Err(self.limited(quota, origin, Some(&user), "too many mails to one address").await);
                }
                // As he was when his password was right, whatever is changed below.
                Some((user.clone(), email, place?))
            }
        };
        if let Some(full_name) = full_name.filter(|name| *name != user.full_name) {
            let change = UserChange { full_name: Some(full_name), ..UserChange::default() };
            user = self.changed(&user, change).await?;
            let detail = Some("full name".to_owned());
            self.audit.note(AuditKind::UserChanged, origin, Some(user.id.to_string()), detail).await;
        }
        if let Some((proven, email, place)) = letter {
            let detail = Some("asked for another e-mail address".to_owned());
            self.audit.note(AuditKind::UserChanged, origin, Some(user.id.to_string()), detail).await;
            self.ask_to_confirm(proven, email, place);
        }
        Ok(user)
    }

    /// Changes an account, durably and then everywhere.
    pub(super) async fn changed(&self, user: &User, change: UserChange) -> Result<User, Refusal> {
        let now = self.parts.clock.now();
        let done = self.parts.store.change_user(user.id, change, now, self.revoke_user_until(now)).await;
        let (user, entries) = done.map_err(|error| match error {
            StoreError::Changed => try_again("The account was changed by others meanwhile. Try again."),
            error @ (StoreError::Taken(_)
            | StoreError::NotFound(_)
            | StoreError::Last
            | StoreError::Unavailable(_)
            | StoreError::Corrupt(_)) => store_is_down(&error),
        })?;
        self.parts.revocations.publish(entries).await;
        Ok(user)
    }

    /// Puts the address that `token` was mailed to in force, and tells the old one.
    pub async fn confirm_email(&self, token: SecretString, origin: Origin) -> Result<(), Refusal> {
        let this = self.clone();
        to_the_end(async move { this.confirm(&token, &origin).await }).await
    }

    async fn confirm(&self, token: &SecretString, origin: &Origin) -> Result<(), Refusal> {
        let secret = MailSecret::parse(token.expose_secret()).ok_or_else(dead_link)?;
        let (store, hash, now) = (&self.parts.store, secret.hash(), self.parts.clock.now());
        let mailed = store.mailed(&hash, MailPurpose::Email, now).await.map_err(|error| store_is_down(&error))?;
        let mailed = mailed.ok_or_else(dead_link)?;
        let before = store.user(mailed.user).await.map_err(|error| store_is_down(&error))?;
        let before = before.filter(|user| !user.disabled).ok_or_else(dead_link)?;
        let change = UserChange { email: Some(Some((mailed.email.clone(), true))), ..UserChange::default() };
        let redeemed = store.redeem(&hash, MailPurpose::Email, change, now, self.revoke_user_until(now)).await;
        let (user, entries) = redeemed.map_err(|error| match error {
            StoreError::NotFound(_) => dead_link(),
            // Who holds this link reads that mailbox.
            StoreError::Taken(_) => Refusal::Conflict("e-mail address"),
            error @ (StoreError::Changed | StoreError::Last | StoreError::Unavailable(_) | StoreError::Corrupt(_)) => {
                store_is_down(&error)
            }
        })?;
        self.parts.revocations.publish(entries).await;
        let detail = Some("by a mailed link".to_owned());
        self.audit.note(AuditKind::EmailVerified, origin, Some(user.id.to_string()), detail).await;
        if let Some(old) = before.email.filter(|old| before.email_verified && folded(old) != folded(&mailed.email)) {
            self.tell(Letter::email_changed(&old, self.site(), &user.username));
        }
        Ok(())
    }
}
