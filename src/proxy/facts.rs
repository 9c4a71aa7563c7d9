//! What is to be known of a request, gathered once.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;

use super::forwarded::{Claimed, Origin};
use super::line::Line;
use super::target::{self, Target};
use crate::config::Config;
use crate::credential::{Presented, cookie};
use crate::problem::Refusal;

/// A request whose target is one.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Its method.
    pub(crate) method: Method,
    /// What it is for.
    pub(crate) target: Target,
    /// Values of the API key's query parameter, decoded.
    pub(crate) query_keys: Vec<String>,
    /// The query less that parameter.
    pub(crate) query: Option<String>,
}

/// Where a request came from.
pub(crate) fn origin(line: &Line, headers: &HeaderMap, target: Option<&Target>, config: &Config) -> Origin {
    let own = target.and_then(Target::authority);
    let proxies = &config.server.trusted_proxies;
    if proxies.is_empty() {
        return Origin::of(line.peer.address, line.peer.tls, own, Claimed::default(), proxies);
    }
    let all = |name| headers.get_all(HeaderName::from_static(name)).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let (r#for, proto) = (all("x-forwarded-for"), all("x-forwarded-proto"));
    let (host, port) = (all("x-forwarded-host"), all("x-forwarded-port"));
    let claimed = Claimed { r#for: &r#for, proto: &proto, host: &host, port: &port };
    Origin::of(line.peer.address, line.peer.tls, own, claimed, proxies)
}

impl Facts {
    /// Reads a request, from its own bytes: pingora never saw the target.
    pub(crate) fn read(line: &Line, config: &Config) -> Result<Self, Refusal> {
        let request = &line.request;
        let hosts: Vec<&[u8]> = request.hosts.iter().map(AsRef::as_ref).collect();
        let target = Target::read(&request.target, &hosts, request.version)?;
        target::check_method(&request.method)?;
        let (query, query_keys) = split_query(target.query.as_deref(), config.api_keys.query_parameter.as_deref());
        Ok(Self { method: request.method.clone(), target, query_keys, query })
    }

    /// What the schemes look at.
    pub(crate) fn presented<'a>(&'a self, headers: &'a HeaderMap, origin: &Origin, config: &'a Config) -> Presented<'a> {
        let name = cookie::name(config);
        Presented {
            authorization: headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect(),
            api_keys: headers
                .get_all(&config.api_keys.header)
                .iter()
                .map(HeaderValue::as_bytes)
                .chain(self.query_keys.iter().map(String::as_bytes))
                .collect(),
            cookies: headers
                .get_all(COOKIE)
                .iter()
                .map(HeaderValue::as_bytes)
                .flat_map(|field| cookie::values(field, name))
                .collect(),
            client: Some(origin.client),
        }
    }
}

/// The query without `parameter`, and that parameter's values; all else stays byte for byte.
pub(super) fn split_query(query: Option<&str>, parameter: Option<&str>) -> (Option<String>, Vec<String>) {
    let (Some(text), Some(parameter)) = (query, parameter) else { return (query.map(str::to_owned), Vec::new()) };
    let mut keys = Vec::new();
    let others: Vec<&str> = text
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_key = percent_decode_str(name).eq(parameter.bytes());
            if is_key {
                keys.push(percent_decode_str(value).decode_utf8_lossy().into_owned());
            }
            !is_key
        })
        .collect();
    if keys.is_empty() {
        return (Some(text.to_owned()), keys);
    }
    ((!others.is_empty()).then(|| others.join("&")), keys)
}

/// A `Cookie` field without the gateway's own cookies, the others byte for byte; `None` when it has none of ours.
pub(crate) fn without_own_cookies(field: &[u8]) -> Option<Vec<u8>> {
    let is_own = |pair: &&[u8]| {
        let name = pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
        cookie::NAMES.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    };
    let pairs = || field.split(|&b| b == b';');
    pairs().any(|pair| is_own(&pair)).then(|| {
        let kept: Vec<&[u8]> = pairs().filter(|pair| !is_own(pair)).collect();
        kept.join(&b';').trim_ascii_start().to_vec()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_parameter_leaves_the_query_and_nothing_else_moves() {
        let split = |query| split_query(Some(query), Some("api_key"));
        assert_eq!(split("a=1&api_key=K&b=%2F&&c"), (Some("a=1&b=%2F&&c".into()), vec!["K".into()]));
        assert_eq!(split("api_key=K"), (None, vec!["K".into()]));
        assert_eq!(split("api%5Fkey=K&x"), (Some("x".into()), vec!["K".into()]));
        assert_eq!(split("api_key=a%5Fb"), (None, vec!["a_b".into()]));
        assert_eq!(split("my_api_key=K"), (Some("my_api_key=K".into()), vec![]));
        assert_eq!(split_query(Some("api_key=K"), None), (Some("api_key=K".into()), vec![]));
        assert_eq!(split(""), (Some(String::new()), vec![]));
    }

    #[test]
    fn our_cookies_leave_and_the_others_stay_as_they_are() {
        let without = |field: &str| without_own_cookies(field.as_bytes()).map(|kept| String::from_utf8(kept).unwrap());
        assert_eq!(without("a=1; portcullis=x; b=\"2\""), Some("a=1; b=\"2\"".into()));
        assert_eq!(without("portcullis=x;__Host-portcullis=y; a=1"), Some("a=1".into()));
        assert_eq!(without("PORTCULLIS=x"), Some(String::new()));
        assert_eq!(without("a=1; xportcullis=2"), None);
    }
}
