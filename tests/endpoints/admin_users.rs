//! `/auth/admin/users`: who may, what is judged, and what comes of it.

use axum::body::Body;
use axum::http::Request;
use portcullis::domain::{AuditKind, Clock};
use portcullis::store::UserChange;
use serde_json::{Value, json};

use crate::gate::{Gate, PASSWORD, bearer};

const USERS: &str = "/auth/admin/users";

fn at(user: &portcullis::domain::User) -> String {
    format!("{USERS}/{}", user.id)
}

/// A gateway with `root`, an admin, and his access token.
async fn administered() -> (Gate, String) {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let root = gate.login("root").await.access;
    (gate, root)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|user| user["username"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn it_needs_the_scope_first_and_then_the_role() {
    let (gate, _) = administered().await;
    gate.user("alice", &["user"], "").await;
    // Holds the scope, and is no admin.
    gate.user("mallory", &["user"], "portcullis:admin *").await;
    for path in [USERS, "/auth/admin/sessions", "/auth/admin/keys", "/auth/admin/audit"] {
        for (credential, expected) in [
            (gate.login("alice").await.access, (403, "insufficient_scope")),
            (gate.token("root", "portcullis:account").await, (403, "insufficient_scope")),
            (gate.token("root", "*").await, (403, "insufficient_scope")),
            (gate.key("root", "*").await, (403, "insufficient_scope")),
            (gate.login("mallory").await.access, (403, "forbidden")),
            (gate.key("mallory", "portcullis:admin").await, (403, "forbidden")),
        ] {
            assert_eq!(gate.call(&credential, "GET", path, Value::Null).await.problem(), expected, "{path}");
        }
        let narrowed = gate.token("root", "portcullis:admin").await;
        assert_eq!(gate.call(&narrowed, "GET", path, Value::Null).await.status, 200, "{path}");
        let key = gate.key("root", "portcullis:admin").await;
        assert_eq!(gate.call(&key, "GET", path, Value::Null).await.status, 200, "{path}");
    }
    let challenge = gate.call(&gate.login("alice").await.access, "GET", USERS, Value::Null).await;
    assert!(challenge.header("www-authenticate").contains("scope=\"portcullis:admin\""), "{challenge:?}");
}

#[tokio::test]
async fn who_was_demoted_is_no_admin_any_more() {
    let (gate, root) = administered().await;
    let other = gate.user("other", &["admin"], "").await;
    let tokens = gate.login("other").await;
    assert_eq!(gate.call(&root, "PATCH", &at(&other), json!({"roles": ["user"]})).await.status, 200);
    assert_eq!(gate.call(&tokens.access, "GET", USERS, Value::Null).await.problem(), (401, "invalid_token"));
    let fresh = gate.refresh(&tokens.refresh).await.tokens();
    assert_eq!(gate.call(&fresh.access, "GET", USERS, Value::Null).await.problem(), (403, "insufficient_scope"));
}

#[tokio::test]
async fn an_account_is_made_by_the_rules_of_the_command_line() {
    let (gate, root) = administered().await;
    let body = json!({
        "username": "bob", "email": "bob@example.com", "full_name": "Bob", "password": PASSWORD, "roles": ["user"],
        "scopes": ["orders"], "attributes": {"tenant": "a1", "gone": null}, "unknown": 1,
    });
    let made = gate.call(&root, "POST", USERS, body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut shown = made.json.clone();
    for member in ["id", "created_at"] {
        assert!(shown.as_object_mut().expect("an object").remove(member).is_some_and(|value| value.is_string()), "{member}");
    }
    let expected = json!({
        "username": "bob", "email": "bob@example.com", "email_verified": true, "full_name": "Bob", "roles": ["user"],
        "scopes": ["orders"], "attributes": {"tenant": "a1"}, "disabled": false, "is_active": true, "service": false,
    });
    assert_eq!(shown, expected);
    assert_eq!(gate.login("bob").await.scope, "items:read orders portcullis:account");
    let id = made.json["id"].as_str().expect("an id");
    assert_eq!(gate.call(&root, "GET", &format!("{USERS}/{id}"), Value::Null).await.json, made.json);

    assert_eq!(gate.call(&root, "POST", USERS, body).await.problem(), (409, "conflict"));
    let taken = json!({"username": "carol", "email": "BOB@example.com", "password": PASSWORD});
    assert_eq!(gate.call(&root, "POST", USERS, taken).await.problem(), (409, "conflict"));
    let default = gate.call(&root, "POST", USERS, json!({"username": "carol", "password": PASSWORD})).await;
    assert_eq!(default.json["roles"], json!(["viewer"]));
    let service = gate.call(&root, "POST", USERS, json!({"username": "job", "service": true, "scopes": "orders:read a"})).await;
    assert_eq!((service.status.as_u16(), &service.json["scopes"]), (201, &json!(["a", "orders:read"])));
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_named() {
    let (gate, root) = administered().await;
    let mut told = Vec::new();
    for (member, value) in [
        ("username", json!("no spaces")),
        ("username", json!(7)),
        ("username", Value::Null),
        ("email", json!("nowhere")),
        ("full_name", json!("a\nb")),
        ("roles", json!(["usr"])),
        ("roles", json!("user")),
        ("scopes", json!(["a b"])),
        ("scopes", json!(1)),
        ("attributes", json!({"a b": 1})),
        ("attributes", json!([])),
        ("password", json!("short")),
        ("password", Value::Null),
        ("service", json!(true)),
    ] {
        let mut body = json!({"username": "bob", "password": PASSWORD});
        body[member] = value;
        let answer = gate.call(&root, "POST", USERS, body).await;
        assert_eq!(answer.problem(), (422, "invalid_body"), "{member}");
        told.push(format!(
            "{}: {}",
            answer.json["field"].as_str().expect("a field"),
            answer.json["detail"].as_str().expect("text")
        ));
    }
    insta::assert_snapshot!(told.join("\n"));
    let form = bearer(Request::post(USERS), &root).header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(Body::from("username=bob")).expect("a request");
    assert_eq!(gate.send(form).await.problem(), (415, "unsupported_media_type"));
}

#[tokio::test]
async fn accounts_are_listed_by_the_page() {
    let (gate, root) = administered().await;
    for name in ["anna", "bert", "carl", "dora"] {
        gate.user(name, &[], "").await;
    }
    let list = async |query: &str| gate.call(&root, "GET", &format!("{USERS}?{query}"), Value::Null).await;
    let all = list("").await;
    assert_eq!(names(&all.json), ["anna", "bert", "carl", "dora", "root"]);
    assert_eq!(all.header("x-total-count"), "5");
    let page = list("skip=1&limit=2").await;
    assert_eq!((names(&page.json), page.header("x-total-count")), (vec!["bert", "carl"], "5"));
    let found = list("q=DOR").await;
    assert_eq!((names(&found.json), found.header("x-total-count")), (vec!["dora"], "1"));
    assert_eq!(list("q=carl%40example&limit=200").await.header("x-total-count"), "1");
    assert_eq!(names(&list("q=").await.json).len(), 5);
    assert_eq!(names(&list("q=%25").await.json), [""; 0]);
    assert_eq!(names(&list("skip=5").await.json), [""; 0]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=", "limit"),
        ("skip=-1", "skip"),
        ("skip=4294967296", "skip"),
        ("skip=1&skip=2", "skip"),
    ] {
        let answer = list(query).await;
        assert_eq!((answer.problem(), &answer.json["field"]), ((422, "invalid_body"), &json!(field)), "{query}");
    }
    for path in ["/auth/admin/sessions", "/auth/admin/keys", "/auth/admin/audit"] {
        let answer = gate.call(&root, "GET", &format!("{path}?limit=201"), Value::Null).await;
        assert_eq!((answer.problem(), &answer.json["field"]), ((422, "invalid_body"), &json!("limit")), "{path}");
    }
}

#[tokio::test]
async fn a_change_counts_at_once_and_is_written_down() {
    let (gate, root) = administered().await;
    let alice = gate.user("alice", &["user"], "").await;
    let tokens = gate.login("alice").await;
    let patch = json!({
        "full_name": "Alice", "email": "new@example.com", "email_verified": false, "roles": ["viewer"], "scopes": ["orders"],
        "attributes": {"tenant": "a1"},
    });
    let changed = gate.call(&root, "PATCH", &at(&alice), patch).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        (&changed.json["full_name"], &changed.json["email"], &changed.json["email_verified"], &changed.json["roles"]),
        (&json!("Alice"), &json!("new@example.com"), &json!(false), &json!(["viewer"]))
    );
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&tokens.refresh).await.tokens().scope, "orders portcullis:account");

    let merged = gate.call(&root, "PATCH", &at(&alice), json!({"attributes": {"tenant": null, "team": "x"}})).await;
    assert_eq!(merged.json["attributes"], json!({"team": "x"}));
    let vouched = gate.call(&root, "PATCH", &at(&alice), json!({"email_verified": true})).await;
    assert_eq!((&vouched.json["email"], &vouched.json["email_verified"]), (&json!("new@example.com"), &json!(true)));
    let cleared = gate.call(&root, "PATCH", &at(&alice), json!({"full_name": null, "email": null})).await;
    assert_eq!((&cleared.json["full_name"], &cleared.json["email"]), (&Value::Null, &Value::Null));
    let same = gate.call(&root, "PATCH", &at(&alice), json!({"unknown": 1})).await;
    assert_eq!((same.status.as_u16(), &same.json), (200, &cleared.json));

    let root_id = gate.admin.user("root").await.expect("root").id.to_string();
    let events = gate.audit().await;
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.actor.as_ref() == Some(&root_id) && event.kind != AuditKind::LoginOk)
        .map(|event| (event.kind, event.detail.as_deref().expect("a detail"), event.address.as_deref()))
        .collect();
    let here = Some("192.0.2.1");
    assert_eq!(
        told,
        [
            (AuditKind::RolesChanged, "alice: roles: viewer", here),
            (AuditKind::UserChanged, "alice: full_name, email, scopes: orders, attributes: tenant", here),
            (AuditKind::UserChanged, "alice: attributes: team, tenant", here),
            (AuditKind::UserChanged, "alice: email", here),
            (AuditKind::UserChanged, "alice: full_name, email", here),
        ]
    );
    let shown = gate.call(&root, "GET", "/auth/admin/audit?limit=2", Value::Null).await;
    assert_eq!((&shown.json[0]["detail"], &shown.json[0]["actor"]), (&json!("alice: full_name, email"), &json!(root_id)));
    assert_eq!((&shown.json[1]["kind"], &shown.json[1]["request_id"]), (&json!("user_changed"), &json!("req-1")));
    let second = gate.call(&root, "GET", "/auth/admin/audit?skip=1&limit=1", Value::Null).await;
    assert_eq!(second.json[0], shown.json[1]);
}

