//! The limit of an API key's own, beside those of routes.

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, Setup};
use crate::redis::RedisServer;

fn setup(backend: std::net::SocketAddr) -> Setup {
    Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "open"
        path = "/open"
        auth = "optional"
        [[route]]
        name = "also-open"
        path = "/also-open"
        [[route]]
        name = "unseen"
        path = "/unseen"
        auth = "none"
        [[route]]
        name = "two"
        path = "/two"
        rate_limit = "2/1h"
        [[route]]
        name = "scoped"
        path = "/scoped"
        scopes = ["nobody:has"]
        [[route]]
        name = "observed"
        path = "/observed"
        enforce = false
        "#
    ))
    .with("[api_keys]\nquery_parameter = \"api_key\"\n")
}

/// A key of alice's that may be used so often.
fn key(gateway: &Gateway, rate: &[&str]) -> String {
    let args = ["key", "create", "--owner", "alice", "--name", "k"];
    gateway.cli(&[&args[..], rate].concat(), "").trim().to_owned()
}

async fn by(gateway: &Gateway, key: &str, path: &str) -> Answer {
    gateway.send(gateway.request("GET", path).header("X-API-Key", key)).await
}

/// Status, and what all limits say is left.
fn told(answer: &Answer) -> (u16, Vec<String>) {
    let fields = answer.headers.get_all("ratelimit").iter().map(|field| field.to_str().expect("text"));
    (answer.status, fields.map(|field| field.rsplit_once(';').expect("a time").0.to_owned()).collect())
}

#[tokio::test]
async fn a_key_has_a_burst_of_its_own_whichever_route_it_is_for() {
    let gateway = Gateway::start(setup(echo().await)).await;
    gateway.user("alice", &[]);
    let (limited, other, free) =
        (key(&gateway, &["--rate-limit", "3/1h"]), key(&gateway, &["--rate-limit", "3/1h"]), key(&gateway, &[]));
    for (path, left) in [("/open", 2), ("/also-open", 1), (&format!("/open?api_key={limited}"), 0)] {
        let header = if path.contains('?') { "" } else { limited.as_str() };
        let request = gateway.request("GET", path);
        let answer = gateway.send(if header.is_empty() { request } else { request.header("X-API-Key", header) }).await;
        assert_eq!(told(&answer), (200, vec![format!("\"key\";r={left}")]), "{path}");
        assert_eq!(answer.header("ratelimit-policy"), "\"key\";q=3;w=3600");
    }
    let refused = by(&gateway, &limited, "/open").await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited".into()));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), format!("\"key\";r=0;t={wait}"));
    assert_eq!(refused.header("ratelimit-policy"), "\"key\";q=3;w=3600");

    assert_eq!(told(&by(&gateway, &other, "/open").await), (200, vec!["\"key\";r=2".into()]), "another key of the same owner");
    assert_eq!(told(&by(&gateway, &free, "/open").await), (200, vec![]));
    assert_eq!(told(&by(&gateway, &limited, "/unseen").await), (200, vec![]), "a route that looks at no credential");
    let me = gateway.send(gateway.request("GET", "/auth/me").header("X-API-Key", &limited)).await;
    assert_eq!(me.status, 200, "the gateway's own endpoints are no routes");
}

#[tokio::test]
async fn it_stands_beside_the_limit_of_the_route_and_what_one_refuses_uses_nothing_of_the_other_up() {
    let gateway = Gateway::start(setup(echo().await)).await;
    gateway.user("alice", &[]);
    let (four, one) = (key(&gateway, &["--rate-limit", "4/1h"]), key(&gateway, &["--rate-limit", "1/1h"]));
    let both = |route: u32, key: u32| (200, vec![format!("\"route\";r={route}"), format!("\"key\";r={key}")]);
    assert_eq!(told(&by(&gateway, &one, "/two").await), both(1, 0));
    assert_eq!(told(&by(&gateway, &one, "/two").await), (429, vec!["\"key\";r=0".into()]));
    assert_eq!(told(&by(&gateway, &four, "/two").await), both(0, 3), "what the key's limit refused the route's did not count");
    assert_eq!(told(&by(&gateway, &four, "/two").await), (429, vec!["\"route\";r=0".into()]));
    assert_eq!(told(&by(&gateway, &four, "/open").await), (200, vec!["\"key\";r=2".into()]), "nor the other way round");
}

