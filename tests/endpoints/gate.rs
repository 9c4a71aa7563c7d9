//! A gateway's endpoints with an admin at hand, and a client to call them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use http_body_util::BodyExt;
use portcullis::accounts::admin::{Admin, NewKey, NewUser};
use portcullis::accounts::{Accounts, Parts};
use portcullis::config::{self, Config, Rate, Role, Roles};
use portcullis::credential::{ApiKeyScheme, BearerScheme, KeyRing, Scheme};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{AuditEvent, Clock, IdentityTable, SystemEntropy, Timestamp, User};
use portcullis::endpoints::{ClientAddress, EndpointState, RequestId, router};
use portcullis::limit::{Logins, Strangers};
use portcullis::mail::Post;
use portcullis::revocation::Revocations;
use portcullis::store;
use portcullis::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::parts::{Flaky, Letterbox, Listed, PlainPasswords};

pub(crate) const PASSWORD: &str = "correct horse battery stapler";

/// A gateway without a proxy before it.
pub(crate) struct Gate {
    pub(crate) router: Router,
    pub(crate) admin: Admin,
    pub(crate) store: Arc<Flaky>,
    pub(crate) passwords: Arc<PlainPasswords>,
    pub(crate) revocations: Arc<Listed>,
    pub(crate) letters: Letterbox,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A gateway whose configuration was `changed`.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        change(&mut config);
        let config = Arc::new(config);
        let now = Timestamp::from_secs(1_800_000_000);
        let clock = Arc::new(ManualClock::at(now));
        KeyRing::create(config.tokens.algorithm, &config.tokens.keys, now.minus(Duration::from_hours(1))).expect("a key");
        let keys = Arc::new(KeyRing::load(&config.tokens).expect("keys"));
        let real = store::open(&config.store_url).await.expect("a store");
        let store = Arc::new(Flaky { real, down: AtomicBool::new(false) });
        let passwords = Arc::new(PlainPasswords::default());
        let revocations = Arc::new(Listed::default());
        let shared: Arc<dyn Revocations> = revocations.clone();
        let metrics = Metrics::install();
        let letters = Letterbox::default();
        let accounts = Accounts::new(Parts {
            store: store.clone(),
            passwords: passwords.clone(),
            limits: Arc::new(Logins::new(&config.login, clock.clone())),
            strangers: Arc::new(Strangers::new(&(clock.clone() as Arc<dyn Clock>))),
            post: config.mail.as_ref().map(|_| Arc::new(letters.clone()) as Arc<dyn Post>),
            revocations: shared.clone(),
            keys: keys.clone(),
            config: config.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            metrics: metrics.clone(),
        });
        let (tokens, server) = (&config.tokens, &config.server);
        let bearer = BearerScheme::new(
            keys.clone(),
            server.public_url.clone(),
            tokens.audience.clone(),
            tokens.leeway,
            tokens.access_ttl,
            clock.clone(),
        );
        let api_key = ApiKeyScheme::new(
            store.clone(),
            shared.clone(),
            Arc::new(config.roles.clone()),
            config.api_keys.cache_ttl,
            clock.clone(),
            tokio::runtime::Handle::current(),
        );
        let schemes: Vec<Arc<dyn Scheme>> = vec![Arc::new(bearer), Arc::new(api_key)];
        let admin = Admin {
            store: store.clone(),
            passwords: passwords.clone(),
            publisher: Arc::new(shared.clone()),
            config: config.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            actor: "cli".to_owned(),
            origin: None,
        };
        let state = EndpointState { accounts, schemes, revocations: shared, config, keys };
        Self { router: router(Arc::new(state)), admin, store, passwords, revocations, letters, clock, metrics, _folder: folder }
    }

    /// Sends what was built, from 192.0.2.1 unless it says from where.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let from = request.extensions().get::<ClientAddress>().copied();
        request.extensions_mut().insert(from.unwrap_or(ClientAddress(IpAddr::from([192, 0, 2, 1]))));
        request.extensions_mut().insert(RequestId("req-1".to_owned()));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, json: serde_json::from_str(&body).unwrap_or(Value::Null), body }
    }

    /// A gateway that sends mail and lets people register.
    pub(crate) async fn open() -> Self {
        Self::with(open).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(json_request(path, &body)).await
    }

    /// Sends with a bearer token, or with an API key where `credential` is one; JSON unless it is null.
    pub(crate) async fn call(&self, credential: &str, method: &str, path: &str, body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request =
            if credential.starts_with("ptc_") { request.header("x-api-key", credential) } else { bearer(request, credential) };
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        self.send(request.body(body).expect("a request")).await
    }

    /// An access token of a login that asks for `scope`.
    pub(crate) async fn token(&self, username: &str, scope: &str) -> String {
        self.post("/auth/login", json!({"username": username, "password": PASSWORD, "scope": scope})).await.tokens().access
    }

    pub(crate) async fn login(&self, username: &str) -> Tokens {
        self.post("/auth/login", json!({"username": username, "password": PASSWORD})).await.tokens()
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", json!({"refresh_token": token})).await
    }

    pub(crate) async fn me(&self, access: &str) -> Answer {
        self.send(bearer(Request::get("/auth/me"), access).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn logout(&self, access: &str) -> Answer {
        self.send(bearer(Request::post("/auth/logout"), access).body(Body::empty()).expect("a request")).await
    }

    pub(crate) async fn user(&self, name: &str, roles: &[&str], scopes: &str) -> User {
        let new = NewUser {
            username: name.to_owned(),
            email: Some(format!("{name}@example.com")),
            roles: Some(roles.iter().map(ToString::to_string).collect()),
            scopes: scopes.parse().expect("scopes"),
            password: Some(PASSWORD.to_owned().into()),
            ..NewUser::default()
        };
        self.admin.create_user(new).await.expect("a user")
    }

    pub(crate) async fn key(&self, owner: &str, scopes: &str) -> String {
        let scopes = Some(scopes.parse().expect("scopes"));
        let new = NewKey { owner: owner.to_owned(), name: "job".to_owned(), scopes, ..NewKey::default() };
        self.admin.create_key(new).await.expect("a key").key.expose().to_owned()
    }

    /// Kinds and subjects of the audit log, oldest first.
    pub(crate) async fn audit(&self) -> Vec<AuditEvent> {
        let mut events = self.store.real.events(0, 200).await.expect("events");
        events.reverse();
        events
    }
}

/// Lets people register, and sends mail.
pub(crate) fn open(config: &mut Config) {
    let server =
        config::MailServer { host: "127.0.0.1".to_owned(), port: 25, security: config::MailSecurity::Plain, credentials: None };
    config.mail = Some(config::Mail { server, from: "gate@example.com".to_owned() });
    config.accounts.registration = true;
}

pub(crate) fn bearer(request: Builder, access: &str) -> Builder {
    request.header("authorization", format!("Bearer {access}"))
}

pub(crate) fn json_request(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).expect("a request")
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Status and code, where it is the problem document that every refusal has to be.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.json["request_id"], "req-1", "{self:?}");
        assert_eq!(self.json["status"], self.status.as_u16(), "{self:?}");
        (self.status.as_u16(), self.json["code"].as_str().expect("a code"))
    }

    #[track_caller]
    pub(crate) fn tokens(&self) -> Tokens {
        assert_eq!(self.status, 200, "{self:?}");
        let text = |name: &str| self.json[name].as_str().expect("a text").to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token"), scope: text("scope") }
    }
}

