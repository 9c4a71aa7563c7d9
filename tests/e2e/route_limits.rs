//! `rate_limit` of routes: by principal, else by address, each route by itself.

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, Setup};
use crate::redis::RedisServer;

fn setup(backend: std::net::SocketAddr, more: &str) -> Setup {
    Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "three"
        path = "/three"
        rate_limit = "3/1h"
        [[route]]
        name = "also-three"
        path = "/also-three"
        rate_limit = "3/1h"
        [[route]]
        name = "open"
        path = "/open"
        auth = "none"
        rate_limit = "2/1h"
        [[route]]
        name = "scoped"
        path = "/scoped"
        scopes = ["nobody:has"]
        rate_limit = "1/1h"
        [[route]]
        name = "observed"
        path = "/observed"
        rate_limit = "1/1h"
        enforce = false
        {more}
        "#
    ))
}

async fn token(gateway: &Gateway, user: &str) -> String {
    gateway.login(user).await["access_token"].as_str().expect("a token").to_owned()
}

fn fields(answer: &Answer) -> (u16, String, String) {
    (answer.status, answer.header("ratelimit"), answer.header("ratelimit-policy"))
}

#[tokio::test]
async fn a_principal_has_a_burst_of_n_on_each_route_and_is_told_what_is_left() {
    let gateway = Gateway::start(setup(echo().await, "")).await;
    gateway.user("alice", &[]);
    gateway.user("bob", &[]);
    let (alice, again, bob) = (token(&gateway, "alice").await, token(&gateway, "alice").await, token(&gateway, "bob").await);
    let policy = "\"route\";q=3;w=3600";
    for (left, full_in, token) in [(2, 1200, &alice), (1, 2400, &again), (0, 3600, &alice)] {
        let answer = gateway.get_as("/three", token).await;
        assert_eq!(fields(&answer), (200, format!("\"route\";r={left};t={full_in}"), policy.into()));
    }
    let refused = gateway.get_as("/three", &again).await;
    assert_eq!((refused.status, refused.code()), (429, "rate_limited".into()));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(fields(&refused), (429, format!("\"route\";r=0;t={wait}"), policy.into()));
    assert_eq!(gateway.get_as("/three", &bob).await.status, 200, "another principal");
    assert_eq!(gateway.get_as("/also-three", &alice).await.status, 200, "another route");
}

