//! Ending sessions.

use super::refresh::NO_REFRESH_TOKEN;
use super::{Accounts, Origin, store_is_down, to_the_end};
use crate::domain::refresh::RefreshToken;
use crate::domain::secret::ExposeSecret;
use crate::domain::{AuditKind, Entry, Revoked, SecretString, SessionId, Timestamp, TokenId, UserId};
use crate::problem::Refusal;
use crate::store::{StoreError, StoreResult};

/// What a verified bearer token or cookie of our own proves, where revocation was asked too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose it is.
    pub user: UserId,
    /// The session behind it.
    pub session: Option<SessionId>,
    /// The access token itself.
    pub token: Option<TokenId>,
}

/// What a client sends to log out. Any one credential suffices; each that is good is acted on, so that a client that
/// sends two of different sessions leaves neither alive.
#[derive(Debug)]
pub struct LogoutRequest {
    /// What its bearer token and cookie prove, or why each that was presented does not.
    pub proofs: Vec<Result<Proof, Refusal>>,
    /// Its refresh token, fresh or used.
    pub refresh_token: Option<SecretString>,
    /// Whether all sessions of the user end.
    pub everywhere: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Accounts {
    /// Ends the sessions of every good credential, durably and on this replica before it returns. When none is good,
    /// says why the first is not; a store or a revocation list that can't be asked is said before all else.
    pub async fn logout(&self, request: LogoutRequest) -> Result<(), Refusal> {
        let this = self.clone();
        to_the_end(async move { this.end(request).await }).await
    }

    async fn end(&self, request: LogoutRequest) -> Result<(), Refusal> {
        let mut proofs = request.proofs;
        if let Some(token) = &request.refresh_token {
            proofs.push(self.proof_of(token).await);
        }
        let unavailable = |proof: &Result<Proof, Refusal>| matches!(proof, Err(Refusal::Unavailable { .. }));
        if let Some(at) = proofs.iter().position(unavailable) {
            return proofs.swap_remove(at).map(drop);
        }
        if !proofs.iter().any(Result::is_ok) {
            return proofs.into_iter().next().unwrap_or(Err(Refusal::MissingCredential(None))).map(drop);
        }
        let now = self.parts.clock.now();
        for proof in proofs.into_iter().flatten() {
            let ended = if request.everywhere { self.end_all(proof, now).await } else { self.end_one(proof, now).await };
            let entries = ended.map_err(|error| store_is_down(&error))?;
            self.parts.revocations.publish(entries).await;
            let detail = match (request.everywhere, proof.session) {
                (true, _) => "all sessions".to_owned(),
                (false, Some(session)) => format!("session {session}"),
                (false, None) => "one access token".to_owned(),
            };
            self.audit.note(AuditKind::Logout, &request.origin, Some(proof.user.to_string()), Some(detail)).await;
        }
        Ok(())
    }

    async fn proof_of(&self, token: &SecretString) -> Result<Proof, Refusal> {
        let token = RefreshToken::parse(token.expose_secret()).ok_or(NO_REFRESH_TOKEN)?;
        let session = self.parts.store.session_of_refresh(token.hash()).await.map_err(|error| store_is_down(&error))?;
        let session = session.ok_or(NO_REFRESH_TOKEN)?;
        Ok(Proof { user: session.user, session: Some(session.id), token: None })
    }

    async fn end_one(&self, proof: Proof, now: Timestamp) -> StoreResult<Vec<Entry>> {
        let (store, until) = (&self.parts.store, self.revoke_until(now));
        let what = match (proof.session, proof.token) {
            (Some(id), _) => match store.end_session(id, now, until).await {
                // Its row is gone, the token is not: the token must die all the same.
                Err(StoreError::NotFound(_)) => Revoked::Session { id },
                done => return done,
            },
            (None, Some(id)) => Revoked::Token { id },
            (None, None) => return Ok(Vec::new()),
        };
        Ok(vec![store.revoke(&what, until).await?])
    }

    async fn end_all(&self, proof: Proof, now: Timestamp) -> StoreResult<Vec<Entry>> {
        // The one that was presented by name, too: `end_sessions` looks at live rows only.
        let mut entries = self.end_one(proof, now).await?;
        entries.extend(self.parts.store.end_sessions(proof.user, None, now, self.revoke_until(now)).await?);
        Ok(entries)
    }
}
