//! The rows of the failure matrix that concern Redis and the store, against a real Redis.

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, PASSWORD, Setup};
use crate::redis::RedisServer as Redis;
use crate::revocation::{access, log_out, replicas};
use crate::storage::on_postgres;

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
pub(crate) async fn with_redis_killed_calls_logins_and_logouts_go_on() {
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
pub(crate) async fn in_strict_mode_the_store_is_asked_when_redis_is_gone() {
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

/// 503, with a time to try again.
fn assert_unavailable(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{what}: {answer:?}");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{what}: {answer:?}");
}

/// What needs the store, and can't go on without it.
async fn accounts_are_unavailable(gateway: &Gateway, tokens: &Value, when: &str) {
    let credentials = json!({ "username": "alice", "password": PASSWORD });
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_unavailable(&gateway.post("/auth/login", &credentials).await, &format!("a login {when}"));
    assert_unavailable(&gateway.post("/auth/refresh", &refresh).await, &format!("a refresh {when}"));
    assert_unavailable(&gateway.post("/auth/logout", &refresh).await, &format!("a logout {when}"));
    let logout = gateway.request("POST", "/auth/logout").bearer_auth(access(tokens));
    assert_unavailable(&gateway.send(logout).await, &format!("a logout by bearer {when}"));
}

#[tokio::test]
pub(crate) async fn with_the_store_gone_calls_go_on_while_redis_feeds_and_with_both_gone_none_does() {
    let mut redis = Redis::start();
    let (one, two) = replicas(Some(&redis), "").await;
    let redis_table = format!("[revocation]\nwhen_unavailable = \"allow\"\n[redis]\nurl = \"{}\"\n", redis.url());
    let lax = Gateway::start(Setup::routes(one.routes()).with(&redis_table).beside(&one)).await;
    let key = |name| one.cli(&["key", "create", "--owner", "alice", "--name", name], "").trim().to_owned();
    let (known, unknown) = (key("known"), key("unknown"));
    let by_key = |gateway: &Gateway, key: &str| gateway.request("GET", "/x").header("X-API-Key", key);
    // Nobody but the store tells this one anything.
    let alone = Setup::routes(one.routes()).with("[revocation]\nmax_staleness = \"3s\"\n").beside(&one);
    let alone = Gateway::start(alone).await;
    let (alive, dead) = (one.login("alice").await, one.login("alice").await);
    log_out(&one, &dead).await;
    for gateway in [&one, &two, &lax, &alone] {
        gateway.until("the logout is known", || async { gateway.get_as("/x", access(&dead)).await.status == 401 }).await;
        assert_eq!(gateway.send(by_key(gateway, &known)).await.status, 200);
    }

    one.take_store_away();
    two.until("the store is missed", || async { two.log().contains("the store is gone") }).await;
    // Longer than the others' max_staleness: it is Redis that keeps their lists fresh.
    alone.until("the store has told nothing for 3 s", || async { alone.get_as("/x", access(&alive)).await.status == 503 }).await;
    for gateway in [&one, &two] {
        assert_eq!(gateway.get_as("/x", access(&alive)).await.status, 200, "a token goes on");
        assert_eq!(gateway.get_as("/x", access(&dead)).await.status, 401, "and what is revoked stays so");
        assert_eq!(gateway.send(by_key(gateway, &known)).await.status, 200, "a known key goes on");
        assert_unavailable(&gateway.send(by_key(gateway, &unknown)).await, "another key");
        assert_eq!(gateway.admin_status("/readyz").await, Some(200), "the store never fails readiness");
        accounts_are_unavailable(gateway, &alive, "without the store").await;
    }

    redis.kill();
    two.until("nobody can say any more", || async { two.get_as("/x", access(&alive)).await.status == 503 }).await;
    assert_unavailable(&two.get_as("/x", access(&alive)).await, "a call");
    assert_unavailable(&two.send(by_key(&two, &known)).await, "a known key");
    assert_eq!(two.get_as("/x", access(&dead)).await.status, 401, "what is known is said");
    assert_eq!(two.get("/x").await.status, 401, "who shows nothing is told so");
    assert_eq!(two.admin_status("/readyz").await, Some(503));
    accounts_are_unavailable(&two, &alive, "without both").await;
    assert_eq!((lax.get_as("/x", access(&alive)).await.status, lax.get_as("/x", access(&dead)).await.status), (200, 401));
    assert_eq!(lax.admin_status("/readyz").await, Some(200), "stale by choice");

    one.bring_store_back();
    for gateway in [&one, &two, &lax] {
        gateway.until("it is well again", || async { gateway.get_as("/x", access(&alive)).await.status == 200 }).await;
    }
    redis.restart_empty();
    nothing_revoked_is_accepted(&one, &two, "after all is back").await;
    for gateway in [&one, &two, &lax] {
        assert_eq!(gateway.get_as("/x", access(&dead)).await.status, 401);
        assert_eq!(gateway.send(by_key(gateway, &unknown)).await.status, 200);
    }
}

#[tokio::test]
async fn with_the_disk_full_reads_go_on_and_writes_are_unavailable_until_there_is_room() {
    if on_postgres() {
        return; // The disk is the server's.
    }
    let (one, _) = replicas(None, "").await;
    let (alive, dead) = (one.login("alice").await, one.login("alice").await);
    log_out(&one, &dead).await;
    let key = one.cli(&["key", "create", "--owner", "alice", "--name", "k"], "");
    let log = one.folder().join("data/portcullis.db-wal");
    one.limit_files(Some(std::fs::metadata(log).expect("a write-ahead log").len()));
    let credentials = json!({ "username": "alice", "password": PASSWORD });
    one.until("the log is full", || async { one.post("/auth/login", &credentials).await.status == 503 }).await;
    accounts_are_unavailable(&one, &alive, "with the disk full").await;
    assert_eq!(one.get_as("/x", access(&alive)).await.status, 200);
    assert_eq!(one.get_as("/x", access(&dead)).await.status, 401);
    assert_eq!(one.get_as("/auth/me", access(&alive)).await.status, 200);
    assert_eq!(one.send(one.request("GET", "/x").header("X-API-Key", key.trim())).await.status, 200);
    assert_eq!(one.admin_status("/readyz").await, Some(200));
    one.limit_files(None);
    log_out(&one, &one.login("alice").await).await;
    log_out(&one, &alive).await;
    assert_eq!(one.get_as("/x", access(&alive)).await.status, 401);
}
