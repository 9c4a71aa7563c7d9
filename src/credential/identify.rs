//! Which of the credentials that came with a request counts (contract §6).

use std::sync::Arc;

use super::{Accepted, Outcome, Presented, Scheme};
use crate::domain::{CredentialKind, CredentialKinds};
use crate::problem::Refusal;

/// Whom a request is from, as far as its credentials say.
#[derive(Debug)]
pub enum Identity {
    /// Nobody known.
    Anonymous {
        /// A cookie of ours came that is good for nothing any more: the answer clears it.
        stale_cookie: bool,
    },
    /// Whom an explicit credential or a session proves. Revocation is still to be asked.
    Known(Box<Accepted>),
}

/// Judges what was presented, of the `kinds` that the route looks at; other kinds are as if they had not come.
///
/// Without any credential, or with `Authorization` of another scheme, a route that does not require one gets
/// [`Identity::Anonymous`], one that does [`Refusal::MissingCredential`] without scopes (the route knows those).
pub async fn identify(
    schemes: &[Arc<dyn Scheme>],
    presented: &Presented<'_>,
    kinds: CredentialKinds,
    required: bool,
) -> Result<Identity, Refusal> {
    // Two of a kind, and two kinds: whichever were taken, somebody else would take the other.
    if kinds.bearer && presented.authorization.len() > 1 {
        return Err(Refusal::InvalidRequest("Send one Authorization field only."));
    }
    if kinds.api_key && presented.api_keys.len() > 1 {
        return Err(Refusal::InvalidRequest("Send one API key only."));
    }
    let bearer = kinds.bearer && presented.authorization.first().is_some_and(|value| super::bearer::is_bearer(value));
    let api_key = kinds.api_key && !presented.api_keys.is_empty();
    let explicit = match (bearer, api_key) {
        (true, true) => return Err(Refusal::InvalidRequest("Send a bearer token or an API key, not both.")),
        (true, false) => Some((CredentialKind::Bearer, Refusal::InvalidToken("Bearer tokens are not accepted here."))),
        (false, true) => Some((CredentialKind::ApiKey, Refusal::InvalidApiKey)),
        (false, false) => None,
    };
    if let Some((kind, unheard)) = explicit {
        // A credential that no scheme feels responsible for was presented all the same, and proves nothing.
        return match ask(schemes, kind, presented).await {
            Outcome::Accepted(accepted) => Ok(Identity::Known(accepted)),
            Outcome::Rejected(refusal) => Err(refusal),
            Outcome::NotPresented => Err(unheard),
        };
    }
    let cookie = kinds.session && !presented.cookies.is_empty();
    if cookie {
        match ask(schemes, CredentialKind::Session, presented).await {
            Outcome::Accepted(accepted) => return Ok(Identity::Known(accepted)),
            Outcome::Rejected(Refusal::InvalidSession) | Outcome::NotPresented => {}
            // Not knowing is not the same as knowing that it is stale.
            Outcome::Rejected(refusal) => return Err(refusal),
        }
    }
    match (required, cookie) {
        (true, true) => Err(Refusal::InvalidSession),
        (true, false) => Err(Refusal::MissingCredential(None)),
        (false, stale_cookie) => Ok(Identity::Anonymous { stale_cookie }),
    }
}

/// What the schemes of `kind` say: the first that something was presented to.
async fn ask(schemes: &[Arc<dyn Scheme>], kind: CredentialKind, presented: &Presented<'_>) -> Outcome {
    for scheme in schemes.iter().filter(|scheme| scheme.kind() == kind) {
        match scheme.authenticate(presented).await {
            Outcome::NotPresented => {}
            decided @ (Outcome::Accepted(_) | Outcome::Rejected(_)) => return decided,
        }
    }
    Outcome::NotPresented
}
