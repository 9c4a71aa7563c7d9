//! What is seen from outside: a line for each request whatever came of it, and no secret in any.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup, free_address};

async fn gateway(sections: &str) -> Gateway {
    let backend = echo().await;
    let setup = Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "all"
        path = "/**"
        request_headers = {{ "X-Legacy" = "${{LEGACY}}" }}
        [[route]]
        name = "scoped"
        path = "/scoped"
        scopes = ["nobody:has"]
        [[route]]
        name = "dead"
        path = "/dead"
        backend = "http://{}"
        "#,
        free_address()
    ))
    .with("[login]\nrate_limit = \"1000/1s\"\n[log]\nformat = \"json\"\n[api_keys]\nquery_parameter = \"api_key\"\n")
    .with(sections)
    .env("LEGACY", "canary-legacy")
    .env("RUST_LOG", "trace");
    let gateway = Gateway::start_with_keys(setup, tempfile::tempdir().expect("a folder")).await;
    gateway.user("alice", &[]);
    gateway
}

/// The access log's line of the request with that id.
async fn line(gateway: &Gateway, id: &str) -> Value {
    let lines = || {
        let lines = gateway.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>();
        lines.into_iter().find(|line| line["target"] == "access" && line["request_id"] == id)
    };
    gateway.until("the line is there", || async { lines().is_some() }).await;
    lines().expect("it is there")
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

#[tokio::test]
async fn every_request_has_a_line_that_says_who_what_and_why() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let token = text(&tokens, "access_token");
    let id = gateway.get_as("/auth/me", token).await.json()["id"].as_str().expect("an id").to_owned();
    let ended = gateway.login("alice").await;
    assert_eq!(gateway.post("/auth/logout", &json!({ "refresh_token": ended["refresh_token"] })).await.status, 204);
    let ended = text(&ended, "access_token");

    let post = |path, body: Value| gateway.request("POST", path).json(&body);
    let get = |path, token: &str| gateway.request("GET", path).bearer_auth(token);
    let wrong = json!({ "username": "alice", "password": "wrong" });
    let (alice, own) = (Some(id.as_str()), None::<&str>);
    for (request, status, decision, reason, route, principal, credential) in [
        (get("/%7Ea?q=1", token), 200, "allow", None, Some("all"), alice, Some("bearer")),
        (get("/scoped", token), 403, "deny", Some("insufficient_scope"), Some("scoped"), alice, Some("bearer")),
        (get("/x", ended), 401, "deny", Some("invalid_token"), Some("all"), alice, Some("bearer")),
        (get("/x", "nonsense"), 401, "deny", Some("invalid_token"), Some("all"), None, Some("bearer")),
        (get("/dead", token), 502, "error", Some("bad_gateway"), Some("dead"), alice, Some("bearer")),
        (gateway.request("GET", "/x"), 401, "deny", Some("missing_credential"), Some("all"), None, None),
        (gateway.request("GET", "/a%2e%2e%5cb"), 400, "deny", Some("ambiguous_target"), None, None, None),
        (get("/auth/me", token), 200, "own", None, own, alice, Some("bearer")),
        (get("/auth/me", ended), 401, "own", Some("invalid_token"), own, alice, Some("bearer")),
        (get("/auth/me", "nonsense"), 401, "own", Some("invalid_token"), own, None, Some("bearer")),
        (gateway.request("GET", "/auth/me"), 401, "own", Some("missing_credential"), own, None, None),
        (gateway.request("GET", "/auth/login"), 405, "own", Some("method_not_allowed"), own, None, None),
        (post("/auth/login", wrong), 401, "own", Some("invalid_credentials"), own, None, None),
        (post("/auth/login", json!({})), 422, "own", Some("invalid_body"), own, None, None),
        (post("/auth/refresh", json!({ "refresh_token": "x" })), 401, "own", Some("invalid_token"), own, None, None),
    ] {
        let answer = gateway.send(request).await;
        let line = line(&gateway, &answer.header("x-request-id")).await;
        let said = |member: &str| line[member].as_str();
        assert_eq!((answer.status, line["status"].as_u64()), (status, Some(status.into())), "{line}");
        assert_eq!(
            (said("decision"), said("reason"), said("route"), said("principal"), said("credential")),
            (Some(decision), reason, route, principal, credential),
            "{line}"
        );
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["bytes_out"].as_u64(), Some(answer.body.len() as u64), "{line}");
        for member in ["time", "method", "path", "bytes_in", "duration_ms"] {
            assert!(!line[member].is_null(), "{member}: {line}");
        }
        if decision == "allow" {
            assert_eq!((said("path"), line["upstream_ms"].is_number()), (Some("/~a"), true), "{line}");
            assert!(said("backend").is_some(), "{line}");
        }
    }
}