#[tokio::test]
async fn disabling_and_a_new_password_end_everything() {
    let (gate, root) = administered().await;
    let alice = gate.user("alice", &["user"], "").await;
    let (tokens, key) = (gate.login("alice").await, gate.key("alice", "items:read").await);
    assert_eq!(gate.call(&root, "PATCH", &at(&alice), json!({"is_active": false})).await.json["disabled"], true);
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.call(&key, "GET", "/auth/me", Value::Null).await.problem(), (401, "invalid_api_key"));
    let contradiction = json!({"is_active": true, "disabled": true});
    assert_eq!(gate.call(&root, "PATCH", &at(&alice), contradiction).await.json["field"], "is_active");
    assert_eq!(gate.call(&root, "PATCH", &at(&alice), json!({"disabled": false})).await.json["is_active"], true);

    let tokens = gate.login("alice").await;
    let patch = json!({"password": "a wholly different one"});
    assert_eq!(gate.call(&root, "PATCH", &at(&alice), patch).await.status, 200);
    assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
    let weak = gate.call(&root, "PATCH", &at(&alice), json!({"password": "short"})).await;
    assert_eq!((weak.problem(), &weak.json["field"]), ((422, "invalid_body"), &json!("password")));
}

#[tokio::test]
async fn nobody_deletes_disables_or_demotes_himself() {
    let (gate, root) = administered().await;
    gate.user("other", &["admin"], "").await;
    let me = at(&gate.admin.user("root").await.expect("root"));
    assert_eq!(gate.call(&root, "DELETE", &me, Value::Null).await.problem(), (403, "forbidden"));
    for patch in [json!({"disabled": true}), json!({"roles": ["user"]}), json!({"roles": []})] {
        assert_eq!(gate.call(&root, "PATCH", &me, patch.clone()).await.problem(), (403, "forbidden"), "{patch}");
    }
    assert_eq!(gate.call(&root, "PATCH", &me, json!({"full_name": "Root"})).await.status, 200);
    assert_eq!(gate.call(&root, "PATCH", &me, json!({"roles": ["admin", "viewer"]})).await.status, 200);
}

