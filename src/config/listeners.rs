//! `[server].listen`, checked.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::document::{Node, Value};
use super::json_schema;
use super::raw;
use super::report::{Finding, Report, Span};
use super::schema::{At, FromNode, section};
use super::values::string;
use super::wrapped::Required;

/// The longest path that a Unix socket can have (`sun_path`, less its final zero), in bytes. What is made before it gets its
/// name has a few letters more.
const PATH_LENGTH: usize = 100;

/// One entry of `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether every connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Whether every request is sent to HTTPS.
    pub redirect_to_https: bool,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket, absolute.
    Unix(PathBuf),
}

impl Listener {
    /// One that speaks HTTP in the clear.
    #[must_use]
    pub const fn plain(address: ListenAddress) -> Self {
        Self { address, tls: false, proxy_protocol: false, redirect_to_https: false }
    }
}

impl From<SocketAddr> for Listener {
    fn from(address: SocketAddr) -> Self {
        Self::plain(ListenAddress::Tcp(address))
    }
}

impl ListenAddress {
    /// Whether nobody but this machine reaches it.
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

/// As it is written in the file.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// As a URL, where it is one.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ListenAddress::Tcp(address) => write!(f, "{}://{address}", if self.tls { "https" } else { "http" }),
            unix @ ListenAddress::Unix(_) => write!(f, "{unix}{}", if self.tls { " (https)" } else { "" }),
        }
    }
}

/// What `listen` takes as an address: `"127.0.0.1:8080"`, `"unix:/path"`.
#[derive(Clone, Debug)]
pub(crate) struct Address(ListenAddress);

/// An element of `listen`.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    address: At<Address>,
    tls: Option<Span>,
    proxy_protocol: Option<Span>,
    redirect_to_https: Option<Span>,
}

section! {
    /// An element of `listen` as a table.
    pub(crate) struct ListenTable {
        /// Where.
        address: Required<Address> = "",
        /// Whether TLS is spoken.
        tls: bool = "false",
        /// Whether the PROXY protocol comes first.
        proxy_protocol: bool = "false",
        /// Whether every request is sent to HTTPS.
        redirect_to_https: bool = "false",
    }
}

impl FromNode for Address {
    const TAKES: &'static str = "an address with a port such as \"127.0.0.1:8080\", or \"unix:/run/p.sock\"";

    fn schema() -> Json {
        json_schema::either(SocketAddr::schema(), json_schema::text("unix:.*[^/]"))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Some(path) = string(node, Self::TAKES, report)?.0.strip_prefix("unix:") else {
            return SocketAddr::read(node, report).map(ListenAddress::Tcp).map(Self);
        };
        let wrong = match path {
            "" => "names no file",
            path if path.ends_with('/') => "names a folder",
            path if path.contains('\0') || path.starts_with('@') => "is no path of a file",
            _ => return Some(Self(ListenAddress::Unix(path.into()))),
        };
        let finding = Finding::new(format!("`{}` {wrong}", node.name));
        report.error(node.span, finding.help("write \"unix:/run/portcullis/http.sock\""));
        None
    }
}

impl FromNode for Listen {
    const TAKES: &'static str =
        "an address such as \"127.0.0.1:8080\", \"unix:/run/p.sock\", or a table { address = \"…\", tls = true }";

    fn schema() -> Json {
        json_schema::either(Address::schema(), ListenTable::schema())
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Table(_)) {
            let address = At { value: Address::read(node, report)?, span: node.span, set: true };
            return Some(Self { address, tls: None, proxy_protocol: None, redirect_to_https: None });
        }
        let table = ListenTable::read(node, report)?;
        let Required(Some(value)) = table.address.value else { return None };
        let given = |key: &At<bool>| key.value.then_some(key.span);
        Some(Self {
            address: At { value, span: table.address.span, set: true },
            tls: given(&table.tls),
            proxy_protocol: given(&table.proxy_protocol),
            redirect_to_https: given(&table.redirect_to_https),
        })
    }
}

