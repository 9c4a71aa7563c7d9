//! WebSocket handshakes (RFC 6455 §4): the one upgrade that is passed on, and only where both sides say exactly that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, Method, Version};
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use super::forwarded;
use super::line::Request;
use super::target::Authority;
use crate::config::Cors;
use crate::domain::CredentialKind;
use crate::policy::Permit;
use crate::problem::Refusal;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request asks for a WebSocket: GET on HTTP/1.1 without a body, `Connection: Upgrade`, `Upgrade: websocket`
/// alone, version 13. Whatever asks for something else, or in another way, is a plain request, and its `Upgrade` is
/// removed.
///
/// # Errors
/// When it is a handshake but for its key (RFC 6455 §4.2.1: 16 bytes in base64, once).
pub(crate) fn is_asked(request: &Request, headers: &HeaderMap) -> Result<bool, Refusal> {
    let asked = request.method == Method::GET
        && request.version == Version::HTTP_11
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
        && only(headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && names_upgrade(headers)
        && only(headers, &SEC_WEBSOCKET_VERSION) == Some(b"13");
    if !asked {
        return Ok(false);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    if key.is_some_and(|key| key.len() == 16) {
        Ok(true)
    } else {
        Err(Refusal::InvalidRequest("Sec-WebSocket-Key is missing, repeated, or not 16 bytes in base64."))
    }
}

/// Whether a backend's 101 agrees to what was asked.
pub(crate) fn is_agreed(response: &ResponseHeader) -> bool {
    let headers = &response.headers;
    only(headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && names_upgrade(headers)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Browsers send cookies with a handshake from any page, and no preflight: with a cookie for a credential the page has
/// to be this host's (RFC 6455 §10.2), or one that `cors` lets call with cookies. Who sends no `Origin` is no browser.
///
/// # Errors
/// When it is another's page.
pub(crate) fn allowed_origin(
    headers: &HeaderMap,
    permit: &Permit,
    origin: &forwarded::Origin,
    cors: Option<&Cors>,
) -> Result<(), Refusal> {
    let by_cookie = permit.principal().is_some_and(|caller| caller.method == CredentialKind::Session);
    if !by_cookie || may_bring_cookies(headers, origin, cors) {
        Ok(())
    } else {
        Err(Refusal::Forbidden("A page of another host may not open a WebSocket with this session."))
    }
}

fn may_bring_cookies(headers: &HeaderMap, origin: &forwarded::Origin, cors: Option<&Cors>) -> bool {
    let invited = |page: &[u8]| cors.is_some_and(|cors| cors.allow_credentials && cors.allow_origins.allow(page));
    !headers.contains_key(ORIGIN) || only(headers, &ORIGIN).is_some_and(|page| is_own(page, origin) || invited(page))
}

/// Whether `page`, an `Origin` (RFC 6454 §7), is the host that the request is for.
fn is_own(page: &[u8], origin: &forwarded::Origin) -> bool {
    let (scheme, port) = if origin.https { (&b"https://"[..], 443) } else { (&b"http://"[..], 80) };
    let named = page.split_at_checked(scheme.len()).filter(|(named, _)| named.eq_ignore_ascii_case(scheme));
    let Some(named) = named.and_then(|(_, host)| Authority::parse(host)) else { return false };
    let host = origin.authority.as_ref().map(|authority| &authority.host);
    host == Some(&named.host) && origin.port == named.port.unwrap_or(port)
}

/// Makes it a connection that speaks HTTP/1.1. Its deadlines end with its answer: a silent WebSocket is a healthy one.
pub(crate) fn prepare(peer: &mut HttpPeer) {
    peer.options.alpn = ALPN::H1;
}

/// Puts back into a request what is for one connection only, and was removed with all that is.
pub(crate) fn ask(request: &mut RequestHeader) -> Result<()> {
    request.insert_header(CONNECTION, "Upgrade")?;
    request.insert_header(UPGRADE, WEBSOCKET)
}

/// The same for the answer that agrees.
pub(crate) fn agree(response: &mut ResponseHeader) -> Result<()> {
    response.insert_header(CONNECTION, "Upgrade")?;
    response.insert_header(UPGRADE, WEBSOCKET)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let mut tokens = headers.get_all(CONNECTION).iter().flat_map(|field| field.as_bytes().split(|&b| b == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (Some(one), None) => Some(one.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::config::{Origin, Origins};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn asked(method: Method, version: Version, fields: &[(&str, &str)]) -> Result<bool, Refusal> {
        let request = Request { method, target: Bytes::from_static(b"/"), version, hosts: Vec::new() };
        is_asked(&request, &headers(fields))
    }

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())).fold(
            HeaderMap::new(),
            |mut all, (name, value)| {
                all.append(name, value);
                all
            },
        )
    }

    fn handshake<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let replaced = |name: &str| changes.iter().any(|(other, _)| *other == name);
        usual
            .into_iter()
            .filter(|(name, _)| !replaced(name))
            .chain(changes.iter().copied().filter(|(_, v)| !v.is_empty()))
            .collect()
    }

    #[test]
    fn a_handshake_as_the_rfc_has_it_is_one() {
        assert_eq!(asked(Method::GET, Version::HTTP_11, &handshake(&[])), Ok(true));
    }

    #[test]
    fn whatever_else_wants_an_upgrade_is_a_plain_request() {
        for changes in [
            &[("upgrade", "h2c")][..],
            &[("upgrade", "websocket, h2c")],
            &[("upgrade", "websocket"), ("upgrade", "websocket")],
            &[("upgrade", "websocket/13")],
            &[("upgrade", "")],
            &[("connection", "keep-alive")],
            &[("connection", "")],
            &[("connection", "xupgrade")],
            &[("sec-websocket-version", "8")],
            &[("sec-websocket-version", "")],
            &[("sec-websocket-version", "13"), ("sec-websocket-version", "13")],
            &[("content-length", "0")],
            &[("content-length", "5")],
            &[("transfer-encoding", "chunked")],
        ] {
            assert_eq!(asked(Method::GET, Version::HTTP_11, &handshake(changes)), Ok(false), "{changes:?}");
        }
        assert_eq!(asked(Method::POST, Version::HTTP_11, &handshake(&[])), Ok(false));
        assert_eq!(asked(Method::HEAD, Version::HTTP_11, &handshake(&[])), Ok(false));
        assert_eq!(asked(Method::GET, Version::HTTP_10, &handshake(&[])), Ok(false));
    }

    #[test]
    fn a_handshake_without_exactly_one_key_is_malformed() {
        for changes in [
            &[("sec-websocket-key", "")][..],
            &[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)],
            &[("sec-websocket-key", "c2hvcnQ=")],
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
            &[("sec-websocket-key", "not base64 at all !!!!!!")],
        ] {
            assert!(asked(Method::GET, Version::HTTP_11, &handshake(changes)).is_err(), "{changes:?}");
        }
    }

    #[test]
    fn only_a_101_to_websocket_agrees() {
        let agreed = |fields: &[(&str, &str)]| {
            let mut response = ResponseHeader::build(101, None).unwrap();
            for (name, value) in fields {
                response.append_header((*name).to_owned(), *value).unwrap();
            }
            is_agreed(&response)
        };
        assert!(agreed(&[("connection", "upgrade"), ("upgrade", "WebSocket")]));
        assert!(!agreed(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!agreed(&[("upgrade", "websocket")]));
        assert!(!agreed(&[("connection", "upgrade")]));
        assert!(!agreed(&[("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "websocket")]));
        assert!(!agreed(&[("connection", "upgrade"), ("upgrade", "websocket"), ("content-length", "5")]));
        assert!(!agreed(&[("connection", "upgrade"), ("upgrade", "websocket"), ("transfer-encoding", "chunked")]));
    }

    #[test]
    fn a_cookie_comes_from_our_pages_or_those_that_cors_lets_bring_it() {
        let own = Authority::parse(b"app.test");
        let origin = forwarded::Origin::of("192.0.2.1".parse().unwrap(), true, own, forwarded::Claimed::default(), &[]);
        let rules = |allow_origins: Origins, allow_credentials| Cors {
            allow_origins,
            allow_methods: None,
            allow_headers: None,
            expose_headers: None,
            allow_credentials,
            max_age: Duration::ZERO,
        };
        let friends = || Origins::These(vec![Origin::Exact("https://friend.test".to_owned())]);
        let may = |pages: &[&str], cors: Option<&Cors>| {
            let fields: Vec<_> = pages.iter().map(|page| ("origin", *page)).collect();
            may_bring_cookies(&headers(&fields), &origin, cors)
        };
        let (with, without, any) = (rules(friends(), true), rules(friends(), false), rules(Origins::Any, false));
        for cors in [None, Some(&with), Some(&without), Some(&any)] {
            assert!(may(&[], cors), "no browser");
            assert!(may(&["https://app.test"], cors));
            for pages in [&["https://evil.test"][..], &["null"], &[""], &["https://app.test", "https://evil.test"]] {
                assert!(!may(pages, cors), "{pages:?} {cors:?}");
            }
            let friend = cors.is_some_and(|cors| cors.allow_credentials);
            assert_eq!(may(&["https://friend.test"], cors), friend, "{cors:?}");
            assert!(!may(&["https://friend.test", "https://friend.test"], cors));
        }
    }

    #[test]
    fn a_page_is_ours_by_scheme_host_and_port() {
        let origin = |host: &str, https| {
            let own = Authority::parse(host.as_bytes());
            forwarded::Origin::of("192.0.2.1".parse().unwrap(), https, own, forwarded::Claimed::default(), &[])
        };
        let own = |page: &str, host: &str, https| is_own(page.as_bytes(), &origin(host, https));
        assert!(own("http://app.test", "app.test", false));
        assert!(own("http://APP.test:80", "app.test", false));
        assert!(own("https://app.test", "app.test:443", true));
        assert!(own("http://app.test:8080", "app.test:8080", false));
        for page in
            ["null", "", "http://evil.test", "http://app.test.evil.test", "https://app.test", "http://app.test:81", "app.test"]
        {
            assert!(!own(page, "app.test", false), "{page}");
        }
        assert!(!own("http://app.test", "app.test", true));
    }
}
