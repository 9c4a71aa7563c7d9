//! Who is calling, as a credential proves it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{KeyId, SessionId};
use super::scope::ScopeSet;

/// Who vouches for a principal: the gateway, or one of `[[issuers]]` by its configured name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// The gateway itself.
    Own,
    /// An `[[issuers]]` entry.
    External(Arc<str>),
    /// An `[[issuers]]` entry with `trust_subject`: backends see its subjects and usernames as they are.
    Trusted(Arc<str>),
}

impl Issuer {
    /// Its name; `None` for the gateway itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::External(name) | Self::Trusted(name) => Some(name),
        }
    }
}

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// An API key in its header or query parameter.
    ApiKey,
    /// The browser's session cookie.
    Session,
}

impl CredentialKind {
    /// As `X-Auth-Method`, logs and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::ApiKey => "api_key",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which kinds a route looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialKinds {
    /// Bearer tokens.
    pub bearer: bool,
    /// API keys.
    pub api_key: bool,
    /// Session cookies.
    pub session: bool,
}

impl CredentialKinds {
    /// All three: the default.
    pub const ALL: Self = Self { bearer: true, api_key: true, session: true };

    /// Whether `kind` is among them.
    #[must_use]
    pub const fn contains(self, kind: CredentialKind) -> bool {
        match kind {
            CredentialKind::Bearer => self.bearer,
            CredentialKind::ApiKey => self.api_key,
            CredentialKind::Session => self.session,
        }
    }
}

/// The user or machine client that a verified credential proves, known by `(issuer, subject)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Who vouches for it.
    pub issuer: Issuer,
    /// Its id at that issuer: a user id for our own.
    pub subject: String,
    /// Its login name.
    pub username: Option<String>,
    /// Its full name.
    pub full_name: Option<String>,
    /// Its e-mail address, only when verified.
    pub email: Option<String>,
    /// The roles assigned to it, without those that they include.
    pub roles: Vec<String>,
    /// What this credential may do.
    pub scopes: ScopeSet,
    /// How it proved itself.
    pub method: CredentialKind,
    /// The session behind the credential.
    pub session: Option<SessionId>,
    /// The API key that was used.
    pub key: Option<KeyId>,
    /// The user's attributes, for `where` and identity headers.
    pub attributes: Map<String, Value>,
    /// The verified token's claims, for `where` and identity headers; empty for API keys.
    pub claims: Map<String, Value>,
    /// What backends are told of it, once that was written.
    pub rendered: Rendered,
}

/// Headers with their values.
pub type Headers = Arc<[(HeaderName, HeaderValue)]>;

/// Identity headers that were written of a principal, kept beside it: who calls again with the same token costs no rendering.
/// Says nothing about whom: all are equal, and a copy begins empty.
#[derive(Default)]
pub struct Rendered(OnceLock<(u64, Headers)>);

impl Rendered {
    /// What `write` makes by the table of that number. Headers of the first table that asks are kept; tables are few.
    pub fn by(&self, table: u64, write: impl Fn() -> Headers) -> Headers {
        let (kept, headers) = self.0.get_or_init(|| (table, write()));
        if *kept == table { Arc::clone(headers) } else { write() }
    }
}

impl Clone for Rendered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Rendered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rendered")
    }
}

impl Principal {
    /// One of our own of which nothing more is known, and who may do nothing.
    #[must_use]
    pub fn own(subject: impl Into<String>, method: CredentialKind) -> Self {
        Self {
            issuer: Issuer::Own,
            subject: subject.into(),
            username: None,
            full_name: None,
            email: None,
            roles: Vec::new(),
            scopes: ScopeSet::default(),
            method,
            session: None,
            key: None,
            attributes: Map::new(),
            claims: Map::new(),
            rendered: Rendered::default(),
        }
    }

    /// Whether it is an OAuth client of our own that acts as itself (RFC 9068 §2.2: its `sub` is its `client_id`), and no user.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.issuer == Issuer::Own && self.claims.get("client_id").and_then(Value::as_str) == Some(&self.subject)
    }

    /// How logs, limits and caches name it: unique over all issuers.
    #[must_use]
    pub fn id(&self) -> String {
        match self.issuer.name() {
            None => self.subject.clone(),
            Some(name) => format!("{name}:{}", self.subject),
        }
    }

    /// A subject or username as backends and conditions see it: another issuer's is put behind that issuer's name,
    /// unless that is trusted to name its users.
    #[must_use]
    pub fn shown<'a>(&self, value: &'a str) -> Cow<'a, str> {
        match &self.issuer {
            Issuer::Own | Issuer::Trusted(_) => Cow::Borrowed(value),
            Issuer::External(name) => Cow::Owned(format!("{name}:{value}")),
        }
    }
}