#[tokio::test]
async fn who_is_refused_before_is_not_counted_and_observing_lets_pass() {
    let gateway = Gateway::start(setup(echo().await)).await;
    gateway.user("alice", &[]);
    let once = key(&gateway, &["--rate-limit", "1/1h"]);
    for _ in 0..3 {
        assert_eq!(told(&by(&gateway, &once, "/scoped").await), (403, vec![]));
    }
    assert_eq!(by(&gateway, &once, "/observed").await.json()["headers"]["x-auth-user"], "alice");
    let over = by(&gateway, &once, "/observed").await;
    assert_eq!((over.status, over.json()["headers"].get("x-auth-user")), (200, None));
    let counted = "portcullis_would_deny_total{route=\"observed\",reason=\"rate_limited\"} 1";
    assert!(gateway.metrics().await.contains(counted));
}

#[tokio::test]
async fn replicas_count_a_key_together_on_redis_and_each_by_itself_without() {
    let mut redis = RedisServer::start();
    let backend = echo().await;
    let section = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let one = Gateway::start_with_keys(setup(backend).with(&section), tempfile::tempdir().expect("a folder")).await;
    let two = Gateway::start(setup(backend).with(&section).beside(&one)).await;
    one.user("alice", &[]);
    let other = key(&one, &["--rate-limit", "3/1h"]);
    let mut three = String::new();
    // Until both hear Redis, each counts by itself: another key tries again then.
    for attempt in 0..20 {
        three = key(&one, &["--rate-limit", "3/1h"]);
        let mut all = Vec::new();
        for gateway in [&one, &two, &one] {
            all.push(told(&by(gateway, &three, "/open").await));
        }
        if all == [2, 1, 0].map(|left| (200, vec![format!("\"key\";r={left}")])) {
            break;
        }
        assert!(attempt < 19, "they do not count together: {all:?}");
    }
    assert_eq!((by(&one, &three, "/open").await.status, by(&two, &three, "/open").await.status), (429, 429));
    assert_eq!((by(&one, &other, "/open").await.status, by(&two, &other, "/open").await.status), (200, 200));
    redis.command(&["FLUSHALL"]);
    assert_eq!(by(&one, &three, "/open").await.status, 429, "what is known here holds when Redis has lost it");
    for rate in ["1/1ns", "4294967295/1ns", "1/366days", "4294967295/366days"] {
        let odd = key(&one, &["--rate-limit", rate]);
        assert_eq!(by(&one, &odd, "/open").await.status, 200, "{rate}");
    }
    assert!(!one.log().contains("in this process alone"), "{}", one.log());
    redis.kill();
    assert_eq!(by(&one, &three, "/open").await.status, 429, "what is known here still counts");
    let statuses = [by(&two, &other, "/open").await.status, by(&two, &other, "/open").await.status];
    assert_eq!(statuses, [200, 429], "each goes on from what it knew of both");
}

#[tokio::test]
async fn every_way_to_make_and_list_keys_knows_it_and_explain_tells() {
    let gateway = Gateway::start(setup(echo().await)).await;
    gateway.user("alice", &[]);
    let login = gateway.login("alice").await;
    let token = login["access_token"].as_str().expect("a token");
    let wish = json!({"name": "own", "rate_limit": "2/1h"});
    let made = gateway.send(gateway.request("POST", "/auth/keys").bearer_auth(token).json(&wish)).await.json();
    assert_eq!(made["rate_limit"], "2/1h");
    let key = made["key"].as_str().expect("a key");

    let list: Value = serde_json::from_str(&gateway.cli(&["key", "list", "--format", "json"], "")).expect("JSON");
    assert_eq!(list[0]["rate_limit"], "2/1h");
    assert!(gateway.cli(&["key", "list"], "").contains("2/1h"));
    let imported = gateway.cli(
        &["key", "import", "--owner", "alice", "--name", "old", "--rate-limit", "1/1h"],
        "0123456789abcdef-an-old-key-of-theirs\n",
    );
    assert!(!imported.trim().is_empty());
    assert_eq!(by(&gateway, "0123456789abcdef-an-old-key-of-theirs", "/open").await.header("ratelimit"), "\"key\";r=0;t=3600");

    let header = format!("X-API-Key: {key}");
    let explain = |path: &str, more: &[&str]| gateway.cli(&[&["explain", "GET", path, "--header", &header], more].concat(), "");
    let text = explain("/two", &[]);
    assert!(text.contains("limit       2/1h for this API key; what was counted so far only the gateway knows"), "{text}");
    assert!(text.contains("limit       2/1h for the principal"), "{text}");
    for (path, key, route) in [("/open", json!("2/1h"), json!(null)), ("/unseen", json!(null), json!(null))] {
        let told: Value = serde_json::from_str(&explain(path, &["--format", "json"])).expect("JSON");
        assert_eq!((&told["key_limit"], &told["limit"]), (&key, &route), "{path}");
    }
    assert_eq!(told(&by(&gateway, key, "/open").await), (200, vec!["\"key\";r=1".into()]), "asking used nothing up");
}
