//! `[[backends]]`: what routes lead to.

use crate::config::schema::{At, section};
use crate::config::values::{Count, Wait};
use crate::config::words::words;
use crate::config::wrapped::{Filled, Required};

section! {
    /// `[[backends]]`
    pub(crate) struct Backend {
        /// The name that routes use.
        name: Required<String> = "",
        /// Its servers, as `"host:port"` or `{ address = "host:port", weight = 1 }`. Each address that a name resolves to is a
        /// server of that weight.
        servers: Required<Filled<BackendServer>> = "",
        /// How they are spoken to.
        scheme: Scheme = r#""http""#,
        /// TLS towards them, for `scheme = "https"`; their certificates are always verified.
        tls: BackendTls = "{}",
        /// How one of them is chosen.
        balance: Balance = r#""round_robin""#,
        /// Until connected.
        connect_timeout: Wait = r#""2s""#,
        /// Until the response's header.
        timeout: Wait = r#""60s""#,
        /// Between two reads of the response.
        read_timeout: Wait = r#""60s""#,
        /// How many other servers an idempotent call is tried on.
        retries: Count<0, 10> = "1",
        /// Health checks.
        health: Health = "{}",
    }
}

/// An element of `servers`: its address and its weight.
#[derive(Clone, Debug)]
pub(crate) struct BackendServer(pub(crate) At<String>, pub(crate) u32);

section! {
    /// An element of `servers` as a table.
    pub(crate) struct WeightedServer {
        /// `"host:port"`
        address: Required<String> = "",
        /// How much of the traffic it takes, beside the other servers' weights.
        weight: Count<1, 1000> = "1",
    }
}

section! {
    /// `[backends].tls`
    pub(crate) struct BackendTls {
        /// The name that its certificate must have; empty: the host of the server's address.
        server_name: String = r#""""#,
        /// A PEM file with the authorities that may have signed it; empty: the system's.
        ca: String = r#""""#,
        /// The gateway's certificate towards it, a PEM file with its chain.
        certificate: String = r#""""#,
        /// And its key, a PEM file.
        key: String = r#""""#,
    }
}

section! {
    /// `[backends].health`
    pub(crate) struct Health {
        /// The path that is asked for with GET; 2xx and 3xx are good. Empty asks for none.
        path: String = r#""""#,
        /// How often.
        interval: Wait = r#""5s""#,
        /// After how many failures in a row a server is left out.
        unhealthy_after: Count<1, 100> = "3",
        /// After how many successes in a row it is back.
        healthy_after: Count<1, 100> = "2",
    }
}

words! {
    /// `backends.scheme`
    pub(crate) enum Scheme {
        /// Plain HTTP/1.1.
        Http = "http",
        /// TLS: HTTP/2 or HTTP/1.1, as the server chooses.
        Https = "https",
        /// HTTP/2 without TLS, known beforehand.
        H2c = "h2c",
    } later []
}

words! {
    /// `backends.balance`
    pub(crate) enum Balance {
        /// One after the other.
        RoundRobin = "round_robin",
        /// By chance.
        Random = "random",
        /// Where the fewest requests are under way.
        LeastConnections = "least_connections",
        /// The same for a client address.
        HashIp = "hash:ip",
        /// The same for a principal; for a client address where there is none.
        HashUser = "hash:user",
    } later []
}
