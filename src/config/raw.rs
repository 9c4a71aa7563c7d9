//! gateway.toml as it is written: every key with its type, its default and what it is for.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Rate;
use super::identity::IdentityWish;
use super::listeners::Listen;
use super::schema::{At, section};
use super::values::{Count, Secret, Size, Version, Wait};
use super::words::words;
use super::wrapped::{Later, LaterSection, Named, Required};
use crate::domain::Scope;

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
        /// Sending mail.
        _mail as "mail": LaterSection<Mail, false> = "",
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
    /// `[server]`
    pub(crate) struct Server {
        /// Addresses to listen on: `"address:port"`, `"unix:/path"`, or a table `{ address = "[::]:443", tls = true,
        /// proxy_protocol = false, redirect_to_https = false }`. `tls` takes the certificates of `[server.tls]`,
        /// `proxy_protocol` asks for a PROXY header before all else, `redirect_to_https` sends every request to HTTPS.
        listen: Vec<At<Listen>> = r#"["127.0.0.1:8080"]"#,
        /// Health and metrics; never public.
        admin_listen: SocketAddr = r#""127.0.0.1:9901""#,
        /// The URL clients reach the gateway at: the issuer of its tokens. HTTPS makes cookies Secure.
        public_url: String = r#""http://127.0.0.1:8080""#,
        /// Whose X-Forwarded-For and -Proto are believed, walked from right to left.
        trusted_proxies: Vec<At<IpNet>> = "[]",
        /// Threads that serve traffic; 0 is one a core.
        threads: Count<0, 1024> = "0",
        /// After SIGTERM: not ready, still serving.
        drain_delay: Duration = r#""0s""#,
        /// Then: no new connections, exit when idle, at most this.
        drain_timeout: Duration = r#""30s""#,
        /// TLS.
        tls: Tls = "{}",
        /// What a request may be at most.
        limits: Limits = "{}",
    }
}

section! {
    /// `[server.tls]`
    pub(crate) struct Tls {
        /// Certificates, chosen by SNI; the first where none fits.
        certificates: Vec<At<Certificate>> = "[]",
        /// The oldest version that is spoken.
        min_version: TlsVersion = r#""1.2""#,
        /// A file with the authorities of client certificates, which are then required on every `tls` listener.
        client_ca: String = r#""""#,
    }
}

section! {
    /// `[[server.tls.certificates]]`
    pub(crate) struct Certificate {
        /// A PEM file: the certificate, then those that lead to its authority.
        certificate: Required<String> = "",
        /// A PEM file with its key: PKCS#8, PKCS#1 or SEC1.
        key: Required<String> = "",
    }
}

words! {
    /// `server.tls.min_version`
    pub(crate) enum TlsVersion {
        /// TLS 1.2, RFC 5246.
        Tls12 = "1.2",
        /// TLS 1.3, RFC 8446.
        Tls13 = "1.3",
    } later []
}

