//! A request that came by HTTP/2, judged by the same rules as one that came by HTTP/1: what two parsers could read
//! differently is refused, for the backend may speak HTTP/1 (RFC 9113 §8.2, §8.3, §10.3).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue};
use http::{HeaderMap, Method, Uri, request};
use pingora_http::RequestHeader;

use crate::config::Limits;
use crate::proxy::framing::{Fault, folds_to, read_length};
use crate::proxy::line::{Line, Peer, Request};
use crate::proxy::patience::Patience;

/// A request's head.
pub(super) struct Head {
    /// What goes beside it.
    pub(super) line: Arc<Line>,
    /// As pingora gets it: `/` for a target and no `Host`, as of HTTP/1.
    pub(super) header: RequestHeader,
    /// The body's length, where it is announced.
    pub(super) length: Option<u64>,
}

/// What a head takes in memory: as HPACK counts (RFC 7541 §4.1), for a few bytes on the wire can stand for many.
pub(super) fn size(parts: &request::Parts) -> usize {
    let fields: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    fields + parts.uri.path_and_query().map_or(0, |path| path.as_str().len()) + 128
}

impl Head {
    /// Judges a head. What is wrong with it stands in its line, so that it is answered and logged like any other.
    pub(super) fn read(mut parts: request::Parts, peer: Peer, limits: &Limits) -> Self {
        let target = match (parts.uri.path_and_query(), &parts.method) {
            // Its target is an authority, and it is refused for its method.
            (None, _) | (_, &Method::CONNECT) => Bytes::from_static(b"/"),
            (Some(path), _) => Bytes::copy_from_slice(path.as_str().as_bytes()),
        };
        let authority = parts.uri.authority().map(|authority| Bytes::copy_from_slice(authority.as_str().as_bytes()));
        let too_large = !fits(&parts, &target, limits);
        let (length, fault) = match fields(&parts.headers) {
            _ if too_large => (None, Some(Fault::TooLarge)),
            _ if !has_scheme(&parts) => (None, Some(Fault::Malformed("the scheme is neither http nor https"))),
            Ok(length) => (length, None),
            Err(fault) => (None, Some(fault)),
        };
        let mut hosts: Vec<Bytes> =
            parts.headers.get_all(HOST).iter().map(|host| Bytes::copy_from_slice(host.as_bytes())).collect();
        match (authority, hosts.as_slice()) {
            // Both say the same (RFC 9113 §8.3.1); where they do not, there are two, which is refused.
            (Some(authority), [host]) if authority.eq_ignore_ascii_case(host) => {}
            (Some(authority), _) => hosts.push(authority),
            (None, _) => {}
        }
        let request = Request { method: parts.method.clone(), target, version: parts.version, hosts };
        let line = Line::new(peer, request, Arc::new(Patience::new()), Arc::default());
        if let Some(fault) = fault {
            line.set_fault(fault);
        }
        parts.headers.remove(HOST);
        join_cookies(&mut parts.headers);
        parts.uri = Uri::from_static("/");
        if parts.method == Method::CONNECT {
            // pingora would answer it by itself.
            parts.method = Method::OPTIONS;
        }
        Self { line, header: parts.into(), length }
    }
}

/// Whether the scheme is one of ours; which of them is the client's affair, who may not know what is before us. The engine
/// keeps it beside an authority only.
fn has_scheme(parts: &request::Parts) -> bool {
    parts.method == Method::CONNECT || parts.uri.authority().is_none() || matches!(parts.uri.scheme_str(), Some("http" | "https"))
}

/// Whether a head is within the limits; fields are counted as HTTP/1 would write them.
fn fits(parts: &request::Parts, target: &[u8], limits: &Limits) -> bool {
    let mut total = 0;
    let fields = parts.headers.iter().all(|(name, value)| {
        let length = name.as_str().len() + 2 + value.len();
        total += length + 2;
        length <= limits.header
    });
    let line = parts.method.as_str().len() + target.len() + " HTTP/2.0 ".len();
    fields && total <= limits.headers && parts.headers.len() <= limits.header_count && line <= limits.request_line
}

