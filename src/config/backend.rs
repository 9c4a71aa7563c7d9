//! What a backend is once its entry was checked by [`super::backends`].

use std::sync::Arc;
use std::time::Duration;

use super::BackendTls;

/// A `[[backends]]` entry, or one made of a route's inline URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name; the URL's authority for an inline one, behind its scheme where that is not `http`.
    pub name: String,
    /// Never empty.
    pub servers: Vec<BackendServer>,
    /// A path that every path is put behind, from an inline URL such as `http://a/base`; empty mostly.
    pub base_path: String,
    /// How its servers are spoken to.
    pub scheme: Scheme,
    /// How one of them is chosen.
    pub balance: Balance,
    /// To connect, with the TLS handshake.
    pub connect_timeout: Duration,
    /// Until response headers.
    pub timeout: Duration,
    /// Between reads.
    pub read_timeout: Duration,
    /// How many other servers an idempotent call is tried on.
    pub retries: u32,
    /// How its servers' health is asked for, if it is.
    pub health: Option<Health>,
}

impl Backend {
    /// Plain HTTP servers of equal weight, with the defaults of every other key.
    #[must_use]
    pub fn plain(name: impl Into<String>, servers: &[&str]) -> Self {
        Self {
            name: name.into(),
            servers: servers.iter().map(|server| BackendServer { address: (*server).to_owned(), weight: 1 }).collect(),
            base_path: String::new(),
            scheme: Scheme::Http,
            balance: Balance::RoundRobin,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_mins(1),
            read_timeout: Duration::from_mins(1),
            retries: 1,
            health: None,
        }
    }
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendServer {
    /// `host:port`, in lower case.
    pub address: String,
    /// Its part of the traffic, at least 1.
    pub weight: u32,
}

impl BackendServer {
    /// The host alone, without the brackets of IPv6 addresses.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

/// How a backend is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP/1.1.
    Http,
    /// TLS, always verified; HTTP/2 or HTTP/1.1, as the server chooses (ALPN).
    Https(Arc<BackendTls>),
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 §3.3).
    H2c,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    RoundRobin,
    /// By chance.
    Random,
    /// Where the fewest requests are under way.
    LeastConnections,
    /// The same for a client address.
    HashIp,
    /// The same for a principal, else for a client address.
    HashUser,
}

/// How a server's health is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The path of the GET.
    pub path: String,
    /// From one to the next.
    pub interval: Duration,
    /// After how many failures in a row a server is left out.
    pub unhealthy_after: u32,
    /// After how many successes in a row it is back.
    pub healthy_after: u32,
}
