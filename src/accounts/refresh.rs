//! Trading a refresh token for its successor.

use super::{Accounts, Origin, Tokens, store_is_down, to_the_end};
use crate::domain::refresh::RefreshToken;
use crate::domain::secret::ExposeSecret;
use crate::domain::{AuditKind, SecretString};
use crate::problem::Refusal;
use crate::store::{Rotated, Rotation};

/// One answer for unknown, expired, reused and ended: who holds none that lives learns nothing more.
pub(super) const NO_REFRESH_TOKEN: Refusal =
    Refusal::InvalidToken("The refresh token is unknown, expired or used, or its session has ended. Log in again.");

impl Accounts {
    /// Trades `presented` for new tokens. A replay within the grace gets the very same refresh token again; any other
    /// replay ends the session, on every replica, before it is answered.
    ///
    /// When the store fails, nothing was changed: the presented token still works.
    pub async fn refresh(&self, presented: SecretString, origin: Origin) -> Result<Tokens, Refusal> {
        let this = self.clone();
        to_the_end(async move {
            let done = this.rotate(&presented, &origin).await;
            let outcome = match &done {
                Ok(_) => "accepted",
                Err(Refusal::Unavailable { .. }) => "unavailable",
                Err(_) => "rejected",
            };
            this.parts.metrics.auth("refresh_token", outcome);
            done
        })
        .await
    }

    async fn rotate(&self, presented: &SecretString, origin: &Origin) -> Result<Tokens, Refusal> {
        let parts = &self.parts;
        let presented = RefreshToken::parse(presented.expose_secret()).ok_or(NO_REFRESH_TOKEN)?;
        let successor = RefreshToken::generate(&*parts.entropy);
        let now = parts.clock.now();
        let rotation = Rotation {
            presented: &presented,
            successor: &successor,
            now,
            grace: parts.config.tokens.refresh_grace,
            ttl: parts.config.tokens.refresh_ttl,
            revoke_until: self.revoke_until(now),
        };
        match parts.store.rotate(rotation).await.map_err(|error| store_is_down(&error))? {
            Rotated::Live { session, user, refresh } => self.tokens(&session, &user, refresh, now),
            Rotated::Reused { session, entries } => {
                parts.revocations.publish(entries).await;
                let detail = format!("an old refresh token of session {} came back; the session was ended", session.id);
                self.audit.note(AuditKind::RefreshReplay, origin, Some(session.user.to_string()), Some(detail)).await;
                Err(NO_REFRESH_TOKEN)
            }
            Rotated::Refused => Err(NO_REFRESH_TOKEN),
        }
    }
}
