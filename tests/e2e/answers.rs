//! Each refusal with its status, its code and its challenge.

use serde_json::json;

use crate::echo::{echo, serve};
use crate::gateway::{Answer, Gateway, Setup, free_address};

/// One gateway whose routes lead to every row.
async fn gateway() -> Gateway {
    let backend = echo().await;
    let gateway = Gateway::start(Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "open"
        path = "/open/**"
        auth = "none"
        [[route]]
        name = "optional"
        path = "/optional"
        auth = "optional"
        [[route]]
        name = "private"
        path = "/private"
        [[route]]
        name = "items"
        path = "/items/**"
        scopes = ["items:read"]
        methods = ["GET", "POST"]
        [[route]]
        name = "admins"
        path = "/admins"
        roles = ["admin"]
        [[route]]
        name = "tenant"
        path = "/tenants/{{tenant}}"
        where = {{ "attributes.tenant" = "{{tenant}}" }}
        [[route]]
        name = "small"
        path = "/small"
        auth = "none"
        max_body = "10B"
        [[route]]
        name = "dead"
        path = "/dead"
        auth = "none"
        backend = "http://{}"
        "#,
        free_address()
    )))
    .await;
    gateway.user("alice", &["--roles", "user", "--scopes", "items:read", "--attribute", "tenant=a1"]);
    gateway
}

/// What every refusal has in common.
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn no_credential_on_a_required_route_is_401_with_a_plain_challenge() {
    let gateway = gateway().await;
    let answer = gateway.get("/private").await;
    assert_problem(&answer, 401, "missing_credential");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="portcullis""#);
    let answer = gateway.get("/items/1").await;
    assert_problem(&answer, 401, "missing_credential");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="portcullis", scope="items:read""#);
}

#[tokio::test]
async fn another_authorization_scheme_is_a_missing_credential_where_one_is_required_and_passes_elsewhere() {
    let gateway = gateway().await;
    let basic = |path| gateway.request("GET", path).basic_auth("u", Some("p"));
    assert_problem(&gateway.send(basic("/private")).await, 401, "missing_credential");
    for path in ["/optional", "/open/x"] {
        let answer = gateway.send(basic(path)).await;
        assert_eq!((answer.status, &answer.json()["headers"]["authorization"]), (200, &json!("Basic dTpw")), "{path}");
    }
}

#[tokio::test]
async fn a_bad_token_is_401_invalid_token_even_where_a_credential_is_optional() {
    let gateway = gateway().await;
    let good = gateway.login("alice").await["access_token"].as_str().expect("a token").to_owned();
    let mut forged = good.clone();
    forged.replace_range(good.len() - 6..good.len() - 2, if good.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    let refresh = gateway.login("alice").await["refresh_token"].as_str().expect("a token").to_owned();
    for token in ["x", "a.b.c", &forged, &refresh, "eyJhbGciOiJub25lIn0.e30."] {
        for path in ["/private", "/optional", "/items/1"] {
            let answer = gateway.get_as(path, token).await;
            assert_problem(&answer, 401, "invalid_token");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.starts_with(r#"Bearer realm="portcullis", error="invalid_token", error_description=""#),
                "{challenge}"
            );
        }
    }
    assert_eq!(gateway.get_as("/private", &good).await.status, 200);
}

#[tokio::test]
async fn a_bad_api_key_is_401_with_an_api_key_challenge_beside_bearer() {
    let gateway = gateway().await;
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "test", "--scopes", "items:read"], "");
    let key = key.trim();
    let call = |path, key: &str| gateway.request("GET", path).header("X-API-Key", key);
    let answer = gateway.send(call("/items/1", key)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["headers"]["x-auth-method"], "api_key");
    assert!(!answer.body.contains(key), "the key reached the backend");
    let mut wrong = key.to_owned();
    wrong.replace_range(40..41, if &key[40..41] == "a" { "b" } else { "a" });
    for bad in ["nonsense", &wrong, ""] {
        for path in ["/items/1", "/optional"] {
            let answer = gateway.send(call(path, bad)).await;
            assert_problem(&answer, 401, "invalid_api_key");
            assert_eq!(
                answer.header("www-authenticate"),
                r#"ApiKey realm="portcullis", header="X-API-Key" | Bearer realm="portcullis""#
            );
        }
    }
}

#[tokio::test]
async fn a_stale_cookie_is_401_and_cleared_where_a_credential_is_required_and_absent_where_optional() {
    let gateway = gateway().await;
    let call = |path| gateway.request("GET", path).header("Cookie", "a=1; portcullis=stale; b=2");
    let answer = gateway.send(call("/private")).await;
    assert_problem(&answer, 401, "invalid_session");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="portcullis""#);
    assert!(answer.header("set-cookie").starts_with("portcullis=;"), "{answer:?}");
    let answer = gateway.send(call("/optional")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("set-cookie").starts_with("portcullis=;"), "{answer:?}");
    assert_eq!(answer.json()["headers"]["cookie"], "a=1; b=2");
}

