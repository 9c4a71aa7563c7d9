//! OAuth 2 by the clients that people use, and the paths that clients of the guides know.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup};
use crate::http2::script;
use crate::oidc_provider::installed;

async fn gateway(more: &str) -> Gateway {
    let backend = echo().await;
    let routes = format!(
        "[[route]]\nname = \"orders\"\npath = \"/orders/**\"\nbackend = \"http://{backend}\"\nscopes = [\"orders:read\"]\n\
         [[route]]\nname = \"rest\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"
    );
    let gateway = Gateway::start(Setup::routes(routes).with("[login]\nrate_limit = \"1000/1s\"").with(more)).await;
    gateway.user("alice", &["--scopes", "orders"]);
    gateway
}

/// Makes a client; gives its id and its secret.
fn client(gateway: &Gateway, args: &[&str]) -> (String, String) {
    let made = gateway.cli(&[&["client", "create", "--format", "json"], args].concat(), "");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    (text("client_id"), text("client_secret"))
}

#[tokio::test]
async fn the_clients_of_python_get_refresh_use_ask_about_and_revoke_tokens() {
    let gateway = gateway("").await;
    let (batch, secret) = client(&gateway, &["batch", "--scopes", "orders:read"]);
    let (app, app_secret) = client(&gateway, &["app", "--grants", "password,refresh_token", "--scopes", "orders"]);
    let more = [batch, secret, app, app_secret, PASSWORD.to_owned()];
    let last = script("oauth_clients.py", gateway.address, &more).await;
    assert_eq!(last, "authlib and requests-oauthlib are served", "{last}");
}

#[tokio::test]
async fn oauth4webapi_of_node_is_served() {
    let gateway = gateway("").await;
    let (batch, secret) = client(&gateway, &["batch", "--scopes", "orders:read"]);
    let (spa, _) = client(&gateway, &["spa", "--public"]);
    let args = [gateway.url.clone(), batch, secret, spa, PASSWORD.to_owned()];
    let output = tokio::task::spawn_blocking(move || {
        let home = installed();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/oauth4webapi.mjs");
        // Node looks for what is imported beside the file that imports it.
        std::fs::copy(script, home.join("oauth4webapi.mjs")).expect("copied");
        Command::new("node").arg("oauth4webapi.mjs").args(args).current_dir(home).output().expect("node runs")
    });
    let output = output.await.expect("it ran");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.trim_end().ends_with("oauth4webapi is served"), "{out}\n{err}");
}

#[tokio::test]
async fn a_client_that_is_deleted_is_dead_in_a_running_gateway_at_once() {
    let gateway = gateway("").await;
    let (id, secret) = client(&gateway, &["batch", "--scopes", "orders:read"]);
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret)];
    let answer = gateway.send(gateway.request("POST", "/auth/token").form(&form)).await;
    let access = answer.json()["access_token"].as_str().expect("a token").to_owned();
    let echoed = gateway.get_as("/orders/1", &access).await;
    let headers = &echoed.json()["headers"];
    assert_eq!(headers["x-auth-subject"], json!(id), "{headers}");
    assert!(headers["x-auth-user"].is_null(), "no client passes as a user: {headers}");
    let listed: Value = serde_json::from_str(&gateway.cli(&["client", "list", "--format", "json"], "")).expect("JSON");
    assert_eq!((&listed[0]["client_id"], &listed[0]["scopes"]), (&json!(id), &json!(["orders:read"])));
    assert!(!listed.to_string().contains("secret"), "{listed}");
    gateway.cli(&["client", "delete", &id], "");
    gateway.until("its token is refused", || async { gateway.get_as("/orders/1", &access).await.status == 401 }).await;
    assert_eq!(gateway.send(gateway.request("POST", "/auth/token").form(&form)).await.status, 401);
    assert!(!gateway.log().contains(&secret), "a secret is in the log");
}

#[tokio::test]
async fn clients_of_the_guides_find_their_paths() {
    let aliases = "[auth]\naliases = { \"/token\" = \"/auth/login\", \"/token/refresh\" = \"/auth/refresh\", \
                   \"/users/me\" = \"/auth/me\", \"/health\" = \"/livez\", \"/ready\" = \"/readyz\" }";
    let gateway = gateway(aliases).await;
    let form = [("grant_type", "password"), ("username", "alice"), ("password", PASSWORD)];
    let tokens = gateway.send(gateway.request("POST", "/token").form(&form)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let wrong = [("username", "alice"), ("password", "wrong")];
    assert_eq!(gateway.send(gateway.request("POST", "/token").form(&wrong)).await.status, 401);
    let access = tokens.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(gateway.get_as("/users/me", &access).await.json()["username"], "alice");
    let below = gateway.get_as("/users/me/items", &access).await;
    assert_eq!(below.json()["target"], "/users/me/items", "what is below is the backend's");
    let refresh = json!({ "refresh_token": tokens.json()["refresh_token"] });
    assert_eq!(gateway.post("/token/refresh", &refresh).await.status, 200);
    for path in ["/health", "/ready"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#), "{path}");
        assert_eq!(gateway.send(gateway.request("POST", path)).await.status, 405, "{path}");
    }
    let explained = gateway.cli(&["explain", "POST", "/token"], "");
    assert!(explained.contains("an alias of /auth/login"), "{explained}");
    assert!(gateway.cli(&["routes"], "").contains("/auth/login"));
    assert!(gateway.log().contains("/token"), "the log has the path that was asked for");
}

#[tokio::test]
async fn what_the_proxy_refuses_of_oauth_2_is_in_the_words_of_its_rfc_too() {
    let gateway = gateway("[auth]\naliases = { \"/oauth/token\" = \"/auth/token\" }").await;
    let body = "x".repeat(17 * 1024);
    let large = async |path: &str| {
        let request = gateway.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
        gateway.send(request.body(body.clone())).await
    };
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect", "/oauth/token"] {
        let answer = large(path).await;
        assert_eq!((answer.status, answer.header("content-type").as_str()), (413, "application/json"), "{path} {answer:?}");
        assert_eq!([answer.header("cache-control"), answer.header("pragma")], ["no-store", "no-cache"], "{path}");
        assert_eq!(answer.json()["error"], "invalid_request", "{path}");
    }
    let answer = large("/auth/login").await;
    assert_eq!((answer.status, answer.header("content-type").as_str()), (413, "application/problem+json"));
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_what_an_alias_leads_to() {
    let more = "[auth]\naliases = { \"/token\" = \"/auth/login\", \"/health\" = \"/livez\" }\n\
                [cors]\nallow_origins = [\"https://app.example\"]";
    let gateway = gateway(more).await;
    for (path, method, methods) in [("/token", "POST", "POST"), ("/health", "GET", "GET, HEAD")] {
        let preflight = gateway.request("OPTIONS", path).header("origin", "https://app.example");
        let answer = gateway.send(preflight.header("access-control-request-method", method)).await;
        let allowed = answer.header("access-control-allow-methods");
        assert_eq!((answer.status, allowed.as_str()), (204, methods), "{path} {answer:?}");
        assert_eq!(gateway.send(gateway.request("OPTIONS", path)).await.status, 405, "{path}: no page asks");
    }
}
