//! WebSocket connections: a backend that echoes, and clients, both by a library that others wrote; and raw sockets for what no library does.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::gateway::Gateway;

/// A client's WebSocket.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Long enough for anything that is going to happen.
const SOON: Duration = Duration::from_secs(10);

/// Starts a backend that says what its handshake looked like and then echoes.
pub(crate) async fn echoing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    address
}

async fn echo(stream: TcpStream) {
    let mut seen = Value::Null;
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let look = |request: &Request, mut response: Response| {
        let header = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap_or("?").into());
        let headers: Map<String, Value> = request.headers().iter().map(header).collect();
        seen = json!({ "target": request.uri().to_string(), "headers": headers });
        if let Some(protocols) = request.headers().get("sec-websocket-protocol") {
            let first = protocols.to_str().unwrap_or_default().split(',').next().unwrap_or_default();
            let first = HeaderValue::from_str(first.trim()).expect("a header value");
            response.headers_mut().insert("sec-websocket-protocol", first);
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, look).await else { return };
    socket.send(Message::text(seen.to_string())).await.ok();
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Opens a WebSocket; gives it, and what the backend saw. Or the status that was answered instead.
pub(crate) async fn open(gateway: &Gateway, path: &str, headers: &[(&'static str, &str)]) -> Result<(Socket, Value), u16> {
    let stream = TcpStream::connect(gateway.address).await.expect("connected");
    let mut request = format!("ws://gateway.test{path}").into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header value"));
    }
    match tokio::time::timeout(SOON, client_async(request, stream)).await.expect("an answer") {
        Ok((mut socket, _)) => {
            let seen = said(&mut socket).await.expect("what the backend saw");
            Ok((socket, serde_json::from_str(&seen).expect("JSON")))
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("neither a WebSocket nor an answer: {other}\n{}", gateway.log()),
    }
}

/// Opens one with a bearer token.
pub(crate) async fn open_as(gateway: &Gateway, path: &str, token: &str) -> Socket {
    let (socket, _) = open(gateway, path, &[("authorization", &format!("Bearer {token}"))]).await.expect("a WebSocket");
    socket
}

/// The next text; `None` when the WebSocket has ended.
pub(crate) async fn said(socket: &mut Socket) -> Option<String> {
    let message = tokio::time::timeout(SOON, socket.next()).await.expect("a message, or the end");
    message?.ok().filter(|message| !message.is_close())?.into_text().ok().map(|text| text.to_string())
}

/// Whether what is said comes back.
pub(crate) async fn echoes(socket: &mut Socket, text: &str) -> bool {
    socket.send(Message::text(text)).await.is_ok() && said(socket).await.as_deref() == Some(text)
}

/// Waits until the gateway ends a WebSocket; panics when anything is said before.
pub(crate) async fn ends(socket: &mut Socket) {
    assert_eq!(said(socket).await, None);
}

/// A handshake's bytes.
pub(crate) fn handshake(path: &str, more: &str) -> String {
    format!("{}{more}\r\n", asking(path))
}

/// The same, with room for more fields.
pub(crate) fn asking(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
}

/// What agrees to it.
pub(crate) const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Reads until `mark` has come, and gives all of it.
pub(crate) async fn until(stream: &mut TcpStream, mark: &str) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&all).contains(mark) {
        let count = tokio::time::timeout(SOON, stream.read(&mut chunk)).await;
        let count = count.unwrap_or_else(|_| panic!("no {mark:?} in {:?}", String::from_utf8_lossy(&all))).unwrap_or(0);
        assert!(count > 0, "ended before {mark:?}: {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads to the end, whichever way it comes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            all.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(SOON, read).await.expect("an end");
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends `request`; gives the client's connection, and the backend's once the head has come to it.
pub(crate) async fn asked(gateway: &Gateway, backend: &TcpListener, request: &str) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(gateway.address).await.expect("connected");
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    until(&mut server, "\r\n\r\n").await;
    (client, server)
}

/// A gateway's connection and its backend's, once both have agreed.
pub(crate) async fn tunnel(gateway: &Gateway, backend: &TcpListener, path: &str, more: &str) -> (TcpStream, TcpStream) {
    let (mut client, mut server) = asked(gateway, backend, &handshake(path, more)).await;
    server.write_all(AGREED.as_bytes()).await.expect("sent");
    let answer = until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    (client, server)
}