#[tokio::test]
async fn what_is_no_request_has_a_line_too() {
    let gateway = gateway("").await;
    let mut socket = std::net::TcpStream::connect(gateway.address).expect("connected");
    socket.write_all(b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n").expect("written");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("read");
    let id = answer.lines().find_map(|line| line.strip_prefix("X-Request-Id: ")).expect("an id").to_owned();
    let line = line(&gateway, &id).await;
    assert_eq!((&line["status"], &line["decision"], &line["reason"]), (&json!(400), &json!("deny"), &json!("malformed")));
    assert_eq!((&line["client"], &line["bytes_out"]), (&json!("127.0.0.1"), &json!(0)));
    assert!(line["duration_ms"].as_f64().is_some_and(|millis| millis > 0.0), "{line}");
}

#[tokio::test]
async fn no_secret_is_in_any_log_metric_or_answer_at_any_level() {
    let dead = free_address();
    let gateway = gateway(&format!("[redis]\nurl = \"redis://:canary-redis@{dead}/0\"\n")).await;
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "k"], "").trim().to_owned();
    let tokens = gateway.login("alice").await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let login = |name: &str, password: &str| {
        gateway.request("POST", "/auth/login").json(&json!({ "username": name, "password": password }))
    };
    let mut answers = String::new();
    for request in [
        login("alice", "canary-password"),
        login("canary-typed-into-the-name", "x"),
        gateway.request("POST", "/auth/login").header("Content-Type", "application/json").body("{\"canary-broken-json\": "),
        gateway.request("POST", "/auth/login").header("Content-Type", "text/plain").body("canary-text"),
        gateway.request("GET", "/x?secret=canary-query&api_key=canary-key-in-query").bearer_auth(access),
        gateway.request("GET", &format!("/x?api_key={key}")),
        gateway.request("GET", "/dead?secret=canary-query").bearer_auth(access),
        gateway.request("GET", "/x?secret=canary-query"),
        gateway.request("GET", "/a%5cb?secret=canary-query"),
        gateway.request("GET", "/auth/me?access_token=canary-query").bearer_auth(access),
        gateway.request("GET", "/x").bearer_auth("canary-bearer"),
        gateway.request("GET", "/x").header("X-API-Key", "canary-api-key"),
        gateway.request("GET", "/x").header("X-API-Key", &key),
        gateway.request("GET", "/x").header("Authorization", "Basic canary-basic"),
        gateway.request("GET", "/x").header("Authorization", "canary scheme canary"),
        gateway.request("GET", "/x").header("Cookie", "portcullis=canary-cookie; other=canary-cookie"),
        gateway.request("GET", "/auth/me").header("Cookie", "portcullis=canary-cookie"),
        gateway.request("GET", "/x").header("X-Request-Id", "canary-id"),
        gateway.request("POST", "/auth/refresh").json(&json!({ "refresh_token": "canary-refresh" })),
        gateway.request("POST", "/auth/refresh").json(&json!({ "refresh_token": refresh })),
        gateway.request("POST", "/auth/logout").json(&json!({ "refresh_token": refresh })),
    ] {
        let answer = gateway.send(request).await;
        // The backend shows what reached it: only what the gateway itself says is looked at.
        if answer.status != 200 {
            writeln!(answers, "{:?} {}", answer.headers, answer.body).expect("written");
        }
    }
    for bytes in [
        &b"GET http://u:canary-userinfo@gateway.test/x HTTP/1.1\r\nHost: gateway.test\r\n\r\n"[..],
        b"GET /x?canary-query HTTP/1.1\r\nHost: a\r\nHost: b\r\nCookie: canary-cookie\r\n\r\n",
        b"canary-method /x\r\n\r\n",
    ] {
        let mut socket = std::net::TcpStream::connect(gateway.address).expect("connected");
        socket.write_all(bytes).expect("written");
        socket.shutdown(std::net::Shutdown::Write).expect("shut");
        socket.read_to_string(&mut answers).ok();
    }
    let last = gateway.get("/x").await;
    line(&gateway, &last.header("x-request-id")).await;
    let seen = format!("{}\n{}\n{answers}", gateway.log(), gateway.metrics().await);
    for secret in ["canary", PASSWORD, access, refresh, &key] {
        let lines: Vec<_> = seen.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{secret}: {lines:#?}");
    }
}
