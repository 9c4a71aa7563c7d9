//! `[[backends]]`, and the URL that a route may name instead of one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;

use super::document::{Node, Value, parse_default};
use super::json_schema;
use super::report::{Finding, Report, Span};
use super::schema::{At, FromNode};
use super::values::string;
use super::wrapped::Filled;
use super::{Backend, BackendServer, Balance, Health, Scheme, backend_tls, raw};

impl FromNode for raw::BackendServer {
    const TAKES: &'static str = "\"host:port\", or { address = \"host:port\", weight = 1 }";

    fn schema() -> Json {
        json_schema::either(json_schema::string(), raw::WeightedServer::schema())
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if let Value::Table(table) = &node.value {
            let raw::WeightedServer { address, weight } = raw::WeightedServer::read(node, report)?;
            let span = table.get("address").map_or(node.span, |node| node.span);
            return address.value.0.map(|value| Self(At { value, span, set: true }, weight.value.0));
        }
        string(node, Self::TAKES, report).map(|(text, _)| Self(At { value: text.to_owned(), span: node.span, set: true }, 1))
    }
}

/// Checks `[[backends]]`; the files that they name are below `folder`.
pub(crate) fn checked(raw: &[At<raw::Backend>], folder: &Path, report: &mut Report) -> BTreeMap<String, Arc<Backend>> {
    let mut backends = BTreeMap::new();
    let mut places: BTreeMap<String, Span> = BTreeMap::new();
    for At { value: entry, span, .. } in raw {
        let servers = servers(entry, report);
        let scheme = match entry.scheme.value {
            raw::Scheme::Http => Scheme::Http,
            raw::Scheme::H2c => Scheme::H2c,
            raw::Scheme::Https => Scheme::Https(Arc::new(backend_tls::checked(&entry.tls.value, folder, report))),
        };
        backend_tls::fits(&entry.tls.value, &scheme, report);
        let health = health(&entry.health, report);
        let Some(name) = &entry.name.value.0 else { continue };
        if !is_name(name) {
            let finding = Finding::new(format!("`{name}` can't be the name of a backend"));
            report.error(entry.name.span, finding.help("1 to 64 letters, digits, `-`, `_` and `.`"));
        }
        if let Some(first) = places.insert(name.clone(), *span) {
            let finding = Finding::new(format!("there are two backends named `{name}`")).also(first, "the first one");
            report.error(entry.name.span, finding.help("give each a name of its own"));
        }
        let backend = Backend {
            name: name.clone(),
            servers,
            base_path: String::new(),
            scheme,
            balance: match entry.balance.value {
                raw::Balance::RoundRobin => Balance::RoundRobin,
                raw::Balance::Random => Balance::Random,
                raw::Balance::LeastConnections => Balance::LeastConnections,
                raw::Balance::HashIp => Balance::HashIp,
                raw::Balance::HashUser => Balance::HashUser,
            },
            connect_timeout: entry.connect_timeout.value.0,
            timeout: entry.timeout.value.0,
            read_timeout: entry.read_timeout.value.0,
            retries: entry.retries.value.0,
            health,
        };
        backends.insert(name.clone(), Arc::new(backend));
    }
    backends
}

fn health(entry: &At<raw::Health>, report: &mut Report) -> Option<Health> {
    let raw::Health { path, interval, unhealthy_after, healthy_after } = &entry.value;
    if path.value.is_empty() {
        return None;
    }
    let (bare, query) = path.value.split_once('?').unwrap_or((&path.value, ""));
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
    if !(bare == "/" || is_plain_path(bare.strip_suffix('/').unwrap_or(bare)))
        || !bare.starts_with('/')
        || !query.bytes().all(plain)
    {
        let finding = Finding::new(format!("`{}` is not a path that a health check can ask for", path.value));
        report.error(path.span, finding.help("write path = \"/healthz\", or \"\" for no health checks"));
        return None;
    }
    Some(Health {
        path: path.value.clone(),
        interval: interval.value.0,
        unhealthy_after: unhealthy_after.value.0,
        healthy_after: healthy_after.value.0,
    })
}

fn servers(entry: &raw::Backend, report: &mut Report) -> Vec<BackendServer> {
    let Some(Filled(servers)) = &entry.servers.value.0 else {
        return Vec::new();
    };
    if servers.is_empty() && !report.may_hide(entry.servers.span, &["servers"]) {
        report.error(entry.servers.span, Finding::new("a backend has one server at least").help("write [\"127.0.0.1:9000\"]"));
    }
    let mut addresses = Vec::new();
    let secure = entry.scheme.value == raw::Scheme::Https;
    for At { value: raw::BackendServer(server, weight), .. } in servers {
        match host_and_port(&server.value) {
            Ok((host, _)) => {
                if !secure {
                    warn_of_remote(&host, server.span, report);
                } else if entry.tls.value.server_name.value.is_empty() {
                    backend_tls::verifiable(&host, server.span, report);
                }
                addresses.push(BackendServer { address: server.value.to_ascii_lowercase(), weight: *weight });
            }
            Err(wrong) => {
                let bare = server.value.split_once("://").map_or(server.value.as_str(), |(_, rest)| rest);
                let bare = bare.split('/').next().unwrap_or_default();
                let help =
                    if host_and_port(bare).is_ok() { format!("write \"{bare}\"") } else { "write \"127.0.0.1:9000\"".to_owned() };
                report.error(server.span, Finding::new(format!("`{}` {wrong}", server.value)).help(help));
            }
        }
    }
    addresses
}

