//! Refreshing.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use portcullis::domain::AuditKind;
use serde_json::json;

use crate::gate::{Gate, PASSWORD};

#[tokio::test]
async fn a_refresh_token_is_traded_for_its_successor() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "").await;
    let first = gate.login("alice").await;
    gate.clock.advance(Duration::from_mins(20));
    assert_eq!(gate.me(&first.access).await.problem(), (401, "invalid_token"), "expired");
    let second = gate.refresh(&first.refresh).await.tokens();
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(gate.me(&second.access).await.status, 200);
    let (old, new) = (first.claims(), second.claims());
    assert_eq!((&old["sid"], &old["auth_time"]), (&new["sid"], &new["auth_time"]));
    assert_ne!(old["jti"], new["jti"]);
}

#[tokio::test]
async fn a_form_will_do() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let token = gate.login("alice").await.refresh;
    let request = Request::post("/auth/refresh").header("content-type", "application/x-www-form-urlencoded");
    let body = Body::from(format!("grant_type=refresh_token&refresh_token={token}"));
    assert_eq!(gate.send(request.body(body).expect("a request")).await.status, 200);
}

#[tokio::test]
async fn a_replay_within_the_grace_gives_the_same_successor() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let first = gate.login("alice").await;
    let second = gate.refresh(&first.refresh).await.tokens();
    gate.clock.advance(Duration::from_secs(9));
    let again = gate.refresh(&first.refresh).await.tokens();
    assert_eq!(again.refresh, second.refresh);
    assert_ne!(again.access, second.access);
    assert_eq!(gate.me(&again.access).await.status, 200);
}

#[tokio::test]
async fn an_old_token_that_comes_back_ends_the_session_at_once() {
    let gate = Gate::new().await;
    let user = gate.user("alice", &[], "").await;
    let first = gate.login("alice").await;
    let other = gate.login("alice").await;
    let second = gate.refresh(&first.refresh).await.tokens();
    gate.clock.advance(Duration::from_secs(10));
    assert_eq!(gate.refresh(&first.refresh).await.problem(), (401, "invalid_token"));
    for access in [&first.access, &second.access] {
        assert_eq!(gate.me(access).await.problem(), (401, "invalid_token"));
    }
    assert_eq!(gate.refresh(&second.refresh).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.me(&other.access).await.status, 200, "another login goes on");
    let events = gate.audit().await;
    let replay = events.iter().find(|event| event.kind == AuditKind::RefreshReplay).expect("written down");
    assert_eq!((replay.subject.clone(), replay.address.as_deref()), (Some(user.id.to_string()), Some("192.0.2.1")));
    assert!(replay.detail.as_ref().is_some_and(|detail| detail.contains(first.claims()["sid"].as_str().expect("a sid"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_leave_one_live_session_and_no_logged_out_client() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let first = gate.login("alice").await;
    let answers = futures_util::future::join_all((0..100).map(|_| gate.refresh(&first.refresh))).await;
    let successors: HashSet<String> = answers.iter().map(|answer| answer.tokens().refresh).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(gate.admin.sessions(Some("alice")).await.expect("sessions").len(), 1);
    for successor in successors {
        assert_eq!(gate.refresh(&successor).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_living_refresh_token_is_refused_alike() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    let unknown = format!("ptr_{}", "A".repeat(43));
    let mut answers = Vec::new();
    for token in ["", "ptr_", "x\0y", &unknown, &tokens.access] {
        answers.push(gate.refresh(token).await);
    }
    gate.clock.advance(Duration::from_hours(7 * 24));
    answers.push(gate.refresh(&tokens.refresh).await);
    for answer in answers {
        assert_eq!(answer.problem(), (401, "invalid_token"));
        assert!(answer.header("www-authenticate").starts_with("Bearer realm=\"portcullis\", error=\"invalid_token\""));
    }
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    assert_eq!(gate.me(&tokens.refresh).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn a_disabled_user_gets_no_more_tokens_until_enabled() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.admin.set_disabled("alice", true).await.expect("disabled");
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn a_refresh_gives_what_the_user_may_now() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    let all = gate.login("alice").await;
    let body = json!({"username": "alice", "password": PASSWORD, "scope": "items orders"});
    let narrowed = gate.post("/auth/login", body).await.tokens();
    assert_eq!(narrowed.scope, "items:read orders");

    gate.admin.set_scopes("alice", "items reports".parse().expect("scopes")).await.expect("set");
    assert_eq!(gate.me(&all.access).await.problem(), (401, "invalid_token"), "tokens of before are dead");
    let all = gate.refresh(&all.refresh).await.tokens();
    assert_eq!(all.scope, "items items:read portcullis:account reports");
    assert_eq!(gate.me(&all.access).await.status, 200);
    let narrowed = gate.refresh(&narrowed.refresh).await.tokens();
    assert_eq!(narrowed.scope, "items:read", "never more than the login was granted");

    gate.admin.set_roles("alice", &[]).await.expect("set");
    gate.admin.set_scopes("alice", "reports".parse().expect("scopes")).await.expect("set");
    let narrowed = gate.refresh(&narrowed.refresh).await.tokens();
    assert_eq!(narrowed.scope, "", "nothing is left, and nothing is given");
    assert_eq!(gate.me(&narrowed.access).await.json["scopes"], json!([]));
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_parent_usable() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.store.down.store(true, Ordering::SeqCst);
    let answer = gate.refresh(&tokens.refresh).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "unavailable"), "1"));
    gate.store.down.store(false, Ordering::SeqCst);
    gate.clock.advance(Duration::from_mins(1));
    assert_eq!(gate.refresh(&tokens.refresh).await.status, 200);
}

#[tokio::test]
async fn a_replay_that_was_not_waited_for_still_ends_the_session() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let first = gate.login("alice").await;
    let second = gate.refresh(&first.refresh).await.tokens();
    gate.clock.advance(Duration::from_mins(1));
    {
        let request = gate.refresh(&first.refresh);
        tokio::pin!(request);
        // Polled until the work runs on its own, then dropped, as when the client hangs up.
        for _ in 0..2 {
            let _ = futures_util::poll!(&mut request);
        }
    }
    while gate.revocations.published.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.me(&second.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_against_a_logout_leaves_nothing_alive() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    for round in 0..20 {
        let tokens = gate.login("alice").await;
        let (refreshed, logged_out) = tokio::join!(gate.refresh(&tokens.refresh), gate.logout(&tokens.access));
        assert_eq!(logged_out.status, 204, "{round}");
        if refreshed.status == 200 {
            let tokens = refreshed.tokens();
            assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"), "{round}");
            assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"), "{round}");
        }
    }
    assert!(gate.admin.sessions(None).await.expect("sessions").is_empty());
}
