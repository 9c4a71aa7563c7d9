//! A route as its file says it, checked and resolved: what `policy::file` makes and `RouteTable` takes.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::config::{Backend, Cors, Rate};
use crate::domain::{CredentialKinds, IdentityTable, Scope};

pub use crate::domain::AllowInPath;

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the operator named it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// One route, with the file's `[defaults]` filled in.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Unique in the whole table.
    pub name: Arc<str>,
    /// Where its `[[route]]` begins.
    pub place: Place,
    /// Empty is any host.
    pub hosts: Vec<HostPattern>,
    /// The pattern as written: `/api/tenants/{tenant}/orders/**`.
    pub path: String,
    /// `None`: all but CONNECT and TRACE. GET brings HEAD.
    pub methods: Option<Vec<Method>>,
    /// `None` on routes that only `/auth/verify` uses.
    pub backend: Option<Arc<Backend>>,
    /// Whether a credential is needed.
    pub auth: AuthMode,
    /// Kinds not listed are not looked at.
    pub credentials: CredentialKinds,
    /// All of these.
    pub scopes: Vec<Scope>,
    /// And at least one of these.
    pub any_scopes: Vec<Scope>,
    /// And at least one of these, or a role that includes it.
    pub roles: Vec<String>,
    /// And all of these.
    pub conditions: Vec<Condition>,
    /// Whether a final literal also matches with one slash behind it.
    pub trailing_slash: TrailingSlash,
    /// Whether literals match without regard to ASCII case.
    pub case: Case,
    /// Oddities that this route takes in a path.
    pub allow_in_path: AllowInPath,
    /// A canonical literal prefix that is cut from the path towards the backend; empty cuts nothing.
    pub strip_prefix: String,
    /// What is put before the path towards the backend.
    pub add_prefix: String,
    /// `Host` towards the backend.
    pub host: HostRewrite,
    /// Set or removed towards the backend.
    pub request_headers: Vec<HeaderRule>,
    /// Set or removed towards the client.
    pub response_headers: Vec<HeaderRule>,
    /// Which identity headers the backend gets.
    pub identity: Arc<IdentityTable>,
    /// Whether a consumed bearer token is passed on.
    pub forward_credential: bool,
    /// Until the backend's response headers; `None` is the backend's own.
    pub timeout: Option<Duration>,
    /// The largest body in bytes; `None` is unbounded.
    pub max_body: Option<u64>,
    /// When an open stream ends.
    pub stream_expiry: StreamExpiry,
    /// Whether a refusal is one; `false` observes.
    pub enforce: bool,
    /// Calls a principal, else an address.
    pub rate_limit: Option<Rate>,
    /// What browsers are told about pages of other origins.
    pub cors: RouteCors,
}

/// `cors`, with `[cors]` filled in.
#[derive(Clone, Debug)]
pub enum RouteCors {
    /// There is none: a preflight is an ordinary request.
    None,
    /// The gateway's, by these rules.
    Rules(Arc<Cors>),
    /// The backend's own business.
    Backend,
}

/// `stream_expiry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamExpiry {
    /// With the session, or with the credential where there is none.
    Session,
    /// With the credential that opened it.
    Token,
}

/// A host pattern, in lower case and without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// That very host.
    Exact(String),
    /// `*.example.com`, held as `.example.com`: any number of labels before it, at least one.
    Wildcard(String),
}

/// `auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// A credential must be there and must verify.
    Required,
    /// Anonymous passes; what is presented must verify.
    Optional,
    /// Credentials are not looked at.
    None,
}

/// `trailing_slash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Both forms match.
    Either,
    /// Only the form as written.
    Exact,
}

/// `case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `/A` is not `/a`.
    Sensitive,
    /// ASCII case does not count.
    Insensitive,
}

/// One `where` entry: something of the principal that must equal a parameter or a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is compared.
    pub subject: ConditionSubject,
    /// With what.
    pub value: ConditionValue,
}

/// What of a principal a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionSubject {
    /// `subject`
    Subject,
    /// `username`
    Username,
    /// `claims.a.b`: a path of member names.
    Claim(Vec<String>),
    /// `attributes.a.b`
    Attribute(Vec<String>),
}

/// What a condition compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionValue {
    /// `"{tenant}"`: a parameter of the path, percent-decoded.
    Parameter(String),
    /// Anything else.
    Literal(serde_json::Value),
}

/// `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The client's.
    Preserve,
    /// The backend's own address.
    Backend,
    /// This one.
    Name(HeaderValue),
}

/// A header that is set, or removed where there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: Option<HeaderValue>,
}
