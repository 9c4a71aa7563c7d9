//! A gateway in this process, on a free port, with credentials that tests can read: `Bearer alice`, `X-API-Key: robot`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test whose stage does not stand has to fail"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::routing::{get, post};
use http::Method;
use portcullis::config::{self, Backend as BackendConfig, Config, Limits, Roles};
use portcullis::credential::{Accepted, Outcome, Presented, Scheme};
use portcullis::domain::{
    Concern, CredentialKind, Entry, IdentityTable, Principal, SecretString, SystemClock, SystemEntropy, TokenId, UserId,
};
use portcullis::policy::{AuthMode, RouteSpec, RouteTable};
use portcullis::problem::Refusal;
use portcullis::proxy::{Live, Running, Shared, start};
use portcullis::revocation::{Revocations, Standing};
use portcullis::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::spec::spec;

/// How long a test waits for bytes that must come.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) running: Running,
    pub(crate) revocations: Arc<Revoked>,
}

impl Gateway {
    pub(crate) fn start(routes: Vec<RouteSpec>) -> Self {
        Self::with(config(), routes)
    }

    pub(crate) fn with(config: Config, routes: Vec<RouteSpec>) -> Self {
        let revocations = Arc::new(Revoked::default());
        let shared = Arc::new(Shared::new(
            live(config, routes),
            Arc::clone(&revocations) as Arc<dyn Revocations>,
            Arc::new(SystemClock::default()),
            Arc::new(SystemEntropy),
            tokio::runtime::Handle::current(),
            Metrics::install(),
        ));
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listen = [any.into()];
        let running = start(&shared, &listen, any, 2, std::collections::HashMap::new()).unwrap();
        running.accept();
        Self { shared, running, revocations }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::of(TcpStream::connect(self.address()).await.unwrap())
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.write(bytes).await;
        client.answer().await
    }

    pub(crate) async fn admin(&self, target: &str) -> Answer {
        let socket = TcpStream::connect(self.running.admin_address()).await.unwrap();
        let mut client = Client::of(socket);
        client.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.answer().await
    }
}

pub(crate) fn live(config: Config, routes: Vec<RouteSpec>) -> Live {
    let table = RouteTable::build(routes, Arc::new(Roles::default())).unwrap();
    let schemes: Vec<Arc<dyn Scheme>> = vec![
        Arc::new(Names(CredentialKind::Bearer)),
        Arc::new(Names(CredentialKind::ApiKey)),
        Arc::new(Names(CredentialKind::Session)),
    ];
    let endpoints = Router::new()
        .route("/auth/echo", post(|body: String| async move { body }))
        .route("/.well-known/jwks.json", get(|| async { "keys" }))
        .route("/auth/me", get(|| async { "me" }))
        .route(
            "/auth/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                "slow"
            }),
        );
    Live::new(Arc::new(config), table, schemes, endpoints).unwrap()
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let field = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        self.head.lines().skip(1).filter_map(field).filter(|(n, _)| n == name).map(|(_, v)| v).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub(crate) const fn of(socket: TcpStream) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // A gateway that has refused already may have closed.
        let _ = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Reads until `mark` has come; all that came up to its end.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = find(&self.buffer, mark.as_bytes()) {
                return String::from_utf8_lossy(&self.buffer.drain(..at + mark.len()).collect::<Vec<_>>()).into_owned();
            }
            assert!(self.fill().await, "the connection ended before {mark:?}: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        let count = timeout(LONG, self.socket.read(&mut chunk)).await.expect("bytes in time").unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..count]);
        count > 0
    }

    /// The next whole answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status == 100 {
            return Answer { status, head, body: Vec::new() };
        }
        let mut answer = Answer { status, head, body: Vec::new() };
        if method == "HEAD" || status == 204 || status == 304 {
            return answer;
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let size = self.until("\r\n").await;
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
                let chunk = self.take(size + 2).await;
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return answer;
                }
            }
        }
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        answer.body = match length {
            Some(length) => self.take(length).await,
            None => self.rest().await,
        };
        answer
    }

    async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "the connection ended in a body");
        }
        self.buffer.drain(..count).collect()
    }

    /// Everything until the gateway closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

/// A credential is its user's name; `bad…` does not verify; a name with a space is a name with scopes.
struct Names(CredentialKind);

#[async_trait]
impl Scheme for Names {
    fn kind(&self) -> CredentialKind {
        self.0
    }

