//! What an account may know of itself (`GET /auth/me`).

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Accounts, store_is_down};
use crate::domain::{CredentialKind, Principal, ScopeSet, User, UserId};
use crate::problem::Refusal;

/// An account as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profile {
    /// The user id: `sub` in tokens.
    #[schema(value_type = String)]
    pub id: UserId,
    /// Its login name.
    pub username: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether somebody vouched for the address.
    pub email_verified: bool,
    /// Its full name.
    pub full_name: Option<String>,
    /// The roles assigned to it.
    pub roles: Vec<String>,
    /// What the credential that asks may do: of a narrowed login or an API key less than the user may.
    #[schema(value_type = Vec<String>)]
    pub scopes: ScopeSet,
    /// What the operator noted.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    /// Whether it may do nothing any more.
    pub disabled: bool,
    /// The opposite of `disabled`, for clients that ask that way.
    pub is_active: bool,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl Profile {
    /// `user` with the scopes of whoever asks.
    pub(super) fn of(user: User, scopes: ScopeSet) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            email_verified: user.email_verified,
            full_name: user.full_name,
            roles: user.roles,
            scopes,
            attributes: user.attributes,
            disabled: user.disabled,
            is_active: !user.disabled,
            created_at: user.created_at.to_string(),
        }
    }
}

impl Accounts {
    /// The account of `principal`, read from the store now.
    pub async fn me(&self, principal: &Principal) -> Result<Profile, Refusal> {
        Ok(Profile::of(self.own(principal).await?, principal.scopes.clone()))
    }

    /// The account behind `principal`, as it is now.
    pub(super) async fn own(&self, principal: &Principal) -> Result<User, Refusal> {
        let gone = match principal.method {
            CredentialKind::Bearer => Refusal::InvalidToken("The account of this token is disabled or gone."),
            CredentialKind::ApiKey => Refusal::InvalidApiKey,
            CredentialKind::Session => Refusal::InvalidSession,
        };
        let Ok(id) = principal.subject.parse::<UserId>() else { return Err(gone) };
        let user = self.parts.store.user(id).await.map_err(|error| store_is_down(&error))?;
        // The store may know of a disabling a moment before the list does.
        user.filter(|user| !user.disabled).ok_or(gone)
    }
}
