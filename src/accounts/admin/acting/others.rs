//! Sessions and the audit log, by the endpoints.

use std::collections::BTreeMap;

use super::{Acting, unchanged};
use crate::accounts::{store_is_down, to_the_end};
use crate::domain::{AuditEvent, AuditKind, SessionId, SessionRecord, UserId};
use crate::problem::Refusal;
use crate::store::{Listed, Page};

/// Sessions with the names of their users, where they are known.
pub type SessionPage = Listed<(SessionRecord, Option<String>)>;
/// What happened, the latest first.
pub type EventPage = Vec<AuditEvent>;

impl Acting {
    /// The acting account's live sessions, newest first, and which of them acts.
    pub async fn own_sessions(&self) -> Result<(Vec<SessionRecord>, Option<SessionId>), Refusal> {
        let sessions = self.admin.store.sessions(Some(self.user.id), self.admin.clock.now()).await;
        Ok((sessions.map_err(|error| store_is_down(&error))?, self.session))
    }

    /// Ends a session of the acting account; ending it again changes nothing.
    pub async fn end_own_session(self, id: SessionId) -> Result<(), Refusal> {
        to_the_end(async move {
            let found = self.admin.store.session(id).await.map_err(|error| store_is_down(&error))?;
            match found {
                Some(session) if session.user == self.user.id => self.end(session.id, &self.user.username).await,
                _ => Err(Refusal::NotFound("session")),
            }
        })
        .await
    }

    /// Live sessions of one user or of all, newest first.
    pub async fn sessions(&self, user: Option<&str>, page: Page) -> Result<SessionPage, Refusal> {
        let user = match user {
            Some(name) => Some(self.named(name, "user").await?.id),
            None => None,
        };
        let sessions = self.admin.store.list_sessions(user, self.admin.clock.now(), page).await;
        let sessions = sessions.map_err(|error| store_is_down(&error))?;
        let names = self.names(sessions.items.iter().map(|session| session.user)).await?;
        let items = sessions.items.into_iter().map(|session| {
            let name = names.get(&session.user).cloned();
            (session, name)
        });
        Ok(Listed { items: items.collect(), total: sessions.total })
    }

    /// Ends any session.
    pub async fn end_session(self, id: SessionId) -> Result<(), Refusal> {
        to_the_end(async move {
            let found = self.admin.store.session(id).await.map_err(|error| store_is_down(&error))?;
            let user = found.ok_or(Refusal::NotFound("session"))?.user;
            let names = self.names(std::iter::once(user)).await?;
            self.end(id, names.get(&user).map_or("", String::as_str)).await
        })
        .await
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(self, user: &str) -> Result<(), Refusal> {
        let user = self.named(user, "user").await?;
        to_the_end(async move {
            let now = self.admin.clock.now();
            let ended = self.admin.store.end_sessions(user.id, None, now, self.admin.revoke_until(now)).await;
            let entries = ended.map_err(|error| unchanged(&error))?;
            let detail = format!("all sessions of {}{}", user.username, self.by());
            self.admin.done(AuditKind::SessionRevoked, user.id.to_string(), detail, entries).await;
            Ok(())
        })
        .await
    }

    /// What happened, the latest first.
    pub async fn events(&self, page: Page) -> Result<EventPage, Refusal> {
        self.admin.store.events(page.skip, page.limit).await.map_err(|error| store_is_down(&error))
    }

    async fn end(&self, id: SessionId, of: &str) -> Result<(), Refusal> {
        let now = self.admin.clock.now();
        let ended = self.admin.store.end_session(id, now, self.admin.revoke_until(now)).await;
        let entries = ended.map_err(|error| unchanged(&error))?;
        let detail = format!("one session of {of}{}", self.by());
        self.admin.done(AuditKind::SessionRevoked, id.to_string(), detail, entries).await;
        Ok(())
    }

    /// The usernames of a page's accounts.
    pub(super) async fn names(&self, ids: impl Iterator<Item = UserId>) -> Result<BTreeMap<UserId, String>, Refusal> {
        let mut names = BTreeMap::new();
        for id in ids {
            if names.contains_key(&id) {
                continue;
            }
            if let Some(user) = self.admin.store.user(id).await.map_err(|error| store_is_down(&error))? {
                names.insert(id, user.username);
            }
        }
        Ok(names)
    }
}
