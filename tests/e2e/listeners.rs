//! What comes before HTTP, and where: the PROXY protocol, Unix sockets, and listeners that only send to HTTPS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::echo::echo;
use crate::encrypted::{client, entry, write};
use crate::gateway::{Gateway, Setup, free_address};

const LISTEN: &str = "PORTCULLIS__SERVER__LISTEN";
const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n";

async fn start(listen: &str, setup: impl FnOnce(Setup) -> Setup) -> Gateway {
    let backend = echo().await;
    let routes = format!("[[route]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n");
    Gateway::start(setup(Setup::routes(routes)).env(LISTEN, listen)).await
}

/// Sends pieces one after the other; what comes back until the end.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, pieces: &[&[u8]]) -> String {
    for piece in pieces {
        let _ = stream.write_all(piece).await;
        let _ = stream.flush().await;
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn tcp(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let socket = TcpStream::connect(address).await.expect("connected");
    socket.set_nodelay(true).expect("set");
    exchange(socket, pieces).await
}

/// What the backend saw of a header.
fn seen(answer: &str, header: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["headers"][header].as_str().unwrap_or_default().to_owned()
}

fn version2(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x11".to_vec();
    header.extend(client);
    header.extend([10, 0, 0, 1, 0x10, 0, 0x01, 0xbb]);
    header.extend([0x04, 0, 2, 0, 0]);
    header
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let address = free_address();
    let gateway = start(&format!("[{{ address = \"{address}\", proxy_protocol = true }}]"), |setup| setup).await;
    let line = b"PROXY TCP4 203.0.113.9 10.0.0.1 4096 443\r\n".as_slice();
    let binary = version2([203, 0, 113, 9]);
    for header in [line, &binary] {
        let together = [header, REQUEST].concat();
        assert_eq!(seen(&tcp(address, &[&together]).await, "x-forwarded-for"), "203.0.113.9");
        let bytes: Vec<&[u8]> = together.chunks(1).collect();
        assert_eq!(seen(&tcp(address, &bytes).await, "x-forwarded-for"), "203.0.113.9", "byte by byte");
        let (start, rest) = together.split_at(header.len() - 3);
        assert_eq!(seen(&tcp(address, &[start, rest]).await, "x-real-ip"), "203.0.113.9");
    }
    assert!(gateway.log().contains("client=203.0.113.9"), "{}", gateway.log());
    let own = [b"PROXY UNKNOWN\r\n", REQUEST].concat();
    assert_eq!(seen(&tcp(address, &[&own]).await, "x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn without_a_proxy_header_nothing_gets_through() {
    let address = free_address();
    let listen = format!("[{{ address = \"{address}\", proxy_protocol = true }}]");
    let gateway = start(&listen, |setup| setup.with("[server.limits]\nheader_timeout = \"1s\"")).await;
    let oversized = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".as_slice(), &[0; 5000]].concat();
    for hostile in [REQUEST, b"PROXY TCP4 203.0.113.9\r\n", b"PROXY TCP4 x 10.0.0.1 1 2\r\n", &oversized, b"PROX", b""] {
        let pieces = [hostile, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"];
        let pieces = if hostile.len() < 5 { &pieces[..1] } else { &pieces[..] };
        assert_eq!(tcp(address, pieces).await, "", "{:?}", String::from_utf8_lossy(hostile));
    }
    assert!(!gateway.log().contains("path=/a"), "nothing was a request: {}", gateway.log());
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("reason=\"proxy_protocol\"} 4") && metrics.contains("reason=\"too_slow\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_proxy_header_counts_only_from_trusted_proxies_where_there_are_some() {
    let (address, other) = (free_address(), free_address());
    let listen = |address| format!("[{{ address = \"{address}\", proxy_protocol = true }}]");
    let whole = [b"PROXY TCP4 203.0.113.9 10.0.0.1 4096 443\r\n", REQUEST].concat();
    let trusting = start(&listen(address), |setup| setup.server("trusted_proxies = [\"127.0.0.0/8\"]")).await;
    let answer = tcp(address, &[&whole]).await;
    assert_eq!(seen(&answer, "x-forwarded-for"), "203.0.113.9", "the client's own word is not believed");
    let inner = [b"PROXY TCP4 127.0.0.9 10.0.0.1 4096 443\r\n", REQUEST].concat();
    let answer = tcp(address, &[&inner]).await;
    assert_eq!(seen(&answer, "x-forwarded-for"), "198.51.100.1, 127.0.0.9", "a trusted proxy's is");
    drop(trusting);
    let strict = start(&listen(other), |setup| setup.server("trusted_proxies = [\"192.0.2.0/24\"]")).await;
    assert_eq!(tcp(other, &[&whole]).await, "");
    let counted = || async { strict.metrics().await.contains("reason=\"untrusted_proxy\"} 1") };
    strict.until("it is counted", counted).await;
}

#[tokio::test]
async fn the_proxy_header_comes_before_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    let address = free_address();
    let listen = format!("[{{ address = \"{address}\", proxy_protocol = true, tls = true }}]");
    let _gateway = start(&listen, |setup| setup.with(&entry(folder.path(), "shop"))).await;
    let mut socket = TcpStream::connect(address).await.expect("connected");
    socket.write_all(&version2([203, 0, 113, 9])).await.expect("sent");
    let name = rustls::pki_types::ServerName::try_from("shop.test").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client(None)));
    let stream = connector.connect(name, socket).await.expect("a handshake");
    let answer = exchange(stream, &[REQUEST]).await;
    assert_eq!(seen(&answer, "x-forwarded-for"), "203.0.113.9");
    assert_eq!(seen(&answer, "x-forwarded-proto"), "https");
}

#[tokio::test]
async fn a_unix_socket_is_local_and_goes_with_the_gateway() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("http.sock");
    let listen = format!("[\"unix:{}\"]", path.display());
    let mut gateway = start(&listen, |setup| setup.server("trusted_proxies = [\"127.0.0.0/8\"]")).await;
    let ask = |path: &Path| {
        let path = path.to_owned();
        async move { exchange(UnixStream::connect(path).await.expect("connected"), &[REQUEST]).await }
    };
    assert_eq!(seen(&ask(&path).await, "x-forwarded-for"), "198.51.100.1, 127.0.0.1", "it counts as this machine");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await, Some(0));
    assert!(!path.exists(), "the socket is gone with it");
}

