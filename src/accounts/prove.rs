//! Showing the password once more, by somebody who is logged in.

use super::login::{OWN_NETWORK_FOR, Target};
use super::{Accounts, Origin, store_is_down};
use crate::domain::{SecretString, User};
use crate::limit::own_network;
use crate::password::Verdict;
use crate::problem::Refusal;

impl Accounts {
    /// Checks the current password of `user`. An attempt counts as a login does, so that a stolen token is no way around the
    /// limits of guessing.
    pub(super) async fn prove(&self, user: &User, password: &SecretString, origin: &Origin) -> Result<(), Refusal> {
        let limits = &self.parts.limits;
        if let Err(quota) = limits.attempt(origin.address).await {
            return Err(self.limited(quota, origin, Some(user), "too many attempts from this address").await);
        }
        let network = own_network(origin.address);
        let since = self.parts.clock.now().minus(OWN_NETWORK_FOR);
        let known = self.parts.store.knows_network(user.id, &network, since).await.map_err(|error| store_is_down(&error))?;
        let target = Target { user: Some(user.clone()), key: user.id.to_string(), own_network: known.then_some(network) };
        self.may_try(&target, origin).await?;
        match self.check(&target, password).await? {
            // Once more, as at a login: guesses side by side must not learn more than guesses in a row.
            Verdict::Right { .. } => self.may_try(&target, origin).await,
            Verdict::Wrong => match limits.failed(&target.key, target.own_network.as_deref()).await {
                Ok(()) => {
                    self.note_failure(Some(user.id), "wrong current password", origin).await;
                    Err(Refusal::InvalidCredentials)
                }
                Err(quota) => Err(self.account_limited(quota, &target, origin).await),
            },
        }
    }
}