/// Looks at what the engine does not (control bytes it refuses), and reads `Content-Length`.
fn fields(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        let framing = [&b"content-length"[..], b"transfer-encoding"].into_iter().filter(|framing| framing.len() == name.len());
        for field in framing {
            folds_to(name, field)?;
        }
        let value = value.as_bytes();
        if value.trim_ascii().len() != value.len() {
            return Err(Fault::Malformed("a field's value begins or ends with a space"));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => read_length(one.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(Fault::Malformed("Content-Length is repeated or odd")),
    }
}

/// HTTP/2 may send cookies in crumbs (RFC 9113 §8.2.3): whoever reads them next gets one field.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use http::Version;

    use super::*;

    fn limits() -> Limits {
        Limits {
            request_line: 64,
            header: 64,
            headers: 256,
            header_count: 5,
            header_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            keepalive_timeout: Duration::ZERO,
            connections: 1,
            h2_streams: 1,
        }
    }

    fn read(uri: &str, fields: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let peer = Peer::plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        Head::read(request.body(()).unwrap().into_parts().0, peer, &limits())
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = read("http://x:1/a?b", &[("cookie", "a=1"), ("host", "X:1"), ("cookie", "b=2"), ("content-length", "3")]);
        assert_eq!((&head.line.request.target[..], &head.line.request.hosts[..]), (&b"/a?b"[..], &[Bytes::from("X:1")][..]));
        assert_eq!((head.length, head.line.fault()), (Some(3), None));
        assert_eq!((head.header.uri.to_string(), head.header.headers.get(HOST)), ("/".into(), None));
        assert_eq!(head.header.headers[COOKIE], "a=1; b=2");
        assert_eq!(head.header.headers.get_all(COOKIE).iter().count(), 1);
    }

    #[test]
    fn a_host_that_differs_stands_beside_the_authority_and_is_refused_as_a_second_one() {
        assert_eq!(read("http://x/", &[("host", "y")]).line.request.hosts.len(), 2);
        assert_eq!(read("http://x/", &[("host", "x"), ("host", "y")]).line.request.hosts.len(), 3);
        assert_eq!(read("/", &[("host", "x"), ("host", "x")]).line.request.hosts.len(), 2);
        assert_eq!(read("/", &[("host", "x")]).line.request.hosts.len(), 1);
        assert_eq!(read("/", &[]).line.request.hosts.len(), 0);
    }

    #[test]
    fn what_http_1_could_read_differently_is_malformed() {
        for field in [
            ("content-length", "+1"),
            ("content-length", "01"),
            ("content-length", "1, 1"),
            ("content-length", ""),
            ("content_length", "1"),
            ("transfer_encoding", "chunked"),
            ("a", " b"),
            ("a", "b\t"),
        ] {
            assert!(matches!(read("http://x/", &[field]).line.fault(), Some(Fault::Malformed(_))), "{field:?}");
        }
        let twice = [("content-length", "1"), ("content-length", "1")];
        assert!(matches!(read("http://x/", &twice).line.fault(), Some(Fault::Malformed(_))));
    }

    #[test]
    fn limits_hold() {
        let long = "a".repeat(80);
        let (many, short) = ([("a", "b"); 6], "a".repeat(60));
        assert_eq!(read(&format!("http://x/{long}"), &[]).line.fault(), Some(Fault::TooLarge));
        assert_eq!(read("http://x/", &[("a", &long)]).line.fault(), Some(Fault::TooLarge));
        assert_eq!(read("http://x/", &many).line.fault(), Some(Fault::TooLarge));
        assert_eq!(read("http://x/", &[("a", short.as_str()); 5]).line.fault(), Some(Fault::TooLarge));
        assert_eq!(read("http://x/", &[("a", short.as_str()); 3]).line.fault(), None);
    }
}
