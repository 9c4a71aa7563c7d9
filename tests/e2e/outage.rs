//! The rows of the failure matrix that concern Redis and the store, against a real Redis.

use serde_json::json;

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup};
use crate::redis::RedisServer as Redis;
use crate::revocation::{access, log_out, replicas};

/// Logs in on both, logs one session out, and checks that it stays dead and the other alive, on both replicas.
async fn nothing_revoked_is_accepted(one: &Gateway, two: &Gateway, when: &str) {
    let (dead, alive) = (one.login("alice").await, two.login("alice").await);
    log_out(one, &dead).await;
    for gateway in [one, two] {
        gateway.until(when, || async { gateway.get_as("/x", access(&dead)).await.status == 401 }).await;
        assert_eq!(gateway.get_as("/x", access(&alive)).await.status, 200, "{when}");
    }
}

#[tokio::test]
async fn with_redis_killed_calls_logins_and_logouts_go_on() {
    let mut redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    let before = one.login("alice").await;
    log_out(&one, &before).await;
    redis.kill();
    nothing_revoked_is_accepted(&one, &two, "while Redis is dead").await;
    let during = one.login("alice").await;
    log_out(&one, &during).await;
    redis.restart_empty();
    nothing_revoked_is_accepted(&one, &two, "after Redis came back empty").await;
    for tokens in [&before, &during] {
        for gateway in [&one, &two] {
            assert_eq!(gateway.get_as("/x", access(tokens)).await.status, 401);
        }
    }
}

#[tokio::test]
async fn with_redis_paused_nothing_waits_for_it() {
    let redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    redis.pause();
    nothing_revoked_is_accepted(&one, &two, "while Redis is paused").await;
    redis.resume();
    nothing_revoked_is_accepted(&one, &two, "after Redis was resumed").await;
}

#[tokio::test]
async fn with_redis_flushed_nothing_revoked_becomes_valid() {
    let redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    let before = one.login("alice").await;
    log_out(&one, &before).await;
    redis.command(&["FLUSHALL"]);
    nothing_revoked_is_accepted(&one, &two, "after a flush").await;
    for gateway in [&one, &two] {
        assert_eq!(gateway.get_as("/x", access(&before)).await.status, 401);
    }
    let third =
        Gateway::start(Setup::routes(one.routes()).with(&format!("[redis]\nurl = \"{}\"\n", redis.url())).beside(&one)).await;
    assert_eq!(third.get_as("/x", access(&before)).await.status, 401, "a new replica holds the list before it is ready");
}

#[tokio::test]
async fn in_strict_mode_the_store_is_asked_when_redis_is_gone() {
    let mut redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "[revocation]\ncheck = \"strict\"\n").await;
    redis.kill();
    for _ in 0..5 {
        let tokens = one.login("alice").await;
        assert_eq!(two.get_as("/x", access(&tokens)).await.status, 200);
        log_out(&one, &tokens).await;
        assert_eq!(two.get_as("/x", access(&tokens)).await.status, 401);
    }
}

#[tokio::test]
async fn with_the_store_down_at_start_the_gateway_listens_answers_503_and_recovers() {
    let backend = echo().await;
    let blocked = tempfile::tempdir().expect("a folder");
    let folder = blocked.path().join("data");
    std::fs::write(&folder, "a file where the folder should be").expect("written");
    let gateway = Gateway::start_unready(
        Setup::routes(format!(
            "[defaults]\nbackend = \"http://{backend}\"\n[[route]]\nname = \"all\"\npath = \"/**\"\n\
             [[route]]\nname = \"open\"\npath = \"/open\"\nauth = \"none\"\n"
        ))
        .env("PORTCULLIS__STORE__URL", &format!("sqlite://{}/p.db", folder.display())),
    )
    .await;
    assert_eq!(gateway.admin_status("/readyz").await, Some(503));
    let answer = gateway.post("/auth/login", &json!({ "username": "alice", "password": PASSWORD })).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(gateway.get("/open").await.status, 200, "what needs no credential goes on");
    std::fs::remove_file(&folder).expect("removed");
    gateway.until("it is ready", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
}
