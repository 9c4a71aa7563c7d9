//! Which paths are the gateway's own, so that no route is asked.

use http::Method;

use crate::config::Config;

use super::table::{Found, RouteTable};
use super::target::{Authority, Target};

/// Where the JWKS is, on every host and whatever the prefix (RFC 8615).
pub const JWKS: &str = "/.well-known/jwks.json";

/// Whether the canonical `path` belongs to the gateway itself.
#[must_use]
pub fn is_own(config: &Config, path: &str) -> bool {
    path == JWKS || is_below_prefix(config, path)
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

/// Whether the gateway answers a request itself: below its prefix on every host, for its well-known documents on its own
/// (`public_host`), and on others where no route has them.
#[must_use]
pub fn answers(config: &Config, public_host: Option<&str>, table: &RouteTable, target: &Target, method: &Method) -> bool {
    let (path, host) = (&target.path, target.host.as_deref());
    is_own(config, path.as_str())
        && (is_below_prefix(config, path.as_str())
            || host.is_none()
            || host == public_host
            || matches!(table.find(host, path, method), Found::None))
}
