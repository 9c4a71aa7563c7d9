//! What each preset tells a backend, cell by cell, and that nothing a client sends takes the place of what is absent.

use serde_json::{Map, Value, json};

use crate::answers::raw;
use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};

/// Every name that some preset sets, and the assertion's.
const ALL: [&str; 23] = [
    "x-auth-subject",
    "x-auth-user",
    "x-auth-name",
    "x-auth-email",
    "x-auth-roles",
    "x-auth-scopes",
    "x-auth-method",
    "x-auth-issuer",
    "x-auth-session",
    "x-auth-key",
    "x-auth-assertion",
    "x-forwarded-user",
    "x-forwarded-preferred-username",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
];

/// A route for each preset, one that says nothing, one with a table, and one that looks at nobody.
async fn gateway(identity: &str) -> Gateway {
    let backend = echo().await;
    let route = |name: &str, more: &str| format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\n{more}\n");
    let routes = [
        route("default", ""),
        route("x-auth", "identity = \"x-auth\""),
        route("oauth2-proxy", "identity = \"oauth2-proxy\""),
        route("authelia", "identity = \"authelia\""),
        route("none", "identity = \"none\""),
        route("public", "auth = \"none\""),
        route("optional", "auth = \"optional\""),
        route(
            "table",
            "identity = { \"X-Who\" = \"{username}@{attributes.tenant}\", \"X-Groups\" = \"{attributes.groups}\", \"X-Sid\" = \"{claims.sid}\" }",
        ),
    ];
    let gateway =
        Gateway::start(Setup::routes(format!("[defaults]\nbackend = \"http://{backend}\"\n{}", routes.concat())).with(identity))
            .await;
    gateway.user("ada", &["--email", "ada@example.com", "--full-name", "Adá, 100%", "--roles", "user,viewer", "--scopes", "b a"]);
    gateway.cli(&["user", "set-attribute", "ada", "tenant=a1", "groups=x,y", "groups=ü"], "");
    gateway.cli(&["user", "add", "robot", "--service", "--roles", "viewer"], "");
    gateway
}

