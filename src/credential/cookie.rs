//! The gateway's session cookie.

use http::HeaderValue;

use crate::config::Config;

/// Its names over HTTPS and over plain HTTP.
pub const NAMES: [&str; 2] = ["__Host-portcullis", "portcullis"];

/// The name in use.
#[must_use]
pub fn name(config: &Config) -> &'static str {
    let [secure, plain] = NAMES;
    if config.server.is_https() { secure } else { plain }
}

/// The values of the cookie `name` in one `Cookie` field (RFC 6265 §4.2.1).
pub fn values<'a>(field: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    field.split(|&b| b == b';').filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// `Set-Cookie` that removes a stale cookie of ours.
#[must_use]
pub fn clearing(config: &Config) -> HeaderValue {
    HeaderValue::from_static(if config.server.is_https() {
        "__Host-portcullis=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    } else {
        "portcullis=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_values_are_found_wherever_they_stand() {
        let found: Vec<&[u8]> = values(b"a=1; portcullis=x;portcullis=y; xportcullis=z", "portcullis").collect();
        assert_eq!(found, [b"x", b"y"]);
    }
}
