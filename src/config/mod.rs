//! Floor 1: gateway.toml. This is the checked form: holding a [`Config`] means that every value is good.

mod backend_tls;
pub(crate) mod backends;
pub(crate) mod cors;
pub(crate) mod document;
mod environment;
pub(crate) mod identity;
mod interpolate;
pub(crate) mod json_schema;
mod listeners;
pub(crate) mod load;
mod origin;
mod overrides;
mod raw;
pub(crate) mod report;
pub(crate) mod roles;
pub(crate) mod schema;
mod server;
mod storage;
mod tls;
mod tokens;
pub(crate) mod values;
pub(crate) mod watched;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

pub use backend_tls::{BackendTls, ClientIdentity};
pub use cors::Cors;
pub use environment::Environment;
pub(crate) use environment::Variable;
pub use json_schema::gateway_schema;
pub use listeners::{ListenAddress, Listener};
pub use load::{Loaded, load};
pub use origin::{Origin, Origins};
pub use report::{Diagnostic, Report, Severity};
pub use tls::{Certificate, Tls, TlsVersion};

use crate::domain::{IdentityTable, Scope, ScopeSet, SecretString};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; relative paths in it were resolved against its folder.
    pub file: PathBuf,
    /// `[server]`
    pub server: Server,
    /// `[routes].include`, absolute, as globs.
    pub route_files: Vec<String>,
    /// `[[backends]]` by name.
    pub backends: BTreeMap<String, Arc<Backend>>,
    /// `[auth]`
    pub auth: Auth,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[api_keys]`
    pub api_keys: ApiKeys,
    /// `[roles]` by name.
    pub roles: Roles,
    /// `[scopes]`: scope to description.
    pub scopes: BTreeMap<Scope, String>,
    /// `[login]`
    pub login: Login,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[accounts]`
    pub accounts: Accounts,
    /// `[store].url`, secret because it may hold a password.
    pub store_url: SecretString,
    /// `[redis]`
    pub redis: Option<Redis>,
    /// `[revocation]`
    pub revocation: Revocation,
    /// `[identity]`
    pub identity: Identity,
    /// `[cors]`, for routes without rules of their own and for the gateway's endpoints; `None` where no origin is allowed.
    pub cors: Option<Arc<Cors>>,
    /// `[log]`
    pub log: Log,
}

impl Config {
    /// Whether this can only be one replica by itself: a database file, and no Redis.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.redis.is_none() && secrecy::ExposeSecret::expose_secret(&self.store_url).starts_with("sqlite:")
    }
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub listen: Vec<Listener>,
    /// Health and metrics.
    pub admin_listen: SocketAddr,
    /// Token issuer, without a final slash.
    pub public_url: String,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// 0 = one per core; resolved: at least 1.
    pub threads: usize,
    /// After SIGTERM: not ready, still serving.
    pub drain_delay: Duration,
    /// Then at most this until the end.
    pub drain_timeout: Duration,
    /// `[server.tls]`
    pub tls: Tls,
    /// `[server.limits]`
    pub limits: Limits,
}

impl Server {
    /// Whether `public_url` is HTTPS: cookies are then `Secure`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// `[server.limits]`, sizes in bytes.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named and explained in the reference")]
pub struct Limits {
    pub request_line: usize,
    pub header: usize,
    pub headers: usize,
    pub header_count: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub keepalive_timeout: Duration,
    pub connections: usize,
    pub h2_streams: usize,
}

/// A `[[backends]]` entry, or one made of a route's inline URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name; the URL's authority for an inline one, behind its scheme where that is not `http`.
    pub name: String,
    /// Never empty.
    pub servers: Vec<BackendServer>,
    /// A path that every path is put behind, from an inline URL such as `http://a/base`; empty mostly.
    pub base_path: String,
    /// How its servers are spoken to.
    pub scheme: Scheme,
    /// How one of them is chosen.
    pub balance: Balance,
    /// To connect, with the TLS handshake.
    pub connect_timeout: Duration,
    /// Until response headers.
    pub timeout: Duration,
    /// Between reads.
    pub read_timeout: Duration,
    /// How many other servers an idempotent call is tried on.
    pub retries: u32,
    /// How its servers' health is asked for, if it is.
    pub health: Option<Health>,
}

impl Backend {
    /// Plain HTTP servers of equal weight, with the defaults of every other key.
    #[must_use]
    pub fn plain(name: impl Into<String>, servers: &[&str]) -> Self {
        Self {
            name: name.into(),
            servers: servers.iter().map(|server| BackendServer { address: (*server).to_owned(), weight: 1 }).collect(),
            base_path: String::new(),
            scheme: Scheme::Http,
            balance: Balance::RoundRobin,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_mins(1),
            read_timeout: Duration::from_mins(1),
            retries: 1,
            health: None,
        }
    }
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendServer {
    /// `host:port`, in lower case.
    pub address: String,
    /// Its part of the traffic, at least 1.
    pub weight: u32,
}

impl BackendServer {
    /// The host alone, without the brackets of IPv6 addresses.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

/// How a backend is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP/1.1.
    Http,
    /// TLS, always verified; HTTP/2 or HTTP/1.1, as the server chooses (ALPN).
    Https(Arc<BackendTls>),
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 §3.3).
    H2c,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    RoundRobin,
    /// By chance.
    Random,
    /// Where the fewest requests are under way.
    LeastConnections,
    /// The same for a client address.
    HashIp,
    /// The same for a principal, else for a client address.
    HashUser,
}

