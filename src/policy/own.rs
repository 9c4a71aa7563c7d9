//! Which paths are the gateway's own, so that no route is asked.

use std::borrow::Cow;

use http::Method;

use crate::config::Config;

use super::table::{Found, RouteTable};
use super::target::{Authority, Target};

/// Where the JWKS is, on every host and whatever the prefix (RFC 8615).
pub const JWKS: &str = "/.well-known/jwks.json";

/// What clients can learn of the gateway (RFC 8414 §3).
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
/// The same where `OpenID` Connect looks for it (`OpenID` Connect Discovery 1.0 §4).
pub const OPENID: &str = "/.well-known/openid-configuration";

/// Where clients get tokens, below the prefix (RFC 6749 §3.2).
pub const TOKEN: &str = "/token";
/// Where they end them (RFC 7009 §2).
pub const REVOKE: &str = "/revoke";
/// Where they ask about them (RFC 7662 §2).
pub const INTROSPECT: &str = "/introspect";

/// Whether the canonical `path` is, or leads by an alias to, an endpoint that refuses in the words of OAuth 2.
#[must_use]
pub fn speaks_oauth(config: &Config, path: &str) -> bool {
    let endpoint = config.auth.alias(path).unwrap_or(Cow::Borrowed(path));
    endpoint.strip_prefix(config.auth.prefix.as_str()).is_some_and(|below| [TOKEN, REVOKE, INTROSPECT].contains(&below))
}

/// Whether the canonical `path` belongs to the gateway itself.
#[must_use]
pub fn is_own(config: &Config, path: &str) -> bool {
    [JWKS, METADATA, OPENID].contains(&path) || is_anywhere(config, path)
}

/// Whether it does on every host: below the prefix, and by an alias.
fn is_anywhere(config: &Config, path: &str) -> bool {
    is_below_prefix(config, path) || config.auth.alias(path).is_some()
}

fn is_below_prefix(config: &Config, path: &str) -> bool {
    path.strip_prefix(config.auth.prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The host of `server.public_url`, as targets spell it.
#[must_use]
pub fn public_host(config: &Config) -> Option<String> {
    let authority = config.server.public_url.split("//").nth(1).and_then(|rest| rest.split('/').next());
    authority.and_then(|text| Authority::parse(text.as_bytes())).map(|authority| authority.host)
}

/// Whether the gateway answers a request itself: below its prefix and by an alias on every host, for its well-known documents on its own
/// (`public_host`), and on others where no route has them.
#[must_use]
pub fn answers(config: &Config, public_host: Option<&str>, table: &RouteTable, target: &Target, method: &Method) -> bool {
    let (path, host) = (&target.path, target.host.as_deref());
    is_own(config, path.as_str())
        && (is_anywhere(config, path.as_str())
            || host.is_none()
            || host == public_host
            || matches!(table.find(host, path, method), Found::None))
}
