//! TLS towards clients: which certificate, which versions, whose.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::SignatureScheme;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::echo::echo;
use crate::encrypted::{ask, authority, client, connect, entry, shown, shown_for, write, write_with};
use crate::gateway::{Gateway, Setup, free_address};

const LISTEN: &str = "PORTCULLIS__SERVER__LISTEN";

/// A gateway that speaks TLS at the address beside it, in front of an echo at `/a`.
async fn start(sections: &str) -> (Gateway, SocketAddr) {
    let backend = echo().await;
    let address = free_address();
    let setup =
        Setup::routes(format!("[[route]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n"));
    let setup = setup.with(sections).env(LISTEN, &format!("[{{ address = \"{address}\", tls = true }}]"));
    (Gateway::start(setup).await, address)
}

#[tokio::test]
async fn https_is_spoken_and_the_backend_learns_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = write(folder.path(), "shop", &["shop.test"]);
    let (_gateway, address) = start(&entry(folder.path(), "shop")).await;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_der(&certificate).expect("a certificate")])
        .resolve("shop.test", address)
        .build()
        .expect("a client");
    for round in 0..3 {
        let answer = http.get(format!("https://shop.test:{}/a", address.port())).send().await.expect("an answer");
        let seen: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(seen["headers"]["x-forwarded-proto"], "https", "round {round}");
        assert_eq!(seen["headers"]["x-forwarded-port"], address.port().to_string());
    }
    let big = vec![b'x'; 3 << 20];
    let answer = http.post(format!("https://shop.test:{}/a", address.port())).body(big).send().await.expect("an answer");
    assert_eq!(answer.json::<serde_json::Value>().await.expect("JSON")["body_bytes"], 3 << 20);
}

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = write(folder.path(), "first", &["first.test"]);
    let exact = write(folder.path(), "exact", &["api.shop.test"]);
    let wild = write(folder.path(), "wild", &["*.shop.test"]);
    let sections = ["first", "exact", "wild"].map(|stem| entry(folder.path(), stem)).concat();
    let (_gateway, address) = start(&sections).await;
    for (name, certificate) in [
        ("first.test", &first),
        ("api.shop.test", &exact),
        ("API.Shop.Test", &exact),
        ("www.shop.test", &wild),
        ("a.b.shop.test", &first),
        ("shop.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(shown(address, name).await == *certificate, "{name}");
    }
}

#[tokio::test]
async fn of_several_keys_for_a_name_one_that_the_client_can_check_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let edwards = write_with(folder.path(), "edwards", &["shop.test"], &rcgen::PKCS_ED25519);
    let nist = write(folder.path(), "nist", &["shop.test"]);
    let sections = ["edwards", "nist"].map(|stem| entry(folder.path(), stem)).concat();
    let (_gateway, address) = start(&sections).await;
    assert!(shown_for(address, "shop.test", vec![SignatureScheme::ECDSA_NISTP256_SHA256]).await == nist);
    assert!(shown_for(address, "shop.test", vec![SignatureScheme::ED25519]).await == edwards);
    let both = vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];
    assert!(shown_for(address, "shop.test", both).await == edwards, "in the order of the configuration");
}

#[tokio::test]
async fn http_2_that_is_agreed_on_and_never_begun_ends_at_the_deadline() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    let sections = format!("{}[server.limits]\nheader_timeout = \"1s\"\n", entry(folder.path(), "shop"));
    let (_gateway, address) = start(&sections).await;
    let mut config = client(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut stream = connect(address, "shop.test", config).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await.expect("it is closed");
}

#[tokio::test]
async fn a_reload_takes_new_certificates_and_open_connections_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = write(folder.path(), "shop", &["shop.test"]);
    let (gateway, address) = start(&entry(folder.path(), "shop")).await;
    let mut open = connect(address, "shop.test", client(None)).await.expect("a handshake");
    assert!(ask(&mut open, "shop.test").await.starts_with("HTTP/1.1 200"));
    assert!(shown(address, "shop.test").await == old);
    let new = write(folder.path(), "shop", &["shop.test"]);
    gateway.signal("HUP");
    gateway.until("the new certificate is shown", || async { shown(address, "shop.test").await == new }).await;
    assert!(ask(&mut open, "shop.test").await.starts_with("HTTP/1.1 200"), "the open one goes on");
    std::fs::write(folder.path().join("shop.pem"), "-----BEGIN CERTIFICATE-----\nnonsense").expect("written");
    gateway.signal("HUP");
    gateway.until("the reload is refused", || async { gateway.log().contains("the reload is refused") }).await;
    assert!(gateway.log().contains("is not PEM"), "{}", gateway.log());
    assert!(shown(address, "shop.test").await == new, "the old configuration stays whole");
}

