//! Two replicas on one Redis and one database: a logout counts everywhere, and soon.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};
use crate::redis::RedisServer as Redis;

/// Two replicas, on one store, and on `redis` if there is one.
pub(crate) async fn replicas(redis: Option<&Redis>, sections: &str) -> (Gateway, Gateway) {
    let backend = echo().await;
    let routes = format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n");
    let redis = redis.map_or_else(String::new, |redis| format!("\n[redis]\nurl = \"{}\"\n", redis.url()));
    let sections = format!("[login]\nrate_limit = \"100000/1s\"\n{sections}{redis}");
    let dir = tempfile::tempdir().expect("a folder");
    let setup = || Setup::routes(routes.clone()).with(&sections);
    let one = Gateway::start_with_keys(setup(), dir).await;
    let two = Gateway::start(setup().beside(&one)).await;
    one.user("alice", &[]);
    (one, two)
}

pub(crate) fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().expect("an access token")
}

/// Logs out on `gateway`; the 204 is in.
pub(crate) async fn log_out(gateway: &Gateway, tokens: &Value) {
    let answer = gateway.post("/auth/logout", &json!({ "refresh_token": tokens["refresh_token"] })).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// How long after a logout on `one` the other replica still lets the token pass, measured `rounds` times.
async fn propagation(one: &Gateway, two: &Gateway, rounds: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..rounds {
        let tokens = one.login("alice").await;
        assert_eq!(two.get_as("/x", access(&tokens)).await.status, 200);
        log_out(one, &tokens).await;
        assert_eq!(one.get_as("/x", access(&tokens)).await.status, 401, "the answering replica refuses before the 204");
        let answered = Instant::now();
        while two.get_as("/x", access(&tokens)).await.status != 401 {
            assert!(answered.elapsed() < Duration::from_secs(5), "a logout never arrived\n{}", two.log());
        }
        took.push(answered.elapsed());
    }
    took.sort_unstable();
    took
}

#[tokio::test]
async fn a_logout_counts_on_the_other_replica_with_redis() {
    let redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    let took = propagation(&one, &two, 100).await;
    println!("propagation with Redis, one call included: p50 {:?}, p99 {:?}", took[50], took[98]);
    // The aim is 10 ms; a busy machine gets more. By the store alone it would be some 250 ms.
    assert!(took[50] < Duration::from_millis(100), "{:?}", took[50]);
}

#[tokio::test]
pub(crate) async fn a_logout_counts_on_the_other_replica_without_redis() {
    let (one, two) = replicas(None, "").await;
    let took = propagation(&one, &two, 10).await;
    println!("propagation without Redis, one call included: p50 {:?}, max {:?}", took[5], took[9]);
    assert!(took[9] < Duration::from_secs(3), "max_staleness and a second: {:?}", took[9]);
}

#[tokio::test]
pub(crate) async fn the_cli_reaches_both_replicas() {
    let mut redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    for when in ["with Redis", "without"] {
        let tokens = one.login("alice").await;
        one.cli(&["session", "revoke", "--user", "alice"], "");
        let dead = async {
            for gateway in [&one, &two] {
                while gateway.get_as("/x", access(&tokens)).await.status != 401 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        // The aim is 1 s.
        tokio::time::timeout(Duration::from_secs(2), dead).await.unwrap_or_else(|_| panic!("{when}: still alive"));
        redis.kill();
    }
}

#[tokio::test]
async fn in_strict_mode_the_other_replica_refuses_the_very_next_call() {
    let redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "[revocation]\ncheck = \"strict\"\n").await;
    for _ in 0..50 {
        let tokens = one.login("alice").await;
        assert_eq!(two.get_as("/x", access(&tokens)).await.status, 200);
        log_out(&one, &tokens).await;
        assert_eq!(two.get_as("/x", access(&tokens)).await.status, 401);
    }
}
