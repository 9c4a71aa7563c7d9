//! WebSocket connections through TLS, on either side of the gateway, and backends that have none.

use std::io::ErrorKind;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use crate::encrypted::{client, connect, entry, write};
use crate::gateway::{Gateway, Setup, free_address};
use crate::secure::{Authority, Server};
use crate::sockets::{AGREED, handshake, open};

/// Reads a head's bytes and nothing behind them.
async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\n") {
        all.push(stream.read_u8().await.expect("a byte"));
    }
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn one_passes_from_tls_to_tls_and_its_cut_is_no_ordinary_end() {
    let authority = Authority::new();
    let config = authority.leaf(&["chat.internal"]).server(&["h2", "http/1.1"], None);
    let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = backend.local_addr().expect("its address").port();
    let serving = tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(config);
        let (stream, _) = backend.accept().await.expect("a connection");
        let mut stream = acceptor.accept(stream).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "HTTP/2 has no upgrades");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.expect("a byte"));
        }
        stream.write_all(format!("{AGREED}first").as_bytes()).await.expect("sent");
        stream.flush().await.expect("sent");
        let mut said = [0; 2];
        stream.read_exact(&mut said).await.expect("two bytes");
        stream.write_all(&said).await.expect("sent");
        stream.flush().await.expect("sent");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        (String::from_utf8_lossy(&asked).to_ascii_lowercase(), rest)
    });
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "shop", &["shop.test"]);
    std::fs::write(folder.path().join("ca.pem"), &authority.pem).expect("written");
    let address = free_address();
    let sections = format!(
        "{}[[backends]]\nname = \"chat\"\nservers = [\"127.0.0.1:{port}\"]\nscheme = \"https\"\n\
         tls = {{ server_name = \"chat.internal\", ca = \"{}/ca.pem\" }}\n",
        entry(folder.path(), "shop"),
        folder.path().display()
    );
    let setup = Setup::routes("[[route]]\nname = \"a\"\npath = \"/**\"\nbackend = \"chat\"\n").with(&sections);
    let setup = setup.env("PORTCULLIS__SERVER__LISTEN", &format!("[{{ address = \"{address}\", tls = true }}]"));
    let gateway = Gateway::start(setup).await;
    gateway.user("alice", &[]);
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "one", "--format", "json"], "");
    let key: Value = serde_json::from_str(&key).expect("JSON");
    let mut socket = connect(address, "shop.test", client(None)).await.expect("a handshake");
    let asks = handshake("/chat", &format!("X-API-Key: {}\r\n", key["key"].as_str().expect("a key")));
    socket.write_all(asks.as_bytes()).await.expect("sent");
    let answer = head(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    socket.write_all(b"up").await.expect("sent");
    let mut heard = [0; 7];
    socket.read_exact(&mut heard).await.expect("what it said first, and the echo");
    assert_eq!(&heard, b"firstup");
    gateway.cli(&["key", "revoke", key["id"].as_str().expect("an id")], "");
    let end = socket.read_u8().await.expect_err("an end");
    // Without the TLS alert that says that all has been said (RFC 8446 §6.1), which reads as an ordinary end.
    assert!(matches!(end.kind(), ErrorKind::ConnectionReset), "{end}");
    let (asked, rest) = serving.await.expect("it serves");
    assert!(asked.contains("upgrade: websocket") && asked.contains("x-auth-user: alice") && rest.is_empty(), "{asked}");
}

#[tokio::test]
async fn a_backend_that_speaks_http_2_only_gets_none() {
    let server = Server::clear().await;
    let route = format!("[[route]]\nname = \"a\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"h2c://{}\"\n", server.address);
    let gateway = Gateway::start(Setup::routes(route)).await;
    assert_eq!(open(&gateway, "/x", &[]).await.err(), Some(501));
    assert!(server.seen().is_empty(), "it is not asked");
    assert_eq!(gateway.get("/x").await.status, 200, "other calls pass");
}
