//! `/auth/sessions`: one's own logins, and `/auth/admin/sessions`: everybody's.

use serde_json::{Value, json};

use crate::gate::Gate;

const SESSIONS: &str = "/auth/sessions";
const ALL: &str = "/auth/admin/sessions";

fn sid(tokens: &crate::gate::Tokens) -> String {
    tokens.claims()["sid"].as_str().expect("a sid").to_owned()
}

#[tokio::test]
async fn ones_sessions_are_listed_with_the_current_one_marked() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.user("bob", &[], "").await;
    let (first, second) = (gate.login("alice").await, gate.login("alice").await);
    gate.login("bob").await;
    let list = gate.call(&first.access, "GET", SESSIONS, Value::Null).await.json;
    let mut seen: Vec<_> =
        list.as_array().expect("a list").iter().map(|one| (one["id"].clone(), one["current"].clone())).collect();
    seen.sort_by_key(|(id, _)| id.to_string());
    let mut expected = vec![(json!(sid(&first)), json!(true)), (json!(sid(&second)), json!(false))];
    expected.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(seen, expected);
    let one = &list[0];
    assert_eq!((&one["address"], &one["client_id"], &one["scopes"]), (&json!("192.0.2.1"), &json!("portcullis"), &Value::Null));
    for member in ["device", "created_at", "last_used_at", "expires_at"] {
        assert!(one[member].is_string(), "{member}");
    }
    let key = gate.key("alice", "portcullis:account").await;
    let list = gate.call(&key, "GET", SESSIONS, Value::Null).await.json;
    assert!(list.as_array().expect("a list").iter().all(|one| one["current"] == false));
}

#[tokio::test]
async fn a_session_of_ones_own_is_ended_and_no_other() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.user("bob", &[], "").await;
    let (first, second, theirs) = (gate.login("alice").await, gate.login("alice").await, gate.login("bob").await);
    let nobodys = "0192f0c1-2345-7000-8000-000000000000".to_owned();
    for id in [sid(&theirs), nobodys, "nonsense".to_owned()] {
        let answer = gate.call(&first.access, "DELETE", &format!("{SESSIONS}/{id}"), Value::Null).await;
        assert_eq!((answer.problem(), &answer.json["detail"]), ((404, "not_found"), &json!("There is no such session.")));
    }
    assert_eq!(gate.me(&theirs.access).await.status, 200);
    for _ in 0..2 {
        let answer = gate.call(&first.access, "DELETE", &format!("{SESSIONS}/{}", sid(&second)), Value::Null).await;
        assert_eq!(answer.status, 204);
    }
    assert_eq!(gate.me(&second.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&second.refresh).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.call(&first.access, "DELETE", &format!("{SESSIONS}/{}", sid(&first)), Value::Null).await.status, 204);
    assert_eq!(gate.me(&first.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn an_admin_sees_and_ends_everybodys() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    let alice = gate.user("alice", &[], "").await;
    let root = gate.login("root").await.access;
    let (one, two, three) = (gate.login("alice").await, gate.login("alice").await, gate.login("alice").await);
    let all = gate.call(&root, "GET", ALL, Value::Null).await;
    assert_eq!((all.header("x-total-count"), all.json.as_array().expect("a list").len()), ("4", 4));
    for who in ["alice", "alice@example.com", &alice.id.to_string()] {
        let page = gate.call(&root, "GET", &format!("{ALL}?user={who}&limit=1&skip=1"), Value::Null).await;
        assert_eq!((page.header("x-total-count"), page.json.as_array().expect("a list").len()), ("3", 1), "{who}");
        assert_eq!((&page.json[0]["user"], &page.json[0]["user_id"]), (&json!("alice"), &json!(alice.id)));
    }
    assert_eq!(gate.call(&root, "DELETE", &format!("{ALL}/{}", sid(&one)), Value::Null).await.status, 204);
    assert_eq!(gate.me(&one.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.me(&two.access).await.status, 200);
    assert_eq!(gate.call(&root, "DELETE", &format!("{ALL}?user=alice"), Value::Null).await.status, 204);
    for tokens in [&two, &three] {
        assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    }
    for (path, expected) in [
        (format!("{ALL}/nonsense"), (404, "not_found")),
        (ALL.to_owned(), (422, "invalid_body")),
        (format!("{ALL}?user=nobody"), (422, "invalid_body")),
    ] {
        assert_eq!(gate.call(&root, "DELETE", &path, Value::Null).await.problem(), expected, "{path}");
    }
}
