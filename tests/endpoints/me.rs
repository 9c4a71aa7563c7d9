//! One's own account.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::gate::{Gate, PASSWORD, bearer};

#[tokio::test]
async fn the_account_is_shown_with_the_scopes_of_the_credential() {
    let gate = Gate::new().await;
    let user = gate.user("alice", &["user"], "orders").await;
    let body = json!({"username": "alice", "password": PASSWORD, "scope": "orders:read"});
    let tokens = gate.post("/auth/login", body).await.tokens();
    let answer = gate.me(&tokens.access).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let expected = json!({
        "id": user.id, "username": "alice", "email": "alice@example.com", "email_verified": true, "full_name": null,
        "roles": ["user"], "scopes": ["orders:read"], "attributes": {}, "disabled": false, "is_active": true,
        "created_at": "2027-01-15T08:00:00.000Z",
    });
    assert_eq!(answer.json, expected);

    let key = gate.key("alice", "items:read").await;
    let request = Request::get("/auth/me").header("X-Api-Key", &key).body(Body::empty()).expect("a request");
    assert_eq!(gate.send(request).await.json["scopes"], json!(["items:read"]));
}

#[tokio::test]
async fn two_credentials_are_a_malformed_request() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let (tokens, key) = (gate.login("alice").await, gate.key("alice", "orders").await);
    let request = bearer(Request::get("/auth/me"), &tokens.access).header("x-api-key", key);
    assert_eq!(gate.send(request.body(Body::empty()).expect("a request")).await.problem(), (400, "invalid_request"));
}

#[tokio::test]
async fn a_revoked_key_is_dead_at_once() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let key = gate.key("alice", "orders").await;
    let request = || Request::get("/auth/me").header("x-api-key", &key).body(Body::empty()).expect("a request");
    assert_eq!(gate.send(request()).await.status, 200);
    let id = gate.admin.keys(None).await.expect("keys")[0].id.clone();
    gate.admin.revoke_key(&id).await.expect("revoked");
    let answer = gate.send(request()).await;
    assert_eq!(answer.problem(), (401, "invalid_api_key"));
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 2);
}

#[tokio::test]
async fn a_deleted_account_is_gone_at_once() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.admin.delete_user("alice").await.expect("deleted");
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn what_cannot_be_told_is_503() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.revocations.unknown.store(true, Ordering::SeqCst);
    assert_eq!(gate.me(&tokens.access).await.problem(), (503, "unavailable"));
    assert_eq!(gate.logout(&tokens.access).await.problem(), (503, "unavailable"));
    gate.revocations.unknown.store(false, Ordering::SeqCst);
    gate.store.down.store(true, Ordering::SeqCst);
    assert_eq!(gate.me(&tokens.access).await.problem(), (503, "unavailable"));
}
