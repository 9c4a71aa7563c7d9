//! `[server]`: the addresses, TLS, and what a request may be at most.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{KIB, MIB};
use crate::config::listeners::Listen;
use crate::config::schema::{At, section};
use crate::config::values::{Count, Size, Wait};
use crate::config::words::words;
use crate::config::wrapped::{Filled, Required};

section! {
    /// `[server]`
    pub(crate) struct Server {
        /// Addresses to listen on: `"address:port"`, `"unix:/path"`, or a table `{ address = "[::]:443", tls = true,
        /// proxy_protocol = false, redirect_to_https = false }`. `tls` takes the certificates of `[server.tls]`,
        /// `proxy_protocol` asks for a PROXY header before all else, `redirect_to_https` sends every request to HTTPS.
        listen: Filled<Listen> = r#"["127.0.0.1:8080"]"#,
        /// Health and metrics; never public.
        admin_listen: SocketAddr = r#""127.0.0.1:9901""#,
        /// The URL clients reach the gateway at: the issuer of its tokens. HTTPS makes cookies Secure.
        public_url: String = r#""http://127.0.0.1:8080""#,
        /// Whose X-Forwarded-For and -Proto are believed, walked from right to left.
        trusted_proxies: Vec<At<IpNet>> = "[]",
        /// Threads that serve traffic; 0 is one a core.
        threads: Count<0, 1024> = "0",
        /// After SIGTERM: not ready, still serving.
        drain_delay: Duration = r#""0s""#,
        /// Then: no new connections, exit when idle, at most this.
        drain_timeout: Duration = r#""30s""#,
        /// TLS.
        tls: Tls = "{}",
        /// What a request may be at most.
        limits: Limits = "{}",
    }
}

section! {
    /// `[server.tls]`
    pub(crate) struct Tls {
        /// Certificates, chosen by SNI; the first where none fits.
        certificates: Vec<At<Certificate>> = "[]",
        /// The oldest version that is spoken.
        min_version: TlsVersion = r#""1.2""#,
        /// A file with the authorities of client certificates, which are then required on every `tls` listener.
        client_ca: String = r#""""#,
    }
}

section! {
    /// `[[server.tls.certificates]]`
    pub(crate) struct Certificate {
        /// A PEM file: the certificate, then those that lead to its authority.
        certificate: Required<String> = "",
        /// A PEM file with its key: PKCS#8, PKCS#1 or SEC1.
        key: Required<String> = "",
    }
}

words! {
    /// `server.tls.min_version`
    pub(crate) enum TlsVersion {
        /// TLS 1.2, RFC 5246.
        Tls12 = "1.2",
        /// TLS 1.3, RFC 8446.
        Tls13 = "1.3",
    } later []
}

section! {
    /// `[server.limits]`
    pub(crate) struct Limits {
        /// The request line.
        request_line: Size<256, { 64 * KIB }> = r#""8KiB""#,
        /// One header field.
        header: Size<256, MIB> = r#""16KiB""#,
        /// All header fields together.
        headers: Size<256, MIB> = r#""64KiB""#,
        /// How many header fields.
        header_count: Count<1, 256> = "100",
        /// Until the header is complete, from its first byte.
        header_timeout: Wait = r#""10s""#,
        /// Until the body of a call to an own endpoint is complete.
        body_timeout: Wait = r#""10s""#,
        /// How long an idle connection stays open.
        keepalive_timeout: Wait = r#""60s""#,
        /// Connections at once; more are refused.
        connections: Count<1, 10_000_000> = "10000",
        /// Streams of one HTTP/2 connection at once.
        h2_streams: Count<1, 10_000> = "100",
    }
}