/// Checks `listen`; `folder` is what paths are relative to.
pub(crate) fn checked(raw: &raw::Server, public_url: &str, folder: &Path, report: &mut Report) -> Vec<Listener> {
    let listen = &raw.listen.value.0;
    if listen.is_empty() {
        report.error(raw.listen.span, Finding::new("`server.listen` names no address").help("write [\"127.0.0.1:8080\"]"));
    }
    let mut listeners: Vec<(Listener, Span)> = Vec::new();
    for At { value: entry, span, .. } in listen {
        let address = match &entry.address.value.0 {
            ListenAddress::Tcp(address) => ListenAddress::Tcp(*address),
            ListenAddress::Unix(path) => ListenAddress::Unix(folder.join(path)),
        };
        let listener = Listener {
            address,
            tls: entry.tls.is_some(),
            proxy_protocol: entry.proxy_protocol.is_some(),
            redirect_to_https: entry.redirect_to_https.is_some(),
        };
        let any_port = matches!(listener.address, ListenAddress::Tcp(address) if address.port() == 0);
        if let Some((_, first)) = listeners.iter().find(|(other, _)| other.address == listener.address && !any_port) {
            let finding = Finding::new(format!("`{}` is listened on twice", listener.address));
            report.error(*span, finding.also(*first, "here already"));
        }
        one(raw, entry, &listener, report);
        listeners.push((listener, *span));
    }
    let listeners: Vec<Listener> = listeners.into_iter().map(|(listener, _)| listener).collect();
    together(raw, &listeners, public_url, report);
    listeners
}

fn one(raw: &raw::Server, entry: &Listen, listener: &Listener, report: &mut Report) {
    let span = entry.address.span;
    if let ListenAddress::Unix(path) = &listener.address
        && path.as_os_str().len() > PATH_LENGTH
    {
        let finding = Finding::new(format!("the path of a Unix socket has at most {PATH_LENGTH} bytes"));
        report.error(span, finding.help("take a shorter one: \"unix:/run/portcullis/http.sock\""));
    }
    if let (Some(tls), true) = (entry.tls, raw.tls.value.certificates.value.is_empty())
        && !report.may_hide(tls, &["certificates", "certificate"])
    {
        let finding = Finding::new("`tls = true` needs a certificate, and there is none");
        report.error(
            tls,
            finding.help("add [[server.tls.certificates]] with certificate = \"tls/cert.pem\" and key = \"tls/key.pem\""),
        );
    }
    if let (Some(redirect), Some(tls)) = (entry.redirect_to_https, entry.tls) {
        let finding = Finding::new("a listener that speaks TLS has nothing to send to HTTPS: clients would go in circles");
        report.error(redirect, finding.also(tls, "TLS here").help("put `redirect_to_https` on the listener of port 80"));
    }
    if let Some(proxy_protocol) = entry.proxy_protocol
        && raw.trusted_proxies.value.is_empty()
        && !listener.address.is_local()
    {
        report.warning(
            proxy_protocol,
            Finding::new(format!("whoever reaches `{}` says what address it has: `trusted_proxies` is empty", listener.address))
                .help("name your load balancers in `server.trusted_proxies`: connections of others are then closed"),
        );
    }
    if !listener.tls && !listener.redirect_to_https && !listener.address.is_local() {
        report.warning(
            span,
            Finding::new(format!(
                "`{}` is plain HTTP beyond this machine: credentials could be read on the way",
                listener.address
            ))
            .help("add tls = true or redirect_to_https = true, or listen on 127.0.0.1 behind something that speaks TLS"),
        );
    }
}

fn together(raw: &raw::Server, listeners: &[Listener], public_url: &str, report: &mut Report) {
    let certificates = &raw.tls.value.certificates;
    if !certificates.value.is_empty() && !listeners.iter().any(|listener| listener.tls) {
        let finding = Finding::new("there are certificates, and no listener speaks TLS");
        report.warning(certificates.span, finding.help("write listen = [{ address = \"[::]:443\", tls = true }]"));
    }
    let https = public_url.is_empty() || public_url.starts_with("https://");
    let redirecting = raw.listen.value.0.iter().find_map(|entry| entry.value.redirect_to_https);
    if let (Some(redirect), false) = (redirecting, https) {
        let finding = Finding::new("clients are sent to HTTPS, and `server.public_url` is not HTTPS");
        report.warning(redirect, finding.help("write public_url = \"https://\" and the host that clients use"));
    }
}