section! {
    /// `[server.limits]`
    pub(crate) struct Limits {
        /// The request line.
        request_line: Size<256, { 64 * KIB }> = r#""8KiB""#,
        /// One header field.
        header: Size<256, MIB> = r#""16KiB""#,
        /// All header fields together.
        headers: Size<256, MIB> = r#""64KiB""#,
        /// How many header fields.
        header_count: Count<1, 256> = "100",
        /// Until the header is complete, from its first byte.
        header_timeout: Wait = r#""10s""#,
        /// Until the body of a call to an own endpoint is complete.
        body_timeout: Wait = r#""10s""#,
        /// How long an idle connection stays open.
        keepalive_timeout: Wait = r#""60s""#,
        /// Connections at once; more are refused.
        connections: Count<1, 10_000_000> = "10000",
        /// Streams of one HTTP/2 connection at once.
        h2_streams: Count<1, 10_000> = "100",
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
    /// `[[backends]]`
    pub(crate) struct Backend {
        /// The name that routes use.
        name: Required<String> = "",
        /// Its servers, as `"host:port"` or `{ address = "host:port", weight = 1 }`. Each address that a name resolves to is a
        /// server of that weight.
        servers: Required<Vec<At<BackendServer>>> = "",
        /// How they are spoken to.
        scheme: Scheme = r#""http""#,
        /// TLS towards them, for `scheme = "https"`; their certificates are always verified.
        tls: BackendTls = "{}",
        /// How one of them is chosen.
        balance: Balance = r#""round_robin""#,
        /// Until connected.
        connect_timeout: Wait = r#""2s""#,
        /// Until the response's header.
        timeout: Wait = r#""60s""#,
        /// Between two reads of the response.
        read_timeout: Wait = r#""60s""#,
        /// How many other servers an idempotent call is tried on.
        retries: Count<0, 10> = "1",
        /// Health checks.
        health: Health = "{}",
    }
}

/// An element of `servers`: its address and its weight.
#[derive(Clone, Debug)]
pub(crate) struct BackendServer(pub(crate) At<String>, pub(crate) u32);

section! {
    /// An element of `servers` as a table.
    pub(crate) struct WeightedServer {
        /// `"host:port"`
        address: Required<String> = "",
        /// How much of the traffic it takes, beside the other servers' weights.
        weight: Count<1, 1000> = "1",
    }
}

section! {
    /// `[backends].tls`
    pub(crate) struct BackendTls {
        /// The name that its certificate must have; empty: the host of the server's address.
        server_name: String = r#""""#,
        /// A PEM file with the authorities that may have signed it; empty: the system's.
        ca: String = r#""""#,
        /// The gateway's certificate towards it, a PEM file with its chain.
        certificate: String = r#""""#,
        /// And its key, a PEM file.
        key: String = r#""""#,
    }
}

section! {
    /// `[backends].health`
    pub(crate) struct Health {
        /// The path that is asked for with GET; 2xx and 3xx are good. Empty asks for none.
        path: String = r#""""#,
        /// How often.
        interval: Wait = r#""5s""#,
        /// After how many failures in a row a server is left out.
        unhealthy_after: Count<1, 100> = "3",
        /// After how many successes in a row it is back.
        healthy_after: Count<1, 100> = "2",
    }
}

words! {
    /// `backends.scheme`
    pub(crate) enum Scheme {
        /// Plain HTTP/1.1.
        Http = "http",
        /// TLS: HTTP/2 or HTTP/1.1, as the server chooses.
        Https = "https",
        /// HTTP/2 without TLS, known beforehand.
        H2c = "h2c",
    } later []
}

words! {
    /// `backends.balance`
    pub(crate) enum Balance {
        /// One after the other.
        RoundRobin = "round_robin",
        /// By chance.
        Random = "random",
        /// Where the fewest requests are under way.
        LeastConnections = "least_connections",
        /// The same for a client address.
        HashIp = "hash:ip",
        /// The same for a principal; for a client address where there is none.
        HashUser = "hash:user",
    } later []
}

section! {
    /// `[auth]`
    pub(crate) struct Auth {
        /// Where the gateway's own endpoints live.
        prefix: String = r#""/auth""#,
        /// The realm of challenges.
        realm: String = r#""portcullis""#,
        /// Who may use the password grant.
        _password_grant as "password_grant": PasswordGrant = r#""open""#,
        /// Other paths of own endpoints.
        _aliases as "aliases": Later = "{}",
        /// Other gateways' forward-auth paths.
        _compat as "compat": Later = "[]",
    }
}

words! {
    /// `auth.password_grant`
    pub(crate) enum PasswordGrant {
        /// Everybody.
        Open = "open",
    } later ["clients", "off"]
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
    /// `[[issuers]]`
    pub(crate) struct Issuer {
        /// Its name for backends, logs and limits.
        name: Required<String> = "",
        /// The `iss` of its tokens, letter for letter.
        iss as "issuer": Required<String> = "",
        /// Whom its tokens have to be for: one of these stands in their `aud`.
        audience: Required<Vec<At<String>>> = "",
        /// What its tokens may be signed with: `"HS256"`, `"HS384"`, `"HS512"` with a `secret`, else `"ES256"`, `"ES384"`, `"EdDSA"`,
        /// `"RS256"`, `"RS384"`, `"RS512"`, `"PS256"`, `"PS384"`, `"PS512"`.
        algorithms: Required<Vec<At<IssuerAlgorithm>>> = "",
        /// The `typ` that its tokens may have; `""` is none.
        typ: Vec<At<String>> = r#"["at+jwt", "JWT"]"#,
        /// How long its tokens may live.
        max_lifetime: Wait = r#""24h""#,
        /// Where its keys are: https, or http on this machine.
        jwks_url: String = r#""""#,
        /// Or a file with them, a JWK Set; read again at a reload.
        jwks_file: String = r#""""#,
        /// Or whether its `/.well-known/openid-configuration` says where.
        discovery: bool = "false",
        /// Or the key of HS256, 32 bytes at least.
        secret: Secret = r#""""#,
        /// Which claims are the username, the scopes and the roles.
        claims: IssuerClaims = "{}",
        /// Which of its scopes count.
        scopes: IssuerScopes = "{}",
        /// Which of its roles count.
        roles: IssuerRoles = "{}",
        /// Whether subject and username are passed on as they are, and not behind the issuer's name and a colon.
        trust_subject: bool = "false",
    }
}

words! {
    /// An element of `issuers.algorithms` (RFC 7518 §3.1, RFC 8037 §3.1).
    pub(crate) enum IssuerAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// ECDSA on P-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDsa = "EdDSA",
        /// RSA, PKCS#1 v1.5, with SHA-256.
        Rs256 = "RS256",
        /// The same with SHA-384.
        Rs384 = "RS384",
        /// The same with SHA-512.
        Rs512 = "RS512",
        /// RSA, PSS, with SHA-256.
        Ps256 = "PS256",
        /// The same with SHA-384.
        Ps384 = "PS384",
        /// The same with SHA-512.
        Ps512 = "PS512",
    } later []
}

