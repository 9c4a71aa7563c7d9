//! The client behind trusted proxies, and what a backend is told of it (RFC 7239).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::target::Authority;
use crate::domain::Headers;

/// What a request says of the way that it came, as its fields came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claimed<'a> {
    /// `X-Forwarded-For`
    pub r#for: &'a [&'a [u8]],
    /// `X-Forwarded-Proto`
    pub proto: &'a [&'a [u8]],
    /// `X-Forwarded-Host`
    pub host: &'a [&'a [u8]],
    /// `X-Forwarded-Port`
    pub port: &'a [&'a [u8]],
}

/// How the client reached the first listener that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client; an IPv4-mapped IPv6 address is IPv4.
    pub client: IpAddr,
    /// Whether who connects is a trusted proxy.
    pub trusted: bool,
    /// From the client to who connects to us: at least one.
    pub chain: Vec<IpAddr>,
    /// Whether the client spoke HTTPS.
    pub https: bool,
    /// The host that the client asked for. It never chooses a route.
    pub authority: Option<Authority>,
    /// The port that the client asked for.
    pub port: u16,
}

impl Origin {
    /// Reads what is claimed, as far as it is believed: only what a trusted proxy says, walked from right to left.
    ///
    /// `https` is whether this connection is encrypted, `own` the request's own host.
    #[must_use]
    pub fn of(peer: IpAddr, https: bool, own: Option<Authority>, claimed: Claimed<'_>, proxies: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let is_proxy = |address: &IpAddr| proxies.iter().any(|net| holds(net, *address));
        let mut chain = vec![peer];
        let mut client = peer;
        let trusted = is_proxy(&peer);
        if trusted {
            // What is no address stops the walk, as does the first who is no proxy of ours.
            for item in claimed.r#for.iter().rev().flat_map(|field| field.rsplit(|byte| *byte == b',')) {
                let Some(address) = address(item.trim_ascii()) else { break };
                client = address;
                chain.push(address);
                if !is_proxy(&address) {
                    break;
                }
            }
        }
        chain.reverse();
        let believed = |fields: &[&'_ [u8]]| -> Option<String> {
            let last = fields.last().filter(|_| trusted)?.rsplit(|byte| *byte == b',').next()?;
            std::str::from_utf8(last.trim_ascii()).ok().map(str::to_ascii_lowercase)
        };
        let https = match believed(claimed.proto).as_deref() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => https,
        };
        let host = believed(claimed.host).and_then(|host| Authority::parse(host.as_bytes()));
        let authority = host.or(own);
        let port = authority
            .as_ref()
            .and_then(|authority| authority.port)
            .or_else(|| believed(claimed.port)?.parse().ok().filter(|port| *port > 0))
            .unwrap_or(if https { 443 } else { 80 });
        Self { client, trusted, chain, https, authority, port }
    }

    /// What the backend is told: every one of these replaces what a client sent.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let proto = if self.https { "https" } else { "http" };
        let host = self.authority.as_ref().and_then(|authority| authority.to_header().ok());
        // Addresses, checked hosts and numbers are always header values.
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let chain = self.chain.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        let r#for = value(&chain);
        let client = if self.chain.len() == 1 { r#for.clone() } else { value(&self.client.to_string()) };
        let forwarded = self.forwarded(&chain, proto, host.as_ref());
        [
            ("x-forwarded-proto", Some(HeaderValue::from_static(proto))),
            ("x-forwarded-for", r#for),
            ("x-forwarded-port", Some(self.port.into())),
            ("x-real-ip", client),
            ("forwarded", value(&forwarded)),
            ("x-forwarded-host", host),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
        .collect()
    }

    /// RFC 7239 §4: the first element is the client's, and says what the client asked for.
    fn forwarded(&self, chain: &str, proto: &str, host: Option<&HeaderValue>) -> String {
        let mut text = String::with_capacity(160);
        for (number, (address, shown)) in self.chain.iter().zip(chain.split(", ")).enumerate() {
            let [before, after] = if address.is_ipv6() { ["for=\"[", "]\""] } else { ["for=", ""] };
            text.extend([if number == 0 { "" } else { ", " }, before, shown, after]);
            if number > 0 {
                continue;
            }
            if let Some(host) = host.and_then(|host| host.to_str().ok()) {
                // Quoted: a port or an IPv6 address is no token.
                text.extend([";host=\"", host, "\""]);
            }
            text.extend([";proto=", proto]);
        }
        text
    }
}

/// What backends were last told of where a connection's requests come from: the same of most of them.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<(Origin, Headers)>>);

impl Told {
    /// What they are told of `origin`.
    pub(crate) fn of(&self, origin: &Origin) -> Headers {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, headers)) if known == origin => Arc::clone(headers),
            _ => {
                let headers: Headers = origin.headers().into();
                *last = Some((origin.clone(), Arc::clone(&headers)));
                headers
            }
        }
    }
}

/// Whether a network holds an address, an IPv4-mapped network too.
pub(crate) fn holds(net: &IpNet, address: IpAddr) -> bool {
    net.contains(&address)
        || match (net, address) {
            (IpNet::V6(net), IpAddr::V4(address)) => net.prefix_len() >= 96 && net.contains(&address.to_ipv6_mapped()),
            _ => false,
        }
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(item: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(item).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(inner) => IpAddr::V6(inner.parse().ok()?),
        None => text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?,
    };
    Some(address.to_canonical())
}
