//! Several servers under faults: who gets which call, what a dying server costs, what checks and reloads change.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test can't go on without fails the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::config::{Backend, BackendServer, Balance, Health, Scheme};
use portcullis::policy::{AuthMode, RouteSpec};

use crate::gateway::{Gateway, config, live, route};
use crate::secure::Server;

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na";

fn backend(servers: &[&Server]) -> Backend {
    let addresses: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
    Backend::plain("b", &addresses.iter().map(String::as_str).collect::<Vec<_>>())
}

fn open(backend: Backend) -> Vec<RouteSpec> {
    vec![route("all", "/**", AuthMode::None, backend)]
}

async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn counts(servers: &[&Server]) -> Vec<usize> {
    servers.iter().map(|server| server.seen().len()).collect()
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_kept_exactly() {
    let (a, b) = (Server::clear().await, Server::clear().await);
    let mut weighted = backend(&[&a, &b]);
    weighted.servers[1].weight = 3;
    let gateway = Gateway::start(open(weighted));
    for _ in 0..80 {
        assert_eq!(gateway.send(GET).await.status, 200);
    }
    assert_eq!(counts(&[&a, &b]), [20, 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_caller_comes_to_the_same_server_through_reloads() {
    let servers = [Server::clear().await, Server::clear().await, Server::clear().await];
    let [a, b, c] = &servers;
    let routes = |order: &[&Server]| {
        vec![RouteSpec {
            methods: None,
            ..route("all", "/**", AuthMode::Optional, Backend { balance: Balance::HashUser, ..backend(order) })
        }]
    };
    let gateway = Gateway::start(routes(&[a, b, c]));
    let mut homes: BTreeMap<String, SocketAddr> = BTreeMap::new();
    for round in 0..3 {
        for number in 0..12 {
            let name = format!("user{number}");
            let before = counts(&[a, b, c]);
            let answer = gateway.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {name}\r\n\r\n")).await;
            assert_eq!(answer.status, 200);
            let after = counts(&[a, b, c]);
            let at = servers[(0..3).find(|at| before[*at] != after[*at]).unwrap()].address;
            assert_eq!(*homes.entry(name).or_insert(at), at);
        }
        // In whatever order they are written.
        let order = if round == 0 { [c, a, b] } else { [b, c, a] };
        gateway.shared.replace(live(config(), routes(&order)));
    }
    assert!(homes.values().collect::<std::collections::BTreeSet<_>>().len() > 1, "not all at one");
    let before = counts(&[a, b, c]);
    for _ in 0..6 {
        gateway.send(GET).await;
    }
    let after = counts(&[a, b, c]);
    assert_eq!((0..3).filter(|at| before[*at] != after[*at]).count(), 1, "who is nobody goes by address");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_comes_to_the_same_server_and_not_all_to_one() {
    let servers = [Server::clear().await, Server::clear().await, Server::clear().await];
    let [a, b, c] = &servers;
    let mut config = config();
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = Gateway::with(config, open(Backend { balance: Balance::HashIp, ..backend(&[a, b, c]) }));
    let mut homes: BTreeMap<usize, usize> = BTreeMap::new();
    for _ in 0..2 {
        for client in 0..16 {
            let before = counts(&[a, b, c]);
            let ask = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{client}\r\n\r\n");
            assert_eq!(gateway.send(ask).await.status, 200);
            let after = counts(&[a, b, c]);
            let at = (0..3).find(|at| before[*at] != after[*at]).unwrap();
            assert_eq!(*homes.entry(client).or_insert(at), at);
        }
    }
    assert!(homes.values().collect::<std::collections::BTreeSet<_>>().len() > 1, "not all at one");
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_chance_and_not_turns() {
    let (a, b) = (Server::clear().await, Server::clear().await);
    let gateway = Gateway::start(open(Backend { balance: Balance::Random, ..backend(&[&a, &b]) }));
    let mut went = Vec::new();
    for _ in 0..60 {
        let before = a.seen().len();
        assert_eq!(gateway.send(GET).await.status, 200);
        went.push(a.seen().len() > before);
    }
    assert!(went.contains(&true) && went.contains(&false), "{went:?}");
    assert!(went.windows(2).any(|two| two[0] == two[1]), "{went:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_with_the_fewest_calls_under_way_is_asked() {
    let (a, b) = (Server::clear().await, Server::clear().await);
    let gateway = Gateway::start(open(Backend { balance: Balance::LeastConnections, ..backend(&[&a, &b]) }));
    let mut held = gateway.connect().await;
    held.write("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    until("it is held", async || counts(&[&a, &b]).iter().sum::<usize>() == 1).await;
    let (busy, idle) = if a.seen().is_empty() { (&b, &a) } else { (&a, &b) };
    // On one connection: a call is over, and counted no more, before the next is read.
    let mut client = gateway.connect().await;
    for _ in 0..6 {
        client.write(GET).await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!(counts(&[busy, idle]), [1, 6]);
    drop(held);
    until("the client's leaving is seen", async || {
        gateway.send(GET).await;
        busy.seen().len() > 1
    })
    .await;
}

/// Asks with `method` from 24 clients at once, kills one server of two in the middle, and counts what was not answered.
async fn failures_around_a_kill(scheme: Scheme) -> usize {
    let (dies, stays) = (Server::clear().await, Server::clear().await);
    let gateway = Arc::new(Gateway::start(open(Backend { scheme, ..backend(&[&dies, &stays]) })));
    let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..24)
        .map(|_| {
            let (gateway, asked, failed) = (Arc::clone(&gateway), Arc::clone(&asked), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut client = gateway.connect().await;
                for _ in 0..100 {
                    client.write(GET).await;
                    let answer = client.answer().await;
                    asked.fetch_add(1, Ordering::SeqCst);
                    if answer.status != 200 {
                        failed.fetch_add(1, Ordering::SeqCst);
                        client = gateway.connect().await;
                    }
                }
            })
        })
        .collect();
    until("a good part was asked", async || asked.load(Ordering::SeqCst) > 600).await;
    dies.kill();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2400);
    assert!(!dies.seen().is_empty());
    failed.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_costs_no_idempotent_call() {
    assert_eq!(failures_around_a_kill(Scheme::Http).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_server_that_dies_under_load_costs_no_idempotent_call() {
    assert_eq!(failures_around_a_kill(Scheme::H2c).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learnt_of_servers_outlives_a_reload() {
    let (dead, alive) = (nobody().await, Server::clear().await);
    let routes = || {
        let mut backend = backend(&[&alive]);
        backend.servers.insert(0, BackendServer { address: dead.to_string(), weight: 1 });
        open(backend)
    };
    let gateway = Gateway::start(routes());
    assert_eq!(gateway.send(GET).await.status, 200);
    for _ in 0..4 {
        gateway.shared.replace(live(config(), routes()));
        assert_eq!(gateway.send(POST).await.status, 200, "the dead one is left out still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_zero_is_none() {
    let (dead, alive) = (nobody().await, Server::clear().await);
    let mut backend = Backend { retries: 0, ..backend(&[&alive]) };
    backend.servers.insert(0, BackendServer { address: dead.to_string(), weight: 1 });
    let gateway = Gateway::start(open(backend));
    assert_eq!(gateway.send(GET).await.status, 502);
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_checks_fail_is_left_out_until_they_succeed() {
    let health =
        || Some(Health { path: "/healthz".into(), interval: Duration::from_millis(20), unhealthy_after: 2, healthy_after: 2 });
    for scheme in [Scheme::Http, Scheme::H2c] {
        let (sick, well) = (Server::clear().await, Server::clear().await);
        let routes = || open(Backend { scheme: scheme.clone(), health: health(), ..backend(&[&sick, &well]) });
        let gateway = Gateway::start(routes());
        let reported = async || {
            let ready = gateway.admin("/readyz").await;
            assert_eq!(ready.status, 200, "backends decide nothing");
            let json: serde_json::Value = serde_json::from_slice(&ready.body).unwrap();
            json["reported"].clone()
        };
        assert_eq!(reported().await["unhealthy"], serde_json::json!([]));
        sick.health(503);
        let named = serde_json::json!([format!("b {}", sick.address)]);
        until("it is left out", async || reported().await["unhealthy"] == named).await;
        gateway.shared.replace(live(config(), routes()));
        let before = counts(&[&sick])[0];
        for _ in 0..10 {
            assert_eq!(gateway.send(POST).await.status, 200);
        }
        assert_eq!(counts(&[&sick])[0], before, "nothing goes there, after a reload neither");
        assert_eq!(reported().await["backends"]["b"], "ok");
        let line = format!("portcullis_backend_healthy{{backend=\"b\",server=\"{}\"}} 0", sick.address);
        assert!(gateway.admin("/metrics").await.text().contains(&line));
        well.health(500);
        until("all are unhealthy", async || reported().await["backends"]["b"] == "failing").await;
        assert_eq!(gateway.send(GET).await.status, 200, "with nothing better, they are tried all the same");
        sick.health(302);
        until("it is back", async || reported().await["unhealthy"] == serde_json::json!([format!("b {}", well.address)])).await;
        let before = counts(&[&sick])[0];
        for _ in 0..4 {
            gateway.send(GET).await;
        }
        assert_eq!(counts(&[&sick])[0], before + 4);
        gateway.shared.replace(live(config(), open(Backend { scheme, health: health(), ..backend(&[&sick]) })));
        let text = gateway.admin("/metrics").await.text();
        let said: Vec<_> = text.lines().filter(|line| line.starts_with("portcullis_backend_healthy{")).collect();
        assert_eq!(said, [format!("portcullis_backend_healthy{{backend=\"b\",server=\"{}\"}} 1", sick.address)]);
    }
}
