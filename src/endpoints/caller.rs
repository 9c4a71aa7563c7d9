//! Who calls an own endpoint: the same schemes and the same revocation list as on routes.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::request::Parts;

use super::{ClientAddress, EndpointState, Noted, QueryKeys};
use crate::accounts::Proof;
use crate::credential::{Accepted, Identity, Presented, cookie, identify};
use crate::domain::{CredentialKind, CredentialKinds, Issuer};
use crate::problem::Refusal;
use crate::revocation::Standing;

/// The kinds that a client presents explicitly.
const EXPLICIT: CredentialKinds = CredentialKinds { bearer: true, api_key: true, session: false };
/// The kind that a browser adds.
const COOKIE: CredentialKinds = CredentialKinds { bearer: false, api_key: false, session: true };

/// A client that acts as itself is nobody with an account.
const NO_ACCOUNT: Refusal = Refusal::Forbidden("This token is a client's own. Accounts are for tokens of users.");
/// What a good token of another issuer is at our own endpoints, which know our own users only.
const FOREIGN: Refusal =
    Refusal::InvalidToken("The token is from another issuer: the gateway's own endpoints take its own only.");

/// Who calls, by a user's credential that verifies and is not revoked; a refusal when there is none.
pub async fn caller(state: &EndpointState, parts: &Parts) -> Result<Accepted, Refusal> {
    let presented = presented(state, parts);
    match identify(&state.schemes, &presented, CredentialKinds::ALL, true).await {
        Ok(Identity::Known(accepted)) if accepted.principal.issuer != Issuer::Own => Err(rejected(state, parts, FOREIGN)),
        Ok(Identity::Known(accepted)) => {
            let accepted = standing(state, parts, accepted).await?;
            if accepted.principal.is_client() { Err(NO_ACCOUNT) } else { Ok(accepted) }
        }
        Ok(Identity::Anonymous { .. }) => Err(Refusal::MissingCredential(None)),
        Err(refusal) => Err(rejected(state, parts, refusal)),
    }
}

/// Who calls, if the credential holds `scope`, one of the gateway's own such as [`Scope::ACCOUNT`](crate::domain::Scope::ACCOUNT).
pub(super) async fn caller_with(state: &EndpointState, parts: &Parts, scope: &str) -> Result<Accepted, Refusal> {
    let accepted = caller(state, parts).await?;
    let holds = scope.parse().is_ok_and(|scope| accepted.principal.scopes.names(&scope));
    if holds { Ok(accepted) } else { Err(Refusal::InsufficientScope(scope.to_owned())) }
}

/// What a logout's bearer token and cookie prove, or why each that was presented does not; each is looked at on its own,
/// as any one suffices. A malformed or doubled credential spoils the request as it does everywhere.
pub(super) async fn proofs(state: &EndpointState, parts: &Parts) -> Result<Vec<Result<Proof, Refusal>>, Refusal> {
    let presented = presented(state, parts);
    let mut proofs = Vec::new();
    for kinds in [EXPLICIT, COOKIE] {
        let accepted = match identify(&state.schemes, &presented, kinds, false).await {
            Ok(Identity::Anonymous { stale_cookie: false }) => continue,
            Ok(Identity::Anonymous { stale_cookie: true }) => Err(Refusal::InvalidSession),
            Ok(Identity::Known(accepted)) => standing(state, parts, accepted).await,
            Err(refusal @ Refusal::InvalidRequest(_)) => return Err(refusal),
            Err(refusal) => Err(rejected(state, parts, refusal)),
        };
        proofs.push(accepted.and_then(|accepted| proof(&accepted)));
    }
    Ok(proofs)
}

/// Only logins of our own have a session to end.
fn proof(accepted: &Accepted) -> Result<Proof, Refusal> {
    if accepted.principal.issuer != Issuer::Own {
        return Err(Refusal::Forbidden("A token of another issuer has no session here. Log out where it was issued."));
    }
    let concern = &accepted.concern;
    match (accepted.principal.method, concern.account) {
        (CredentialKind::Bearer | CredentialKind::Session, Some((user, _))) => {
            Ok(Proof { user, session: concern.session, token: concern.token })
        }
        _ => Err(Refusal::Forbidden("An API key has no session to end. Revoke the key instead.")),
    }
}

async fn standing(state: &EndpointState, parts: &Parts, accepted: Accepted) -> Result<Accepted, Refusal> {
    let kind = accepted.principal.method;
    note(parts, kind, Some(accepted.principal.id()));
    let (outcome, answer) = match state.revocations.standing(&accepted.concern).await {
        Standing::Live => ("accepted", Ok(accepted)),
        Standing::Revoked => ("revoked", Err(revoked(kind))),
        Standing::Unknown => {
            let detail = "Whether this credential was revoked can't be told at the moment. Try again.";
            ("unavailable", Err(Refusal::Unavailable { detail, retry_after: Duration::from_secs(1) }))
        }
    };
    state.accounts.metrics().auth(kind.as_str(), outcome);
    answer
}

const fn revoked(kind: CredentialKind) -> Refusal {
    match kind {
        CredentialKind::Bearer => Refusal::InvalidToken("The token was revoked. Log in again."),
        CredentialKind::ApiKey => Refusal::InvalidApiKey,
        CredentialKind::Session => Refusal::InvalidSession,
    }
}

/// Counts a credential that did not verify.
fn rejected(state: &EndpointState, parts: &Parts, refusal: Refusal) -> Refusal {
    let kind = if matches!(refusal, Refusal::InvalidToken(_)) {
        Some(CredentialKind::Bearer)
    } else if refusal == Refusal::InvalidApiKey {
        Some(CredentialKind::ApiKey)
    } else {
        None
    };
    if let Some(kind) = kind {
        state.accounts.metrics().auth(kind.as_str(), "rejected");
        note(parts, kind, None);
    }
    refusal
}

fn note(parts: &Parts, kind: CredentialKind, principal: Option<String>) {
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.note(kind, principal);
    }
}

fn presented<'a>(state: &EndpointState, parts: &'a Parts) -> Presented<'a> {
    let config = &state.config;
    let all = |name: &str| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let mut api_keys = all(&config.api_keys.header);
    let in_query = parts.extensions.get::<QueryKeys>();
    api_keys.extend(in_query.into_iter().flat_map(|keys| keys.0.iter().map(String::as_bytes)));
    let cookies = all("cookie").into_iter().flat_map(|field| cookie::values(field, cookie::name(config))).collect();
    let client = parts.extensions.get::<ClientAddress>().map(|client| client.0);
    Presented { authorization: all("authorization"), api_keys, cookies, client }
}