/// How a server's health is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The path of the GET.
    pub path: String,
    /// From one to the next.
    pub interval: Duration,
    /// After how many failures in a row a server is left out.
    pub unhealthy_after: u32,
    /// After how many successes in a row it is back.
    pub healthy_after: u32,
}

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Where the gateway's own endpoints live: `/auth`, no final slash.
    pub prefix: String,
    /// For challenges.
    pub realm: String,
}

/// `[tokens]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named and explained in the reference")]
pub struct Tokens {
    pub algorithm: Algorithm,
    pub keys: PathBuf,
    /// For HS256 only.
    pub secret: Option<SecretString>,
    pub activate_after: Duration,
    pub audience: String,
    pub access_ttl: Duration,
    pub refresh_ttl: Duration,
    pub refresh_grace: Duration,
    pub leeway: Duration,
}

impl Tokens {
    /// How long from now a revocation has to be kept.
    #[must_use]
    pub fn revocation_ttl(&self) -> Duration {
        self.access_ttl.saturating_add(self.leeway).saturating_add(Duration::from_mins(1))
    }
}

/// What own tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
    /// RSA with SHA-256, PKCS#1 v1.5 (RFC 7518 §3.3).
    Rs256,
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256,
}

impl Algorithm {
    /// Its registered name: what `alg` says (RFC 7518 §3.1, RFC 8037 §5).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

/// `[api_keys]`
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// The header it comes in, as written (`X-API-Key`).
    pub header: String,
    /// The query parameter it may come in.
    pub query_parameter: Option<String>,
    /// How long a known key goes on without the store.
    pub cache_ttl: Duration,
}

/// `[roles]`: named sets of scopes that may include each other; without cycles.
#[derive(Clone, Debug, Default)]
pub struct Roles(pub BTreeMap<String, Role>);

/// One role.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// The roles it includes, directly.
    pub includes: Vec<String>,
    /// The scopes it gives itself.
    pub scopes: ScopeSet,
}

impl Roles {
    /// All scopes of `roles` and of what they include; unknown roles give nothing.
    #[must_use]
    pub fn scopes_of(&self, roles: &[String]) -> ScopeSet {
        self.expanded(roles)
            .iter()
            .filter_map(|name| self.0.get(*name))
            .fold(ScopeSet::default(), |all, role| all.union(&role.scopes))
    }

    /// Whether somebody with `held` has the role `asked`, itself or by inclusion.
    #[must_use]
    pub fn grants(&self, held: &[String], asked: &str) -> bool {
        self.expanded(held).contains(&asked)
    }

    fn expanded<'a>(&'a self, roles: &'a [String]) -> std::collections::BTreeSet<&'a str> {
        let mut all = std::collections::BTreeSet::new();
        let mut open: Vec<&str> = roles.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if all.insert(name) {
                open.extend(self.0.get(name).into_iter().flat_map(|role| role.includes.iter().map(String::as_str)));
            }
        }
        all
    }
}

/// `N/period`: a burst of N, refilled over the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// N, at least 1.
    pub count: u32,
    /// The period, more than zero.
    pub period: Duration,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.period).to_string().replace(' ', ""))
    }
}

/// `[login]`
#[derive(Clone, Debug)]
pub struct Login {
    /// Attempts per client address.
    pub rate_limit: Rate,
    /// Failures per account.
    pub account_rate_limit: Rate,
    /// Password checks at once; resolved: at least 1.
    pub concurrency: usize,
    /// Waiting at most.
    pub queue: usize,
}

/// `[passwords]`
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Code points.
    pub min_length: usize,
    /// Bytes.
    pub max_length: usize,
    /// Cost of new hashes.
    pub argon2: Argon2Cost,
}

/// `[passwords].argon2`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// KiB.
    pub memory_kib: u32,
    /// Passes.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// `[accounts]`
#[derive(Clone, Debug)]
pub struct Accounts {
    /// The role of accounts that are made without one.
    pub default_role: String,
}

/// `[redis]`
#[derive(Clone, Debug)]
pub struct Redis {
    /// Where it is, secret because it may hold a password.
    pub url: SecretString,
    /// What every key of ours begins with.
    pub key_prefix: String,
}

/// `[revocation]`
#[derive(Clone, Copy, Debug)]
pub struct Revocation {
    /// Whether each call is confirmed with Redis.
    pub check: RevocationCheck,
    /// How old the list may be.
    pub max_staleness: Duration,
    /// Whether calls pass when it is older.
    pub allow_when_unavailable: bool,
}

/// `revocation.check`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationCheck {
    /// The list in memory.
    Replica,
    /// And a confirmation from Redis.
    Strict,
}

/// `[identity]`
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which headers the backend gets, where a route does not say otherwise.
    pub headers: Arc<IdentityTable>,
    /// Names that are not stripped from clients' requests; in lower case.
    pub keep_client_headers: Vec<String>,
    /// Whether a consumed bearer token is passed on.
    pub forward_credential: bool,
    /// `[identity].assertion`
    pub assertion: Assertion,
}

/// `[identity].assertion`: a signed statement about the caller, for backends that verify one.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// Whether it is sent.
    pub enabled: bool,
    /// The header that it is sent in; clients' own are removed in any case.
    pub header: HeaderName,
    /// How long it lives.
    pub ttl: Duration,
}

/// As where nothing is configured: not sent.
impl Default for Assertion {
    fn default() -> Self {
        Self { enabled: false, header: HeaderName::from_static("x-auth-assertion"), ttl: Duration::from_mins(1) }
    }
}

/// `[log]`
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// One JSON object a line, instead of text.
    pub json: bool,
    /// Whether there is an access log.
    pub access: bool,
}

/// The keys of gateway.toml.
#[cfg(test)]
pub(crate) const fn keys() -> &'static [schema::Key] {
    raw::Gateway::KEYS
}

#[cfg(test)]
mod tests;
