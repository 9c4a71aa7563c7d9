//! `Authorization: Bearer` (RFC 6750 §2.1) with an access token of ours (RFC 9068).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::keys::KeyRing;
use super::{Accepted, Outcome, Presented, Scheme, compact};
use crate::domain::{Clock, Concern, CredentialKind, Issuer, Principal, ScopeSet, SessionId, Timestamp, TokenId, UserId};
use crate::problem::Refusal;

/// Accepts access tokens of ours.
pub struct BearerScheme {
    keys: Arc<KeyRing>,
    issuer: String,
    audience: String,
    leeway: Duration,
    max_lifetime: Duration,
    clock: Arc<dyn Clock>,
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
        Self { keys, issuer, audience, leeway, max_lifetime, clock }
    }

    /// Judges an access token by itself. Revocation is still to be asked.
    pub fn verify(&self, token: &str) -> Result<Accepted, Refusal> {
        compact::open(token, &self.keys).and_then(|claims| self.judge(claims)).map_err(Refusal::InvalidToken)
    }

    fn judge(&self, claims: Map<String, Value>) -> Result<Accepted, &'static str> {
        if text(&claims, "iss") != Some(&self.issuer) {
            return Err("The token is from another issuer.");
        }
        if !self.is_audience(claims.get("aud")) {
            return Err("The token is for another audience.");
        }
        let expires_at = self.judge_times(&claims)?;
        let (Some(subject), Some(token)) = (id::<UserId>(&claims, "sub"), id::<TokenId>(&claims, "jti")) else {
            return Err("The token's sub or jti is missing or no UUID.");
        };
        let session = match claims.get("sid") {
            None => None,
            Some(_) => Some(id::<SessionId>(&claims, "sid").ok_or("The token's sid is no UUID.")?),
        };
        let generation = whole(&claims, "gen").ok_or("The token's gen is missing or no whole number.")?;
        Ok(Accepted {
            concern: Concern { token: Some(token), session, account: Some((subject, generation)), key: None },
            expires_at: Some(expires_at),
            principal: principal(subject, session, claims)?,
        })
    }

    /// One audience or several (RFC 7519 §4.1.3), ours among them.
    fn is_audience(&self, claim: Option<&Value>) -> bool {
        match claim {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(several)) => {
                several.iter().all(Value::is_string) && several.iter().any(|one| one.as_str() == Some(&self.audience))
            }
            _ => false,
        }
    }

    /// `exp`, when the token is good now (RFC 7519 §4.1.4 to §4.1.6) and is not meant to live longer than ours do.
    fn judge_times(&self, claims: &Map<String, Value>) -> Result<Timestamp, &'static str> {
        let (Some(exp), Some(iat)) = (whole(claims, "exp"), whole(claims, "iat")) else {
            return Err("The token's exp or iat is missing or no whole number of seconds.");
        };
        let (now, expires_at, issued_at) = (self.clock.now(), Timestamp::from_secs(exp), Timestamp::from_secs(iat));
        if now >= expires_at.plus(self.leeway) {
            return Err("The token has expired.");
        }
        if issued_at > now.plus(self.leeway) {
            return Err("The token was issued in the future.");
        }
        // With iat in the past this bounds exp too.
        if expires_at.since(issued_at) > self.max_lifetime {
            return Err("The token lives longer than tokens may.");
        }
        if claims.contains_key("nbf") {
            let nbf = whole(claims, "nbf").ok_or("The token's nbf is no whole number of seconds.")?;
            if Timestamp::from_secs(nbf) > now.plus(self.leeway) {
                return Err("The token is not valid yet.");
            }
        }
        Ok(expires_at)
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
            Authorization::Bearer(token) => match self.verify(token) {
                Ok(accepted) => Outcome::Accepted(Box::new(accepted)),
                Err(refusal) => Outcome::Rejected(refusal),
            },
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
        let value = value.trim_ascii();
        let end = value.iter().position(|&byte| !is_tchar(byte)).unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Self::Other;
        }
        let Some((b' ', rest)) = rest.split_first() else { return Self::Malformed };
        let token = rest.trim_ascii_start();
        let blanks = rest.len() - token.len();
        let body = token.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
        let is_token68 = body > 0
            && token.iter().take(body).all(|&byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
            && rest.iter().take(blanks).all(|&byte| byte == b' ');
        match std::str::from_utf8(token) {
            Ok(token) if is_token68 => Self::Bearer(token),
            _ => Self::Malformed,
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a String> {
    match claims.get(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A number that was written without fraction and exponent, and is not negative.
fn whole(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    claims.get(name).and_then(Value::as_i64).filter(|number| *number >= 0)
}

fn id<T: std::str::FromStr>(claims: &Map<String, Value>, name: &str) -> Option<T> {
    text(claims, name).and_then(|text| text.parse().ok())
}

/// A member that may be left out, but may not be of another type.
fn optional<T>(
    claims: &Map<String, Value>,
    name: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    claims.get(name).map(|value| read(value).ok_or("A claim of the token is of the wrong type.")).transpose()
}

/// Whom the claims prove.
fn principal(subject: UserId, session: Option<SessionId>, claims: Map<String, Value>) -> Result<Principal, &'static str> {
    let owned = |value: &Value| value.as_str().map(str::to_owned);
    let scopes: Option<ScopeSet> = optional(&claims, "scope", |value| value.as_str()?.parse().ok())?;
    let roles = optional(&claims, "roles", |value| value.as_array()?.iter().map(owned).collect::<Option<Vec<_>>>())?;
    let verified = optional(&claims, "email_verified", Value::as_bool)?.unwrap_or(false);
    Ok(Principal {
        issuer: Issuer::Own,
        subject: subject.to_string(),
        username: optional(&claims, "preferred_username", owned)?,
        full_name: optional(&claims, "name", owned)?,
        email: optional(&claims, "email", owned)?.filter(|_| verified),
        roles: roles.unwrap_or_default(),
        scopes: scopes.unwrap_or_default(),
        method: CredentialKind::Bearer,
        session,
        key: None,
        attributes: optional(&claims, "attributes", |value| value.as_object().cloned())?.unwrap_or_default(),
        claims,
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
