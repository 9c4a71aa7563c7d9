//! `enforce = false`: what would be refused is logged and counted, and passes as nobody's.

use serde_json::{Value, json};

use crate::answers::raw;
use crate::echo::echo;
use crate::gateway::{Answer, Gateway, Setup};

/// Everything is observed but `enforced`.
async fn gateway() -> Gateway {
    let backend = echo().await;
    let setup = Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        enforce = false
        [[route]]
        name = "orders"
        path = "/orders/**"
        methods = ["GET", "POST"]
        scopes = ["orders:read"]
        any_scopes = ["one", "two"]
        max_body = "10B"
        [[route]]
        name = "staff"
        path = "/staff"
        roles = ["user"]
        [[route]]
        name = "tenant"
        path = "/tenants/{{tenant}}"
        where = {{ "attributes.tenant" = "{{tenant}}" }}
        [[route]]
        name = "slow"
        path = "/slow"
        rate_limit = "1/1h"
        [[route]]
        name = "enforced"
        path = "/enforced"
        enforce = true
        "#
    ))
    .with("[log]\nformat = \"json\"\n[api_keys]\nquery_parameter = \"api_key\"\n");
    let gateway = Gateway::start(setup).await;
    gateway.user("alice", &["--scopes", "orders:read one"]);
    gateway.user("bob", &["--scopes", "two"]);
    gateway
}

/// The access log's line of the call that was answered so.
pub(crate) async fn line(gateway: &Gateway, answer: &Answer) -> Value {
    let id = answer.header("x-request-id");
    let find = || {
        let mut lines = gateway.log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>();
        lines.retain(|line| line["target"] == "access" && line["request_id"] == id);
        lines.pop()
    };
    gateway.until("the line is there", || async { find().is_some() }).await;
    find().expect("it is there")
}

fn seen(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["headers"].clone()
}

