//! `/auth/admin/keys` and `/auth/admin/clients`: everybody's API keys, and OAuth clients.

use serde_json::{Value, json};

use crate::gate::Gate;

const KEYS: &str = "/auth/admin/keys";

#[tokio::test]
async fn a_key_is_made_for_an_owner_by_his_rights() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let alice = gate.user("alice", &["user"], "orders").await;
    let root = gate.login("root").await.access;
    for (owner, asked, given) in [
        ("alice", json!(["items"]), json!(["items:read"])),
        ("alice@example.com", json!(["*"]), json!(["items:read", "orders"])),
        (&alice.id.to_string(), Value::Null, json!(["items:read", "orders"])),
        ("root", json!(["*"]), json!(["*"])),
    ] {
        let made = gate.call(&root, "POST", KEYS, json!({"owner": owner, "name": "job", "scopes": asked})).await;
        assert_eq!((made.status.as_u16(), &made.json["scopes"]), (201, &given), "{owner} {asked}");
        let me = gate.call(made.json["key"].as_str().expect("a key"), "GET", "/auth/me", Value::Null).await;
        assert_eq!(me.json["username"], made.json["owner"], "{owner}");
    }
    for (asked, given) in [(json!("5/1m"), json!("5/1m")), (Value::Null, Value::Null)] {
        // The newest comes first.
        gate.clock.advance(std::time::Duration::from_secs(1));
        let made = gate.call(&root, "POST", KEYS, json!({"owner": "alice", "name": "slow", "rate_limit": asked})).await;
        let listed = gate.call(&root, "GET", &format!("{KEYS}?owner=alice&limit=1"), Value::Null).await;
        assert_eq!((&made.json["rate_limit"], &listed.json[0]["rate_limit"]), (&given, &given));
    }
    let wrong = gate.call(&root, "POST", KEYS, json!({"owner": "alice", "name": "slow", "rate_limit": "5"})).await;
    assert_eq!((wrong.problem(), &wrong.json["field"]), ((422, "invalid_body"), &json!("rate_limit")));
    let refused = gate.call(&root, "POST", KEYS, json!({"owner": "alice", "name": "job", "scopes": ["reports"]})).await;
    assert_eq!(refused.problem(), (400, "invalid_scope"));
    gate.admin.set_disabled("alice", true).await.expect("disabled");
    for owner in ["alice", "nobody"] {
        let refused = gate.call(&root, "POST", KEYS, json!({"owner": owner, "name": "job"})).await;
        assert_eq!((refused.problem(), &refused.json["field"]), ((422, "invalid_body"), &json!("owner")), "{owner}");
    }
}

#[tokio::test]
async fn everybodys_keys_are_listed_and_revoked() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    gate.user("alice", &[], "orders").await;
    gate.user("bob", &[], "orders").await;
    let keys = [gate.key("alice", "orders").await, gate.key("bob", "orders").await];
    let root = gate.login("root").await.access;
    let all = gate.call(&root, "GET", KEYS, Value::Null).await;
    assert_eq!((all.header("x-total-count"), all.json.as_array().expect("a list").len()), ("2", 2));
    assert!(!all.body.contains(&keys[0]) && !all.body.contains("hash"), "{}", all.body);
    let of_bob = gate.call(&root, "GET", &format!("{KEYS}?owner=bob&limit=1"), Value::Null).await;
    assert_eq!((of_bob.header("x-total-count"), &of_bob.json[0]["owner"]), ("1", &json!("bob")));
    let at = format!("{KEYS}/{}", of_bob.json[0]["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(gate.call(&root, "DELETE", &at, Value::Null).await.status, 204);
    }
    assert_eq!(gate.call(&keys[1], "GET", "/auth/me", Value::Null).await.problem(), (401, "invalid_api_key"));
    assert_eq!(gate.call(&keys[0], "GET", "/auth/me", Value::Null).await.status, 200);
    let of_bob = gate.call(&root, "GET", &format!("{KEYS}?owner=bob"), Value::Null).await;
    assert!(of_bob.json[0]["revoked_at"].is_string());
    for id in ["nonsense".to_owned(), "a".repeat(26)] {
        let answer = gate.call(&root, "DELETE", &format!("{KEYS}/{id}"), Value::Null).await;
        assert_eq!(answer.problem(), (404, "not_found"));
    }
}

const CLIENTS: &str = "/auth/admin/clients";

#[tokio::test]
async fn a_client_is_made_with_its_secret_once_listed_and_deleted() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let root = gate.login("root").await.access;
    let made = gate.call(&root, "POST", CLIENTS, json!({"name": "batch", "scopes": ["orders"]})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, secret) = (made.json["client_id"].as_str().expect("an id"), made.json["client_secret"].as_str().expect("a secret"));
    assert_eq!((&made.json["grants"], &made.json["public"]), (&json!(["client_credentials"]), &json!(false)));
    let list = gate.call(&root, "GET", CLIENTS, Value::Null).await;
    assert_eq!((list.header("x-total-count"), &list.json[0]["client_id"]), ("1", &json!(id)));
    assert!(!list.body.contains(secret) && !list.body.contains("secret"), "{}", list.body);
    let public = gate.call(&root, "POST", CLIENTS, json!({"name": "app", "public": true})).await;
    assert_eq!((public.status.as_u16(), &public.json["client_secret"]), (201, &Value::Null));
    let page = gate.call(&root, "GET", &format!("{CLIENTS}?skip=1&limit=5"), Value::Null).await;
    assert_eq!(
        (page.header("x-total-count"), &page.json[0]["name"], page.json.as_array().expect("a list").len()),
        ("2", &json!("batch"), 1)
    );

    assert_eq!(gate.call(&root, "POST", CLIENTS, json!({"name": "BATCH"})).await.problem(), (409, "conflict"));
    let wrong = gate.call(&root, "POST", CLIENTS, json!({"name": "x", "grants": ["implicit"]})).await;
    assert_eq!((wrong.problem(), &wrong.json["field"]), ((422, "invalid_body"), &json!("grants")));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "grants": []}), "grants"),
        (json!({"name": "x", "grants": ["client_credentials"], "public": true}), "grants"),
        (json!({"name": "x", "grants": ["authorization_code"]}), "redirect_uris"),
        (json!({"name": "x", "grants": ["password"], "redirect_uris": ["https://a.example/cb"]}), "redirect_uris"),
        (json!({"name": "x", "redirect_uris": ["/cb"]}), "redirect_uris"),
    ] {
        let wrong = gate.call(&root, "POST", CLIENTS, body.clone()).await;
        assert_eq!((wrong.problem(), &wrong.json["field"]), ((422, "invalid_body"), &json!(field)), "{body}");
        assert!(!wrong.body.contains("--"), "it speaks of a command line: {}", wrong.body);
    }
    let narrow = gate.key("root", "portcullis:admin").await;
    let wide = gate.call(&narrow, "POST", CLIENTS, json!({"name": "x", "scopes": ["orders"]})).await;
    assert_eq!(wide.problem(), (403, "insufficient_scope"));

    let at = format!("{CLIENTS}/{id}");
    assert_eq!(gate.call(&root, "DELETE", &at, Value::Null).await.status, 204);
    for at in [at, format!("{CLIENTS}/nonsense")] {
        assert_eq!(gate.call(&root, "DELETE", &at, Value::Null).await.problem(), (404, "not_found"));
    }
}
