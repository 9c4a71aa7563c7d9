//! An open stream ends when its credential or session is revoked, or has ended by itself.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::gateway::{Gateway, Setup};
use crate::redis::RedisServer;
use crate::revocation::{access, log_out};
use crate::sockets::{AGREED, Socket, asked, asking, echoes, echoing, ends, open, open_as, rest, until};

async fn gateway(route: &str, sections: &str) -> Gateway {
    in_front_of(echoing().await, route, sections).await
}

/// A gateway in front of a backend that the test plays itself.
async fn played() -> (Gateway, TcpListener) {
    let backend = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (in_front_of(backend.local_addr().expect("its address"), "", "").await, backend)
}

async fn in_front_of(backend: SocketAddr, route: &str, sections: &str) -> Gateway {
    let gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n{route}\n"))
            .with("[login]\nrate_limit = \"100000/1s\"\n")
            .with(sections),
    )
    .await;
    gateway.user("alice", &["--roles", "user"]);
    gateway
}

#[tokio::test]
async fn after_the_204_of_a_logout_no_byte_passes_and_other_sessions_live_on() {
    let gateway = gateway("", "").await;
    let (gone, stays) = (gateway.login("alice").await, gateway.login("alice").await);
    let mut ended = open_as(&gateway, "/a", access(&gone)).await;
    let mut other = open_as(&gateway, "/b", access(&stays)).await;
    assert!(echoes(&mut ended, "before").await);
    log_out(&gateway, &gone).await;
    assert!(!echoes(&mut ended, "after").await);
    assert!(echoes(&mut other, "still here").await);
    gateway.until("the log says why", || async { gateway.log().contains("revoked") }).await;
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("path=/a ")).expect("a line");
    assert!(line.contains("status=101") && line.contains("decision=allow") && line.contains("reason=revoked"), "{line}");
    assert!(
        gateway.metrics().await.contains("portcullis_streams_ended_total{reason=\"revoked\"} 1"),
        "{}",
        gateway.metrics().await
    );
}