/// Warns that what goes to `host` can be read on the way.
fn warn_of_remote(host: &str, span: Span, report: &mut Report) {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let local =
        address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.to_canonical().is_loopback());
    if !local {
        report.warning(
            span,
            Finding::new(format!("no TLS to the remote backend `{host}`: what passes can be read and changed on the way"))
                .help("make sure that the network between is yours alone"),
        );
    }
}

/// Takes `host:port` apart.
fn host_and_port(text: &str) -> Result<(String, u16), &'static str> {
    if text.contains("://") || text.contains('/') {
        return Err("is a URL, and a server is only \"host:port\"");
    }
    let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("has no port, or an IPv6 address without brackets");
    }
    let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())).and_then(|port| port.parse().ok());
    let port = port.filter(|port| *port != 0).ok_or("has no port from 1 to 65535")?;
    if !is_host(host) {
        return Err("names no host");
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether `host` is a name, an IPv4 address or an IPv6 address in brackets.
pub(crate) fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // What looks like an address must be one: `1.2.3` and `256.0.0.1` are read differently by everybody.
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    host.len() <= 253 && host.split('.').all(label) && (!numeric || host.parse::<std::net::Ipv4Addr>().is_ok())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A backend made of the URL that stands in a route at `span`.
pub(crate) fn inline(url: &str, span: Span, report: &mut Report) -> Option<Backend> {
    match parse_inline(url) {
        Ok(Inline { scheme, server, base_path }) => {
            let address = BackendServer { address: server.clone(), weight: 1 };
            let scheme = match scheme {
                "https" => {
                    backend_tls::verifiable(address.host(), span, report);
                    Scheme::Https(Arc::default())
                }
                "h2c" => Scheme::H2c,
                _ => Scheme::Http,
            };
            if !matches!(scheme, Scheme::Https(_)) {
                warn_of_remote(address.host(), span, report);
            }
            let name = match scheme {
                Scheme::Http => server,
                Scheme::Https(_) => format!("https://{server}"),
                Scheme::H2c => format!("h2c://{server}"),
            };
            Some(Backend { name, servers: vec![address], base_path, scheme, ..DEFAULTS.clone() })
        }
        Err(finding) => {
            report.error(span, finding);
            None
        }
    }
}

/// A backend of which nothing is said, read once: there may be one for each route.
static DEFAULTS: LazyLock<Backend> = LazyLock::new(|| {
    let mut report = Report::default();
    let node = parse_default("{ name = \"inline\", servers = [] }", Span::default(), "backend", &mut report);
    let plain = Backend::plain("inline", &[]);
    raw::Backend::read(&node, &mut report).map_or(plain.clone(), |raw| Backend {
        connect_timeout: raw.connect_timeout.value.0,
        timeout: raw.timeout.value.0,
        read_timeout: raw.read_timeout.value.0,
        retries: raw.retries.value.0,
        ..plain
    })
});

/// An inline URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Inline<'a> {
    scheme: &'a str,
    server: String,
    base_path: String,
}

fn parse_inline(url: &str) -> Result<Inline<'_>, Finding> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let port = match scheme {
        "http" | "h2c" => 80,
        "https" => 443,
        _ => {
            return Err(Finding::new(format!("`{url}` is not the URL of a backend"))
                .help("write \"http://127.0.0.1:9000\", or one with https:// or h2c://"));
        }
    };
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    let server =
        if authority.contains(':') && !authority.ends_with(']') { authority.to_owned() } else { format!("{authority}:{port}") };
    if host_and_port(&server).is_err() {
        return Err(Finding::new(format!("`{url}` names no host and port")).help("write \"http://127.0.0.1:9000\""));
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if !is_plain_path(path) {
        return Err(Finding::new(format!("`{path}` can't be put before a path"))
            .help("segments of letters, digits and `-._~`, without query or escapes"));
    }
    Ok(Inline { scheme, server: server.to_ascii_lowercase(), base_path: path.to_owned() })
}

/// Whether `path` is empty, or `/segments` that every backend reads alike.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    let segment = |segment: &str| !segment.is_empty() && !segment.ends_with('.') && segment.bytes().all(plain);
    path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_with_a_port() {
        for good in ["127.0.0.1:9000", "[::1]:9000", "backend:80", "a.b-c.example:65535"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "::1:9000",
            "backend:",
            "backend:0",
            "backend:65536",
            ":80",
            "a b:80",
            "1.2.3:80",
            "u@h:80",
            "a..b:1",
            "a:+1",
        ] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_inline_url_gives_its_server_and_base_path() {
        let parts = |url: &'static str| parse_inline(url).ok().map(|parts| (parts.scheme, parts.server, parts.base_path));
        let made = |scheme, server: &str, base: &str| Some((scheme, server.to_owned(), base.to_owned()));
        assert_eq!(parts("http://127.0.0.1:9000"), made("http", "127.0.0.1:9000", ""));
        assert_eq!(parts("http://Legacy/base/"), made("http", "legacy:80", "/base"));
        assert_eq!(parts("http://[::1]/"), made("http", "[::1]:80", ""));
        assert_eq!(parts("https://a"), made("https", "a:443", ""));
        assert_eq!(parts("h2c://a/b"), made("h2c", "a:80", "/b"));
        for bad in ["ftp://a", "http://", "http://a/..", "http://a//b", "http://a/?q", "http://u@a", "http://a/%2e", "http://a#b"]
        {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
