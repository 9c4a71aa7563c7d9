//! WebSocket connections pass once they are judged, and nothing that only looks like one does.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::answers::raw;
use crate::echo::echo;
use crate::gateway::{Gateway, Setup};
use crate::sockets::{AGREED, asked, echoes, echoing, ends, handshake, open, open_as, rest, tunnel, until};

fn routes(backend: impl std::fmt::Display) -> Setup {
    Setup::routes(format!(
        "[defaults]\nbackend = \"http://{backend}\"\n[[route]]\nname = \"private\"\npath = \"/private/**\"\n\
         [[route]]\nname = \"scoped\"\npath = \"/scoped\"\nscopes = [\"items:read\"]\n\
         [[route]]\nname = \"open\"\npath = \"/open/**\"\nauth = \"none\"\nmax_body = \"1KiB\"\n"
    ))
}

/// A gateway in front of a backend that the test plays itself.
async fn played(sections: &str) -> (Gateway, TcpListener) {
    let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = backend.local_addr().expect("its address");
    (Gateway::start(routes(address).with(sections)).await, backend)
}

#[tokio::test]
async fn a_websocket_is_judged_like_every_call_and_then_passes() {
    let backend = echoing().await;
    let gateway = Gateway::start(routes(backend).with("[api_keys]\nquery_parameter = \"api_key\"\n")).await;
    gateway.user("alice", &["--roles", "user"]);
    let tokens = gateway.login("alice").await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
    for (path, headers, status) in [
        ("/private/x", &[][..], 401),
        ("/private/x", &[("authorization", "Bearer nonsense")], 401),
        ("/scoped", &[("authorization", bearer.as_str())], 403),
        ("/nowhere", &[], 404),
        ("/private/%2e%2e/x", &[("authorization", bearer.as_str())], 400),
    ] {
        assert_eq!(open(&gateway, path, headers).await.err(), Some(status), "{path}");
    }
    let asks = [
        ("authorization", bearer.as_str()),
        ("x-auth-user", "root"),
        ("sec-websocket-protocol", "chat, other"),
        ("origin", "http://x.test"),
    ];
    let (mut socket, seen) = open(&gateway, "/private/x?a=b", &asks).await.expect("a WebSocket");
    assert_eq!(seen["target"], "/private/x?a=b");
    let headers = &seen["headers"];
    assert_eq!((&headers["x-auth-user"], &headers["x-auth-method"]), (&"alice".into(), &"bearer".into()));
    assert_eq!((&headers["sec-websocket-protocol"], &headers["origin"]), (&"chat, other".into(), &"http://x.test".into()));
    assert!(headers["authorization"].is_null(), "{seen}");
    assert!(echoes(&mut socket, "hello").await);
    let long = "x".repeat(3 << 20);
    assert!(echoes(&mut socket, &long).await, "max_body and buffers are of no matter");
    socket.close(None).await.expect("closed");
    ends(&mut socket).await;
    gateway.until("the log has it", || async { gateway.log().contains("status=101") }).await;

    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "k"], "");
    let (mut socket, seen) = open(&gateway, &format!("/private/x?api_key={}&c=d", key.trim()), &[]).await.expect("a WebSocket");
    assert_eq!((&seen["target"], &seen["headers"]["x-auth-method"]), (&"/private/x?c=d".into(), &"api_key".into()));
    assert!(echoes(&mut socket, "hello").await);
    assert!(!gateway.log().contains(key.trim()));
}

