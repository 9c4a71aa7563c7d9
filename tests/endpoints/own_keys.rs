//! `/auth/keys`: one's own API keys.

use std::time::Duration;

use portcullis::accounts::admin::NewKey;
use portcullis::domain::AuditKind;
use serde_json::{Value, json};

use crate::gate::{Gate, PASSWORD};

const KEYS: &str = "/auth/keys";

async fn of_alice() -> (Gate, String) {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    let token = gate.login("alice").await.access;
    (gate, token)
}

#[tokio::test]
async fn it_needs_an_account_scope_which_only_whole_logins_hold_unasked() {
    let (gate, token) = of_alice().await;
    assert_eq!(gate.call(&token, "GET", KEYS, Value::Null).await.status, 200);
    for credential in [gate.token("alice", "orders").await, gate.key("alice", "orders").await] {
        for (method, path) in [("GET", KEYS), ("POST", KEYS), ("GET", "/auth/sessions"), ("DELETE", "/auth/keys/x")] {
            let answer = gate.call(&credential, method, path, Value::Null).await;
            assert_eq!(answer.problem(), (403, "insufficient_scope"), "{method} {path}");
        }
    }
    for credential in [gate.token("alice", "portcullis:account").await, gate.key("alice", "portcullis:account").await] {
        assert_eq!(gate.call(&credential, "GET", KEYS, Value::Null).await.status, 200);
        assert_eq!(gate.call(&credential, "GET", "/auth/sessions", Value::Null).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_is_shown_once_works_is_listed_and_dies() {
    let (gate, token) = of_alice().await;
    let body = json!({"name": "backup", "scopes": ["orders:read"], "expires_in": "30d", "allowed_cidrs": ["192.0.2.9/24"], "rate_limit": "100/60s"});
    let made = gate.call(&token, "POST", KEYS, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json["key"].as_str().expect("a key");
    let me = gate.call(key, "GET", "/auth/me", Value::Null).await;
    assert_eq!((&me.json["username"], &me.json["scopes"]), (&json!("alice"), &json!(["orders:read"])));

    let list = gate.call(&token, "GET", KEYS, Value::Null).await;
    let mut listed = made.json.clone();
    listed.as_object_mut().expect("an object").remove("key");
    assert_eq!(list.json, json!([listed]));
    assert_eq!((&listed["allowed_cidrs"], &listed["rate_limit"]), (&json!(["192.0.2.0/24"]), &json!("100/1m")));
    assert_eq!((&listed["name"], &listed["expires_at"]), (&json!("backup"), &json!("2027-02-14T08:00:00.000Z")));

    let at = format!("{KEYS}/{}", listed["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(gate.call(&token, "DELETE", &at, Value::Null).await.status, 204);
    }
    assert_eq!(gate.call(key, "GET", "/auth/me", Value::Null).await.problem(), (401, "invalid_api_key"));
    assert_eq!(gate.call(&token, "GET", KEYS, Value::Null).await.json, json!([]));
    let kinds: Vec<_> = gate.audit().await.iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&AuditKind::KeyCreated) && kinds.contains(&AuditKind::KeyRevoked));
    let actor = gate.admin.user("alice").await.expect("alice").id.to_string();
    assert_eq!(gate.audit().await.pop().expect("an event").actor, Some(actor));
}

#[tokio::test]
async fn of_each_scope_the_narrower_of_asked_and_held_is_given() {
    let (gate, whole) = of_alice().await;
    let narrowed = gate.token("alice", "portcullis:account orders:read").await;
    for (credential, asked, given) in [
        (&whole, json!(["items"]), json!(["items:read"])),
        (&whole, json!("orders:read items"), json!(["items:read", "orders:read"])),
        (&whole, json!(["*"]), json!(["items:read", "orders"])),
        (&whole, json!(["orders", "reports"]), json!(["orders"])),
        (&whole, json!(["portcullis:account"]), json!(["portcullis:account"])),
        (&whole, json!([]), json!([])),
        (&whole, Value::Null, json!(["items:read", "orders"])),
        (&narrowed, json!(["orders"]), json!(["orders:read"])),
        (&narrowed, Value::Null, json!(["orders:read"])),
    ] {
        let made = gate.call(credential, "POST", KEYS, json!({"name": "k", "scopes": asked})).await;
        assert_eq!((made.status.as_u16(), &made.json["scopes"]), (201, &given), "{asked}");
    }
    for (credential, asked) in
        [(&whole, "reports"), (&whole, "portcullis:admin"), (&narrowed, "items"), (&narrowed, "orders:write")]
    {
        let refused = gate.call(credential, "POST", KEYS, json!({"name": "k", "scopes": [asked]})).await;
        assert_eq!(refused.problem(), (400, "invalid_scope"), "{asked}");
    }
}

#[tokio::test]
async fn an_admins_login_mints_everything_and_its_admin_key_nothing_more() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let whole = gate.login("root").await.access;
    let made = gate.call(&whole, "POST", KEYS, json!({"name": "k", "scopes": ["*", "portcullis"]})).await;
    assert_eq!(made.json["scopes"], json!(["*", "portcullis:account", "portcullis:admin"]));
    let key = gate.key("root", "portcullis:admin portcullis:account").await;
    for asked in ["*", "items:read"] {
        let refused = gate.call(&key, "POST", KEYS, json!({"name": "k", "scopes": [asked]})).await;
        assert_eq!(refused.problem(), (400, "invalid_scope"), "{asked}");
    }
    let refused = gate.call(&key, "POST", "/auth/admin/keys", json!({"owner": "root", "name": "k", "scopes": ["*"]})).await;
    assert_eq!(refused.problem(), (400, "invalid_scope"));
    let unasked = gate.call(&key, "POST", KEYS, json!({"name": "k"})).await;
    assert_eq!(unasked.json["scopes"], json!([]));
}

#[tokio::test]
async fn a_key_that_a_key_makes_lives_no_longer_and_is_good_from_nowhere_else() {
    let (gate, _) = of_alice().await;
    let new = NewKey {
        owner: "alice".to_owned(),
        name: "maker".to_owned(),
        scopes: Some("portcullis:account orders".parse().expect("scopes")),
        expires_in: Some(Duration::from_hours(24)),
        allow: vec!["192.0.2.0/24".to_owned()],
        rate_limit: Some("10/1m".parse().expect("a rate")),
    };
    let maker = gate.admin.create_key(new).await.expect("made").key.expose().to_owned();
    let tomorrow = json!("2027-01-16T08:00:00.000Z");
    for (wish, end, networks) in [
        (json!({"name": "k"}), &tomorrow, json!(["192.0.2.0/24"])),
        (json!({"name": "k", "expires_in": "30d"}), &tomorrow, json!(["192.0.2.0/24"])),
        (
            json!({"name": "k", "expires_in": 60, "allowed_cidrs": ["192.0.2.8/29"]}),
            &json!("2027-01-15T08:01:00.000Z"),
            json!(["192.0.2.8/29"]),
        ),
    ] {
        let made = gate.call(&maker, "POST", KEYS, wish.clone()).await;
        assert_eq!((&made.json["expires_at"], &made.json["allowed_cidrs"]), (end, &networks), "{wish}");
    }
    let wider = gate.call(&maker, "POST", KEYS, json!({"name": "k", "allowed_cidrs": ["192.0.2.1", "192.0.0.0/16"]})).await;
    assert_eq!((wider.problem(), &wider.json["field"]), ((422, "invalid_body"), &json!("allowed_cidrs")));
    for (asked, given) in [(Value::Null, "10/1m"), (json!("10/1m"), "10/1m"), (json!("1/1m"), "1/1m")] {
        let made = gate.call(&maker, "POST", KEYS, json!({"name": "k", "rate_limit": asked})).await;
        assert_eq!(made.json["rate_limit"], json!(given), "{asked}");
    }
    for asked in ["11/1m", "10/59s", "11/1h"] {
        let oftener = gate.call(&maker, "POST", KEYS, json!({"name": "k", "rate_limit": asked})).await;
        assert_eq!((oftener.problem(), &oftener.json["field"]), ((422, "invalid_body"), &json!("rate_limit")), "{asked}");
    }
    let told = gate.audit().await.pop().expect("an event").detail.expect("a detail");
    assert!(told.starts_with("key, by key "), "{told}");
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_named() {
    let (gate, token) = of_alice().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(65)}), "name"),
        (json!({"name": "a\nb"}), "name"),
        (json!({"name": 1}), "name"),
        (json!({"name": "k", "scopes": 1}), "scopes"),
        (json!({"name": "k", "scopes": ["a::b"]}), "scopes"),
        (json!({"name": "k", "expires_in": "soon"}), "expires_in"),
        (json!({"name": "k", "expires_in": 0}), "expires_in"),
        (json!({"name": "k", "expires_in": -1}), "expires_in"),
        (json!({"name": "k", "expires_in": 18_446_744_073_709_551_615_u64}), "expires_in"),
        (json!({"name": "k", "allowed_cidrs": ["10.0.0.0/33"]}), "allowed_cidrs"),
        (json!({"name": "k", "allowed_cidrs": "10.0.0.0/8"}), "allowed_cidrs"),
        (json!({"name": "k", "rate_limit": 5}), "rate_limit"),
        (json!({"name": "k", "rate_limit": "often"}), "rate_limit"),
        (json!({"name": "k", "rate_limit": "0/1m"}), "rate_limit"),
        (json!({"name": "k", "rate_limit": "5/0s"}), "rate_limit"),
    ] {
        let answer = gate.call(&token, "POST", KEYS, body.clone()).await;
        assert_eq!((answer.problem(), &answer.json["field"]), ((422, "invalid_body"), &json!(field)), "{body}");
    }
    assert_eq!(gate.call(&token, "GET", KEYS, Value::Null).await.json, json!([]));
}