    async fn authenticate(&self, presented: &Presented<'_>) -> Outcome {
        let (value, refusal) = match self.0 {
            CredentialKind::Bearer => (
                presented.authorization.first().and_then(|value| value.strip_prefix(b"Bearer ")),
                Refusal::InvalidToken("The token does not verify."),
            ),
            CredentialKind::ApiKey => (presented.api_keys.first().copied(), Refusal::InvalidApiKey),
            CredentialKind::Session => (presented.cookies.first().copied(), Refusal::InvalidSession),
        };
        let Some(value) = value else { return Outcome::NotPresented };
        let name = String::from_utf8_lossy(value).into_owned();
        if name.starts_with("bad") {
            return Outcome::Rejected(refusal);
        }
        let concern = Concern { token: Some(token_of(&name)), session: None, account: None, key: None };
        let principal = Arc::new(principal(&name, self.0));
        Outcome::Accepted(Accepted { principal, concern, expires_at: None, rate_limit: None })
    }
}

/// The token id that `name`'s credential has here.
pub(crate) fn token_of(name: &str) -> TokenId {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    TokenId(uuid::Uuid::from_bytes(bytes))
}

fn principal(name: &str, method: CredentialKind) -> Principal {
    Principal {
        username: Some(name.to_owned()),
        scopes: "items:read".parse().unwrap(),
        ..Principal::own(format!("id-of-{name}"), method)
    }
}

/// A revocation list that tests write.
#[derive(Default)]
pub(crate) struct Revoked {
    pub(crate) tokens: Mutex<Vec<TokenId>>,
    pub(crate) unknown: AtomicBool,
}

#[async_trait]
impl Revocations for Revoked {
    async fn standing(&self, concern: &Concern) -> Standing {
        if self.unknown.load(Ordering::SeqCst) {
            return Standing::Unknown;
        }
        let revoked = self.tokens.lock().unwrap();
        if concern.token.is_some_and(|token| revoked.contains(&token)) { Standing::Revoked } else { Standing::Live }
    }

    fn is_outdated(&self, _: UserId, _: i64) -> bool {
        false
    }

    async fn publish(&self, _: Vec<Entry>) {}

    fn is_ready(&self) -> bool {
        !self.unknown.load(Ordering::SeqCst)
    }
}

/// A configuration on its defaults, without files.
pub(crate) fn config() -> Config {
    let empty = std::path::PathBuf::new;
    Config {
        file: empty(),
        server: config::Server {
            listen: Vec::new(),
            admin_listen: "127.0.0.1:0".parse().unwrap(),
            public_url: "http://127.0.0.1:8080".into(),
            trusted_proxies: Vec::new(),
            threads: 2,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            tls: config::Tls::default(),
            limits: Limits {
                h2_streams: 100,
                request_line: 8 << 10,
                header: 16 << 10,
                headers: 64 << 10,
                header_count: 100,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(10),
                keepalive_timeout: Duration::from_mins(1),
                connections: 1000,
            },
        },
        route_files: Vec::new(),
        backends: std::collections::BTreeMap::default(),
        auth: config::Auth::default(),
        tokens: config::Tokens {
            algorithm: config::Algorithm::Es256,
            keys: empty(),
            secret: None,
            activate_after: Duration::ZERO,
            audience: "portcullis".into(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(168),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
        },
        issuers: Vec::new(),
        api_keys: config::ApiKeys {
            header: "X-API-Key".into(),
            query_parameter: Some("api_key".into()),
            cache_ttl: Duration::from_mins(15),
        },
        roles: Roles::default(),
        scopes: std::collections::BTreeMap::default(),
        login: config::Login {
            rate_limit: config::Rate { count: 5, period: Duration::from_mins(1) },
            account_rate_limit: config::Rate { count: 20, period: Duration::from_mins(15) },
            concurrency: 1,
            queue: 64,
        },
        passwords: config::Passwords {
            min_length: 15,
            max_length: 256,
            require: Vec::new(),
            blocklist: config::Blocklist::Builtin,
            argon2: config::Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 },
        },
        accounts: config::Accounts { registration: false, default_role: "viewer".into() },
        mail: None,
        store_url: SecretString::from("sqlite::memory:"),
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
        log: config::Log { json: false, access: false },
    }
}

/// A backend with short deadlines nowhere: tests shorten what they are about.
pub(crate) fn backend(servers: &[&str]) -> BackendConfig {
    BackendConfig::plain(servers.join("+"), servers)
}

pub(crate) fn route(name: &str, path: &str, auth: AuthMode, backend: BackendConfig) -> RouteSpec {
    RouteSpec { auth, backend: Some(Arc::new(backend)), ..spec(name, path) }
}

/// `/open/**` for anybody, `/maybe/**` for whoever, `/**` with a credential.
pub(crate) fn routes(servers: &[&str]) -> Vec<RouteSpec> {
    let mut read = route("items", "/items/**", AuthMode::Required, backend(servers));
    read.scopes = vec!["items:read".parse().unwrap()];
    read.methods = Some(vec![Method::GET, Method::POST]);
    vec![
        route("open", "/open/**", AuthMode::None, backend(servers)),
        route("maybe", "/maybe/**", AuthMode::Optional, backend(servers)),
        route("rest", "/**", AuthMode::Required, backend(servers)),
        read,
    ]
}