#[tokio::test]
async fn a_redirecting_listener_sends_what_was_judged_and_nothing_else() {
    let (plain, redirecting) = (free_address(), free_address());
    let listen = format!("[\"{plain}\", {{ address = \"{redirecting}\", redirect_to_https = true }}]");
    let gateway = start(&listen, |setup| setup).await;
    let ask = |head: &str| {
        let request = format!("{head}\r\nConnection: close\r\n\r\n");
        async move { tcp(redirecting, &[request.as_bytes()]).await }
    };
    for (head, location) in [
        ("GET /a?x=%2F HTTP/1.1\r\nHost: Shop.test:80", "https://shop.test/a?x=%2F"),
        ("POST /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0", "https://shop.test/a"),
        ("GET /auth/me HTTP/1.1\r\nHost: shop.test", "https://shop.test/auth/me"),
        ("GET http://shop.test/a HTTP/1.1\r\nHost: shop.test", "https://shop.test/a"),
        ("GET /a HTTP/1.0", "https://gateway.test/a"),
        ("GET /%61 HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Host: evil.test", "https://shop.test/a"),
    ] {
        let answer = ask(head).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 308 "), "{head}: {answer}");
        assert!(answer.contains(&format!("location: {}\r\n", location.to_lowercase())), "{head}: {answer}");
    }
    for head in [
        "GET /../a HTTP/1.1\r\nHost: shop.test",
        "GET a HTTP/1.1\r\nHost: shop.test",
        "GET /a HTTP/1.1",
        "GET /a HTTP/1.1\r\nHost: evil.test/x",
        "GET /a HTTP/1.1\r\nHost: a@evil.test",
        "GET /a HTTP/1.1\r\nHost: evil.test,shop.test",
        "GET /a\\b HTTP/1.1\r\nHost: shop.test",
    ] {
        let answer = ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.to_lowercase().contains("location"), "{head}: {answer}");
    }
    assert!(gateway.log().contains("decision=redirect"), "{}", gateway.log());
    assert!(!gateway.log().contains("backend="), "nothing was proxied");
}

#[tokio::test]
async fn a_redirecting_listener_serves_what_a_trusted_proxy_got_by_https() {
    let (plain, redirecting) = (free_address(), free_address());
    let listen = format!("[\"{plain}\", {{ address = \"{redirecting}\", redirect_to_https = true }}]");
    let ask = |fields: &'static str| async move {
        let head = format!("GET /a HTTP/1.1\r\nHost: shop.test\r\n{fields}Connection: close\r\n\r\n");
        let answer = tcp(redirecting, &[head.as_bytes()]).await;
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    {
        let _gateway = start(&listen, |setup| setup.server("trusted_proxies = [\"127.0.0.0/8\"]")).await;
        assert_eq!(ask("X-Forwarded-Proto: https\r\n").await, "200");
        assert_eq!(ask("X-Forwarded-Proto: https, http\r\n").await, "308", "the last word is the proxy's own");
        assert_eq!(ask("X-Forwarded-Proto: http\r\n").await, "308");
        assert_eq!(ask("").await, "308");
    }
    let _gateway = start(&listen, |setup| setup.server("trusted_proxies = [\"10.0.0.0/8\"]")).await;
    assert_eq!(ask("X-Forwarded-Proto: https\r\n").await, "308", "anybody can say so");
}
