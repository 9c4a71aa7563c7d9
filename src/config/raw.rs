//! gateway.toml as it is written: every key with its type, its default and what it is for. Large sections have a file each.

mod backends;
mod credentials;
mod issuers;
mod people;
mod server;

use std::time::Duration;

pub(crate) use self::backends::{Backend, BackendServer, BackendTls, Balance, Health, Scheme, WeightedServer};
pub(crate) use self::credentials::{Algorithm, ApiKeys, Auth, PasswordGrant, Session, Tokens};
pub(crate) use self::issuers::{Issuer, IssuerAlgorithm, IssuerScopes};
pub(crate) use self::people::{Accounts, Argon2, Login, Mail, PasswordKind, Passwords, Role};
pub(crate) use self::server::{Certificate, Server, Tls, TlsVersion};
use super::identity::IdentityWish;
use super::schema::{At, section};
use super::values::{Secret, Version, Wait};
use super::words::words;
use super::wrapped::{Later, Named, Required};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

section! {
    /// gateway.toml
    pub(crate) struct Gateway {
        /// The version of this file's form.
        _version as "version": Version = "1",
        /// The addresses the gateway listens on, and its limits.
        server: Server = "{}",
        /// Where the routes are.
        routes: Routes = "{}",
        /// What routes lead to.
        backends: Vec<At<Backend>> = "[]",
        /// The gateway's own endpoints.
        auth: Auth = "{}",
        /// The gateway's own tokens.
        tokens: Tokens = "{}",
        /// Browser sessions.
        _session as "session": Session = "{}",
        /// Whose tokens are accepted beside the gateway's own.
        issuers: Vec<At<Issuer>> = "[]",
        /// Sign-in at another provider.
        _oidc as "oidc": Later = "[]",
        /// API keys.
        api_keys: ApiKeys = "{}",
        /// Named sets of scopes. There are `admin` (includes `user`, scope `*`), `user` (includes `viewer`) and `viewer`; what is
        /// written replaces the one of that name, the others stay.
        roles: Vec<Named<Role>> = "{}",
        /// The scopes there are, with a description each. Where there are some, a route that asks for another is warned of.
        scopes: Vec<Named<String>> = "{}",
        /// Logging in.
        login: Login = "{}",
        /// Passwords and what checking one costs.
        passwords: Passwords = "{}",
        /// Accounts.
        accounts: Accounts = "{}",
        /// Sending mail: without it nobody resets a password or changes an e-mail address by himself.
        mail: Option<Mail> = "",
        /// Where accounts, sessions, keys and revocations are kept.
        store: Store = "{}",
        /// A Redis that carries revocations and limits between replicas.
        redis: Option<Redis> = "",
        /// Revocation.
        revocation: Revocation = "{}",
        /// What backends learn about who is calling.
        identity: Identity = "{}",
        /// Which pages of other origins may call from a browser: for the gateway's own endpoints, and for routes without `cors`.
        cors: Cors = "{}",
        /// Logs.
        log: Log = "{}",
        /// Traces.
        _telemetry as "telemetry": Telemetry = "{}",
    }
}

section! {
    /// `[routes]`
    pub(crate) struct Routes {
        /// Route files, as globs.
        include: Vec<At<String>> = r#"["routes/*.toml"]"#,
    }
}

section! {
    /// `[store]`
    pub(crate) struct Store {
        /// Where it is: `sqlite://` and a path, or `postgres://user:password@host/database`, which several replicas share.
        url: Secret = r#""sqlite://data/portcullis.db""#,
    }
}

section! {
    /// `[redis]`
    pub(crate) struct Redis {
        /// Where it is: `redis://host:6379/0`, or `rediss://` for TLS; `redis+sentinel://` and `redis+cluster://` are not
        /// available yet.
        url: Required<Secret> = "",
        /// What every key of ours begins with.
        key_prefix: String = r#""portcullis""#,
    }
}

section! {
    /// `[revocation]`
    pub(crate) struct Revocation {
        /// Whether each call is confirmed with Redis.
        check: RevocationCheck = r#""replica""#,
        /// How old the list in memory may be.
        max_staleness: Wait = r#""2s""#,
        /// What becomes of calls when it is older.
        when_unavailable: WhenUnavailable = r#""deny""#,
    }
}

words! {
    /// `revocation.check`
    pub(crate) enum RevocationCheck {
        /// The list in memory.
        Replica = "replica",
        /// And a confirmation.
        Strict = "strict",
    } later []
}

words! {
    /// `revocation.when_unavailable`
    pub(crate) enum WhenUnavailable {
        /// 503.
        Deny = "deny",
        /// They pass.
        Allow = "allow",
    } later []
}

section! {
    /// `[identity]`
    pub(crate) struct Identity {
        /// The headers that name the caller: `"x-auth"`, `"oauth2-proxy"`, `"authelia"`, `"none"`, or a table such as
        /// `{ "Remote-User" = "{username}" }`.
        headers: IdentityWish = r#""x-auth""#,
        /// Names that are not stripped from clients' requests.
        keep_client_headers: Vec<At<String>> = "[]",
        /// Whether a consumed bearer token is passed on.
        forward_credential: bool = "false",
        /// A signed statement about the caller.
        assertion: Assertion = "{}",
    }
}

section! {
    /// `[identity].assertion`
    pub(crate) struct Assertion {
        /// Whether it is sent, to backends that verify it with the gateway's public keys.
        enabled: bool = "false",
        /// Its header; a client's own is removed, whether it is sent or not.
        header: String = r#""X-Auth-Assertion""#,
        /// How long it lives; it is sent again for half of that.
        ttl: Wait = r#""60s""#,
    }
}

section! {
    /// `[cors]`
    pub(crate) struct Cors {
        /// Origins whose pages may call: `"https://app.example.com"`, `"https://*.example.com"` for all below a domain,
        /// `"null"`, or `"*"` alone for every page there is. None: no CORS.
        allow_origins: Vec<At<String>> = "[]",
        /// Methods, or `"*"`; empty is the route's.
        allow_methods: Vec<At<String>> = "[]",
        /// Request headers, or `"*"`; empty is Authorization, Content-Type and the API key header.
        allow_headers: Vec<At<String>> = "[]",
        /// Response headers that scripts may read, or `"*"`.
        expose_headers: Vec<At<String>> = "[]",
        /// Whether cookies come along. With the origin `"*"`: an error.
        allow_credentials: bool = "false",
        /// How long a browser remembers a preflight.
        max_age: Duration = r#""10m""#,
    }
}

section! {
    /// `[log]`
    pub(crate) struct Log {
        /// The form of the logs.
        format: LogFormat = r#""text""#,
        /// Whether there is an access log.
        access: bool = "true",
    }
}

words! {
    /// `log.format`
    pub(crate) enum LogFormat {
        /// For people.
        Text = "text",
        /// One object a line.
        Json = "json",
    } later []
}

section! {
    /// `[telemetry]`
    pub(crate) struct Telemetry {
        /// Where traces are sent.
        _otlp_endpoint as "otlp_endpoint": Later = r#""""#,
    }
}
