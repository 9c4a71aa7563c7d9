//! `Authorization: Bearer` (RFC 6750 §2.1) with an access token (RFC 9068): ours, or another issuer's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::external::Issuers;
use super::judging::{self, Times, optional, text, whole};
use super::keys::KeyRing;
use super::verified::{Verified, VerifiedTokens};
use super::{Accepted, Outcome, Presented, Scheme, compact};
use crate::domain::{Clock, Concern, CredentialKind, Principal, ScopeSet, SessionId, TokenId, UserId};
use crate::problem::Refusal;

/// What is told where nobody says that he vouches for a token's `iss`.
const OTHER_ISSUER: &str = "The token is from another issuer.";

/// Accepts access tokens: ours, and those of other issuers where there are some.
pub struct BearerScheme {
    keys: Arc<KeyRing>,
    issuer: String,
    audience: String,
    times: Times,
    clock: Arc<dyn Clock>,
    others: Option<Arc<Issuers>>,
    known: Option<VerifiedTokens>,
}

impl BearerScheme {
    /// Tokens that `keys` signed for `audience` as `issuer` and that live for `max_lifetime` at most; clocks may differ
    /// by `leeway`.
    #[must_use]
    pub fn new(
        keys: Arc<KeyRing>,
        issuer: String,
        audience: String,
        leeway: Duration,
        max_lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let times = Times { leeway, max_lifetime, issued: true };
        Self { keys, issuer, audience, times, clock, others: None, known: None }
    }

    /// The same, which accepts the tokens of `others` too.
    #[must_use]
    pub fn accepting(mut self, others: Arc<Issuers>) -> Self {
        self.others = (!others.is_empty()).then_some(others);
        self
    }

    /// The same, which verifies a token once and then knows it.
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.known = Some(VerifiedTokens::new());
        self
    }

    /// Judges an access token of ours by itself. Revocation is still to be asked.
    pub fn verify(&self, token: &str) -> Result<Accepted, Refusal> {
        let read = compact::Token::read(token).and_then(|token| self.open(&token, None));
        read.map(|verified| verified.accepted).map_err(Refusal::InvalidToken)
    }

    /// What a token proves, whoever issued it.
    async fn accept(&self, token: &str) -> Result<Accepted, Refusal> {
        let Some(known) = &self.known else { return self.verify_any(token).await.map(|verified| verified.accepted) };
        if let Some(accepted) = known.find(token, self.clock.now()) {
            return Ok(accepted);
        }
        let verified = self.verify_any(token).await?;
        let accepted = verified.accepted.clone();
        known.keep(token, verified);
        Ok(accepted)
    }

    /// Judges whose token it is by its `iss`, and then the token by the keys and rules of that issuer only.
    async fn verify_any(&self, token: &str) -> Result<Verified, Refusal> {
        let token = compact::Token::read(token).map_err(Refusal::InvalidToken)?;
        let Some(others) = &self.others else { return self.open(&token, None).map_err(Refusal::InvalidToken) };
        let claims = token.claims().map_err(Refusal::InvalidToken)?;
        let iss = text(&claims, "iss");
        match iss.and_then(|iss| others.find(iss, token.alg())) {
            Some(issuer) => issuer.verify(&token, claims).await,
            None if iss == Some(&self.issuer) => self.open(&token, Some(claims)).map_err(Refusal::InvalidToken),
            None => Err(Refusal::InvalidToken(OTHER_ISSUER)),
        }
    }

    /// The claims may have been read already; nothing of them is believed before the signature is.
    fn open(&self, token: &compact::Token<'_>, claims: Option<Map<String, Value>>) -> Result<Verified, &'static str> {
        compact::open(token, &self.keys)?;
        self.judge(claims.map_or_else(|| token.claims(), Ok)?)
    }

    fn judge(&self, claims: Map<String, Value>) -> Result<Verified, &'static str> {
        if text(&claims, "iss") != Some(&self.issuer) {
            return Err(OTHER_ISSUER);
        }
        judging::audience(&claims, &[&self.audience])?;
        let lifespan = self.times.judge(&claims, self.clock.now())?;
        let (Some(subject), Some(token)) = (id::<UserId>(&claims, "sub"), id::<TokenId>(&claims, "jti")) else {
            return Err("The token's sub or jti is missing or no UUID.");
        };
        let session = match claims.get("sid") {
            None => None,
            Some(_) => Some(id::<SessionId>(&claims, "sid").ok_or("The token's sid is no UUID.")?),
        };
        let generation = whole(&claims, "gen").ok_or("The token's gen is missing or no whole number.")?;
        let accepted = Accepted {
            concern: Concern { token: Some(token), session, account: Some((subject, generation)), key: None },
            expires_at: Some(lifespan.expires_at),
            rate_limit: None,
            principal: Arc::new(principal(subject, session, claims)?),
        };
        Ok(Verified { accepted, lifespan, signed: None })
    }
}