async fn token(gateway: &Gateway, user: &str) -> String {
    gateway.login(user).await["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn who_would_be_refused_passes_as_nobody_and_is_logged_and_counted() {
    let gateway = gateway().await;
    let bob = token(&gateway, "bob").await;
    for (path, credential, reason, missing) in [
        ("/orders/1", None, "missing_credential", Value::Null),
        ("/orders/1", Some("nonsense"), "invalid_token", Value::Null),
        ("/orders/1", Some(bob.as_str()), "insufficient_scope", json!("orders:read")),
        ("/staff", None, "missing_credential", Value::Null),
        ("/tenants/t1", Some(bob.as_str()), "forbidden", Value::Null),
    ] {
        let mut request = gateway.request("GET", path).header("X-Auth-User", "root").header("X-Auth-Roles", "admin");
        if let Some(credential) = credential {
            request = request.bearer_auth(credential);
        }
        let answer = gateway.send(request).await;
        let headers = seen(&answer);
        let identity: Vec<&String> =
            headers.as_object().expect("headers").keys().filter(|name| name.starts_with("x-auth")).collect();
        assert_eq!(identity, Vec::<&String>::new(), "{path} {credential:?}");
        let sent = credential.map(|credential| json!(format!("Bearer {credential}")));
        assert_eq!(headers.get("authorization").cloned(), sent, "{path} {credential:?}");
        let line = line(&gateway, &answer).await;
        assert_eq!((&line["decision"], &line["reason"]), (&json!("would_deny"), &json!(reason)), "{line}");
        assert_eq!(line["missing_scopes"], missing, "{line}");
        assert!(line["detail"].is_string() && line["status"] == 200, "{line}");
    }
    let metrics = gateway.metrics().await;
    for counted in [
        "portcullis_would_deny_total{route=\"orders\",reason=\"missing_credential\"} 1",
        "portcullis_would_deny_total{route=\"orders\",reason=\"insufficient_scope\"} 1",
        "portcullis_would_deny_total{route=\"tenant\",reason=\"forbidden\"} 1",
    ] {
        assert!(metrics.contains(counted), "{counted} in\n{metrics}");
    }
}

#[tokio::test]
async fn who_is_allowed_passes_as_always() {
    let gateway = gateway().await;
    let alice = token(&gateway, "alice").await;
    let answer = gateway.get_as("/orders/1", &alice).await;
    let headers = seen(&answer);
    assert_eq!((headers["x-auth-user"].as_str(), headers.get("authorization")), (Some("alice"), None));
    assert_eq!(line(&gateway, &answer).await["decision"], "allow");
    assert!(!gateway.metrics().await.contains("portcullis_would_deny_total{"));
}

#[tokio::test]
async fn api_keys_and_cookies_of_ours_reach_no_backend_whatever_is_wrong_with_them() {
    let gateway = gateway().await;
    let bob = token(&gateway, "bob").await;
    let key = gateway.cli(&["key", "create", "--owner", "bob", "--name", "k"], "");
    let request = gateway.request("GET", &format!("/orders/1?a=1&api_key={}", key.trim())).bearer_auth(&bob);
    let answer = gateway.send(request.header("Cookie", "a=1; portcullis=stale")).await;
    assert_eq!(line(&gateway, &answer).await["reason"], "invalid_request", "two credentials");
    assert!(!answer.body.contains(key.trim()), "{}", answer.body);
    assert_eq!((answer.json()["target"].as_str(), seen(&answer)["cookie"].as_str()), (Some("/orders/1?a=1"), Some("a=1")));
    let answer = gateway.send(gateway.request("GET", "/orders/1").header("X-API-Key", "wrong")).await;
    assert_eq!(seen(&answer).get("x-api-key"), None);
    assert_eq!(line(&gateway, &answer).await["reason"], "invalid_api_key");
}

#[tokio::test]
async fn a_revoked_token_passes_as_nobodys() {
    let gateway = gateway().await;
    let tokens = gateway.login("alice").await;
    let logout = gateway.post("/auth/logout", &json!({ "refresh_token": tokens["refresh_token"] })).await;
    assert_eq!(logout.status, 204);
    let answer = gateway.get_as("/orders/1", tokens["access_token"].as_str().expect("a token")).await;
    assert_eq!(seen(&answer).get("x-auth-user"), None);
    assert_eq!(line(&gateway, &answer).await["reason"], "invalid_token");
}

#[tokio::test]
async fn a_route_may_enforce_what_the_defaults_do_not() {
    let gateway = gateway().await;
    assert_eq!(gateway.get("/enforced").await.code(), "missing_credential");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_itself_is_refused_all_the_same() {
    let gateway = gateway().await;
    for (request, status) in [
        ("GET /orders/%2e%2e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400"),
        ("GET /orders/a%2Fb HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400"),
        (
            "POST /orders/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("DELETE /orders/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405"),
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"),
        ("POST /orders/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 11\r\n\r\n01234567890", "413"),
    ] {
        let answer = raw(&gateway, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    assert!(!gateway.metrics().await.contains("portcullis_would_deny_total{"));
}

#[tokio::test]
async fn routes_that_are_not_enforced_are_marked_and_warned_of() {
    let gateway = gateway().await;
    let table = gateway.cli(&["routes"], "");
    let marked: Vec<&str> = table.lines().filter(|line| line.contains("(observed)")).collect();
    assert_eq!((marked.len(), table.contains("enforced  ")), (4, true), "{table}");
    assert!(gateway.cli(&["check"], "").contains("5 routes (4 not enforced)"));
    assert!(gateway.log().contains("4 of 5 routes are not enforced: orders, staff, tenant, slow"), "{}", gateway.log());
    let strict = crate::gateway::portcullis_in(gateway.own_folder(), &["check", "--strict"], "");
    assert_eq!(strict.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&strict.stderr).contains("`enforce = false` only observes"));
}
