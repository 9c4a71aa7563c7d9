//! Administration over HTTP, with two replicas: what is done at one counts at the other.

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, PASSWORD, Setup};

const KEY_IN_QUERY: &str = "[api_keys]\nquery_parameter = \"api_key\"\n";

async fn pair() -> [Gateway; 2] {
    let backend = echo().await;
    let setup = || {
        Setup::routes(format!(
            "[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n\
             [[route]]\nname = \"orders\"\npath = \"/orders/**\"\nbackend = \"http://{backend}\"\nscopes = [\"orders:read\"]\n"
        ))
        .with("[login]\nrate_limit = \"1000/1s\"\n")
        .with(KEY_IN_QUERY)
    };
    let one = Gateway::start_with_keys(setup(), tempfile::tempdir().expect("a folder")).await;
    let two = Gateway::start(setup().beside(&one)).await;
    one.user("root", &["--roles", "admin"]);
    [one, two]
}

fn text<'a>(json: &'a Value, member: &str) -> &'a str {
    json[member].as_str().unwrap_or_else(|| panic!("no {member} in {json}"))
}

async fn call(gateway: &Gateway, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let request = gateway.request(method, path).bearer_auth(token);
    gateway.send(if let Some(body) = body { request.json(&body) } else { request }).await
}

#[tokio::test]
async fn what_an_admin_does_at_one_replica_counts_at_the_other() {
    let [one, two] = pair().await;
    let root = one.login("root").await;
    let root = text(&root, "access_token");
    let new = json!({"username": "alice", "password": PASSWORD, "scopes": ["orders"]});
    let made = call(&one, root, "POST", "/auth/admin/users", Some(new)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let at = format!("/auth/admin/users/{}", text(&made.json(), "id"));

    // A change of rights: the old token dies, and a refresh has the new ones.
    let tokens = two.login("alice").await;
    assert_eq!(two.get_as("/orders/1", text(&tokens, "access_token")).await.status, 200);
    let changed = call(&one, root, "PATCH", &at, Some(json!({"scopes": ["items:read"], "roles": ["user"]}))).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(one.get_as("/orders/1", text(&tokens, "access_token")).await.status, 401, "at once where it was done");
    two.until("the token is dead at the other", || async {
        two.get_as("/orders/1", text(&tokens, "access_token")).await.status == 401
    })
    .await;
    let tokens = two.post("/auth/refresh", &json!({"refresh_token": text(&tokens, "refresh_token")})).await.json();
    assert_eq!(two.get_as("/orders/1", text(&tokens, "access_token")).await.code(), "insufficient_scope");

    // A key, made at one replica and revoked at the other.
    let alice = text(&tokens, "access_token");
    let key = call(&two, alice, "POST", "/auth/keys", Some(json!({"name": "job"}))).await;
    assert_eq!(key.status, 201, "{}", key.body);
    let key = key.json();
    let by_key = |gateway: &'_ Gateway| gateway.request("GET", "/x").header("X-API-Key", text(&key, "key"));
    assert_eq!((one.send(by_key(&one)).await.status, two.send(by_key(&two)).await.status), (200, 200));
    let revoked = call(&one, root, "DELETE", &format!("/auth/admin/keys/{}", text(&key, "id")), None).await;
    assert_eq!(revoked.status, 204, "{}", revoked.body);
    assert_eq!(one.send(by_key(&one)).await.code(), "invalid_api_key");
    two.until("the key is dead at the other", || async { two.send(by_key(&two)).await.status == 401 }).await;

    // A session ended, then the account disabled.
    let session = two.login("alice").await;
    let list = call(&two, text(&session, "access_token"), "GET", "/auth/sessions", None).await.json();
    let current = list.as_array().expect("a list").iter().find(|one| one["current"] == true).expect("the current one");
    assert_eq!(call(&one, root, "DELETE", &format!("/auth/admin/sessions/{}", text(current, "id")), None).await.status, 204);
    two.until("the session is dead at the other", || async {
        two.get_as("/x", text(&session, "access_token")).await.status == 401
    })
    .await;
    assert_eq!(two.get_as("/x", alice).await.status, 200, "the other session lives");
    assert_eq!(call(&one, root, "PATCH", &at, Some(json!({"disabled": true}))).await.status, 200);
    two.until("the disabled user's token is dead at the other", || async { two.get_as("/x", alice).await.status == 401 }).await;
    assert_eq!(two.post("/auth/login", &json!({"username": "alice", "password": PASSWORD})).await.code(), "invalid_credentials");
    assert_eq!(call(&two, root, "DELETE", &at, None).await.status, 204);
    assert_eq!(call(&one, root, "GET", &at, None).await.status, 404);
}

#[tokio::test]
async fn a_key_in_the_query_is_seen_by_nobody_behind_the_gateway() {
    let [gateway, _other] = pair().await;
    let key = gateway.cli(&["key", "create", "--owner", "root", "--name", "k", "--scopes", "portcullis:account"], "");
    let key = key.trim();
    let get = |path: String| gateway.request("GET", &path);
    let echoed = gateway.send(get(format!("/x?a=1&api_key={key}&b=2"))).await;
    assert_eq!((echoed.status, echoed.json()["target"].as_str()), (200, Some("/x?a=1&b=2")), "{}", echoed.body);
    assert!(!echoed.body.contains(key), "{}", echoed.body);
    for path in ["/auth/me", "/auth/keys"] {
        let own = gateway.send(get(format!("{path}?api_key={key}"))).await;
        assert_eq!(own.status, 200, "{path} {}", own.body);
    }
    for (query, code) in
        [(format!("api_key={key}&api_key={key}"), "invalid_request"), (format!("api_key={key}x"), "invalid_api_key")]
    {
        for path in ["/x", "/auth/me"] {
            let refused = gateway.send(get(format!("{path}?{query}"))).await;
            assert_eq!(refused.code(), code, "{path}");
            assert!(!refused.body.contains(key));
        }
    }
    gateway.until("the log has the calls", || async { gateway.log().matches("/auth/keys").count() >= 1 }).await;
    assert!(!gateway.log().contains(key), "{}", gateway.log());
}