#[tokio::test]
async fn a_machine_can_not_take_the_last_person_who_administers() {
    let (gate, _) = administered().await;
    gate.admin
        .create_user(portcullis::accounts::admin::NewUser {
            username: "job".to_owned(),
            roles: Some(vec!["admin".to_owned()]),
            service: true,
            ..Default::default()
        })
        .await
        .expect("made");
    let key = gate.key("job", "* portcullis:admin").await;
    let root = at(&gate.admin.user("root").await.expect("root"));
    for (method, body) in [("DELETE", Value::Null), ("PATCH", json!({"disabled": true})), ("PATCH", json!({"roles": ["user"]}))] {
        let answer = gate.call(&key, method, &root, body).await;
        assert_eq!(
            (answer.problem(), &answer.json["detail"]),
            ((403, "forbidden"), &json!("The last admin stays one. Make another admin first."))
        );
    }
    gate.user("other", &["admin"], "").await;
    assert_eq!(gate.call(&key, "DELETE", &root, Value::Null).await.status, 204);
    assert_eq!(gate.call(&key, "DELETE", &root, Value::Null).await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn two_admins_who_delete_each_other_leave_one() {
    for _ in 0..10 {
        let (gate, root) = administered().await;
        let other = gate.user("other", &["admin"], "").await;
        let theirs = gate.login("other").await.access;
        let me = gate.admin.user("root").await.expect("root");
        let (to_other, to_me) = (at(&other), at(&me));
        tokio::join!(gate.call(&root, "DELETE", &to_other, Value::Null), gate.call(&theirs, "DELETE", &to_me, Value::Null));
        assert_eq!(gate.admin.users(None, 0, 10).await.expect("users").len(), 1);
    }
}

#[tokio::test]
async fn who_administers_by_what_a_role_includes_counts_as_one_who_does() {
    let gate = Gate::with(|config| {
        let chief = portcullis::config::Role { includes: vec!["admin".to_owned()], ..Default::default() };
        config.roles.0.insert("chief".to_owned(), chief);
    })
    .await;
    let root = gate.user("root", &["admin"], "").await;
    let chief = gate.user("chief", &["chief"], "").await;
    let new = portcullis::accounts::admin::NewUser {
        username: "job".to_owned(),
        roles: Some(vec!["admin".to_owned()]),
        service: true,
        ..Default::default()
    };
    gate.admin.create_user(new).await.expect("a machine");
    let job = gate.key("job", "* portcullis:admin").await;
    let whole = gate.login("chief").await.access;
    assert_eq!(gate.call(&whole, "DELETE", &at(&root), Value::Null).await.status, 204, "the chief is left");
    for (method, body) in [("DELETE", Value::Null), ("PATCH", json!({"roles": ["user"]})), ("PATCH", json!({"disabled": true}))] {
        assert_eq!(gate.call(&job, method, &at(&chief), body.clone()).await.problem(), (403, "forbidden"), "{method} {body}");
    }
    assert_eq!(gate.call(&job, "PATCH", &at(&chief), json!({"roles": ["admin"]})).await.status, 200);
}

#[tokio::test]
async fn a_narrowed_credential_gives_no_more_than_it_holds() {
    let (gate, root) = administered().await;
    let alice = gate.user("alice", &["user"], "").await;
    let boss = gate.user("boss", &["admin"], "").await;
    let carol = gate.user("carol", &["viewer"], "orders").await;
    gate.call(&root, "PATCH", &at(&carol), json!({"disabled": true})).await;
    for narrow in [gate.key("root", "portcullis:admin").await, gate.token("root", "portcullis:admin").await] {
        for (method, path, body) in [
            ("POST", USERS.to_owned(), json!({"username": "x", "password": PASSWORD, "roles": ["admin"]})),
            ("POST", USERS.to_owned(), json!({"username": "x", "password": PASSWORD, "scopes": ["*"]})),
            ("POST", USERS.to_owned(), json!({"username": "x", "password": PASSWORD, "roles": ["user"]})),
            ("PATCH", at(&alice), json!({"roles": ["admin"]})),
            ("PATCH", at(&alice), json!({"scopes": ["orders"]})),
            // By these one gets into an account that holds more.
            ("PATCH", at(&boss), json!({"password": "a wholly different one"})),
            ("PATCH", at(&boss), json!({"email": "me@example.com"})),
            ("PATCH", at(&alice), json!({"password": "a wholly different one"})),
            ("PATCH", at(&carol), json!({"disabled": false})),
            // A disabled one, too: others may enable it later.
            ("PATCH", at(&carol), json!({"password": "a wholly different one"})),
            ("POST", "/auth/admin/keys".to_owned(), json!({"owner": "alice", "name": "x", "scopes": []})),
            ("POST", "/auth/admin/keys".to_owned(), json!({"owner": "boss", "name": "x", "scopes": ["portcullis:admin"]})),
        ] {
            let answer = gate.call(&narrow, method, &path, body.clone()).await;
            assert_eq!(answer.problem(), (403, "insufficient_scope"), "{method} {path} {body}");
        }
        // What adds nothing, and what takes away, it may do.
        assert_eq!(gate.call(&narrow, "PATCH", &at(&alice), json!({"full_name": "A", "roles": ["user"]})).await.status, 200);
        let viewer = json!({"username": format!("v{}", narrow.len()), "password": PASSWORD, "roles": ["viewer"]});
        assert_eq!(gate.call(&narrow, "POST", USERS, viewer).await.status, 201);
    }
    let key = gate.key("root", "portcullis:admin orders").await;
    assert_eq!(gate.call(&key, "PATCH", &at(&alice), json!({"scopes": ["orders:read"]})).await.status, 200);
    assert_eq!(gate.call(&key, "PATCH", &at(&boss), json!({"disabled": true})).await.status, 200);
}

#[tokio::test]
async fn a_role_without_scopes_is_given_by_who_has_it_or_holds_everything() {
    let gate = Gate::with(|config| {
        config.roles.0.insert("billing".to_owned(), portcullis::config::Role::default());
    })
    .await;
    gate.user("root", &["admin"], "").await;
    let alice = gate.user("alice", &[], "").await;
    let narrow = gate.key("root", "portcullis:admin").await;
    let patch = json!({"roles": ["billing"]});
    assert_eq!(gate.call(&narrow, "PATCH", &at(&alice), patch.clone()).await.problem(), (403, "forbidden"));
    let root = gate.login("root").await.access;
    assert_eq!(gate.call(&root, "PATCH", &at(&alice), patch).await.status, 200);
}

#[tokio::test]
async fn what_is_no_user_is_not_found_and_a_store_that_is_gone_is_503() {
    let (gate, root) = administered().await;
    for id in ["nobody", "0192f0c1-2345-7000-8000-000000000000"] {
        for (method, body) in [("GET", Value::Null), ("PATCH", json!({"full_name": "x"})), ("DELETE", Value::Null)] {
            assert_eq!(gate.call(&root, method, &format!("{USERS}/{id}"), body).await.problem(), (404, "not_found"));
        }
    }
    gate.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(gate.call(&root, "GET", USERS, Value::Null).await.problem(), (503, "unavailable"));
}

#[tokio::test]
async fn the_audit_log_says_what_was_given_whose_it_was_and_by_which_key() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let key = gate.key("root", "portcullis:admin items").await;
    let id = gate.admin.keys(None).await.expect("keys")[0].id.to_string();
    let body = json!({"username": "alice", "password": PASSWORD, "roles": ["viewer"], "scopes": ["items:read"]});
    assert_eq!(gate.call(&key, "POST", "/auth/admin/users", body).await.status, 201);
    gate.login("alice").await;
    let session = gate.call(&key, "GET", "/auth/admin/sessions?user=alice", Value::Null).await.json[0]["id"].clone();
    let at = format!("/auth/admin/sessions/{}", session.as_str().expect("an id"));
    assert_eq!(gate.call(&key, "DELETE", &at, Value::Null).await.status, 204);
    let body = json!({"name": "batch", "scopes": ["items:read"]});
    assert_eq!(gate.call(&key, "POST", "/auth/admin/clients", body).await.status, 201);
    let body = json!({"owner": "alice", "name": "job", "scopes": ["items:read"]});
    assert_eq!(gate.call(&key, "POST", "/auth/admin/keys", body).await.status, 201);
    let told: Vec<_> = gate.audit().await.into_iter().filter_map(|event| event.detail).collect();
    for expected in [
        format!("alice: roles: viewer, scopes: items:read, by key {id}"),
        format!("one session of alice, by key {id}"),
        format!("client batch: scopes: items:read, by key {id}"),
        format!("key, by key {id}, `job` of alice: scopes: items:read"),
    ] {
        assert!(told.contains(&expected), "{expected} is not in {told:#?}");
    }
}

#[tokio::test]
async fn what_the_store_knows_counts_before_the_list_of_what_is_revoked_has_heard_of_it() {
    let gate = Gate::new().await;
    let root = gate.user("root", &["admin"], "").await;
    let (token, key) = (gate.login("root").await.access, gate.key("root", "portcullis:admin").await);
    let now = gate.clock.now();
    for credential in [&token, &key] {
        assert_eq!(gate.call(credential, "GET", USERS, Value::Null).await.status, 200);
    }
    let id = gate.admin.keys(None).await.expect("keys")[0].id.clone();
    gate.store.real.revoke_key(&id, now, now).await.expect("revoked, and told to nobody");
    assert_eq!(gate.call(&key, "GET", USERS, Value::Null).await.problem(), (401, "invalid_api_key"));
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    gate.store.real.change_user(root.id, change, now, now).await.expect("disabled, and told to nobody");
    assert_eq!(gate.call(&token, "GET", USERS, Value::Null).await.problem(), (401, "invalid_token"));
}
