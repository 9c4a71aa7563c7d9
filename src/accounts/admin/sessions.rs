//! Logins.

use super::{Admin, AdminResult};
use crate::domain::{AuditKind, SessionId, SessionRecord};

impl Admin {
    /// Live sessions, of one user or of all, newest first.
    pub async fn sessions(&self, user: Option<&str>) -> AdminResult<Vec<SessionRecord>> {
        let user = match user {
            Some(name) => Some(self.user(name).await?.id),
            None => None,
        };
        Ok(self.store.sessions(user, self.clock.now()).await?)
    }

    /// Ends one session.
    pub async fn end_session(&self, id: SessionId) -> AdminResult<()> {
        let now = self.clock.now();
        let entries = self.store.end_session(id, now, self.revoke_until(now)).await?;
        self.done(AuditKind::SessionRevoked, id.to_string(), "one session".to_owned(), entries).await;
        Ok(())
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(&self, user: &str) -> AdminResult<()> {
        let user = self.user(user).await?;
        let now = self.clock.now();
        let entries = self.store.end_sessions(user.id, None, now, self.revoke_until(now)).await?;
        let detail = format!("all sessions of {}", user.username);
        self.done(AuditKind::SessionRevoked, user.id.to_string(), detail, entries).await;
        Ok(())
    }
}
