//! OAuth clients, by the endpoints.

use super::super::{CreatedClient, NewClient};
use super::{Acting, refused, unchanged};
use crate::accounts::{store_is_down, to_the_end};
use crate::domain::{AuditKind, ClientId, ClientRecord};
use crate::problem::Refusal;
use crate::store::{Listed, Page};

impl Acting {
    /// Clients by name.
    pub async fn clients(&self, page: Page) -> Result<Listed<ClientRecord>, Refusal> {
        let clients = self.admin.store.clients().await.map_err(|error| store_is_down(&error))?;
        let total = u64::try_from(clients.len()).unwrap_or(u64::MAX);
        let (skip, limit) = (usize::try_from(page.skip).unwrap_or(usize::MAX), usize::try_from(page.limit).unwrap_or(usize::MAX));
        Ok(Listed { items: clients.into_iter().skip(skip).take(limit).collect(), total })
    }

    /// Makes a client, whose scopes the acting credential holds: it may act as itself with all of them.
    pub async fn create_client(self, new: NewClient) -> Result<CreatedClient, Refusal> {
        to_the_end(async move {
            if let Some(scopes) = &new.scopes {
                self.may_give_scopes(scopes)?;
            }
            self.admin.add_client(new, &self.by()).await.map_err(refused)
        })
        .await
    }

    /// Deletes a client: its tokens, and the sessions that were opened through it, are dead at once.
    pub async fn delete_client(self, id: ClientId) -> Result<(), Refusal> {
        to_the_end(async move {
            let now = self.admin.clock.now();
            let deleted = self.admin.store.delete_client(id, now, self.admin.revoke_until(now)).await;
            let entries = deleted.map_err(|error| unchanged(&error))?;
            self.admin.done(AuditKind::ClientDeleted, id.to_string(), format!("client{}", self.by()), entries).await;
            Ok(())
        })
        .await
    }
}