#[tokio::test]
async fn nothing_reaches_the_backend_behind_the_handshake_before_it_agrees() {
    let (gateway, backend) = played("").await;
    let mut client = TcpStream::connect(gateway.address).await.expect("connected");
    let early = format!("{}GET /private/early HTTP/1.1\r\n\r\n", handshake("/open/x", ""));
    client.write_all(early.as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    let head = until(&mut server, "\r\n\r\n").await;
    assert!(head.ends_with("\r\n\r\n") && !head.contains("early"), "{head}");
    let mut one = [0; 1];
    let more = tokio::time::timeout(Duration::from_millis(300), server.read(&mut one)).await;
    assert!(more.is_err(), "a byte came before the 101: {more:?}");
    server.write_all(AGREED.as_bytes()).await.expect("sent");
    until(&mut server, "GET /private/early HTTP/1.1\r\n\r\n").await;
    server.write_all(b"raw").await.expect("sent");
    assert!(until(&mut client, "raw").await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn an_answer_that_is_no_101_makes_no_tunnel_and_the_connection_stays_in_step() {
    let (gateway, backend) = played("").await;
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        let behind = "GET /private/behind HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
        let both = format!("{}{behind}", handshake("/open/x", ""));
        let (mut client, mut server) = asked(&gateway, &backend, &both).await;
        server.write_all(answer.as_bytes()).await.expect("sent");
        let got = rest(&mut client).await;
        let status = answer.split(' ').nth(1).expect("a status");
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
        assert!(got.contains("HTTP/1.1 401 ") && got.contains("missing_credential"), "what came behind was judged: {got}");
        drop(server);
    }
}

#[tokio::test]
async fn a_backend_that_does_not_answer_a_handshake_is_given_up() {
    let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = backend.local_addr().expect("its address");
    let route = "[[route]]\nname = \"quick\"\npath = \"/quick\"\nauth = \"none\"\ntimeout = \"1s\"\n";
    let gateway = Gateway::start(Setup::routes(format!("{route}backend = \"http://{address}\"\n"))).await;
    let mut client = TcpStream::connect(gateway.address).await.expect("connected");
    client.write_all(handshake("/quick", "").as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    until(&mut server, "\r\n\r\n").await;
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 504 "));
    rest(&mut server).await;
}

#[tokio::test]
async fn what_a_backend_says_in_advance_of_its_answer_goes_no_further() {
    let (gateway, backend) = played("").await;
    let mut client = TcpStream::connect(gateway.address).await.expect("connected");
    client.write_all(handshake("/open/x", "").as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    until(&mut server, "\r\n\r\n").await;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    server.write_all(format!("{early}{AGREED}first").as_bytes()).await.expect("sent");
    let got = until(&mut client, "first").await;
    assert!(got.starts_with("HTTP/1.1 101 ") && !got.contains("Early"), "{got}");
}

#[tokio::test]
async fn a_101_that_agrees_to_something_else_is_a_broken_backend() {
    let (gateway, backend) = played("").await;
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nevil",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nevil",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nevil",
    ] {
        let (mut client, mut server) = asked(&gateway, &backend, &handshake("/open/x", "")).await;
        server.write_all(answer.as_bytes()).await.expect("sent");
        let got = rest(&mut client).await;
        assert!(got.starts_with("HTTP/1.1 502 ") && !got.contains("evil"), "{got}");
    }
}

#[tokio::test]
async fn whatever_else_wants_an_upgrade_is_a_plain_call() {
    let backend = echo().await;
    let gateway = Gateway::start(routes(backend)).await;
    let usual = handshake("/open/x", "");
    for request in [
        usual.replace("Upgrade: websocket", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        usual.replace("Upgrade: websocket", "Upgrade: TLS/1.0"),
        usual.replace("Upgrade: websocket", "Upgrade: websocket, h2c"),
        usual.replace("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        usual.replace("GET ", "POST "),
        usual.replace("Host: gateway.test", "Host: gateway.test\r\nContent-Length: 0"),
        usual.replace("HTTP/1.1", "HTTP/1.0"),
        usual.replace("Version: 13", "Version: 12"),
        usual.replace("Connection: Upgrade", "Connection: close"),
    ] {
        let request = request.replace("Connection: Upgrade", "Connection: Upgrade, HTTP2-Settings, close");
        let answer = raw(&gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{request}\n{answer}");
        let told = answer.to_ascii_lowercase();
        assert!(!told.contains("\"upgrade\"") && !told.contains("\"http2-settings\""), "{request}\n{answer}");
    }
    let closes = usual.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answer = raw(&gateway, &closes.replace("Sec-WebSocket-Key", "X-Key")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_request"), "{answer}");
    let answer = raw(&gateway, &closes.replace("/open/x", "/private/x")).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_hundred_megabytes_pass_both_ways_in_constant_memory_and_single_bytes_too() {
    const TOTAL: usize = 100 << 20;
    let (gateway, backend) = played("").await;
    let (mut client, mut server) = tunnel(&gateway, &backend, "/open/x", "").await;
    for byte in b"one by one" {
        client.write_all(&[*byte]).await.expect("sent");
        assert_eq!(server.read_u8().await.expect("a byte"), *byte);
        server.write_all(&[*byte]).await.expect("sent");
        assert_eq!(client.read_u8().await.expect("a byte"), *byte);
    }
    let before = gateway.resident_kib();
    let pour = |mut out: tokio::net::tcp::OwnedWriteHalf| async move {
        let chunk = vec![7; 64 * 1024];
        for _ in 0..TOTAL / chunk.len() {
            out.write_all(&chunk).await.expect("sent");
        }
        out
    };
    let drain = |mut from: tokio::net::tcp::OwnedReadHalf| async move {
        let (mut count, mut chunk) = (0, vec![0; 64 * 1024]);
        while count < TOTAL {
            let more = from.read(&mut chunk).await.expect("bytes");
            assert!(more > 0 && chunk[..more].iter().all(|&byte| byte == 7), "{count}");
            count += more;
        }
        from
    };
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    let _open = tokio::join!(
        tokio::spawn(pour(client_out)),
        tokio::spawn(pour(server_out)),
        tokio::spawn(drain(client_in)),
        tokio::spawn(drain(server_in))
    );
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
}

#[tokio::test]
async fn no_deadline_ends_a_silent_websocket_nor_a_stream_of_events() {
    let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gateway = Gateway::start(
        Setup::routes("[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"b\"\ntimeout = \"1s\"\n")
            .server("[server.limits]\nkeepalive_timeout = \"1s\"\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n")
            .with(&format!(
                "[[backends]]\nname = \"b\"\nservers = [\"{}\"]\ntimeout = \"1s\"\nread_timeout = \"1s\"\n",
                backend.local_addr().expect("its address")
            )),
    )
    .await;
    let (mut client, mut server) = tunnel(&gateway, &backend, "/socket", "").await;
    let (mut events, mut source) = asked(&gateway, &backend, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    source.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n").await.expect("sent");
    until(&mut events, "\r\n\r\n").await;
    // Longer than all of the deadlines together with what stands behind them.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    server.write_all(b"down").await.expect("sent");
    until(&mut client, "down").await;
    client.write_all(b"up").await.expect("sent");
    until(&mut server, "up").await;
    source.write_all(b"data: 1\n\n").await.expect("sent");
    until(&mut events, "data: 1").await;
}

#[tokio::test]
async fn an_end_on_either_side_is_the_end_on_the_other_and_last_words_arrive() {
    let (gateway, backend) = played("").await;
    let (mut client, mut server) = tunnel(&gateway, &backend, "/open/x", "").await;
    server.write_all(b"goodbye").await.expect("sent");
    drop(server);
    assert_eq!(rest(&mut client).await, "goodbye");

    let (mut client, mut server) = tunnel(&gateway, &backend, "/open/x", "").await;
    client.write_all(b"goodbye").await.expect("sent");
    client.shutdown().await.expect("half closed");
    until(&mut server, "goodbye").await;
    server.write_all(b"so long").await.expect("sent");
    assert_eq!(rest(&mut server).await, "", "the client's end is passed on");
    drop(server);
    assert_eq!(rest(&mut client).await, "so long");

    let (client, mut server) = tunnel(&gateway, &backend, "/open/x", "").await;
    drop(client);
    assert_eq!(rest(&mut server).await, "");
}

#[tokio::test]
async fn a_websocket_lives_through_a_reload_and_until_the_drain_ends() {
    let backend = echoing().await;
    let mut gateway = Gateway::start(routes(backend).server("drain_timeout = \"2s\"")).await;
    gateway.user("alice", &[]);
    let tokens = gateway.login("alice").await;
    let mut socket = open_as(&gateway, "/private/x", tokens["access_token"].as_str().expect("a token")).await;
    std::fs::write(
        gateway.own_folder().join("routes/test.toml"),
        format!("version = 1\n[[route]]\nname = \"other\"\npath = \"/other\"\nbackend = \"http://{backend}\"\n"),
    )
    .expect("written");
    gateway.signal("HUP");
    gateway.until("the route is gone", || async { gateway.get("/private/x").await.status == 404 }).await;
    assert!(echoes(&mut socket, "after the reload").await);
    gateway.signal("TERM");
    gateway.until("it takes no more connections", || async { TcpStream::connect(gateway.address).await.is_err() }).await;
    assert!(echoes(&mut socket, "while draining").await);
    assert_eq!(gateway.ended().await, Some(0));
    ends(&mut socket).await;
}
