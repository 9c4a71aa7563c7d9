//! Ending tokens (RFC 7009).

use crate::accounts::{Accounts, ClientCredentials, Origin, store_is_down, to_the_end};
use crate::domain::refresh::RefreshToken;
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{AuditKind, Entry, LOGIN_CLIENT, Revoked, SecretString};
use crate::problem::{OAuthError, Refusal};

const ANOTHERS: Refusal = Refusal::OAuth(OAuthError::InvalidGrant, "The token was given to another client.");

impl Accounts {
    /// Ends what `token` is: a session with all its tokens where it is a refresh token, else one access token. What is
    /// unknown, expired or ended is done already (§2.2). Durable and in force on this replica before it returns.
    pub async fn revoke_token(
        &self,
        client: Option<ClientCredentials>,
        token: SecretString,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let client = self.named_client(client.as_ref(), &origin).await?;
        let client = client.map_or_else(|| LOGIN_CLIENT.to_owned(), |client| client.id.to_string());
        let this = self.clone();
        to_the_end(async move {
            let Some((entries, subject, what)) = this.end_of(&client, token.expose_secret()).await? else { return Ok(()) };
            this.parts.revocations.publish(entries).await;
            let detail = format!("{what}, revoked by client {client}");
            this.audit.note(AuditKind::SessionRevoked, &origin, Some(subject), Some(detail)).await;
            Ok(())
        })
        .await
    }

    /// What was revoked, whose it was, and what it was.
    async fn end_of(&self, client: &str, token: &str) -> Result<Option<(Vec<Entry>, String, String)>, Refusal> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let until = self.revoke_until(now);
        if let Some(token) = RefreshToken::parse(token) {
            let session = store.session_of_refresh(token.hash()).await.map_err(|error| store_is_down(&error))?;
            let Some(session) = session else { return Ok(None) };
            if session.client_id != client {
                return Err(ANOTHERS);
            }
            let entries = store.end_session(session.id, now, until).await.map_err(|error| store_is_down(&error))?;
            return Ok(Some((entries, session.user.to_string(), format!("session {}", session.id))));
        }
        let Ok(accepted) = self.judge(token) else { return Ok(None) };
        if accepted.principal.claims.get("client_id").and_then(serde_json::Value::as_str) != Some(client) {
            return Err(ANOTHERS);
        }
        let Some(id) = accepted.concern.token else { return Ok(None) };
        let entry = store.revoke(&Revoked::Token { id }, until).await.map_err(|error| store_is_down(&error))?;
        Ok(Some((vec![entry], accepted.principal.subject.clone(), "one access token".to_owned())))
    }
}
