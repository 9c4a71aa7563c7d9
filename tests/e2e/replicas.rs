//! Two replicas on one store: what is true of a login at one is true at the other.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, Setup};
use crate::redis::RedisServer;

/// Two replicas, with Redis or without, and the user `alice`.
async fn pair(redis: Option<&RedisServer>) -> [Gateway; 2] {
    let sections = redis.map_or(String::new(), |redis| format!("[redis]\nurl = \"{}\"\n", redis.url()));
    let backend = echo().await;
    let setup = || {
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .with("[login]\nrate_limit = \"1000/1s\"\n")
            .with(&sections)
    };
    let one = Gateway::start_with_keys(setup(), tempfile::tempdir().expect("a folder")).await;
    let two = Gateway::start(setup().beside(&one)).await;
    one.user("alice", &["--scopes", "items:read"]);
    [one, two]
}

fn text<'a>(tokens: &'a Value, member: &str) -> &'a str {
    tokens[member].as_str().unwrap_or_else(|| panic!("no {member} in {tokens}"))
}

async fn refresh(gateway: &Gateway, token: &str) -> Answer {
    gateway.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

async fn dies(gateway: &Gateway, access: &str) {
    gateway.until("the access token is dead", || async { gateway.get_as("/x", access).await.status == 401 }).await;
}

#[tokio::test]
pub(crate) async fn a_hundred_refreshes_at_two_replicas_log_nobody_out() {
    let replicas = pair(None).await;
    let tokens = replicas[0].login("alice").await;
    let asked = replicas.iter().cycle().take(100).map(|replica| refresh(replica, text(&tokens, "refresh_token")));
    let mut successors: Vec<Value> = join_all(asked)
        .await
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        })
        .collect();
    for tokens in &successors {
        assert_eq!(replicas[1].get_as("/x", text(tokens, "access_token")).await.status, 200);
    }
    successors.dedup_by_key(|tokens| tokens["refresh_token"].clone());
    assert_eq!(successors.len(), 1, "all got the very same successor");
    assert_eq!(refresh(&replicas[1], text(&successors[0], "refresh_token")).await.status, 200);
    assert_eq!(replicas[0].cli(&["session", "list", "--user", "alice", "--format", "json"], "").matches("\"id\"").count(), 1);
}

#[tokio::test]
pub(crate) async fn a_replay_at_one_replica_kills_the_session_at_the_other() {
    let redis = RedisServer::start();
    for redis in [None, Some(&redis)] {
        let replicas = pair(redis).await;
        let first = replicas[0].login("alice").await;
        let second = refresh(&replicas[1], text(&first, "refresh_token")).await.json();
        let third = refresh(&replicas[0], text(&second, "refresh_token")).await.json();
        assert_eq!(refresh(&replicas[1], text(&first, "refresh_token")).await.status, 401);
        assert_eq!(replicas[1].get_as("/x", text(&third, "access_token")).await.status, 401, "there before the answer");
        for tokens in [&first, &second, &third] {
            dies(&replicas[0], text(tokens, "access_token")).await;
            assert_eq!(refresh(&replicas[0], text(tokens, "refresh_token")).await.status, 401);
        }
    }
}

#[tokio::test]
pub(crate) async fn a_logout_against_refreshes_at_both_replicas_leaves_nothing_alive() {
    let replicas = pair(None).await;
    for everywhere in [false, true] {
        let tokens = replicas[0].login("alice").await;
        let logout = replicas[0].request("POST", "/auth/logout").bearer_auth(text(&tokens, "access_token"));
        let refreshes = replicas.iter().cycle().take(10).map(|replica| refresh(replica, text(&tokens, "refresh_token")));
        let (answers, logout) =
            tokio::join!(join_all(refreshes), replicas[0].send(logout.json(&json!({ "everywhere": everywhere }))));
        assert_eq!(logout.status, 204, "{logout:?}");
        for answer in answers.iter().filter(|answer| answer.status != 401) {
            assert_eq!(answer.status, 200, "{answer:?}");
            let got = answer.json();
            assert_eq!(refresh(&replicas[1], text(&got, "refresh_token")).await.status, 401);
            assert_eq!(replicas[0].get_as("/x", text(&got, "access_token")).await.status, 401, "there before the answer");
            dies(&replicas[1], text(&got, "access_token")).await;
        }
        assert_eq!(replicas[0].cli(&["session", "list", "--user", "alice", "--format", "json"], "").trim(), "[]");
    }
}
