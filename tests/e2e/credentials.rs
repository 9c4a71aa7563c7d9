//! API keys, cookies and signing keys, as clients and operators meet them.

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

const ROUTES: &str = "[[route]]\nname = \"all\"\npath = \"/**\"\n\
    [[route]]\nname = \"items\"\npath = \"/items\"\nscopes = [\"items:read\"]\n\
    [[route]]\nname = \"views\"\npath = \"/views\"\nroles = [\"viewer\"]\n";

async fn setup() -> Setup {
    Setup::routes(format!("[defaults]\nbackend = \"http://{}\"\n{ROUTES}", echo().await))
        .with("[login]\nrate_limit = \"1000/1s\"\n")
        .with("[api_keys]\nquery_parameter = \"api_key\"\n")
}

async fn gateway() -> Gateway {
    let gateway = Gateway::start(setup().await).await;
    gateway.user("alice", &["--roles", "user", "--scopes", "items:read orders"]);
    gateway
}

fn key(gateway: &Gateway, more: &[&str]) -> String {
    let mut args = vec!["key", "create", "--owner", "alice", "--name", "k"];
    args.extend(more);
    gateway.cli(&args, "").trim().to_owned()
}

async fn status(gateway: &Gateway, path: &str, key: &str) -> u16 {
    gateway.send(gateway.request("GET", path).header("X-API-Key", key)).await.status
}

#[tokio::test]
async fn a_key_in_the_query_is_a_key_at_our_own_endpoints_too() {
    let gateway = gateway().await;
    let key = key(&gateway, &[]);
    let token = gateway.login("alice").await;
    let token = token["access_token"].as_str().expect("a token");
    for path in ["/items", "/auth/me"] {
        for name in ["api_key", "api%5Fkey"] {
            assert_eq!(gateway.get(&format!("{path}?{name}={key}")).await.status, 200, "{path} {name}");
        }
        let both = gateway.get_as(&format!("{path}?api_key={key}"), token).await;
        assert_eq!((both.status, both.code().as_str()), (400, "invalid_request"), "{path}");
        let empty = gateway.get(&format!("{path}?api_key=")).await;
        assert_eq!((empty.status, empty.code().as_str()), (401, "invalid_api_key"), "{path}");
    }
    let seen = gateway.get(&format!("/items?a=1&api_key={key}&b=2")).await;
    assert_eq!(seen.json()["target"], "/items?a=1&b=2");
    assert!(!gateway.log().contains(&key));
}

#[tokio::test]
async fn a_stale_cookie_is_cleared_at_our_own_endpoints_too() {
    let gateway = gateway().await;
    for (method, path) in [("GET", "/items"), ("GET", "/auth/me"), ("POST", "/auth/logout")] {
        let answer = gateway.send(gateway.request(method, path).header("Cookie", "portcullis=old")).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_session"), "{path}");
        assert_eq!(answer.header("set-cookie"), "portcullis=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax", "{path}");
    }
}

#[tokio::test]
pub(crate) async fn a_key_follows_its_owner() {
    let gateway = gateway().await;
    let key = key(&gateway, &[]);
    for (change, expected) in [
        (["user", "set-scopes", "alice", "orders"].as_slice(), 403),
        (&["user", "set-scopes", "alice", "items"], 200),
        (&["user", "disable", "alice"], 401),
        (&["user", "enable", "alice"], 200),
        (&["user", "delete", "alice"], 401),
    ] {
        gateway.cli(change, "");
        gateway.until(&format!("{change:?}"), || async { status(&gateway, "/items", &key).await == expected }).await;
    }
}

#[tokio::test]
pub(crate) async fn when_a_key_was_last_used_is_shown() {
    let gateway = gateway().await;
    let key = key(&gateway, &[]);
    let used = || {
        let keys: Value = serde_json::from_str(&gateway.cli(&["key", "list", "--format", "json"], "")).expect("JSON");
        keys[0]["last_used_at"].is_string()
    };
    assert!(!used());
    assert_eq!(status(&gateway, "/items", &key).await, 200);
    gateway.until("the use is shown", || async { used() }).await;
}

