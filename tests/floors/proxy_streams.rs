//! Bodies in both directions: unbuffered, bounded, within their deadlines, and never out of step.

use std::time::Duration;

use portcullis::policy::AuthMode;

use crate::backend::{Backend, Script, until};
use crate::gateway::{self, Gateway, config, route, routes};

fn open(backend: portcullis::config::Backend) -> Vec<portcullis::policy::RouteSpec> {
    vec![route("open", "/**", AuthMode::None, backend)]
}

async fn world() -> (Backend, Gateway) {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    (backend, gateway)
}

const GET: &str = "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n";

/// The most that this process had at once, in KiB.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_arrives_event_by_event() {
    let (backend, gateway) = world().await;
    for (head, events, end) in [
        ("Transfer-Encoding: chunked\r\n", ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n"], "0\r\n\r\n"),
        ("Content-Length: 18\r\n", ["data: 1\n\n", "data: 2\n\n"], ""),
        ("", ["data: 1\n\n", "data: 2\n\n"], ""),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}\r\n");
        backend.answer(Script::Steps([head.as_str(), events[0], events[1], end].map(|step| step.as_bytes().to_vec()).into()));
        let mut client = gateway.connect().await;
        client.write(GET).await;
        backend.next();
        client.until("\r\n\r\n").await;
        backend.next();
        client.until("data: 1\n\n").await;
        backend.next();
        client.until("data: 2\n\n").await;
        backend.next();
        until("the backend ends", || backend.closed() == backend.connections()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_reaches_the_backend_while_it_is_still_being_sent() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    client.write("POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await;
    until("half of the body", || backend.seen().last().is_some_and(|seen| seen.body == b"abc")).await;
    client.write("def").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(backend.last().whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_uploads_pass_whole_and_in_constant_memory() {
    let (backend, gateway) = world().await;
    let (size, block) = (200 << 20, vec![b'a'; 1 << 20]);
    let mut client = gateway.connect().await;
    client.write(format!("POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")).await;
    let before = peak_memory();
    for _ in 0..200 {
        client.write(&block).await;
    }
    assert_eq!(client.answer().await.status, 200);
    assert!(backend.bytes() >= size && backend.last().whole);
    assert!(peak_memory() < before + (64 << 10), "{before} KiB grew to {} KiB", peak_memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_route_holds_by_length_and_by_count() {
    let backend = Backend::start("b").await;
    let mut routes = open(gateway::backend(&[&backend.address]));
    routes[0].max_body = Some(5);
    let gateway = Gateway::start(routes);
    let answer = gateway.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef").await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    assert_eq!(backend.bytes(), 0);
    let mut client = gateway.connect().await;
    client.write("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n").await;
    until("the first chunk", || backend.seen().last().is_some_and(|seen| seen.body == b"abcd")).await;
    client.write("4\r\nefgh\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (413, Some("close")));
    until("the cut", || backend.closed() == 1).await;
    assert!(!backend.last().whole);
    let answer = gateway.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_body_is_asked_for_only_when_it_is_wanted() {
    let (backend, gateway) = world().await;
    let mut client = gateway.connect().await;
    let head = |target: &str| format!("POST {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.write(head("/open/x")).await;
    assert_eq!(client.answer().await.status, 100);
    client.write("abc").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(backend.last().header("expect"), None);
    client.write(head("/items/x")).await;
    assert_eq!(client.answer().await.status, 401);
    assert!(client.rest().await.is_empty());
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_is_never_taken_for_a_request() {
    let (backend, gateway) = world().await;
    let inner = "GET /open/inner HTTP/1.1\r\nHost: a\r\n\r\n";
    // A small one is read, and the connection goes on behind it.
    let mut client = gateway.connect().await;
    client.write(format!("POST /items/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}{GET}", inner.len())).await;
    assert_eq!(client.answer().await.status, 401);
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(backend.last().target(), "/open/x");
    // A large one ends the connection, and the client can still read why.
    let mut client = gateway.connect().await;
    let body = inner.repeat(10_000);
    client.write(format!("POST /items/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection").as_deref()), (401, Some("close")));
    // A backend that answers early does not shift the next request either.
    backend.answer(Script::Early(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let mut client = gateway.connect().await;
    client.write(format!("POST /open/early HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", inner.len())).await;
    assert_eq!(client.answer().await.status, 200);
    client.write(inner).await;
    client.rest().await;
    assert!(backend.seen().iter().all(|seen| seen.target() != "/open/inner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_backend_is_given_up_within_its_deadlines() {
    let backend = Backend::start("b").await;
    let mut spec = gateway::backend(&[&backend.address]);
    spec.timeout = Duration::from_millis(150);
    let gateway = Gateway::start(open(spec));
    backend.answer(Script::Silent);
    for request in [GET, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"] {
        let answer = gateway.send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (504, "gateway_timeout"));
    }
    until("both are hung up", || backend.closed() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_falls_silent_is_cut_and_not_completed() {
    let backend = Backend::start("b").await;
    let mut spec = gateway::backend(&[&backend.address]);
    spec.read_timeout = Duration::from_millis(150);
    let gateway = Gateway::start(open(spec));
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    backend.answer(Script::Steps(vec![head.to_vec(), b"0\r\n\r\n".to_vec()]));
    let mut client = gateway.connect().await;
    client.write(GET).await;
    backend.next();
    client.until("3\r\nabc\r\n").await;
    assert!(client.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_headers_is_not_the_wait_between_reads() {
    let backend = Backend::start("b").await;
    let mut spec = gateway::backend(&[&backend.address]);
    (spec.timeout, spec.read_timeout) = (Duration::from_millis(100), Duration::from_mins(1));
    let gateway = Gateway::start(open(spec));
    backend.answer(Script::Steps(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na".to_vec(), b"b".to_vec()]));
    let mut client = gateway.connect().await;
    client.write(GET).await;
    backend.next();
    client.until("\r\n\r\na").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    backend.next();
    client.until("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_ends_its_backend_call() {
    let (backend, gateway) = world().await;
    let event = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".to_vec();
    backend.answer(Script::Steps(std::iter::once(event).chain(std::iter::repeat_n(b"1\r\na\r\n".to_vec(), 500)).collect()));
    let mut client = gateway.connect().await;
    client.write(GET).await;
    backend.next();
    client.until("1\r\na\r\n").await;
    drop(client);
    until("the backend's connection ends", || {
        backend.next();
        backend.closed() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_side_still_gets_its_answer() {
    let (backend, gateway) = world().await;
    backend.answer(Script::Steps(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()]));
    let mut client = gateway.connect().await;
    client.write(GET).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.socket).await.unwrap();
    until("the request", || backend.seen().len() == 1).await;
    backend.next();
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_for_an_own_endpoint_ends_at_a_total_deadline() {
    let mut config = config();
    config.server.limits.body_timeout = Duration::from_millis(200);
    let gateway = Gateway::with(config, routes(&["127.0.0.1:1"]));
    let mut client = gateway.connect().await;
    client.write("POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await;
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if tokio::io::AsyncWriteExt::write_all(&mut client.socket, b"a").await.is_err() {
                break;
            }
            let mut peek = [0; 1];
            if let Ok(Ok(1..)) = tokio::time::timeout(Duration::from_millis(1), client.socket.peek(&mut peek)).await {
                break;
            }
        }
    };
    tokio::time::timeout(gateway::LONG, drip).await.unwrap();
    assert_eq!(client.answer().await.code(), "request_timeout");
}
