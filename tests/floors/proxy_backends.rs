//! Several servers a backend: turns, failures, what is tried again and what is not.

use std::collections::BTreeMap;

use portcullis::policy::AuthMode;

use crate::backend::{Backend, Script, until};
use crate::gateway::{self, Gateway, route, routes};

const GET: &str = "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// An address where nobody listens.
async fn nobody() -> String {
    let gone = Backend::start("gone").await;
    gone.leave();
    gone.address.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_take_turns() {
    let (a, b, c) = (Backend::start("a").await, Backend::start("b").await, Backend::start("c").await);
    let gateway = Gateway::start(routes(&[&a.address, &b.address, &c.address]));
    let mut counts = BTreeMap::new();
    for _ in 0..9 {
        *counts.entry(gateway.send(GET).await.text()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("a".into(), 3), ("b".into(), 3), ("c".into(), 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_tried_for_idempotent_calls_only() {
    let (dead, alive) = (nobody().await, Backend::start("alive").await);
    let gateway = Gateway::start(routes(&[&dead, &alive.address]));
    assert_eq!(gateway.send(POST).await.status, 502, "it met the dead one first");
    let gateway = Gateway::start(routes(&[&dead, &alive.address]));
    for _ in 0..4 {
        assert_eq!(gateway.send(GET).await.text(), "alive");
    }
    for _ in 0..4 {
        assert_eq!(gateway.send(POST).await.text(), "alive", "who has just refused is left out");
    }
    let metrics = gateway.admin("/metrics").await.text();
    let counted = |outcome: &str, count: u32| {
        let name = if outcome == "retried" { "retries" } else { "requests" };
        let line =
            format!("portcullis_backend_{name}_total{{backend=\"{dead}+{}\",outcome=\"{outcome}\"}} {count}", alive.address);
        assert!(metrics.contains(&line), "{line}: {metrics}");
    };
    counted("unreachable", 1);
    counted("retried", 1);
    counted("answered", 8);
    let ready = gateway.admin("/readyz").await;
    assert_eq!(ready.status, 200, "backends are reported and decide nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_down_or_breaks_is_a_bad_gateway() {
    let gateway = Gateway::start(routes(&[&nobody().await]));
    let answer = gateway.send(GET).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"));
    assert_eq!(gateway.send(POST).await.status, 502);
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    for script in [
        Script::Close,
        Script::Bytes(b"nonsense\r\n\r\n".to_vec()),
        Script::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec()),
    ] {
        backend.answer(script.clone());
        let answer = gateway.send(GET).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"), "{script:?}");
    }
    backend.answer(Script::Ok);
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_resolved() {
    let backend = Backend::start("b").await;
    let port = backend.address.rsplit(':').next().unwrap();
    let gateway = Gateway::start(routes(&[&format!("localhost:{port}")]));
    // `localhost` may be IPv6 first, where nobody listens here: that costs no call, whatever its method.
    for request in [POST, GET] {
        assert_eq!(gateway.send(request).await.status, 200);
    }
    let gateway = Gateway::start(vec![route("x", "/**", AuthMode::None, gateway::backend(&["nowhere.invalid:80"]))]);
    assert_eq!(gateway.send(GET).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_a_backend_are_used_again_by_different_callers_without_mixing() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    for name in ["alice", "bob", "carol"] {
        let answer = gateway.send(format!("GET /items/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {name}\r\n\r\n")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(backend.last().headers("x-auth-user"), [name]);
        // The answer is there before the gateway is done with the connection that it came by.
        until("the call has ended", || gateway.shared.connections() == 0).await;
    }
    assert_eq!(backend.connections(), 1);
}
