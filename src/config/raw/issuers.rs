//! `[[issuers]]`: whose tokens are accepted beside the gateway's own.

use crate::config::schema::{At, section};
use crate::config::values::{Secret, Wait};
use crate::config::words::words;
use crate::config::wrapped::{Named, Required};
use crate::domain::Scope;

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
