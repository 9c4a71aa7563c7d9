//! Trading a refresh token for its successor.

use super::{Accounts, Origin, Tokens, store_is_down, to_the_end};
use crate::domain::refresh::RefreshToken;
use crate::domain::secret::ExposeSecret;
use crate::domain::{AuditKind, LOGIN_CLIENT, ScopeSet, SecretString, SessionRecord, User};
use crate::problem::Refusal;
use crate::store::{Rotated, Rotation};

/// One answer for unknown, expired, reused and ended: who holds none that lives learns nothing more.
pub(super) const NO_REFRESH_TOKEN: Refusal =
    Refusal::InvalidToken("The refresh token is unknown, expired or used, or its session has ended. Log in again.");

impl Accounts {
    /// Trades `presented`, of a login at the gateway itself, for new tokens. A replay within the grace gets the very same refresh
    /// token again; any other replay ends the session, on every replica, before it is answered.
    ///
    /// When the store fails, nothing was changed: the presented token still works.
    pub async fn refresh(&self, presented: SecretString, origin: Origin) -> Result<Tokens, Refusal> {
        self.refresh_of(LOGIN_CLIENT.to_owned(), presented, None, origin).await
    }

    /// The same of a session that was opened through `client`. With `asked` the access token is narrowed, the session is not
    /// (RFC 6749 §6); where that leaves nothing, nothing was changed.
    pub(super) async fn refresh_of(
        &self,
        client: String,
        presented: SecretString,
        asked: Option<ScopeSet>,
        origin: Origin,
    ) -> Result<Tokens, Refusal> {
        let this = self.clone();
        to_the_end(async move {
            let done = this.rotate(&client, &presented, asked.as_ref(), &origin).await;
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

    async fn rotate(
        &self,
        client: &str,
        presented: &SecretString,
        asked: Option<&ScopeSet>,
        origin: &Origin,
    ) -> Result<Tokens, Refusal> {
        let parts = &self.parts;
        let presented = RefreshToken::parse(presented.expose_secret()).ok_or(NO_REFRESH_TOKEN)?;
        // An old token that comes back ends its session whatever is asked with it: that is judged first.
        let leaves_something = |session: &SessionRecord, user: &User| {
            asked.is_none_or(|asked| !parts.config.roles.held_by(user).narrowed_to(&narrowed(session, asked)).is_empty())
        };
        let successor = RefreshToken::generate(&*parts.entropy);
        let now = parts.clock.now();
        let rotation = Rotation {
            presented: &presented,
            client,
            successor: &successor,
            may_go_on: &leaves_something,
            now,
            grace: parts.config.tokens.refresh_grace,
            ttl: parts.config.tokens.refresh_ttl,
            revoke_until: self.revoke_until(now),
        };
        match parts.store.rotate(rotation).await.map_err(|error| store_is_down(&error))? {
            Rotated::Live { session, user, refresh } => {
                let narrowed = match asked {
                    None => session,
                    Some(asked) => SessionRecord { granted: Some(narrowed(&session, asked)), ..session },
                };
                self.tokens(&narrowed, &user, refresh, now)
            }
            Rotated::Reused { session, entries } => {
                parts.revocations.publish(entries).await;
                let detail = format!("an old refresh token of session {} came back; the session was ended", session.id);
                self.audit.note(AuditKind::RefreshReplay, origin, Some(session.user.to_string()), Some(detail)).await;
                Err(NO_REFRESH_TOKEN)
            }
            Rotated::Refused => Err(NO_REFRESH_TOKEN),
            Rotated::NotLikeThis => Err(Refusal::InvalidScope),
        }
    }
}

/// What is left of a session's grant.
fn narrowed(session: &SessionRecord, asked: &ScopeSet) -> ScopeSet {
    session.granted.as_ref().map_or_else(|| asked.clone(), |granted| granted.narrowed_to(asked))
}
