//! Changes in the name of a credential: what the endpoints do for whoever calls them.
//!
//! Nobody gives more than the credential holds that acts: an account that was narrowed, or an API key that was made for one
//! purpose, can't make itself wider by way of another account, key or client. Taking away needs no more than
//! `portcullis:admin`.

mod bounds;
mod clients;
mod keys;
mod others;
mod users;

pub use keys::{KeyPage, KeyWish};
pub use others::{EventPage, SessionPage};
pub use users::UserPatch;

use std::sync::Arc;

use super::{Admin, AdminError, Fault};
use crate::accounts::{Accounts, Origin, store_is_down};
use crate::domain::{ApiKeyRecord, CredentialKind, Principal, ScopeSet, SessionId, User, UserId};
use crate::problem::Refusal;
use crate::store::StoreError;

/// The role that may administer.
const ADMIN: &str = "admin";

/// An account that acts, and the credential by which it does.
#[expect(missing_debug_implementations, reason = "trait objects have nothing to print")]
pub struct Acting {
    admin: Admin,
    /// Who acts, as the store has him now.
    user: User,
    /// What the credential holds now.
    held: ScopeSet,
    /// The credential, where it is an API key.
    key: Option<ApiKeyRecord>,
    /// The session behind it, where it has one.
    session: Option<SessionId>,
}

impl Accounts {
    /// Acts in the name of `principal`, one of our own whose credential is good.
    pub async fn acting(&self, principal: &Principal, origin: Origin) -> Result<Acting, Refusal> {
        let parts = &self.parts;
        let gone = match principal.method {
            CredentialKind::Bearer => Refusal::InvalidToken("The account of this token is disabled or gone."),
            CredentialKind::ApiKey => Refusal::InvalidApiKey,
            CredentialKind::Session => Refusal::InvalidSession,
        };
        let Ok(id) = principal.subject.parse::<UserId>() else { return Err(gone) };
        let user = parts.store.user(id).await.map_err(|error| store_is_down(&error))?;
        // The store may know of a disabling a moment before the list does.
        let Some(user) = user.filter(|user| !user.disabled) else { return Err(gone) };
        let key = match &principal.key {
            None => None,
            Some(id) => match parts.store.key(id).await.map_err(|error| store_is_down(&error))? {
                Some((record, _)) if record.revoked_at.is_none() => Some(record),
                _ => return Err(gone),
            },
        };
        let admin = Admin {
            store: Arc::clone(&parts.store),
            passwords: Arc::clone(&parts.passwords),
            publisher: Arc::new(Arc::clone(&parts.revocations)),
            config: Arc::clone(&parts.config),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            actor: id.to_string(),
            origin: Some(origin),
        };
        let held = admin.config.roles.held_by(&user).narrowed_to(&principal.scopes);
        Ok(Acting { admin, user, held, key, session: principal.session })
    }
}

impl Acting {
    /// The same, if the account is an admin's, by role or by what its roles include.
    pub fn as_admin(self) -> Result<Self, Refusal> {
        if self.admin.config.roles.grants(&self.user.roles, ADMIN) {
            Ok(self)
        } else {
            Err(Refusal::Forbidden("This needs the role `admin`."))
        }
    }

    /// The account with that id, username or e-mail address; `field` says so.
    async fn named(&self, name: &str, field: &'static str) -> Result<User, Refusal> {
        let store = &self.admin.store;
        let by_id = match name.parse::<UserId>() {
            Ok(id) => store.user(id).await.map_err(|error| store_is_down(&error))?,
            Err(_) => None,
        };
        let user = match by_id {
            Some(user) => Some(user),
            None => store.user_by_login(name.trim()).await.map_err(|error| store_is_down(&error))?,
        };
        user.ok_or_else(|| wrong(field, "There is no such user."))
    }

    /// What a log says of the credential beside who acts.
    fn by(&self) -> String {
        self.key.as_ref().map(|key| format!(", by key {}", key.id)).unwrap_or_default()
    }
}

fn wrong(field: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::InvalidBody { field: field.into(), detail: detail.into() }
}

/// An operator's error as a client's.
fn refused((field, error): Fault) -> Refusal {
    match error {
        AdminError::Invalid(text) => wrong(field, sentence(&text)),
        AdminError::NotFound(_) => Refusal::NotFound(field),
        AdminError::Taken(_) => Refusal::Conflict(field),
        AdminError::Unavailable(text) => store_is_down(&StoreError::Unavailable(text)),
    }
}

/// What the store says of a change.
fn unchanged(error: &StoreError) -> Refusal {
    match error {
        StoreError::NotFound(what) => Refusal::NotFound(what),
        StoreError::Taken(field) => Refusal::Conflict(field),
        StoreError::Last => Refusal::Forbidden("The last admin stays one. Make another admin first."),
        StoreError::Changed | StoreError::Unavailable(_) | StoreError::Corrupt(_) => store_is_down(error),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