#[tokio::test]
async fn keys_of_others_are_as_if_they_were_not_there() {
    let (gate, token) = of_alice().await;
    gate.user("bob", &[], "orders").await;
    let theirs = gate.key("bob", "orders").await;
    let id = gate.admin.keys(None).await.expect("keys")[0].id.clone();
    for id in [id.as_str(), &"a".repeat(26), "nonsense"] {
        let answer = gate.call(&token, "DELETE", &format!("{KEYS}/{id}"), Value::Null).await;
        assert_eq!((answer.problem(), &answer.json["detail"]), ((404, "not_found"), &json!("There is no such API key.")));
    }
    assert_eq!(gate.call(&theirs, "GET", "/auth/me", Value::Null).await.status, 200);
    assert_eq!(gate.call(&token, "GET", KEYS, Value::Null).await.json, json!([]));
}

#[tokio::test]
async fn an_account_makes_a_bounded_number_of_keys() {
    let (gate, token) = of_alice().await;
    for _ in 0..100 {
        assert_eq!(gate.call(&token, "POST", KEYS, json!({"name": "k", "expires_in": 60})).await.status, 201);
    }
    assert_eq!(gate.call(&token, "POST", KEYS, json!({"name": "k"})).await.problem(), (403, "forbidden"));
    gate.clock.advance(Duration::from_secs(61));
    assert_eq!(gate.call(&token, "POST", KEYS, json!({"name": "k"})).await.status, 201);
}

#[tokio::test]
async fn what_the_owner_loses_his_keys_lose() {
    let (gate, token) = of_alice().await;
    let made = gate.call(&token, "POST", KEYS, json!({"name": "k", "scopes": ["orders"]})).await;
    let key = made.json["key"].as_str().expect("a key");
    gate.admin.set_scopes("alice", "orders:read".parse().expect("scopes")).await.expect("set");
    assert_eq!(gate.call(key, "GET", "/auth/me", Value::Null).await.json["scopes"], json!(["orders:read"]));
    // Logs in with the new rights, to see that the password was not touched by any of it.
    assert_eq!(gate.post("/auth/login", json!({"username": "alice", "password": PASSWORD})).await.status, 200);
}