/// What a login gives.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) scope: String,
}

impl Tokens {
    /// The access token's claims, unverified.
    pub(crate) fn claims(&self) -> Value {
        let payload = self.access.split('.').nth(1).expect("a payload");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
        serde_json::from_slice(&bytes).expect("claims")
    }
}

/// The defaults, but for limits that most tests have no use for.
fn config(folder: &std::path::Path) -> Config {
    let role = |includes: &[&str], scopes: &str| Role {
        includes: includes.iter().map(ToString::to_string).collect(),
        scopes: scopes.parse().expect("scopes"),
    };
    let many = Rate { count: 10_000, period: Duration::from_mins(1) };
    Config {
        file: folder.join("gateway.toml"),
        server: config::Server {
            listen: Vec::new(),
            admin_listen: "127.0.0.1:9901".parse().expect("an address"),
            public_url: "http://127.0.0.1:8080".to_owned(),
            trusted_proxies: Vec::new(),
            threads: 1,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            tls: config::Tls::default(),
            limits: config::Limits {
                h2_streams: 100,
                request_line: 8192,
                header: 16384,
                headers: 65536,
                header_count: 100,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(10),
                keepalive_timeout: Duration::from_mins(1),
                connections: 100,
            },
        },
        route_files: Vec::new(),
        backends: BTreeMap::new(),
        auth: config::Auth::default(),
        tokens: config::Tokens {
            algorithm: config::Algorithm::Es256,
            keys: folder.join("keys"),
            secret: None,
            activate_after: Duration::from_mins(1),
            audience: "portcullis".to_owned(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(7 * 24),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
        },
        issuers: Vec::new(),
        api_keys: config::ApiKeys {
            header: "X-API-Key".to_owned(),
            query_parameter: Some("api_key".to_owned()),
            cache_ttl: Duration::from_mins(15),
        },
        roles: Roles(BTreeMap::from([
            ("admin".to_owned(), role(&["user"], "*")),
            ("user".to_owned(), role(&["viewer"], "items:read")),
            ("viewer".to_owned(), role(&[], "")),
        ])),
        scopes: BTreeMap::new(),
        login: config::Login { rate_limit: many, account_rate_limit: many, concurrency: 1, queue: 64 },
        passwords: config::Passwords {
            min_length: 15,
            max_length: 256,
            require: Vec::new(),
            blocklist: config::Blocklist::Builtin,
            argon2: config::Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 },
        },
        accounts: config::Accounts { registration: false, default_role: "viewer".to_owned() },
        mail: None,
        store_url: format!("sqlite://{}", folder.join("portcullis.db").display()).into(),
        redis: None,
        revocation: config::Revocation {
            check: config::RevocationCheck::Replica,
            max_staleness: Duration::from_secs(2),
            allow_when_unavailable: false,
        },
        identity: config::Identity {
            headers: Arc::new(IdentityTable::x_auth()),
            keep_client_headers: Vec::new(),
            forward_credential: false,
            assertion: config::Assertion::default(),
        },
        cors: None,
        log: config::Log { json: false, access: true },
    }
}
