//! Who calls what changes accounts: an account with a scope of the gateway's own, and for administration its role.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::EndpointState;
use super::answer::Refused;
use super::caller::caller_with;
use crate::accounts::Origin;
use crate::accounts::admin::Acting;
use crate::domain::Scope;

/// An account whose credential holds `portcullis:account`.
pub(super) struct AsAccount(pub(super) Acting);

/// An admin whose credential holds `portcullis:admin`: the scope is asked first, as on routes.
pub(super) struct AsAdmin(pub(super) Acting);

impl FromRequestParts<Arc<EndpointState>> for AsAccount {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<EndpointState>) -> Result<Self, Refused> {
        Ok(Self(acting(parts, state, Scope::ACCOUNT).await?))
    }
}

impl FromRequestParts<Arc<EndpointState>> for AsAdmin {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<EndpointState>) -> Result<Self, Refused> {
        Ok(Self(acting(parts, state, Scope::ADMIN).await?.as_admin()?))
    }
}

async fn acting(parts: &mut Parts, state: &Arc<EndpointState>, scope: &str) -> Result<Acting, Refused> {
    let caller = caller_with(state, parts, scope).await?;
    let Ok(origin) = Origin::from_request_parts(parts, state).await;
    Ok(state.accounts.acting(&caller.principal, origin).await?)
}