#[tokio::test]
async fn clients_without_a_certificate_of_the_authority_are_refused_where_one_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    let ours = authority(folder.path(), "ca");
    let theirs = authority(folder.path(), "other");
    let sections = format!("[server.tls]\nclient_ca = \"{}/ca.pem\"\n{}", folder.path().display(), entry(folder.path(), "shop"));
    let (gateway, address) = start(&sections).await;
    let mut known = connect(address, "shop.test", client(Some(ours))).await.expect("a handshake");
    assert!(ask(&mut known, "shop.test").await.starts_with("HTTP/1.1 200"));
    for stranger in [None, Some(theirs)] {
        // In TLS 1.3 a client learns of it with the first byte it reads.
        if let Ok(mut stream) = connect(address, "shop.test", client(stranger)).await {
            let _ = stream.write_all(b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
            assert!(!matches!(stream.read(&mut [0; 64]).await, Ok(1..)), "a stranger is answered");
        }
    }
    assert!(gateway.metrics().await.contains("portcullis_connections_refused_total{reason=\"tls\"} 2"));
}

/// A `ClientHello` of TLS 1.1, as OpenSSL 1.0 would send it.
fn hello_of_tls11() -> Vec<u8> {
    let mut body = vec![0x03, 0x02];
    body.extend([7; 32]);
    body.extend([0x00, 0x00, 0x04, 0xc0, 0x13, 0x00, 0x2f, 0x01, 0x00]);
    let length = u8::try_from(body.len()).expect("a short one");
    [vec![0x16, 0x03, 0x01, 0x00, length + 4, 0x01, 0x00, 0x00, length], body].concat()
}

#[tokio::test]
async fn what_is_no_tls_that_is_taken_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    let sections = format!("[server.tls]\nmin_version = \"1.3\"\n{}", entry(folder.path(), "shop"));
    let (_gateway, address) = start(&sections).await;
    for bytes in [hello_of_tls11(), b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n".to_vec(), vec![0xff; 64]] {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.write_all(&bytes).await.expect("sent");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.expect("it is closed");
        assert!(answer.is_empty() || answer[0] == 0x15, "an alert at most: {answer:?}");
    }
    let mut older = client(None);
    older.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = connect(address, "shop.test", older).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls12 = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("a version")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let refused = connect(address, "shop.test", tls12).await.expect_err("TLS 1.2");
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
}

#[tokio::test]
async fn handshakes_that_go_nowhere_end_and_count_among_the_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    let sections = format!("{}[server.limits]\nconnections = 3\nheader_timeout = \"2s\"\n", entry(folder.path(), "shop"));
    let (gateway, address) = start(&sections).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address).await.expect("connected"));
    }
    gateway
        .until("a fourth is turned away", || async {
            let mut one_more = TcpStream::connect(address).await.expect("connected");
            let _ = one_more.write_all(&[0x16]).await;
            matches!(tokio::time::timeout(Duration::from_millis(200), one_more.read(&mut [0; 8])).await, Ok(Ok(0) | Err(_)))
        })
        .await;
    for socket in &mut silent {
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut [0; 8])).await.expect("it ends");
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    gateway
        .until("there is room again", || async {
            match connect(address, "shop.test", client(None)).await {
                Ok(mut stream) => ask(&mut stream, "shop.test").await.starts_with("HTTP/1.1 200"),
                Err(_) => false,
            }
        })
        .await;
    let metrics = gateway.metrics().await;
    for why in ["reason=\"too_slow\"} 3", "reason=\"too_many\"} "] {
        assert!(metrics.contains(why), "{why}: {metrics}");
    }
}