/// Calls with every name forged, in a spelling that CGI folds into it too; gives those that reached the backend.
async fn told(gateway: &Gateway, path: &str, credential: &str) -> Value {
    let forged = ALL.map(|name| format!("{name}: forged\r\n{}: forged\r\n", name.replace('-', "_"))).concat();
    let more = "X-Who: forged\r\nHTTP_X_GROUPS: forged\r\nX.Sid: forged\r\n";
    let request =
        format!("GET /{path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close, X-Auth-User\r\n{credential}{forged}{more}\r\n");
    let answer = raw(gateway, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    assert!(!answer.contains("forged"), "{path}: {answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    let headers = body["headers"].as_object().expect("headers");
    let ours = |name: &str| ALL.contains(&name) || ["x-who", "x-groups", "x-sid"].contains(&name);
    let found: Map<String, Value> =
        headers.iter().filter(|(name, _)| ours(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::Object(found)
}

#[tokio::test]
async fn each_preset_sets_its_names_and_no_other() {
    let gateway = gateway("").await;
    let tokens = gateway.login("ada").await;
    let bearer = format!("Authorization: Bearer {}\r\n", tokens["access_token"].as_str().expect("a token"));
    let shown: Value = serde_json::from_str(&gateway.cli(&["user", "show", "ada", "--format", "json"], "")).expect("JSON");
    let sessions: Value = serde_json::from_str(&gateway.cli(&["session", "list", "--format", "json"], "")).expect("JSON");
    let (id, session, name) = (&shown["id"], &sessions[0]["id"], "Ad%C3%A1, 100%25");
    let x_auth = json!({
        "x-auth-subject": id,
        "x-auth-user": "ada",
        "x-auth-name": name,
        "x-auth-email": "ada@example.com",
        "x-auth-roles": "user,viewer",
        "x-auth-scopes": "a b portcullis:account",
        "x-auth-method": "bearer",
        "x-auth-session": session,
    });
    assert_eq!(told(&gateway, "x-auth", &bearer).await, x_auth);
    assert_eq!(told(&gateway, "default", &bearer).await, x_auth);
    assert_eq!(
        told(&gateway, "oauth2-proxy", &bearer).await,
        json!({
            "x-forwarded-user": id,
            "x-forwarded-preferred-username": "ada",
            "x-forwarded-email": "ada@example.com",
            "x-forwarded-groups": "user,viewer",
        })
    );
    assert_eq!(
        told(&gateway, "authelia", &bearer).await,
        json!({ "remote-user": "ada", "remote-name": name, "remote-email": "ada@example.com", "remote-groups": "user,viewer" })
    );
    assert_eq!(
        told(&gateway, "table", &bearer).await,
        json!({ "x-who": "ada@a1", "x-groups": "x%2Cy,%C3%BC", "x-sid": session })
    );
    for (path, credential) in [("none", bearer.as_str()), ("public", &bearer), ("public", ""), ("optional", "")] {
        assert_eq!(told(&gateway, path, credential).await, json!({}), "{path}");
    }
}

#[tokio::test]
async fn what_a_caller_does_not_have_sets_no_header() {
    let gateway = gateway("[identity]\nheaders = \"authelia\"").await;
    let key = gateway.cli(&["key", "create", "--owner", "robot", "--name", "ci"], "").trim().to_owned();
    let by_key = format!("X-API-Key: {key}\r\n");
    let shown: Value = serde_json::from_str(&gateway.cli(&["user", "show", "robot", "--format", "json"], "")).expect("JSON");
    let id = &shown["id"];
    let x_auth = json!({
        "x-auth-subject": id,
        "x-auth-user": "robot",
        "x-auth-roles": "viewer",
        "x-auth-method": "api_key",
        "x-auth-key": key.get(4..30).expect("the id"),
    });
    assert_eq!(told(&gateway, "x-auth", &by_key).await, x_auth);
    assert_eq!(told(&gateway, "default", &by_key).await, json!({ "remote-user": "robot", "remote-groups": "viewer" }));
    assert_eq!(
        told(&gateway, "oauth2-proxy", &by_key).await,
        json!({ "x-forwarded-user": id, "x-forwarded-preferred-username": "robot", "x-forwarded-groups": "viewer" })
    );
    assert_eq!(told(&gateway, "table", &by_key).await, json!({}), "a part that is absent leaves the header out");
}

#[tokio::test]
async fn a_kept_name_is_passed_in_its_one_spelling() {
    let backend = echo().await;
    let gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n"))
            .with("[identity]\nkeep_client_headers = [\"Remote-User\"]"),
    )
    .await;
    let request = gateway.request("GET", "/a").header("Remote-User", "kept").header("Remote_User", "folded");
    let seen = gateway.send(request.header("Remote-Groups", "forged")).await.json();
    assert_eq!(seen["headers"]["remote-user"], "kept");
    assert_eq!((seen["headers"].get("remote_user"), seen["headers"].get("remote-groups")), (None, None));
}

#[test]
fn a_name_that_some_route_sets_is_not_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("routes")).expect("made");
    std::fs::write(dir.path().join("gateway.toml"), "[identity]\nkeep_client_headers = [\"Remote-User\"]").expect("written");
    let route = "[[route]]\nname = \"a\"\npath = \"/a\"\nidentity = \"authelia\"\nbackend = \"http://127.0.0.1:9000\"";
    std::fs::write(dir.path().join("routes/a.toml"), route).expect("written");
    let check = portcullis_in(dir.path(), &["check"], "");
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("a.toml:4:12") && said.contains("keep_client_headers"), "{said}");
}

#[test]
fn what_the_gateway_writes_itself_is_not_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("routes")).expect("made");
    std::fs::write(dir.path().join("routes/a.toml"), "version = 1\n").expect("written");
    for name in ["X-Real-IP", "X_Forwarded_For", "HTTP_X_REQUEST_ID", "X-Rewrite-URL", "x-api-key"] {
        let config = format!("[identity]\nkeep_client_headers = [\"{name}\"]");
        std::fs::write(dir.path().join("gateway.toml"), config).expect("written");
        let check = portcullis_in(dir.path(), &["check"], "");
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.code() == Some(1) && said.contains("gateway.toml:2:24") && said.contains(name), "{name}: {said}");
    }
}
