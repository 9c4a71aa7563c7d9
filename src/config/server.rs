//! `[server]`, checked.

use std::net::IpAddr;
use std::path::Path;

use http::Uri;

use super::report::{Finding, Report};
use super::schema::At;
use super::{Limits, ListenAddress, Server, listeners, raw, tls};

/// Checks `[server]`; `folder` is what paths are relative to.
pub(crate) fn checked(raw: &raw::Server, folder: &Path, report: &mut Report) -> Server {
    let public_url = public_url(&raw.public_url, report);
    let listen = listeners::checked(raw, &public_url, folder, report);
    let admin = &raw.admin_listen;
    if admin.value.port() != 0 && listen.iter().any(|listener| listener.address == ListenAddress::Tcp(admin.value)) {
        report.error(
            admin.span,
            Finding::new("`server.admin_listen` is an address of `server.listen` too").help("take another port"),
        );
    }
    if admin.set && !is_private(admin.value.ip()) {
        report.warning(
            admin.span,
            Finding::new("health and metrics would be public")
                .help("listen on a loopback or private address: \"127.0.0.1:9901\""),
        );
    }
    for net in &raw.trusted_proxies.value {
        if net.value.prefix_len() == 0 {
            report.warning(
                net.span,
                Finding::new("every client's `X-Forwarded-For` would be believed")
                    .help("name the addresses of your proxies only"),
            );
        }
    }
    let limits = &raw.limits.value;
    if limits.header.value.0 > limits.headers.value.0 {
        report.error(limits.header.span, "`server.limits.header` is larger than `server.limits.headers`");
    }
    let threads = match raw.threads.value.size() {
        0 => cores(),
        threads => threads,
    };
    Server {
        listen,
        admin_listen: admin.value,
        public_url,
        trusted_proxies: raw.trusted_proxies.value.iter().map(|net| net.value).collect(),
        threads,
        drain_delay: raw.drain_delay.value,
        drain_timeout: raw.drain_timeout.value,
        tls: tls::checked(&raw.tls.value, folder, report),
        limits: Limits {
            request_line: limits.request_line.value.size(),
            header: limits.header.value.size(),
            headers: limits.headers.value.size(),
            header_count: limits.header_count.value.size(),
            header_timeout: limits.header_timeout.value.0,
            body_timeout: limits.body_timeout.value.0,
            keepalive_timeout: limits.keepalive_timeout.value.0,
            connections: limits.connections.value.size(),
            h2_streams: limits.h2_streams.value.size(),
        },
    }
}

/// How many cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Scheme and authority, in lower case, without a final slash.
fn public_url(url: &At<String>, report: &mut Report) -> String {
    origin(&url.value).unwrap_or_else(|wrong| {
        let finding = Finding::new(format!("`server.public_url` {wrong}"));
        report.error(url.span, finding.help("write \"https://\" and the host that clients use, nothing behind it"));
        String::new()
    })
}

fn origin(url: &str) -> Result<String, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("is not a whole URL");
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("begins with http:// or https://");
    }
    if authority.as_str().contains('@') {
        return Err("holds no user name");
    }
    if authority.host().is_empty() || authority.as_str().ends_with(':') {
        return Err("names no host, or an empty port");
    }
    if !matches!(uri.path(), "" | "/") || url.contains(['?', '#']) {
        return Err("has no path, query or fragment");
    }
    Ok(format!("{scheme}://{}", authority.as_str().to_ascii_lowercase()))
}

/// Whether only this machine or its own network reaches the address.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        assert_eq!(origin("HTTPS://Auth.Example.com/").as_deref(), Ok("https://auth.example.com"));
        assert_eq!(origin("http://[::1]:8080").as_deref(), Ok("http://[::1]:8080"));
        for url in [
            "",
            "auth.example.com",
            "ftp://a",
            "https://a/b",
            "https://a?b",
            "https://a/#c",
            "https://u:p@a",
            "https://",
            "http://a:",
        ] {
            assert!(origin(url).is_err(), "{url}");
        }
    }
}