/// What ends a stream, by name.
async fn revoke(gateway: &Gateway, how: &str, tokens: &Value) {
    match how {
        "the session by its id" => {
            let listed = gateway.cli(&["session", "list", "--format", "json"], "");
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            let id = listed[0]["id"].as_str().expect("an id");
            gateway.cli(&["session", "revoke", id], "");
        }
        "all sessions" => drop(gateway.cli(&["session", "revoke", "--user", "alice"], "")),
        "roles" => drop(gateway.cli(&["user", "set-roles", "alice", "viewer"], "")),
        "the account" => drop(gateway.cli(&["user", "disable", "alice"], "")),
        "everywhere" => {
            let body = serde_json::json!({ "everywhere": true });
            let answer = gateway.request("POST", "/auth/logout").bearer_auth(access(tokens)).json(&body);
            assert_eq!(gateway.send(answer).await.status, 204);
        }
        "a replayed refresh token" => {
            let refresh = async |tokens: &Value| {
                gateway.post("/auth/refresh", &serde_json::json!({ "refresh_token": tokens["refresh_token"] })).await
            };
            let second = refresh(tokens).await.json();
            let third = refresh(&second).await;
            assert_eq!((third.status, refresh(tokens).await.status), (200, 401));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_way_to_revoke_ends_it() {
    for how in ["the session by its id", "all sessions", "roles", "the account", "everywhere", "a replayed refresh token"] {
        let gateway = gateway("", "").await;
        let tokens = gateway.login("alice").await;
        let mut socket = open_as(&gateway, "/a", access(&tokens)).await;
        revoke(&gateway, how, &tokens).await;
        ends(&mut socket).await;
    }
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams_and_no_others() {
    let gateway = gateway("", "").await;
    let create = |name| gateway.cli(&["key", "create", "--owner", "alice", "--name", name, "--format", "json"], "");
    let (gone, stays) = (create("one"), create("two"));
    let read = |key: &str| serde_json::from_str::<Value>(key).expect("JSON");
    let (gone, stays) = (read(&gone), read(&stays));
    let with = |key: &Value| key["key"].as_str().expect("a key").to_owned();
    let (mut ended, _) = open(&gateway, "/a", &[("x-api-key", &with(&gone))]).await.expect("a WebSocket");
    let (mut other, _) = open(&gateway, "/b", &[("x-api-key", &with(&stays))]).await.expect("a WebSocket");
    gateway.cli(&["key", "revoke", gone["id"].as_str().expect("an id")], "");
    ends(&mut ended).await;
    assert!(echoes(&mut other, "still here").await);
}

#[tokio::test]
async fn with_its_key() {
    let gateway = gateway("", "").await;
    let create = |name, more: &[&str]| {
        let usual = ["key", "create", "--owner", "alice", "--name", name];
        gateway.cli(&[&usual[..], more].concat(), "").trim().to_owned()
    };
    let (brief, lasting) = (create("brief", &["--expires-in", "4s"]), create("lasting", &[]));
    let (mut ended, _) = open(&gateway, "/a", &[("x-api-key", &brief)]).await.expect("a WebSocket");
    let (mut lives, _) = open(&gateway, "/b", &[("x-api-key", &lasting)]).await.expect("a WebSocket");
    ends(&mut ended).await;
    gateway.until("the log says why", || async { gateway.log().contains("reason=expired") }).await;
    assert!(echoes(&mut lives, "still here").await);
}

#[tokio::test]
async fn what_waits_for_its_answer_gets_none_once_it_is_revoked() {
    let (gateway, backend) = played().await;
    for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret", "HTTP/1.1 204 No Content\r\nX-Secret: secret\r\n\r\n"] {
        let tokens = gateway.login("alice").await;
        let request = format!("GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", access(&tokens));
        let (mut client, mut server) = asked(&gateway, &backend, &request).await;
        // What is answered at once is not watched: it is the request's age that counts, which nothing shows.
        tokio::time::sleep(Duration::from_millis(60)).await;
        log_out(&gateway, &tokens).await;
        server.write_all(answer.as_bytes()).await.expect("sent");
        assert_eq!(rest(&mut client).await, "");
    }
}

#[tokio::test]
async fn with_its_token_or_with_its_session() {
    let sections = "[tokens]\naccess_ttl = \"3s\"\nleeway = \"0s\"\n";
    let by_token = gateway("stream_expiry = \"token\"", sections).await;
    let by_session = gateway("", sections).await;
    let tokens = by_token.login("alice").await;
    let mut ended = open_as(&by_token, "/a", access(&tokens)).await;
    let tokens = by_session.login("alice").await;
    let mut lives = open_as(&by_session, "/a", access(&tokens)).await;
    ends(&mut ended).await;
    by_session.until("the token is no good", || async { by_session.get_as("/x", access(&tokens)).await.status == 401 }).await;
    assert!(echoes(&mut lives, "the session lives").await);
    by_token.until("the log says why", || async { by_token.log().contains("reason=expired") }).await;
    log_out(&by_session, &tokens).await;
    ends(&mut lives).await;
}

#[tokio::test]
async fn a_session_that_was_refreshed_carries_its_streams_on_and_one_that_was_not_ends_them() {
    let gateway = gateway("", "[tokens]\naccess_ttl = \"3s\"\nrefresh_ttl = \"8s\"\nleeway = \"0s\"\n").await;
    let (kept, left) = (gateway.login("alice").await, gateway.login("alice").await);
    let mut lives = open_as(&gateway, "/kept", access(&kept)).await;
    let mut ended = open_as(&gateway, "/left", access(&left)).await;
    gateway.until("the tokens are no good", || async { gateway.get_as("/x", access(&kept)).await.status == 401 }).await;
    let refreshed = gateway.post("/auth/refresh", &serde_json::json!({ "refresh_token": kept["refresh_token"] })).await;
    assert_eq!(refreshed.status, 200);
    ends(&mut ended).await;
    assert!(echoes(&mut lives, "refreshed").await);
    ends(&mut lives).await;
}

/// Asks `path` raw, of a backend that answers with `head` and `first`, and logs out once that is in: what has come in all,
/// and what the backend said meanwhile.
async fn cut_in_the_middle(head: &str, first: &str) -> String {
    let (gateway, backend) = played().await;
    let tokens = gateway.login("alice").await;
    let request = format!("GET /x HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {}\r\n\r\n", access(&tokens));
    let (mut client, mut server) = asked(&gateway, &backend, &request).await;
    server.write_all(format!("{head}\r\n\r\n{first}").as_bytes()).await.expect("sent");
    let before = until(&mut client, "first").await;
    log_out(&gateway, &tokens).await;
    server.write_all(b"second").await.ok();
    let after = rest(&mut client).await;
    assert_eq!(rest(&mut server).await, "", "the backend's connection ends too");
    assert!(!after.contains("second"), "{after}");
    gateway.until("the log says why", || async { gateway.log().contains("reason=revoked") }).await;
    before + &after
}

#[tokio::test]
async fn a_download_that_is_cut_does_not_look_whole() {
    let chunked = cut_in_the_middle("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "5\r\nfirst\r\n").await;
    assert!(chunked.ends_with("5\r\nfirst\r\n"), "no last chunk: {chunked:?}");
    let long = cut_in_the_middle("HTTP/1.1 200 OK\r\nContent-Length: 1000000", "first").await;
    assert!(long.ends_with("first"), "{long:?}");
    let short = cut_in_the_middle("HTTP/1.1 200 OK\r\nContent-Length: 11", "first").await;
    assert!(short.ends_with("first"), "{short:?}");
    let events = cut_in_the_middle("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream", "data: first\n\n").await;
    assert!(!events.ends_with("0\r\n\r\n"), "{events:?}");
}

#[tokio::test]
async fn a_cut_is_a_reset_so_that_what_ends_with_its_connection_does_not_look_whole() {
    let (gateway, backend) = played().await;
    let download = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_owned();
    for (request, answer) in [("GET /x HTTP/1.0\r\nHost: x\r\n".to_owned(), download), (asking("/x"), format!("{AGREED}first"))] {
        let tokens = gateway.login("alice").await;
        let request = format!("{request}Authorization: Bearer {}\r\n\r\n", access(&tokens));
        let (mut client, mut server) = asked(&gateway, &backend, &request).await;
        server.write_all(answer.as_bytes()).await.expect("sent");
        until(&mut client, "first").await;
        log_out(&gateway, &tokens).await;
        let end = client.read_u8().await.expect_err("an end");
        assert_eq!(end.kind(), ErrorKind::ConnectionReset, "{request}");
        assert_eq!(rest(&mut server).await, "", "the backend's connection ends too");
    }
}

#[tokio::test]
async fn what_a_slow_client_has_not_taken_by_the_204_it_never_gets() {
    let (gateway, backend) = played().await;
    let tokens = gateway.login("alice").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut client = socket.connect(gateway.address).await.expect("connected");
    let request = format!("{}Authorization: Bearer {}\r\n\r\n", asking("/x"), access(&tokens));
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    until(&mut server, "\r\n\r\n").await;
    server.write_all(AGREED.as_bytes()).await.expect("sent");
    until(&mut client, "\r\n\r\n").await;
    let chunk = vec![b'x'; 64 * 1024];
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(500), server.write_all(&chunk)).await {
        sent.expect("sent");
    }
    log_out(&gateway, &tokens).await;
    assert_eq!(rest(&mut server).await, "", "cut, though nobody reads");
    let late = rest(&mut client).await.len();
    assert!(late < chunk.len(), "{late} bytes came that the kernel held");
}

#[tokio::test]
async fn an_upload_that_is_cut_reaches_the_backend_no_further() {
    let (gateway, backend) = played().await;
    let tokens = gateway.login("alice").await;
    let mut client = TcpStream::connect(gateway.address).await.expect("connected");
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1000000\r\nAuthorization: Bearer {}\r\n\r\nfirst",
        access(&tokens)
    );
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut server, _) = backend.accept().await.expect("a connection");
    until(&mut server, "first").await;
    log_out(&gateway, &tokens).await;
    client.write_all(b"second").await.ok();
    assert_eq!(rest(&mut server).await, "");
    assert!(!rest(&mut client).await.contains("HTTP/1.1 2"));
}

/// Opens `count` WebSocket connections on `at`, each of a login of its own, and sees them echo.
async fn many(count: usize, at: &Gateway) -> Vec<(Value, Socket)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let tokens = at.login("alice").await;
        let mut socket = open_as(at, "/x", access(&tokens)).await;
        assert!(echoes(&mut socket, "hello").await);
        all.push((tokens, socket));
    }
    all
}

