//! A route as its file says it, checked and resolved (contract §4): what `policy::file` makes and `RouteTable` takes.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::config::Backend;
use crate::domain::{CredentialKinds, IdentityTable, Scope};

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
    /// Oddities that this route takes in a path (§5).
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

/// Oddities of a path: those that a target has, or that a route takes (§5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowInPath(pub u8);

impl AllowInPath {
    /// `%2F`
    pub const ENCODED_SLASH: Self = Self(1);
    /// `;` or `%3B`
    pub const SEMICOLON: Self = Self(2);
    /// `//`
    pub const EMPTY_SEGMENT: Self = Self(4);
    /// `%252e`, `%252f`, `%255c`, `%2500`, `%253b`
    pub const DOUBLE_ENCODING: Self = Self(8);
    /// A segment that ends in a dot or a space.
    pub const TRAILING_DOT: Self = Self(16);

    /// Each with the name it has in route files.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("encoded_slash", Self::ENCODED_SLASH),
        ("semicolon", Self::SEMICOLON),
        ("empty_segment", Self::EMPTY_SEGMENT),
        ("double_encoding", Self::DOUBLE_ENCODING),
        ("trailing_dot", Self::TRAILING_DOT),
    ];

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of `self` that `allowed` does not have.
    #[must_use]
    pub const fn without(self, allowed: Self) -> Self {
        Self(self.0 & !allowed.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
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