#[tokio::test]
async fn who_is_anonymous_is_counted_by_address() {
    let gateway = Gateway::start(setup(echo().await, "").server("trusted_proxies = [\"127.0.0.1\"]")).await;
    let from = |address: &str| gateway.send(gateway.request("GET", "/open").header("X-Forwarded-For", address));
    for (address, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("::ffff:192.0.2.1", 429),
        ("192.0.2.2", 200),
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2::2", 200),
        ("2001:db8:1:2:ffff::3", 429),
        ("2001:db8:1:3::1", 200),
    ] {
        assert_eq!(from(address).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn a_call_that_is_refused_before_is_not_counted_and_tells_no_limit() {
    let gateway = Gateway::start(setup(echo().await, "")).await;
    gateway.user("alice", &[]);
    let alice = token(&gateway, "alice").await;
    for _ in 0..3 {
        let answer = gateway.get_as("/scoped", &alice).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (403, String::new()));
    }
}

#[tokio::test]
async fn an_observing_route_lets_pass_whom_its_limit_would_refuse() {
    let gateway = Gateway::start(setup(echo().await, "")).await;
    gateway.user("alice", &[]);
    let alice = token(&gateway, "alice").await;
    assert_eq!(gateway.get_as("/observed", &alice).await.json()["headers"]["x-auth-user"], "alice");
    let over = gateway.get_as("/observed", &alice).await;
    assert_eq!((over.status, over.json()["headers"].get("x-auth-user")), (200, None));
    let counted = "portcullis_would_deny_total{route=\"observed\",reason=\"rate_limited\"} 1";
    assert!(gateway.metrics().await.contains(counted));
}

#[tokio::test]
async fn a_reload_forgets_only_what_a_changed_limit_has_counted() {
    let gateway = Gateway::start(setup(echo().await, "")).await;
    gateway.user("alice", &[]);
    let alice = token(&gateway, "alice").await;
    for path in ["/three", "/three", "/three", "/also-three", "/also-three", "/also-three"] {
        assert_eq!(gateway.get_as(path, &alice).await.status, 200);
    }
    let routes = format!("version = 1\n{}", gateway.routes());
    let changed = routes.replacen(
        "name = \"also-three\"\n        path = \"/also-three\"\n        rate_limit = \"3/1h\"",
        "name = \"also-three\"\n        path = \"/also-three\"\n        rate_limit = \"4/1h\"",
        1,
    );
    assert_ne!(routes, changed);
    std::fs::write(gateway.own_folder().join("routes/test.toml"), changed).expect("written");
    gateway.signal("HUP");
    gateway.until("it is reloaded", || async { gateway.log().contains("the configuration was reloaded") }).await;
    assert_eq!(gateway.get_as("/three", &alice).await.status, 429);
    assert_eq!(gateway.get_as("/also-three", &alice).await.header("ratelimit-policy"), "\"route\";q=4;w=3600");
}

#[tokio::test]
async fn replicas_count_together_on_redis_and_each_by_itself_without() {
    let mut redis = RedisServer::start();
    let backend = echo().await;
    let section = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let one = Gateway::start_with_keys(setup(backend, "").with(&section), tempfile::tempdir().expect("a folder")).await;
    let two = Gateway::start(setup(backend, "").with(&section).beside(&one)).await;
    let mut alice = String::new();
    // Until both hear Redis, each counts by itself: somebody else tries again then.
    for attempt in 0..20 {
        let name = format!("alice{attempt}");
        one.user(&name, &[]);
        alice = token(&one, &name).await;
        let mut left = Vec::new();
        for gateway in [&one, &two, &one] {
            left.extend(fields(&gateway.get_as("/three", &alice).await).1.split(';').nth(1).map(str::to_owned));
        }
        if left == ["r=2", "r=1", "r=0"] {
            break;
        }
        assert!(attempt < 19, "they do not count together: {left:?}");
    }
    assert_eq!((one.get_as("/three", &alice).await.status, two.get_as("/three", &alice).await.status), (429, 429));
    assert_eq!(one.get_as("/also-three", &alice).await.status, 200, "another route of the same rate has a count of its own");
    redis.kill();
    assert_eq!(one.get_as("/three", &alice).await.status, 429, "what is known here still counts");
    let statuses = [
        two.get_as("/also-three", &alice).await.status,
        two.get_as("/also-three", &alice).await.status,
        two.get_as("/also-three", &alice).await.status,
        two.get_as("/also-three", &alice).await.status,
    ];
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[tokio::test]
async fn preflights_that_backends_answer_are_counted_by_address_and_observed_where_the_route_is() {
    let more = |name: &str, enforce: bool| {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"/{name}\"\ncors = \"backend\"\nrate_limit = \"1/1h\"\nenforce = {enforce}\n"
        )
    };
    let more = more("theirs", true) + &more("watched", false);
    let gateway = Gateway::start(setup(echo().await, &more)).await;
    for (path, last) in [("/theirs", 429), ("/watched", 200)] {
        for status in [200, last] {
            let request = gateway.request("OPTIONS", path).header("Origin", "https://app.example.com");
            assert_eq!(gateway.send(request.header("Access-Control-Request-Method", "PUT")).await.status, status, "{path}");
        }
    }
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("portcullis_would_deny_total{route=\"watched\",reason=\"rate_limited\"} 1"), "{metrics}");
}

#[tokio::test]
async fn all_credentials_of_one_user_count_together_and_those_of_another_do_not() {
    let gateway = Gateway::start(setup(echo().await, "")).await;
    gateway.user("alice", &[]);
    gateway.user("bob", &[]);
    let key = |owner, name| gateway.cli(&["key", "create", "--owner", owner, "--name", name], "").trim().to_owned();
    let (one, other, bobs) = (key("alice", "one"), key("alice", "other"), key("bob", "k"));
    let alice = token(&gateway, "alice").await;
    let by_key = |key: &str| gateway.send(gateway.request("GET", "/three").header("X-API-Key", key));
    assert_eq!(by_key(&one).await.status, 200);
    assert_eq!(by_key(&other).await.status, 200);
    assert_eq!(gateway.get_as("/three", &alice).await.header("ratelimit"), "\"route\";r=0;t=3600");
    assert_eq!((by_key(&one).await.status, by_key(&other).await.status), (429, 429));
    assert_eq!(by_key(&bobs).await.status, 200);
}

#[tokio::test]
async fn with_redis_paused_limits_hold() {
    let redis = RedisServer::start();
    let section = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let keys = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::start_with_keys(setup(echo().await, "").with(&section), keys).await;
    gateway.user("alice", &[]);
    let alice = token(&gateway, "alice").await;
    assert_eq!(gateway.get_as("/three", &alice).await.status, 200);
    redis.pause();
    let mut statuses = Vec::new();
    for path in ["/three", "/three", "/three", "/also-three", "/also-three", "/also-three", "/also-three"] {
        statuses.push(gateway.get_as(path, &alice).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200, 429], "what was counted before still counts");
    redis.resume();
}
