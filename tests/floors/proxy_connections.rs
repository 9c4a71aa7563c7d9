//! Connections: how many, how long, one request after the other, and their end.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::backend::{Backend, Script, until};
use crate::gateway::{self, Client, Gateway, config, live, routes};

const GET: &str = "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n";

async fn world() -> (Backend, Gateway) {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    (backend, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_and_no_identity_carries_over() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    let known = "GET /items/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer alice\r\n\r\n";
    let anonymous = "GET /items/2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let maybe = "GET /maybe/3 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write(format!("{known}{anonymous}{maybe}{known}")).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.answer().await.status);
    }
    assert_eq!(statuses, [200, 401, 200, 200]);
    let users: Vec<_> = backend.seen().iter().map(|seen| (seen.target().to_owned(), seen.headers("x-auth-user"))).collect();
    let alice = vec!["alice".to_owned()];
    assert_eq!(users, [("/items/1".into(), alice.clone()), ("/maybe/3".into(), vec![]), ("/items/1".into(), alice)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_with_bodies_stay_in_step() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    let length = "POST /open/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "POST /open/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n";
    client.write(format!("{length}{chunked}{GET}{chunked}{length}")).await;
    for _ in 0..5 {
        assert_eq!(client.answer().await.status, 200);
    }
    let bodies: Vec<_> = backend.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    assert_eq!(bodies, ["abc", "def", "", "def", "abc"]);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_answered_and_closed() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    client.write("GET /open/x HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.rest().await.is_empty());
    // It does not know chunks.
    backend.answer(Script::Bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec()));
    let mut client = gateway.connect().await;
    client.write("GET /open/x HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.header("transfer-encoding"), answer.text().as_str()), (None, "ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once_and_room_comes_back() {
    let backend = Backend::start("b").await;
    let mut config = config();
    config.server.limits.connections = 3;
    let gateway = Gateway::with(config, routes(&[&backend.address]));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.write(GET).await;
        assert_eq!(client.answer().await.status, 200);
        held.push(client);
    }
    assert!(gateway.connect().await.rest().await.is_empty());
    assert_eq!(gateway.shared.turned_away(), 1);
    held.clear();
    until("room", || gateway.shared.connections() == 0).await;
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_in_ends_at_a_total_deadline() {
    let mut config = config();
    config.server.limits.header_timeout = Duration::from_millis(200);
    let gateway = Gateway::with(config, routes(&["127.0.0.1:1"]));
    let mut client = gateway.connect().await;
    client.write("GET /open/x HTTP/1.1\r\nHost: a\r\n").await;
    for i in 0.. {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if client.socket.write_all(b"X: y\r\n").await.is_err() || gateway.shared.connections() == 0 {
            break;
        }
        let mut peek = [0; 1];
        if let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(1), client.socket.peek(&mut peek)).await {
            break;
        }
        assert!(i < 1000, "it went on for ever");
    }
    assert_eq!(client.answer().await.status, 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end() {
    let backend = Backend::start("b").await;
    let mut config = config();
    config.server.limits.keepalive_timeout = Duration::from_millis(100);
    let gateway = Gateway::with(config, routes(&[&backend.address]));
    let mut silent = gateway.connect().await;
    assert!(silent.rest().await.is_empty());
    let mut client = gateway.connect().await;
    client.write(GET).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_seen_by_the_next_request_and_fails_none() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    client.write(GET).await;
    assert_eq!(client.answer().await.status, 200);
    backend.answer(Script::Steps(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold".to_vec()]));
    client.write(GET).await;
    until("the second", || backend.seen().len() == 2).await;
    let mut fewer = routes(&[&backend.address]);
    fewer.retain(|route| &*route.name != "open");
    gateway.shared.replace(live(config(), fewer));
    backend.next();
    assert_eq!(client.answer().await.text(), "old");
    client.write(GET).await;
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_fails_no_request() {
    let (backend, gateway) = world().await;
    backend.answer(Script::Steps(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_vec()]));
    let mut idle = gateway.connect().await;
    let mut busy = gateway.connect().await;
    busy.write(GET).await;
    until("the call", || backend.seen().len() == 1).await;
    assert_eq!(gateway.admin("/readyz").await.status, 200);
    let address = gateway.address();
    let (shared, backend) = (gateway.shared.clone(), backend);
    let drained = async { gateway.running.drain(Duration::from_millis(300), gateway::LONG).await };
    let client = async {
        until("not ready", || shared.is_draining()).await;
        // During the delay it still serves.
        let mut late = Client::of(TcpStream::connect(address).await.unwrap());
        late.write("GET /auth/me HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = late.answer().await;
        assert_eq!(answer.text(), "me");
        assert!(idle.rest().await.is_empty());
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        backend.next();
        let answer = busy.answer().await;
        assert_eq!((answer.text().as_str(), answer.header("connection").as_deref()), ("late", Some("close")));
        assert!(busy.rest().await.is_empty());
    };
    let (all_ended, ()) = tokio::join!(drained, client);
    assert!(all_ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_does_not_wait_for_ever() {
    let (backend, gateway) = world().await;
    backend.answer(Script::Silent);
    let mut busy = gateway.connect().await;
    busy.write(GET).await;
    until("the call", || backend.seen().len() == 1).await;
    assert_eq!(gateway.admin("/livez").await.status, 200);
    assert!(!gateway.running.drain(Duration::ZERO, Duration::from_millis(50)).await);
    assert_eq!(gateway.admin("/readyz").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_an_error_and_no_panic() {
    let (_backend, gateway) = world().await;
    let any = "127.0.0.1:0".parse().unwrap();
    let error = portcullis::proxy::start(&gateway.shared, &[gateway.address().into()], any, 1, std::collections::HashMap::new())
        .unwrap_err();
    assert!(error.to_string().contains(&gateway.address().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_tells_health_and_metrics() {
    let (_backend, gateway) = world().await;
    assert_eq!(gateway.send(GET).await.status, 200);
    // A request is counted once its answer is sent.
    let counted = "portcullis_requests_total{route=\"open\",decision=\"allow\",status=\"200\"} 1";
    until("the request is counted", || gateway.shared.metrics.render().contains(counted)).await;
    assert!(gateway.admin("/metrics").await.text().contains(counted));
    let ready = gateway.admin("/readyz").await;
    assert!(ready.text().contains("\"revocations\":\"ok\""), "{}", ready.text());
    assert_eq!(gateway.admin("/").await.status, 404);
}
