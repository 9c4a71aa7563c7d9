//! `[auth]`, `[tokens]`, `[session]`, `[api_keys]`: the gateway's own endpoints and the credentials it gives out.

use std::time::Duration;

use crate::config::schema::section;
use crate::config::values::{Secret, Wait};
use crate::config::words::words;
use crate::config::wrapped::{Later, Named};

section! {
    /// `[auth]`
    pub(crate) struct Auth {
        /// Where the gateway's own endpoints live.
        prefix: String = r#""/auth""#,
        /// The realm of challenges.
        realm: String = r#""portcullis""#,
        /// Who may use the password grant of the token endpoint: everybody, registered clients, nobody. Logging in stays.
        password_grant: PasswordGrant = r#""open""#,
        /// Other paths of own endpoints, such as `"/token" = "/auth/login"`; for clients that know those paths. What is below an
        /// endpoint is below its alias too. `"/health"` may lead to `"/livez"` or `"/readyz"` of the admin listener.
        aliases: Vec<Named<String>> = "{}",
        /// Other gateways' forward-auth paths.
        _compat as "compat": Later = "[]",
    }
}

words! {
    /// `auth.password_grant`
    pub(crate) enum PasswordGrant {
        /// Everybody.
        Open = "open",
        /// Registered clients.
        Clients = "clients",
        /// Nobody.
        Off = "off",
    } later []
}

section! {
    /// `[tokens]`
    pub(crate) struct Tokens {
        /// What own tokens are signed with, and what kind of key is made. After a change the keys of before go on verifying.
        algorithm: Algorithm = r#""ES256""#,
        /// The folder of the key files.
        keys: String = r#""keys/""#,
        /// The key of HS256, 32 bytes at least.
        secret: Secret = r#""""#,
        /// A new key verifies and is published at once, and signs after this.
        activate_after: Duration = r#""60s""#,
        /// The audience of own tokens.
        audience: String = r#""portcullis""#,
        /// How long an access token lives.
        access_ttl: Wait = r#""15m""#,
        /// How long a login lives without a refresh.
        refresh_ttl: Wait = r#""7d""#,
        /// How long a replay of a refresh token still gives its unused successor.
        refresh_grace: Duration = r#""10s""#,
        /// How far clocks may differ.
        leeway: Duration = r#""30s""#,
    }
}

words! {
    /// `tokens.algorithm`
    pub(crate) enum Algorithm {
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
        /// RSA with SHA-256.
        Rs256 = "RS256",
        /// HMAC with SHA-256.
        Hs256 = "HS256",
    } later []
}

section! {
    /// `[session]`
    pub(crate) struct Session {
        /// Ends a browser session that is not used.
        _idle as "idle": Later = r#""24h""#,
        /// Ends every browser session.
        _absolute as "absolute": Later = r#""7d""#,
    }
}

section! {
    /// `[api_keys]`
    pub(crate) struct ApiKeys {
        /// The header an API key comes in.
        header: String = r#""X-API-Key""#,
        /// The query parameter it may come in; empty is none.
        query_parameter: String = r#""""#,
        /// How long a known key goes on without the store.
        cache_ttl: Duration = r#""15m""#,
    }
}
