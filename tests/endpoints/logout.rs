//! Logging out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use portcullis::domain::AuditKind;
use portcullis::endpoints::QueryKeys;
use serde_json::{Value, json};

use crate::gate::{Answer, Gate, bearer};

async fn with_body(gate: &Gate, access: Option<&str>, body: Value) -> Answer {
    let mut request = Request::post("/auth/logout").header("content-type", "application/json");
    if let Some(access) = access {
        request = bearer(request, access);
    }
    gate.send(request.body(Body::from(body.to_string())).expect("a request")).await
}

#[tokio::test]
async fn a_bearer_ends_its_session_before_the_answer() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let (tokens, other) = (gate.login("alice").await, gate.login("alice").await);
    let answer = gate.logout(&tokens.access).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str(), answer.header("cache-control")), (204, "", "no-store"));
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.logout(&tokens.access).await.problem(), (401, "invalid_token"), "again");
    assert_eq!(gate.me(&other.access).await.status, 200, "another login goes on");
    let events = gate.audit().await;
    assert_eq!(events.last().map(|event| event.kind), Some(AuditKind::Logout));
}

#[tokio::test]
async fn a_refresh_token_suffices_in_json_and_in_a_form() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    assert_eq!(with_body(&gate, None, json!({"refresh_token": tokens.refresh})).await.status, 204);
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(with_body(&gate, None, json!({"refresh_token": tokens.refresh})).await.problem(), (401, "invalid_token"), "again");

    let tokens = gate.login("alice").await;
    let used = gate.refresh(&tokens.refresh).await.tokens();
    let request = Request::post("/auth/logout").header("content-type", "application/x-www-form-urlencoded");
    let body = Body::from(format!("refresh_token={}", tokens.refresh));
    assert_eq!(gate.send(request.body(body).expect("a request")).await.status, 204, "a used one proves the session as well");
    assert_eq!(gate.me(&used.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn an_expired_bearer_does_not_spoil_a_valid_refresh_token() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.clock.advance(Duration::from_mins(20));
    assert_eq!(gate.logout(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(with_body(&gate, Some(&tokens.access), json!({"refresh_token": tokens.refresh})).await.status, 204);
    assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn a_bad_refresh_token_does_not_spoil_a_valid_bearer() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    assert_eq!(with_body(&gate, Some(&tokens.access), json!({"refresh_token": "ptr_no"})).await.status, 204);
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn two_credentials_of_two_logins_end_both() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.user("bob", &[], "").await;
    let (alice, bob) = (gate.login("alice").await, gate.login("bob").await);
    assert_eq!(with_body(&gate, Some(&bob.access), json!({"refresh_token": alice.refresh})).await.status, 204);
    for access in [&alice.access, &bob.access] {
        assert_eq!(gate.me(access).await.problem(), (401, "invalid_token"));
    }
}

#[tokio::test]
async fn everywhere_ends_all_of_the_users_sessions_and_nobody_elses() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.user("bob", &[], "").await;
    let (one, two, bob) = (gate.login("alice").await, gate.login("alice").await, gate.login("bob").await);
    assert_eq!(with_body(&gate, Some(&one.access), json!({"everywhere": true})).await.status, 204);
    for tokens in [&one, &two] {
        assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
        assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
    }
    assert_eq!(gate.me(&bob.access).await.status, 200);
    let third = gate.login("alice").await;
    assert_eq!(
        with_body(&gate, Some(&two.access), json!({"everywhere": true})).await.problem().0,
        401,
        "a dead token ends nothing"
    );
    assert_eq!(gate.me(&third.access).await.status, 200);
}

#[tokio::test]
async fn an_api_key_has_no_session_to_end() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let key = gate.key("alice", "orders").await;
    let with_key = |key: &str| Request::post("/auth/logout").header("x-api-key", key).body(Body::empty()).expect("a request");
    assert_eq!(gate.send(with_key(&key)).await.problem(), (403, "forbidden"));
    assert_eq!(gate.send(with_key("ptc_no")).await.problem(), (401, "invalid_api_key"));
    // As the proxy passes on what came in the query.
    let me = Request::get("/auth/me").extension(QueryKeys(vec![key])).body(Body::empty()).expect("a request");
    assert_eq!(gate.send(me).await.status, 200, "the key goes on");
}

#[tokio::test]
async fn an_api_key_does_not_spoil_a_valid_refresh_token() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let (tokens, key) = (gate.login("alice").await, gate.key("alice", "orders").await);
    let send = async |refresh: &str| {
        let request = Request::post("/auth/logout").header("x-api-key", &key).header("content-type", "application/json");
        let body = Body::from(json!({"refresh_token": refresh}).to_string());
        gate.send(request.body(body).expect("a request")).await
    };
    assert_eq!(send("ptr_no").await.problem(), (403, "forbidden"));
    assert_eq!(send(&tokens.refresh).await.status, 204);
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn nothing_presented_is_a_missing_credential() {
    let gate = Gate::new().await;
    let answer = with_body(&gate, None, json!({})).await;
    assert_eq!(
        (answer.problem(), answer.header("www-authenticate")),
        ((401, "missing_credential"), "Bearer realm=\"portcullis\"")
    );
    let odd = Request::post("/auth/logout").header("content-type", "text/plain").body(Body::empty()).expect("a request");
    assert_eq!(gate.send(odd).await.problem(), (401, "missing_credential"), "an empty body has no format");
}

#[tokio::test]
async fn two_bearers_are_a_malformed_request() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    let request = bearer(bearer(Request::post("/auth/logout"), &tokens.access), &tokens.access);
    assert_eq!(gate.send(request.body(Body::empty()).expect("a request")).await.problem(), (400, "invalid_request"));
    assert_eq!(gate.me(&tokens.access).await.status, 200);
}

#[tokio::test]
async fn a_logout_that_was_not_made_durable_is_not_answered_as_done() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.store.down.store(true, Ordering::SeqCst);
    assert_eq!(gate.logout(&tokens.access).await.problem(), (503, "unavailable"));
    let both = with_body(&gate, Some(&tokens.access), json!({"refresh_token": tokens.refresh})).await;
    assert_eq!(both.problem(), (503, "unavailable"));
    gate.store.down.store(false, Ordering::SeqCst);
    assert_eq!(gate.revocations.published.load(Ordering::SeqCst), 0);
    assert_eq!(gate.logout(&tokens.access).await.status, 204);
}

#[tokio::test]
async fn a_credential_that_nobody_can_judge_spoils_a_logout_and_what_else_came_stays_good() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.revocations.unknown.store(true, Ordering::SeqCst);
    let both = with_body(&gate, Some(&tokens.access), json!({"refresh_token": tokens.refresh})).await;
    assert_eq!((both.problem(), both.header("retry-after")), ((503, "unavailable"), "1"));
    gate.revocations.unknown.store(false, Ordering::SeqCst);
    assert_eq!(gate.me(&tokens.access).await.status, 200, "the same again works");
    assert_eq!(with_body(&gate, Some(&tokens.access), json!({"refresh_token": tokens.refresh})).await.status, 204);
}