section! {
    /// `[issuers].claims`: names of members, with dots between those that lie in one another. A name may hold dots itself:
    /// `"https://example.com/roles"`.
    pub(crate) struct IssuerClaims {
        /// The username.
        username: String = r#""email""#,
        /// The scopes: a string with spaces between, or an array.
        scopes: String = r#""scope""#,
        /// The roles: a string, or an array.
        roles: String = r#""app_metadata.roles""#,
    }
}

section! {
    /// `[issuers].scopes`
    pub(crate) struct IssuerScopes {
        /// Those that count, with all below them; none are none. `*` itself never counts.
        allow: Vec<At<Scope>> = "[]",
        /// What is then put before each.
        prefix: String = r#""""#,
    }
}

section! {
    /// `[issuers].roles`
    pub(crate) struct IssuerRoles {
        /// `{ theirs = "ours" }`; others do not count.
        map: Vec<Named<String>> = "{}",
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

section! {
    /// An entry of `[roles]`.
    pub(crate) struct Role {
        /// The roles it includes.
        includes: Vec<At<String>> = "[]",
        /// The scopes it gives itself.
        scopes: Vec<At<Scope>> = "[]",
    }
}

section! {
    /// `[login]`
    pub(crate) struct Login {
        /// Attempts a client address: an IPv4 address, an IPv6 /64.
        rate_limit: Rate = r#""5/1m""#,
        /// Failures an account.
        account_rate_limit: Rate = r#""20/15m""#,
        /// Password checks at once; 0 is half the cores, at least 1.
        concurrency: Count<0, 1024> = "0",
        /// How many may wait for one.
        queue: Count<0, 100_000> = "64",
    }
}

section! {
    /// `[passwords]`
    pub(crate) struct Passwords {
        /// In code points.
        min_length: Count<1, 1024> = "15",
        /// In bytes.
        max_length: Size<64, { 16 * KIB }> = r#""256B""#,
        /// Kinds of characters that must be there.
        _require as "require": Later = "[]",
        /// Passwords that are refused.
        _blocklist as "blocklist": Later = r#""builtin""#,
        /// What a new hash costs.
        argon2: Argon2 = "{}",
    }
}

section! {
    /// `[passwords].argon2`
    pub(crate) struct Argon2 {
        /// Memory.
        memory: Size<{ 8 * KIB }, { 4096 * MIB }> = r#""64MiB""#,
        /// Passes over it.
        iterations: Count<1, 64> = "3",
        /// Lanes.
        parallelism: Count<1, 64> = "4",
    }
}

section! {
    /// `[accounts]`
    pub(crate) struct Accounts {
        /// Whether people make their own accounts.
        _registration as "registration": Later = "false",
        /// The role of an account that is made without one.
        default_role: String = r#""viewer""#,
    }
}

section! {
    /// `[mail]`
    pub(crate) struct Mail {
        /// The server that takes mail.
        _smtp as "smtp": Option<Secret> = "",
        /// The sender.
        _from as "from": Option<String> = "",
    }
}

section! {
    /// `[store]`
    pub(crate) struct Store {
        /// Where it is: `sqlite://` and a path; `postgres://` is not available yet.
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