#[tokio::test]
async fn a_role_counts_for_those_that_include_it_and_changed_roles_count_after_a_reload() {
    let roles = |viewer: &str| {
        format!(
            "[roles]\nchief = {{ includes = [\"clerk\"] }}\nclerk = {{ includes = [\"viewer\"] }}\n\
             viewer = {{ scopes = [{viewer}] }}\n"
        )
    };
    let gateway = Gateway::start(setup().await.with(&roles(""))).await;
    gateway.user("alice", &["--roles", "chief"]);
    let (tokens, key) = (gateway.login("alice").await, key(&gateway, &["--scopes", "portcullis:account"]));
    let seen = gateway.get_as("/views", tokens["access_token"].as_str().expect("a token")).await;
    assert_eq!((seen.status, &seen.json()["headers"]["x-auth-roles"]), (200, &json!("chief")), "the assigned one alone");
    assert_eq!(status(&gateway, "/views", &key).await, 200);

    let wide = {
        // A key's own scopes bound it: this one may all that its owner may.
        gateway.cli(&["user", "set-scopes", "alice", "items"], "");
        let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "wide", "--scopes", "items"], "");
        gateway.cli(&["user", "set-scopes", "alice", ""], "");
        key.trim().to_owned()
    };
    gateway.until("the scope is gone", || async { status(&gateway, "/items", &wide).await == 403 }).await;
    let file = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&file).expect("gateway.toml");
    std::fs::write(&file, text.replace(&roles(""), &roles("\"items:read\""))).expect("written");
    gateway.signal("HUP");
    gateway.until("a key has the new scope at once", || async { status(&gateway, "/items", &wide).await == 200 }).await;
    let tokens = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await.json();
    assert_eq!(tokens["scope"], "items:read portcullis:account");
    assert_eq!(gateway.get_as("/items", tokens["access_token"].as_str().expect("a token")).await.status, 200);
}

fn kid(token: &Value) -> String {
    let header = jsonwebtoken::decode_header(token["access_token"].as_str().expect("a token")).expect("a header");
    header.kid.expect("a kid")
}

#[tokio::test]
async fn a_new_key_file_is_published_by_a_reload_and_signs_once_it_is_old_enough() {
    let gateway = Gateway::start(setup().await.with("[tokens]\nactivate_after = \"3s\"\n")).await;
    gateway.user("alice", &[]);
    let published = async || {
        let request = gateway.request("GET", "/.well-known/jwks.json").header("Host", "gateway.test");
        let keys = gateway.send(request).await.json()["keys"].as_array().expect("keys").clone();
        keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect::<Vec<_>>()
    };
    let old = gateway.login("alice").await;
    assert_eq!(published().await, [kid(&old)]);

    let only = |folder: &std::path::Path| std::fs::read_dir(folder).expect("keys").next().expect("one").expect("read");
    let first = only(&gateway.folder().join("keys")).file_name();
    // Names are ordered by whole seconds: one of the same second may come before the first.
    let (_elsewhere, made) = loop {
        let elsewhere = tempfile::tempdir().expect("a folder");
        crate::gateway::portcullis_in(elsewhere.path(), &["init", ".", "--password-stdin"], crate::gateway::PASSWORD);
        let made = only(&elsewhere.path().join("keys"));
        if made.file_name() > first {
            break (elsewhere, made);
        }
    };
    let into = gateway.folder().join("keys").join(made.file_name());
    std::fs::copy(made.path(), &into).expect("copied");
    gateway.signal("HUP");
    gateway.until("both are published", || async { published().await.len() == 2 }).await;
    let new = published().await.into_iter().find(|known| *known != kid(&old)).expect("a new one");
    gateway.until("the new one signs", || async { kid(&gateway.login("alice").await) == new }).await;
    assert_eq!(gateway.get_as("/", old["access_token"].as_str().expect("a token")).await.status, 200, "the old one verifies");

    std::fs::set_permissions(&into, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
    gateway.signal("HUP");
    gateway.until("the reload is refused", || async { gateway.log().contains("can be read by others; run: chmod 600") }).await;
    assert_eq!(published().await.len(), 2);
    assert_eq!(kid(&gateway.login("alice").await), new);
}