#[async_trait]
impl Scheme for BearerScheme {
    fn kind(&self) -> CredentialKind {
        CredentialKind::Bearer
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Outcome {
        let [value] = presented.authorization.as_slice() else {
            return if presented.authorization.is_empty() {
                Outcome::NotPresented
            } else {
                Outcome::Rejected(Refusal::InvalidRequest("Send one Authorization field only."))
            };
        };
        match Authorization::read(value) {
            Authorization::Other => Outcome::NotPresented,
            Authorization::Malformed => {
                Outcome::Rejected(Refusal::InvalidRequest("Authorization is not of the form: Bearer <token>."))
            }
            Authorization::Bearer(token) => match self.accept(token).await {
                Ok(accepted) => Outcome::Accepted(accepted),
                Err(refusal) => Outcome::Rejected(refusal),
            },
        }
    }

    fn retire(&self) {
        if let Some(known) = &self.known {
            known.clear();
        }
    }
}

/// An `Authorization` value, as far as it concerns us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authorization<'a> {
    /// Another scheme, or none.
    Other,
    /// Bearer, but not followed by one token.
    Malformed,
    /// The token.
    Bearer(&'a str),
}

impl<'a> Authorization<'a> {
    /// Reads `auth-scheme 1*SP token68` (RFC 9110 §11.4).
    pub(super) fn read(value: &'a [u8]) -> Self {
        let Some(rest) = behind_scheme(value) else { return Self::Other };
        let Some((b' ', rest)) = rest.split_first() else { return Self::Malformed };
        let token = rest.trim_ascii_start();
        let blanks = rest.len() - token.len();
        let body = token.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
        let (letters, _) = token.split_at_checked(body).unwrap_or_default();
        // No way out in the middle: so many bytes are looked at at once.
        let is_token68 = body > 0
            && letters.iter().fold(true, |all, &byte| all & is_token68(byte))
            && rest.iter().take(blanks).all(|&byte| byte == b' ');
        match std::str::from_utf8(token) {
            Ok(token) if is_token68 => Self::Bearer(token),
            _ => Self::Malformed,
        }
    }

    /// Whether it is of the scheme `Bearer`, whatever follows.
    pub(super) fn is_bearer(value: &[u8]) -> bool {
        behind_scheme(value).is_some()
    }
}

/// What follows `Bearer`, where that is the scheme.
fn behind_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.trim_ascii().split_at_checked(b"Bearer".len())?;
    let ends = rest.first().is_none_or(|&byte| !is_tchar(byte));
    (ends && scheme.eq_ignore_ascii_case(b"Bearer")).then_some(rest)
}

/// RFC 9110 §11.2, less the `=` at its end.
const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

/// RFC 9110 §5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn id<T: std::str::FromStr>(claims: &Map<String, Value>, name: &str) -> Option<T> {
    text(claims, name).and_then(|text| text.parse().ok())
}

/// Whom the claims prove.
fn principal(subject: UserId, session: Option<SessionId>, claims: Map<String, Value>) -> Result<Principal, &'static str> {
    let owned = |value: &Value| value.as_str().map(str::to_owned);
    let scopes: Option<ScopeSet> = optional(&claims, "scope", |value| value.as_str()?.parse().ok())?;
    let roles = optional(&claims, "roles", |value| value.as_array()?.iter().map(owned).collect::<Option<Vec<_>>>())?;
    let verified = optional(&claims, "email_verified", Value::as_bool)?.unwrap_or(false);
    Ok(Principal {
        username: optional(&claims, "preferred_username", owned)?,
        full_name: optional(&claims, "name", owned)?,
        email: optional(&claims, "email", owned)?.filter(|_| verified),
        roles: roles.unwrap_or_default(),
        scopes: scopes.unwrap_or_default(),
        session,
        attributes: optional(&claims, "attributes", |value| value.as_object().cloned())?.unwrap_or_default(),
        claims,
        ..Principal::own(subject.to_string(), CredentialKind::Bearer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_the_token_after_one_space_or_more() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", " Bearer a.b.c "] {
            assert_eq!(Authorization::read(value.as_bytes()), Authorization::Bearer("a.b.c"), "{value:?}");
        }
        assert_eq!(Authorization::read(b"Bearer a=="), Authorization::Bearer("a=="));
    }

    #[test]
    fn a_bearer_without_exactly_one_token_is_malformed() {
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer  ",
            "Bearer a b",
            "Bearer a,b",
            "Bearer\ta",
            "Bearer \ta",
            "Bearer ==",
            "Bearer a=b",
            "Bearer \"a\"",
            "Bearer a\0",
            "Bearer ä",
            "Bearer,a",
            "Bearer=a",
        ] {
            assert_eq!(Authorization::read(value.as_bytes()), Authorization::Malformed, "{value:?}");
        }
        assert_eq!(Authorization::read(b"Bearer \xff"), Authorization::Malformed);
    }

    #[test]
    fn other_schemes_are_not_ours() {
        for value in ["", "Basic YTpi", "Bearertoken", "Bearer.a", "DPoP a.b.c", "Token a", "Basic a, Bearer b", "\"Bearer\" a"] {
            assert_eq!(Authorization::read(value.as_bytes()), Authorization::Other, "{value:?}");
        }
    }
}
