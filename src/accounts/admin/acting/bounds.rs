//! What an acting credential may give.

use super::Acting;
use crate::config::Roles;
use crate::domain::{Scope, ScopeSet, User};
use crate::problem::Refusal;

impl Acting {
    /// Whether an account may become `after` from `before` (nothing where it is new): whatever that adds, the acting
    /// credential holds.
    pub(super) fn may_give(&self, before: Option<&User>, after: &User) -> Result<(), Refusal> {
        let roles = &self.admin.config.roles;
        let had = before.map(|user| rights(roles, user)).unwrap_or_default();
        let added: ScopeSet = rights(roles, after).iter().filter(|scope| !holds(&had, scope)).cloned().collect();
        self.may_give_scopes(&added)?;
        // Routes may ask for a role by its name, so that one without scopes gives something too.
        let had = before.filter(|user| !user.disabled).map_or(&[][..], |user| &user.roles);
        let added = after.roles.iter().filter(|_| !after.disabled).filter(|role| !roles.grants(had, role));
        self.may_give_roles(added)
    }

    /// Whether the acting credential may become the account: get at it by a password, an address or a key.
    pub(super) fn may_become(&self, user: &User) -> Result<(), Refusal> {
        let user = User { disabled: false, ..user.clone() };
        self.may_give(None, &user)
    }

    /// Whether the acting credential holds all of `scopes`.
    pub(super) fn may_give_scopes(&self, scopes: &ScopeSet) -> Result<(), Refusal> {
        let lacking: ScopeSet = scopes.iter().filter(|scope| !holds(&self.held, scope)).cloned().collect();
        if lacking.is_empty() { Ok(()) } else { Err(Refusal::InsufficientScope(lacking.to_string())) }
    }

    fn may_give_roles<'a>(&self, mut added: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
        let roles = &self.admin.config.roles;
        // Who holds everything gives every role; who acts with less, what the account is itself.
        if self.held.iter().any(Scope::is_all) || added.all(|role| roles.grants(&self.user.roles, role)) {
            Ok(())
        } else {
            Err(Refusal::Forbidden("This credential is narrowed, and can't give a role that its account does not have."))
        }
    }
}

/// What an account may do that is more than being an account.
fn rights(roles: &Roles, user: &User) -> ScopeSet {
    if user.disabled {
        return ScopeSet::default();
    }
    roles.held_by(user).iter().filter(|scope| scope.as_str() != Scope::ACCOUNT).cloned().collect()
}

/// Whether `held` grants `scope`, the gateway's own ones by name.
fn holds(held: &ScopeSet, scope: &Scope) -> bool {
    held.covers(scope) && (!scope.is_reserved() || held.names(scope))
}