#[tokio::test]
async fn a_wrong_login_is_one_401_whatever_is_wrong() {
    let gateway = gateway().await;
    gateway.cli(&["user", "add", "bob", "--password-stdin"], crate::gateway::PASSWORD);
    gateway.cli(&["user", "disable", "bob"], "");
    gateway.cli(&["user", "add", "robot", "--service"], "");
    let mut answers = Vec::new();
    for (name, password) in
        [("alice", "wrong"), ("nobody", "wrong"), ("bob", crate::gateway::PASSWORD), ("robot", ""), ("robot", "x")]
    {
        let answer = gateway.post("/auth/login", &json!({ "username": name, "password": password })).await;
        assert_problem(&answer, 401, "invalid_credentials");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="portcullis""#);
        let mut problem = answer.json();
        problem["request_id"].take();
        answers.push(problem);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn missing_scopes_are_403_and_named() {
    let gateway = gateway().await;
    gateway.user("carol", &["--roles", "user"]);
    let token = gateway.login("carol").await["access_token"].as_str().expect("a token").to_owned();
    let answer = gateway.get_as("/items/1", &token).await;
    assert_problem(&answer, 403, "insufficient_scope");
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="portcullis", error="insufficient_scope", scope="items:read""#);
}

#[tokio::test]
async fn an_unmet_role_or_condition_is_403_forbidden_without_a_challenge() {
    let gateway = gateway().await;
    let token = gateway.login("alice").await["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(gateway.get_as("/tenants/a1", &token).await.status, 200);
    for path in ["/admins", "/tenants/b2"] {
        let answer = gateway.get_as(path, &token).await;
        assert_problem(&answer, 403, "forbidden");
        assert_eq!(answer.header("www-authenticate"), "");
    }
}

#[tokio::test]
async fn two_credentials_are_400() {
    let gateway = gateway().await;
    let token = gateway.login("alice").await["access_token"].as_str().expect("a token").to_owned();
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "two"], "");
    for request in [
        gateway.request("GET", "/private").bearer_auth(&token).header("X-API-Key", key.trim()),
        gateway.request("GET", "/private").bearer_auth(&token).header("Authorization", "Bearer x"),
        gateway.request("GET", "/private").header("X-API-Key", key.trim()).header("X-API-Key", key.trim()),
        gateway.request("GET", "/private").header("Authorization", "Bearer"),
    ] {
        let answer = gateway.send(request).await;
        assert_problem(&answer, 400, "invalid_request");
        assert!(answer.header("www-authenticate").contains(r#"error="invalid_request""#), "{answer:?}");
    }
}

#[tokio::test]
async fn an_ambiguous_target_is_400() {
    let gateway = gateway().await;
    for target in ["/open/%2e%2e/private", "/open/a%5cb", "/open/%00", "/open//x", "/open/a;b", "/open/a%2fb", "/open/x."] {
        let answer = raw(&gateway, &format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert!(answer.contains(r#""code":"ambiguous_target""#), "{target}: {answer}");
    }
}

#[tokio::test]
async fn no_route_is_404_and_a_method_that_no_route_takes_405_with_allow() {
    let gateway = gateway().await;
    assert_problem(&gateway.get("/nowhere").await, 404, "no_route");
    let answer = gateway.send(gateway.request("DELETE", "/items/1")).await;
    assert_problem(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn logins_beyond_the_limit_are_429_with_the_limit_named() {
    let backend = echo().await;
    let gateway =
        Gateway::start(Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n")))
            .await;
    let body = json!({ "username": "nobody", "password": "wrong" });
    for _ in 0..5 {
        assert_eq!(gateway.post("/auth/login", &body).await.status, 401);
    }
    let answer = gateway.post("/auth/login", &body).await;
    assert_problem(&answer, 429, "rate_limited");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(!answer.header("ratelimit").is_empty() && answer.header("ratelimit-policy").contains("q=5"), "{answer:?}");
}

#[tokio::test]
async fn bodies_are_413_415_or_422_with_the_field_named() {
    let gateway = gateway().await;
    let login = || gateway.request("POST", "/auth/login");
    let large = gateway.send(login().json(&json!({ "username": "x".repeat(17_000), "password": "" }))).await;
    assert_problem(&large, 413, "body_too_large");
    let text = gateway.send(login().header("Content-Type", "text/plain").body("x")).await;
    assert_problem(&text, 415, "unsupported_media_type");
    let wrong = gateway.send(login().json(&json!({ "username": 1, "password": "x" }))).await;
    assert_problem(&wrong, 422, "invalid_body");
    assert!(wrong.body.contains("username"), "{}", wrong.body);
    let missing = gateway.send(login().json(&json!({ "username": "x" }))).await;
    assert_problem(&missing, 422, "invalid_body");
    assert!(missing.body.contains("password"), "{}", missing.body);
    let proxied = gateway.send(gateway.request("POST", "/small").body("12345678901")).await;
    assert_problem(&proxied, 413, "body_too_large");
    assert_eq!(gateway.send(gateway.request("POST", "/small").body("1234567890")).await.status, 200);
}

#[tokio::test]
async fn headers_over_their_limit_are_431() {
    let gateway = gateway().await;
    let answer = gateway.send(gateway.request("GET", "/open/x").header("X-Large", "x".repeat(17 * 1024))).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_dead_backend_is_502_and_a_silent_one_504() {
    let silent = serve(axum::Router::new().fallback(std::future::pending::<()>)).await;
    let gateway = Gateway::start(Setup::routes(format!(
        "[[route]]\nname = \"dead\"\npath = \"/dead\"\nauth = \"none\"\nbackend = \"http://{}\"\n\
         [[route]]\nname = \"silent\"\npath = \"/silent\"\nauth = \"none\"\ntimeout = \"200ms\"\nbackend = \"http://{silent}\"\n",
        free_address()
    )))
    .await;
    assert_problem(&gateway.get("/dead").await, 502, "bad_gateway");
    assert_problem(&gateway.get("/silent").await, 504, "gateway_timeout");
}

/// Sends bytes as they are, and reads until the gateway closes.
pub(crate) async fn raw(gateway: &Gateway, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("closed in time").ok();
    String::from_utf8_lossy(&answer).into_owned()
}
