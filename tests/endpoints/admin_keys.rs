//! `/auth/admin/keys`: everybody's API keys.

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
