//! What is mailed to people, and where its links lead.

use std::time::Duration;

use super::{Accounts, try_again};
use crate::domain::{MailPurpose, MailSecret, MailedToken, User, folded};
use crate::mail::{Letter, Place};
use crate::problem::Refusal;
use crate::store::StoreResult;

/// How long a link works. The mails say so, too.
const WORKS_FOR: Duration = Duration::from_mins(30);
/// Where a new password is set, below the prefix.
pub const RESET_CONFIRM: &str = "/password/reset/confirm";
/// Where an address is confirmed, below the prefix.
pub const EMAIL_CONFIRM: &str = "/email/confirm";

impl Accounts {
    /// A place for a letter, where there is `[mail]`.
    pub(super) fn place(&self) -> Option<Result<Place, Refusal>> {
        let post = self.parts.post.as_ref()?;
        Some(post.place().ok_or_else(|| {
            self.parts.metrics.mail("any", "no_place");
            try_again("Too many mails are on their way. Try again.")
        }))
    }

    /// Sends a letter that is only news, if there is a place for it.
    pub(super) fn tell(&self, letter: Letter) {
        match self.place() {
            Some(Ok(place)) => place.send(letter),
            Some(Err(_)) => tracing::warn!(kind = letter.kind.as_str(), "a mail had no place among those on their way"),
            None => {}
        }
    }

    /// Tells `user` of a new password, where an address is known to be his.
    pub(super) fn tell_of_password(&self, user: &User) {
        if let Some(email) = user.email.as_deref().filter(|_| user.email_verified) {
            self.tell(Letter::password_changed(email, self.site(), &user.username));
        }
    }

    /// Asks the reader of `email` to confirm that `user` may have it; or tells him that it is taken, where it is. In the
    /// background: how long the caller waits says nothing about which of the two it was.
    pub(super) fn ask_to_confirm(&self, user: User, email: String, place: Place) {
        let this = self.clone();
        tokio::spawn(async move {
            match this.letter_to_confirm(&user, &email).await {
                Ok(Some(letter)) => place.send(letter),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, user = %user.id, "an address could not be asked to be confirmed"),
            }
        });
    }

    async fn letter_to_confirm(&self, user: &User, email: &str) -> StoreResult<Option<Letter>> {
        match self.parts.store.user_by_login(email).await? {
            // As the owner spells it: what folds to the same may be another mailbox.
            Some(owner) if owner.id != user.id => {
                Ok(owner.email.filter(|known| folded(known) == folded(email)).map(|known| Letter::taken(&known, self.site())))
            }
            _ => {
                let link = self.link(user, MailPurpose::Email, email, EMAIL_CONFIRM).await?;
                Ok(Some(Letter::confirm(email, self.site(), &link)))
            }
        }
    }

    /// A link that works once, in place of all that were sent for the same purpose; none where `user` is not what he was when he
    /// asked for another address: who reset the password meanwhile shut him out.
    pub(super) async fn link(&self, user: &User, purpose: MailPurpose, email: &str, path: &str) -> StoreResult<String> {
        let secret = MailSecret::generate(&*self.parts.entropy);
        let now = self.parts.clock.now();
        let token = MailedToken {
            hash: secret.hash(),
            user: user.id,
            purpose,
            email: email.to_owned(),
            created_at: now,
            expires_at: now.plus(WORKS_FOR),
        };
        let generation = match purpose {
            // By his password; a reset is anybody's to ask for.
            MailPurpose::Email => Some(user.generation),
            MailPurpose::Reset => None,
        };
        self.parts.store.mail(&token, generation).await?;
        Ok(format!("{}{}{path}?token={}", self.site(), self.parts.config.auth.prefix, secret.expose()))
    }

    /// What mails call the place where the account is.
    pub(super) fn site(&self) -> &str {
        &self.parts.config.server.public_url
    }
}
