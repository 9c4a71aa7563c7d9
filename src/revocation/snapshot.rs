//! What is revoked at one moment, read from the store alone: for commands, which follow nothing.

use async_trait::async_trait;

use super::list::List;
use super::store::PAGE;
use super::{Revocations, Standing};
use crate::domain::{Concern, Entry, UserId};
use crate::store::{RevocationLog, StoreResult};

/// What was revoked when it was read. Publishes nothing.
#[derive(Debug, Default)]
pub struct Snapshot {
    list: List,
}

impl Snapshot {
    /// Reads the whole log.
    pub async fn read(log: &dyn RevocationLog) -> StoreResult<Self> {
        let (list, mut position) = (List::default(), 0);
        loop {
            let page = log.revocations_after(position, PAGE).await?;
            list.apply_all(&page);
            position = page.iter().map(|entry| entry.seq).fold(position, i64::max);
            if page.len() < PAGE as usize {
                return Ok(Self { list });
            }
        }
    }
}

#[async_trait]
impl Revocations for Snapshot {
    async fn standing(&self, concern: &Concern) -> Standing {
        if self.list.revoked(concern) { Standing::Revoked } else { Standing::Live }
    }

    fn is_outdated(&self, account: UserId, generation: i64) -> bool {
        self.list.is_outdated(account, generation)
    }

    async fn publish(&self, _: Vec<Entry>) {}

    fn is_ready(&self) -> bool {
        true
    }
}