/// Logs each out at `at` while it talks; how long after the 204 the last byte came.
async fn cut(at: &Gateway, all: Vec<(Value, Socket)>) -> Vec<Duration> {
    let mut took = Vec::new();
    for (tokens, mut socket) in all {
        let talking = tokio::spawn(async move {
            let mut last = Instant::now();
            while echoes(&mut socket, "are you there?").await {
                last = Instant::now();
            }
            last
        });
        log_out(at, &tokens).await;
        let answered = Instant::now();
        took.push(talking.await.expect("it ends").saturating_duration_since(answered));
    }
    took.sort_unstable();
    took
}

fn told(what: &str, took: &[Duration]) -> String {
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    format!(
        "{what}: {} streams, from the 204 to the last byte: p50 {:?}, p99 {:?}, max {:?}",
        took.len(),
        at(50),
        at(99),
        at(100)
    )
}

#[tokio::test]
async fn on_every_replica_with_redis_and_without() {
    let mut server = RedisServer::start();
    for kind in ["with Redis", "with Redis, which is killed", "without Redis"] {
        let redis = (kind != "without Redis").then_some(&server);
        let backend = echoing().await;
        let sections = redis.map_or_else(String::new, |redis| format!("[redis]\nurl = \"{}\"\n", redis.url()));
        let setup = || {
            Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
                .with("[login]\nrate_limit = \"100000/1s\"\n")
                .with(&sections)
        };
        let one = Gateway::start_with_keys(setup(), tempfile::tempdir().expect("a folder")).await;
        let two = Gateway::start(setup().beside(&one)).await;
        one.user("alice", &[]);
        let count = if kind == "with Redis" { 200 } else { 10 };
        let mut others = many(5, &two).await;
        let here = many(count, &one).await;
        let took = cut(&one, here).await;
        println!("{}", told("the answering replica", &took));
        assert_eq!(took.last(), Some(&Duration::ZERO), "behind the 204 nothing passes");
        let there = many(count, &two).await;
        if kind == "with Redis, which is killed" {
            server.kill();
        }
        let took = cut(&one, there).await;
        let half = took[took.len() / 2];
        println!("{}", told(&format!("another replica, {kind}"), &took));
        assert!(kind != "with Redis" || half < Duration::from_millis(200), "the store alone would take longer: {half:?}");
        for (_, socket) in &mut others {
            assert!(echoes(socket, "of another session").await);
        }
    }
}
