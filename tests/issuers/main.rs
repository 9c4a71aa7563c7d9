//! Tokens of other issuers against what judges them: good ones as Supabase, Keycloak and Auth0 make them, and hostile ones.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test can't go on without fails the test"
)]

mod forge;
mod hostile;
mod keys;
mod shapes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::config::{Algorithm as Own, ClaimPath, ExternalIssuer, IssuerAlgorithm, IssuerClaims, IssuerKeys, Tokens};
use portcullis::credential::{Accepted, BearerScheme, Issuers, KeyRing, Outcome, Presented, Scheme as _};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{Clock, Timestamp};
use portcullis::problem::Refusal;
use serde_json::{Value, json};

pub(crate) const NOW: i64 = 1_795_360_500;
/// Our own issuer.
pub(crate) const OWN: &str = "https://gateway.example";
/// The other's.
pub(crate) const ISS: &str = "https://idp.example/realms/main";

/// What judges, and our own keys.
pub(crate) struct Judge {
    scheme: BearerScheme,
    pub(crate) own: Arc<KeyRing>,
    pub(crate) clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Judge {
    /// Ours and these others.
    pub(crate) fn of(issuers: &[ExternalIssuer]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens {
            algorithm: Own::Es256,
            keys: folder.path().join("keys"),
            secret: None,
            activate_after: Duration::from_mins(1),
            audience: "portcullis".into(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(24),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
        };
        KeyRing::create(Own::Es256, &tokens.keys, Timestamp::from_secs(NOW - 3600)).expect("a key");
        let own = Arc::new(KeyRing::load(&tokens).expect("keys"));
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let all: Vec<_> = issuers.iter().cloned().map(Arc::new).collect();
        let others = Issuers::at_hand(&all, tokens.leeway, &dyn_clock).expect("keys");
        let scheme = BearerScheme::new(own.clone(), OWN.into(), "portcullis".into(), tokens.leeway, tokens.access_ttl, dyn_clock)
            .accepting(Arc::new(others))
            .remembering();
        Self { scheme, own, clock, _folder: folder }
    }

    /// What comes of a token.
    pub(crate) async fn judge(&self, token: &str) -> Result<Accepted, Refusal> {
        let value = format!("Bearer {token}");
        let presented = Presented { authorization: vec![value.as_bytes()], ..Presented::default() };
        match self.scheme.authenticate(&presented).await {
            Outcome::Accepted(accepted) => Ok(accepted),
            Outcome::Rejected(refusal) => Err(refusal),
            Outcome::NotPresented => panic!("it was presented"),
        }
    }

    /// It is refused as an invalid token, and the client is told `why`.
    pub(crate) async fn refuses(&self, what: &str, token: &str, why: &str) {
        match self.judge(token).await {
            Err(Refusal::InvalidToken(told)) => assert!(told.contains(why), "{what}: {told}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// An issuer whose keys are these.
pub(crate) fn issuer(algorithms: &[IssuerAlgorithm], keys: IssuerKeys) -> ExternalIssuer {
    let path = |text: &str| ClaimPath::parse(text);
    ExternalIssuer {
        name: "idp".into(),
        issuer: ISS.into(),
        audience: vec!["api".into(), "api-2".into()],
        algorithms: algorithms.to_vec(),
        typ: vec!["at+jwt".into(), "jwt".into()],
        max_lifetime: Duration::from_hours(24),
        keys,
        claims: IssuerClaims { username: path("preferred_username"), scopes: path("scope"), roles: path("realm_access.roles") },
        allow: vec!["items".parse().expect("a scope")],
        prefix: String::new(),
        roles: BTreeMap::from([("editor".into(), "user".into())]),
        trust_subject: false,
    }
}

/// A JWK Set that stands in a file.
pub(crate) fn file(set: &Value) -> IssuerKeys {
    IssuerKeys::File { path: "jwks.json".into(), text: set.to_string(), place: ("gateway.toml".into(), 1, 1) }
}

/// Claims as the issuer makes them.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISS,
        "sub": "f3a9",
        "aud": "api",
        "exp": NOW + 600,
        "iat": NOW,
        "scope": "items:read other",
        "preferred_username": "ann",
        "name": "Ann Example",
        "email": "ann@example.com",
        "email_verified": true,
        "realm_access": { "roles": ["editor", "admin"] },
    })
}

/// A token of our own for the same subject.
pub(crate) fn own_token(judge: &Judge, claims: &Value) -> String {
    judge.own.sign("at+jwt", claims, Timestamp::from_secs(NOW)).expect("signed")
}
