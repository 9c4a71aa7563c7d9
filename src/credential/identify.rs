//! Which of the credentials that came with a request counts.

use std::sync::Arc;

use super::bearer::Authorization;
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
    Known(Accepted),
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
    let bearer = kinds.bearer && presented.authorization.first().is_some_and(|value| Authorization::is_bearer(value));
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::domain::{Concern, Principal};

    /// Answers as it is told to whatever is presented.
    struct Fixed(CredentialKind, fn() -> Outcome);

    #[async_trait]
    impl Scheme for Fixed {
        fn kind(&self) -> CredentialKind {
            self.0
        }

        async fn authenticate(&self, _: &Presented<'_>) -> Outcome {
            (self.1)()
        }
    }

    fn accepted(method: CredentialKind) -> Outcome {
        let principal = Arc::new(Principal::own("ann", method));
        let concern = Concern { token: None, session: None, account: None, key: None };
        Outcome::Accepted(Accepted { principal, concern, expires_at: None, rate_limit: None })
    }

    fn schemes() -> Vec<Arc<dyn Scheme>> {
        vec![
            Arc::new(Fixed(CredentialKind::Bearer, || accepted(CredentialKind::Bearer))),
            Arc::new(Fixed(CredentialKind::ApiKey, || accepted(CredentialKind::ApiKey))),
        ]
    }

    fn presented(authorization: &[&'static str], api_keys: &[&'static str], cookies: &[&'static str]) -> Presented<'static> {
        let bytes = |values: &[&'static str]| values.iter().map(|value| value.as_bytes()).collect();
        Presented { authorization: bytes(authorization), api_keys: bytes(api_keys), cookies: bytes(cookies), client: None }
    }

    /// What comes of it in a word, on a required and on an optional route.
    async fn outcome(schemes: &[Arc<dyn Scheme>], presented: &Presented<'_>, kinds: CredentialKinds) -> [String; 2] {
        let mut words = [String::new(), String::new()];
        for (word, required) in words.iter_mut().zip([true, false]) {
            *word = match identify(schemes, presented, kinds, required).await {
                Ok(Identity::Known(accepted)) => accepted.principal.method.to_string(),
                Ok(Identity::Anonymous { stale_cookie: false }) => "anonymous".into(),
                Ok(Identity::Anonymous { stale_cookie: true }) => "anonymous, stale".into(),
                Err(refusal) => refusal.code().into(),
            };
        }
        words
    }

    type Values = &'static [&'static str];
    type Case = (Values, Values, Values, [&'static str; 2]);

    const ALL: CredentialKinds = CredentialKinds::ALL;

    #[tokio::test]
    async fn each_combination_has_one_meaning() {
        // Authorization, API keys, cookies; on a required route, on an optional one.
        let cases: [Case; 15] = [
            (&[], &[], &[], ["missing_credential", "anonymous"]),
            (&["Bearer a"], &[], &[], ["bearer", "bearer"]),
            (&[], &["k"], &[], ["api_key", "api_key"]),
            (&["Bearer a", "Bearer a"], &[], &[], ["invalid_request", "invalid_request"]),
            (&["Bearer a", "Basic b"], &[], &[], ["invalid_request", "invalid_request"]),
            (&["Basic b", "Basic b"], &[], &[], ["invalid_request", "invalid_request"]),
            (&[], &["k", "k"], &[], ["invalid_request", "invalid_request"]),
            (&["Bearer a"], &["k"], &[], ["invalid_request", "invalid_request"]),
            (&["bearer"], &["k"], &[], ["invalid_request", "invalid_request"]),
            (&["Basic b"], &[], &[], ["missing_credential", "anonymous"]),
            (&["Basic b"], &["k"], &[], ["api_key", "api_key"]),
            (&["Basic b"], &[], &["c"], ["invalid_session", "anonymous, stale"]),
            (&[], &[], &["c"], ["invalid_session", "anonymous, stale"]),
            (&["Bearer a"], &[], &["c"], ["bearer", "bearer"]),
            (&[], &["k"], &["c", "d"], ["api_key", "api_key"]),
        ];
        for (authorization, api_keys, cookies, expected) in cases {
            let presented = presented(authorization, api_keys, cookies);
            assert_eq!(outcome(&schemes(), &presented, ALL).await, expected, "{authorization:?} {api_keys:?} {cookies:?}");
        }
    }

    #[tokio::test]
    async fn kinds_that_a_route_does_not_list_are_not_looked_at() {
        let bearer = CredentialKinds { bearer: true, api_key: false, session: false };
        let api_key = CredentialKinds { bearer: false, api_key: true, session: false };
        let both = presented(&["Bearer a", "Bearer b"], &["k"], &["c"]);
        assert_eq!(outcome(&schemes(), &both, api_key).await, ["api_key", "api_key"]);
        let both = presented(&["Bearer a"], &["k", "l"], &["c"]);
        assert_eq!(outcome(&schemes(), &both, bearer).await, ["bearer", "bearer"]);
        let other = presented(&["Bearer a"], &[], &["c"]);
        assert_eq!(outcome(&schemes(), &other, api_key).await, ["missing_credential", "anonymous"]);
    }

    #[tokio::test]
    async fn an_explicit_credential_that_is_rejected_is_never_anonymous_nor_replaced_by_a_cookie() {
        let reject: Vec<Arc<dyn Scheme>> = vec![
            Arc::new(Fixed(CredentialKind::Bearer, || Outcome::Rejected(Refusal::InvalidToken("Bad.")))),
            Arc::new(Fixed(CredentialKind::ApiKey, || Outcome::Rejected(Refusal::InvalidApiKey))),
            Arc::new(Fixed(CredentialKind::Session, || accepted(CredentialKind::Session))),
        ];
        let deaf: Vec<Arc<dyn Scheme>> = vec![Arc::new(Fixed(CredentialKind::Bearer, || Outcome::NotPresented))];
        for schemes in [&reject, &deaf, &Vec::new()] {
            let bearer = presented(&["Bearer a"], &[], &["c"]);
            assert_eq!(outcome(schemes, &bearer, ALL).await, ["invalid_token", "invalid_token"]);
            let api_key = presented(&[], &["k"], &["c"]);
            assert_eq!(outcome(schemes, &api_key, ALL).await, ["invalid_api_key", "invalid_api_key"]);
        }
    }

    #[tokio::test]
    async fn a_session_counts_alone_and_one_that_cannot_be_judged_is_not_stale() {
        let cookie = presented(&[], &[], &["c"]);
        let good: Vec<Arc<dyn Scheme>> = vec![Arc::new(Fixed(CredentialKind::Session, || accepted(CredentialKind::Session)))];
        assert_eq!(outcome(&good, &cookie, ALL).await, ["session", "session"]);
        let unknown: Vec<Arc<dyn Scheme>> = vec![Arc::new(Fixed(CredentialKind::Session, || {
            Outcome::Rejected(Refusal::Unavailable { detail: "", retry_after: std::time::Duration::from_secs(1) })
        }))];
        assert_eq!(outcome(&unknown, &cookie, ALL).await, ["unavailable", "unavailable"]);
    }
}
