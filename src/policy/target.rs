//! From the raw request target and the `Host` fields to one target, or a refusal (RFC 9112 §3).

use std::fmt;
use std::net::Ipv6Addr;

use http::header::InvalidHeaderValue;
use http::{HeaderValue, Method, Version};

use crate::domain::CanonicalPath;
use crate::problem::Refusal;

use super::method::{USUAL, is_never_taken};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path that is matched, logged and sent.
    pub path: CanonicalPath,
    /// What follows the first `?`, byte for byte.
    pub query: Option<String>,
    /// Which host is asked for: in lower case, without port and final dot; none on HTTP/1.0 without `Host`.
    pub host: Option<String>,
    /// The port that the client named.
    pub port: Option<u16>,
}

/// A host and port, as a client or a proxy named them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// In lower case, without a final dot; an IPv6 address in brackets and in its canonical form.
    pub host: String,
    /// Where one was given.
    pub port: Option<u16>,
}

impl Authority {
    /// As `Host` says it.
    pub fn to_header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        match self.port {
            Some(_) => HeaderValue::try_from(self.to_string()),
            None => HeaderValue::from_str(&self.host),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Refuses methods that no route takes: CONNECT, TRACE, TRACK, DEBUG and everything that is not in capitals.
pub fn check_method(method: &Method) -> Result<(), Refusal> {
    if is_never_taken(method) { Err(Refusal::MethodNotAllowed(USUAL.join(", "))) } else { Ok(()) }
}

impl Target {
    /// Reads the request line's target as it came, and the values of all `Host` fields (or HTTP/2's `:authority`).
    ///
    /// Of the query, control characters, spaces, raw non-ASCII and `#` are refused; all else passes untouched.
    pub fn read(raw: &[u8], host_fields: &[&[u8]], version: Version) -> Result<Self, Refusal> {
        let named = match *host_fields {
            [] if version <= Version::HTTP_10 => None,
            [] => return Err(Refusal::AmbiguousTarget("there is no Host field")),
            [field] => Some(Authority::parse(field).ok_or(Refusal::AmbiguousTarget("the Host field is not valid"))?),
            [_, ..] => return Err(Refusal::AmbiguousTarget("there is more than one Host field")),
        };
        let (authority, raw) = if raw.first() == Some(&b'/') {
            (named, raw)
        } else if version >= Version::HTTP_2 {
            // Its authority stands elsewhere (RFC 9113 §8.3.1).
            return Err(Refusal::AmbiguousTarget("it does not start with a slash"));
        } else {
            let (default_port, given, raw) = absolute(raw)?;
            if named.is_some_and(|named| named.host != given.host || named.port_or(default_port) != given.port_or(default_port)) {
                return Err(Refusal::AmbiguousTarget("it names another host than the Host field"));
            }
            (Some(given), raw)
        };
        let (path, query) = match memchr::memchr(b'?', raw) {
            Some(mark) => (raw.get(..mark).unwrap_or_default(), Some(raw.get(mark + 1..).unwrap_or_default())),
            None => (raw, None),
        };
        // An absolute form may end with its authority (RFC 9112 §3.2.2).
        let path = if path.is_empty() { b"/" } else { path };
        let path = CanonicalPath::parse(path).map_err(|fault| Refusal::AmbiguousTarget(fault.as_str()))?;
        let query = query.map(read_query).transpose()?;
        let (host, port) = authority.map_or((None, None), |authority| (Some(authority.host), authority.port));
        Ok(Self { path, query, host, port })
    }

    /// Host and port together.
    #[must_use]
    pub fn authority(&self) -> Option<Authority> {
        self.host.clone().map(|host| Authority { host, port: self.port })
    }
}

/// Takes `http://host:port/path?query` apart: the scheme's port, the authority, what follows.
fn absolute(raw: &[u8]) -> Result<(u16, Authority, &[u8]), Refusal> {
    let no_slash = Refusal::AmbiguousTarget("it does not start with a slash");
    let after = |scheme: &str| {
        let (head, tail) = raw.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(tail)
    };
    let (port, rest) = match (after("http://"), after("https://")) {
        (Some(rest), _) => (80, rest),
        (_, Some(rest)) => (443, rest),
        _ => return Err(no_slash),
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).unwrap_or_default();
    let authority = Authority::parse(authority).ok_or(Refusal::AmbiguousTarget("its host is not valid"))?;
    Ok((port, authority, rest))
}

fn read_query(raw: &[u8]) -> Result<String, Refusal> {
    if raw.contains(&b'#') {
        return Err(Refusal::AmbiguousTarget("it has a fragment"));
    }
    match std::str::from_utf8(raw) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) => Ok(text.to_owned()),
        _ => Err(Refusal::AmbiguousTarget("its query has a space, a control character or raw characters outside ASCII")),
    }
}

impl Authority {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986 §3.2.2), more strictly than its grammar.
    ///
    /// Names are of letters, digits, `-` and `_` between single dots; no user information, no escapes, no empty port.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
            let (address, rest) = inner.split_once(']')?;
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), rest)
        } else {
            let (name, rest) = text.split_at_checked(text.find(':').unwrap_or(text.len()))?;
            (host_name(name)?, rest)
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) if (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0)?)
            }
            None if rest.is_empty() => None,
            _ => return None,
        };
        Some(Self { host, port })
    }

    fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }
}

/// A name in lower case, without its final dot; IPv4 addresses are names too.
fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}
