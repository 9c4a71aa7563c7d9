//! The signed statement about the caller: a JWT (RFC 7519) for one backend, which verifies it with the gateway's public keys.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;
use serde::Serialize;

use super::decide::unavailable;
use crate::config::Config;
use crate::credential::KeyRing;
use crate::domain::{Clock, Entropy, Principal, Timestamp, TokenId};
use crate::policy::Permit;
use crate::problem::Refusal;

/// The `typ` of assertions (RFC 8725 §3.11): none of them is ever an access token.
const TYP: &str = "assertion+jwt";
/// Callers on routes whose assertion is kept; beyond, the least used are signed anew.
const KEPT: usize = 8192;

/// Makes assertions, and sends each again for half of its life: a signature costs more than the rest of a call.
pub(super) struct Assertions {
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    issuer: String,
    header: HeaderName,
    ttl: Duration,
    /// By all that one states but its times and its id.
    made: Cache<String, Made>,
}

#[derive(Clone)]
struct Made {
    value: HeaderValue,
    at: Timestamp,
}

/// What an assertion says of the caller.
#[derive(Serialize)]
struct Stated<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    roles: &'a [String],
    scope: String,
    route: &'a str,
}

/// An assertion's claims.
#[derive(Serialize)]
struct Claims<'a> {
    #[serde(flatten)]
    stated: &'a Stated<'a>,
    iat: i64,
    exp: i64,
    jti: TokenId,
}

impl Assertions {
    /// As `config` wants them, signed with `keys`; `None` where it wants none.
    pub(super) fn new(config: &Config, keys: Arc<KeyRing>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Option<Self> {
        let assertion = &config.identity.assertion;
        assertion.enabled.then(|| Self {
            keys,
            clock,
            entropy,
            issuer: config.server.public_url.clone(),
            header: assertion.header.clone(),
            ttl: assertion.ttl,
            made: Cache::new(KEPT),
        })
    }

    /// The header for what `permit` lets pass; none where nobody is known to call.
    pub(super) fn of(&self, permit: &Permit) -> Result<Option<(HeaderName, HeaderValue)>, Refusal> {
        let spec = permit.route().spec();
        let (Some(caller), Some(backend)) = (permit.principal(), &spec.backend) else { return Ok(None) };
        let value = self.signed(caller, &backend.name, &spec.name).ok_or_else(|| {
            tracing::error!(route = &*spec.name, "no assertion could be signed");
            unavailable("The gateway can't vouch for the caller right now.")
        })?;
        Ok(Some((self.header.clone(), value)))
    }

    fn signed(&self, caller: &Principal, backend: &str, route: &str) -> Option<HeaderValue> {
        let (sub, username) = (caller.shown(&caller.subject), caller.username.as_deref().map(|name| caller.shown(name)));
        let stated = Stated {
            iss: &self.issuer,
            aud: backend,
            sub: &sub,
            username: username.as_deref(),
            email: caller.email.as_deref(),
            roles: &caller.roles,
            scope: caller.scopes.to_string(),
            route,
        };
        let key = serde_json::to_string(&stated).ok()?;
        let now = self.clock.now();
        // One from the future was made before the clock stepped back.
        if let Some(made) = self.made.get(&key)
            && made.at <= now
            && now.since(made.at) < self.ttl / 2
        {
            return Some(made.value);
        }
        let jti = TokenId::generate(now, &*self.entropy);
        let claims = Claims { stated: &stated, iat: now.as_secs(), exp: now.plus(self.ttl).as_secs(), jti };
        let token = self.keys.sign(TYP, &claims, now).ok()?;
        let value = HeaderValue::try_from(token).ok()?;
        self.made.insert(key, Made { value: value.clone(), at: now });
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Algorithm, Tokens};
    use crate::domain::clock::ManualClock;
    use crate::domain::{CredentialKind, SystemEntropy};

    fn ring(folder: &std::path::Path, now: Timestamp) -> Arc<KeyRing> {
        KeyRing::create(Algorithm::Es256, folder, now).expect("a key");
        let tokens = Tokens {
            algorithm: Algorithm::Es256,
            keys: folder.to_owned(),
            secret: None,
            activate_after: Duration::ZERO,
            audience: "portcullis".into(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(24),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
        };
        Arc::new(KeyRing::load(&tokens).expect("keys"))
    }

    #[test]
    fn one_is_sent_again_for_half_of_its_life_and_never_from_the_future() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = Timestamp::from_secs(1_700_000_000);
        let clock = Arc::new(ManualClock::at(start));
        let mut assertions = Assertions {
            keys: ring(folder.path(), start),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            issuer: "http://gateway.test".into(),
            header: HeaderName::from_static("x-auth-assertion"),
            ttl: Duration::from_mins(1),
            made: Cache::new(KEPT),
        };
        let ann = Principal::own("ann", CredentialKind::Bearer);
        let signed = |assertions: &Assertions| assertions.signed(&ann, "orders", "private").expect("an assertion");
        let first = signed(&assertions);
        clock.advance(Duration::from_secs(29));
        assert_eq!(signed(&assertions), first);
        clock.advance(Duration::from_secs(1));
        let second = signed(&assertions);
        assert_ne!(second, first, "a backend has half of its life at least to look at it");
        assertions.clock = Arc::new(ManualClock::at(start));
        assert_ne!(signed(&assertions), second, "its iat is still to come");
    }
}
