//! New passwords: with the old one, or with a mailed link.

use super::change::dead_link;
use super::letters::RESET_CONFIRM;
use super::{Accounts, Origin, busy, fields, store_is_down, to_the_end};
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{AuditKind, MailPurpose, MailSecret, Principal, SecretString, SessionId, User, folded};
use crate::mail::{Letter, Place};
use crate::problem::Refusal;
use crate::store::{Guard, NewPassword, StoreError, StoreResult, UserChange};

/// A new password for whoever knows the old one.
#[derive(Debug)]
pub struct PasswordChange {
    /// The session that makes it, and goes on; all others end.
    pub session: Option<SessionId>,
    /// The password that is.
    pub current: SecretString,
    /// The one that is to be.
    pub new: SecretString,
    /// Where it comes from.
    pub origin: Origin,
}

impl Accounts {
    /// Changes the caller's password. All access tokens that were issued before are dead then, the caller's too: his session
    /// goes on with a refresh.
    pub async fn change_password(&self, principal: &Principal, change: PasswordChange) -> Result<(), Refusal> {
        let (this, principal) = (self.clone(), principal.clone());
        to_the_end(async move {
            let PasswordChange { session, current, new, origin } = change;
            let user = this.own(&principal).await?;
            fields::password(&this.parts.config.passwords, "new_password", user.login_names(), &new)?;
            if new.expose_secret() == current.expose_secret() {
                return Err(fields::wrong("new_password", "The new password is the current one."));
            }
            this.prove(&user, &current, &origin).await?;
            let hash = this.parts.passwords.hash(new).await.map_err(busy)?;
            let password = Some(NewPassword { hash, keep: session });
            // Who reset the password meanwhile shut out whoever knew the old one.
            let guard = Some(Guard { generation: user.generation, roles: Vec::new() });
            let user = this.changed(&user, UserChange { password, guard, ..UserChange::default() }).await?;
            let detail = Some("with the current one".to_owned());
            this.audit.note(AuditKind::PasswordChanged, &origin, Some(user.id.to_string()), detail).await;
            this.tell_of_password(&user);
            Ok(())
        })
        .await
    }

    /// Mails a link that sets a new password to whoever reads `email`, if it is the confirmed address of somebody who may log in
    /// with a password. Whether it is, neither the answer says nor how long it takes.
    pub async fn ask_reset(&self, email: &str, origin: Origin) -> Result<(), Refusal> {
        let (parts, asked) = (&self.parts, folded(email.trim()));
        if let Err(quota) = parts.strangers.reset(origin.address).await {
            return Err(self.limited(quota, &origin, None, "too many password resets from this address").await);
        }
        if let Err(quota) = parts.strangers.mail(&asked).await {
            return Err(self.limited(quota, &origin, None, "too many mails to one address").await);
        }
        // For everybody, so that a full queue does not tell one from the other.
        let place = self.place().ok_or(Refusal::NoRoute)??;
        let user = parts.store.user_by_login(&asked).await.map_err(|error| store_is_down(&error))?;
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.mail_reset(user, &asked, place, &origin).await {
                tracing::warn!(%error, "a link for a new password could not be mailed");
            }
        });
        Ok(())
    }

    async fn mail_reset(&self, user: Option<User>, asked: &str, place: Place, origin: &Origin) -> StoreResult<()> {
        let subject = user.as_ref().map(|user| user.id.to_string());
        let (to, detail) = match user.as_ref().map(|user| (user, reset_address(user))) {
            Some((user, Ok(email))) if folded(email) == asked => (Some((user, email)), "a link was mailed"),
            Some((_, Ok(_))) | None => (None, "unknown address"),
            Some((_, Err(why))) => (None, why),
        };
        self.audit.note(AuditKind::ResetAsked, origin, subject, Some(detail.to_owned())).await;
        if let Some((user, email)) = to {
            // To the address as the account has it, not as it was typed: what folds to the same may be another mailbox.
            let link = self.link(user, MailPurpose::Reset, email, RESET_CONFIRM).await?;
            place.send(Letter::reset(email, self.site(), &user.username, &link));
        }
        Ok(())
    }

    /// Sets the password of whom `token` was mailed to, and ends all his sessions.
    pub async fn reset(&self, token: SecretString, new: SecretString, origin: Origin) -> Result<(), Refusal> {
        let this = self.clone();
        to_the_end(async move { this.set_by_link(&token, new, &origin).await }).await
    }

    async fn set_by_link(&self, token: &SecretString, new: SecretString, origin: &Origin) -> Result<(), Refusal> {
        let parts = &self.parts;
        let hash = MailSecret::parse(token.expose_secret()).ok_or_else(dead_link)?.hash();
        let mailed = parts.store.mailed(&hash, MailPurpose::Reset, parts.clock.now()).await;
        let mailed = mailed.map_err(|error| store_is_down(&error))?.ok_or_else(dead_link)?;
        let user = parts.store.user(mailed.user).await.map_err(|error| store_is_down(&error))?.ok_or_else(dead_link)?;
        // As when it was asked for: an address that is another by now is no way in.
        if reset_address(&user) != Ok(mailed.email.as_str()) {
            return Err(dead_link());
        }
        // Before the link is used up: whoever has to choose again still can.
        fields::password(&parts.config.passwords, "new_password", user.login_names(), &new)?;
        let password = parts.passwords.hash(new).await.map_err(busy)?;
        let change = UserChange { password: Some(NewPassword { hash: password, keep: None }), ..UserChange::default() };
        let now = parts.clock.now();
        let redeemed = parts.store.redeem(&hash, MailPurpose::Reset, change, now, self.revoke_user_until(now)).await;
        let (user, entries) = redeemed.map_err(|error| match error {
            StoreError::NotFound(_) => dead_link(),
            error @ (StoreError::Taken(_)
            | StoreError::Changed
            | StoreError::Last
            | StoreError::Unavailable(_)
            | StoreError::Corrupt(_)) => store_is_down(&error),
        })?;
        parts.revocations.publish(entries).await;
        let detail = Some("by a mailed link".to_owned());
        self.audit.note(AuditKind::PasswordChanged, origin, Some(user.id.to_string()), detail).await;
        self.tell_of_password(&user);
        Ok(())
    }
}

/// Where a link for a new password may be mailed; else why there is no such place, for the audit log.
fn reset_address(user: &User) -> Result<&str, &'static str> {
    match &user.email {
        _ if user.disabled => Err("disabled account"),
        _ if user.service => Err("service account"),
        Some(email) if user.email_verified => Ok(email),
        _ => Err("no confirmed address"),
    }
}
