//! Floor 1: gateway.toml. This is the checked form: holding a [`Config`] means that every value is good.

mod aliases;
mod backend;
mod backend_tls;
pub(crate) mod backends;
pub(crate) mod cors;
pub(crate) mod document;
mod environment;
pub(crate) mod identity;
mod interpolate;
mod issuers;
pub(crate) mod json_schema;
mod listeners;
pub(crate) mod load;
mod mail;
mod origin;
mod overrides;
mod passwords;
mod pem;
mod postgres;
mod raw;
pub(crate) mod report;
pub(crate) mod roles;
pub(crate) mod schema;
mod server;
mod source;
mod storage;
mod tls;
mod tokens;
pub(crate) mod values;
pub(crate) mod watched;
pub(crate) mod words;
pub(crate) mod wrapped;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

pub use backend::{Backend, BackendServer, Balance, Health, Scheme};
pub use backend_tls::{BackendTls, ClientIdentity};
pub use cors::Cors;
pub use environment::Environment;
pub(crate) use environment::Variable;
pub(crate) use issuers::bare_typ;
pub use issuers::{ClaimPath, ExternalIssuer, FetchUrl, IssuerAlgorithm, IssuerClaims, IssuerKeys};
pub use json_schema::gateway_schema;
pub use listeners::{ListenAddress, Listener};
pub use load::{Loaded, load};
pub use origin::{Origin, Origins};
pub use passwords::{Blocklist, Kind, Passwords};
pub use report::{Diagnostic, Report, Severity};
pub use roles::{Role, Roles};
pub use tls::{Certificate, Tls, TlsVersion};

pub use crate::domain::Rate;
use crate::domain::{IdentityTable, Scope, SecretString};

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
    /// `[[issuers]]`
    pub issuers: Vec<Arc<ExternalIssuer>>,
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
    /// `[mail]`
    pub mail: Option<Mail>,
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

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Where the gateway's own endpoints live: `/auth`, no final slash.
    pub prefix: String,
    /// For challenges.
    pub realm: String,
    /// Who may use the password grant of the token endpoint.
    pub password_grant: PasswordGrant,
    /// Other paths of own endpoints: canonical path to where it leads.
    pub aliases: BTreeMap<String, String>,
}

/// As where nothing is configured.
impl Default for Auth {
    fn default() -> Self {
        Self {
            prefix: "/auth".to_owned(),
            realm: "portcullis".to_owned(),
            password_grant: PasswordGrant::Open,
            aliases: BTreeMap::new(),
        }
    }
}

/// `auth.password_grant`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordGrant {
    /// Everybody.
    Open,
    /// Registered clients.
    Clients,
    /// Nobody.
    Off,
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
    /// Whether people make their own accounts.
    pub registration: bool,
    /// The role of accounts that are made without one.
    pub default_role: String,
}

/// `[mail]`
#[derive(Clone, Debug)]
pub struct Mail {
    /// Who takes it.
    pub server: MailServer,
    /// The sender, as a mailbox (RFC 5322 §3.4).
    pub from: String,
}

/// `mail.smtp`, taken apart.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: MailSecurity,
    /// A user name and password.
    pub credentials: Option<(String, SecretString)>,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// In the clear.
    Plain,
    /// In TLS after `STARTTLS` (RFC 3207), or not at all.
    StartTls,
    /// In TLS from the first byte (RFC 8314 §3.3).
    Tls,
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
