//! The order of decisions: of two things that are wrong at once the earlier one answers, and what was answered before a
//! limit is not counted.

use serde_json::json;

use crate::answers::raw;
use crate::echo::echo;
use crate::gateway::{Gateway, Setup, free_address};

const APP: &str = "https://app.example.com";

async fn gateway() -> Gateway {
    let setup = Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "app"
        path = "/app/**"
        methods = ["GET"]
        scopes = ["app:read"]
        roles = ["user"]
        cors = {{ allow_origins = ["{APP}"] }}
        [[route]]
        name = "staff"
        path = "/staff/{{tenant}}"
        roles = ["user"]
        where = {{ "attributes.tenant" = "{{tenant}}" }}
        [[route]]
        name = "once"
        path = "/once"
        methods = ["POST"]
        any_scopes = ["app:read", "once"]
        rate_limit = "1/1h"
        backend = "http://{dead}"
        max_body = "4B"
        "#,
        backend = echo().await,
        dead = free_address(),
    ))
    .with(&format!("[cors]\nallow_origins = [\"{APP}\"]\n"));
    let gateway = Gateway::start(setup).await;
    gateway.user("ann", &["--scopes", "once", "--roles", "viewer"]);
    gateway.user("bob", &["--scopes", "other", "--attribute", "tenant=t"]);
    gateway
}

async fn token(gateway: &Gateway, user: &str) -> String {
    format!("Authorization: Bearer {}\r\n", gateway.login(user).await["access_token"].as_str().expect("a token"))
}

/// The status, and the problem's code or an empty text.
async fn said(gateway: &Gateway, line: &str, fields: &str, body: &str) -> (String, String) {
    let answer = raw(gateway, &format!("{line} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n{body}")).await;
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), code.to_owned())
}

#[tokio::test]
async fn of_two_faults_the_earlier_answers() {
    let gateway = gateway().await;
    let (ann, bob) = (token(&gateway, "ann").await, token(&gateway, "bob").await);
    let login = gateway.login("bob").await;
    let gone = format!("Authorization: Bearer {}\r\n", login["access_token"].as_str().expect("a token"));
    assert_eq!(gateway.post("/auth/logout", &json!({ "refresh_token": login["refresh_token"] })).await.status, 204);
    let (bad, key) = ("Authorization: Bearer nonsense\r\n", "X-API-Key: nonsense\r\n");
    let preflight = format!("Origin: {APP}\r\nAccess-Control-Request-Method: GET\r\n");
    let smuggled = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let (long, host) = ("Content-Length: 5\r\n", "Host: a\r\n");
    // What is wrong first, and then; request line; fields; status; code.
    let cases: &[(&str, &str, &[&str], &str, &str)] = &[
        ("framing, target", "GET /app/%2e%2e", &[host, smuggled], "400", ""),
        ("framing, own", "POST /auth/login", &[host, smuggled], "400", ""),
        ("framing, preflight", "OPTIONS /app/x", &[host, smuggled, &preflight], "400", ""),
        ("framing, no route", "GET /nowhere", &[host, smuggled], "400", ""),
        ("host, no route", "GET /nowhere", &[], "400", "ambiguous_target"),
        ("target, own", "GET /auth/%2e%2e/me", &[host], "400", "ambiguous_target"),
        ("target, own method", "DELETE /auth/login/%2e%2e", &[host], "400", "ambiguous_target"),
        ("target, preflight", "OPTIONS /app/%2e%2e", &[host, &preflight], "400", "ambiguous_target"),
        ("target, expectation", "GET /app/%2e%2e", &[host, "Expect: x\r\n"], "400", "ambiguous_target"),
        ("target, method", "TRACE /app/%2e%2e", &[host], "400", "ambiguous_target"),
        ("oddity, no route", "GET /nowhere;x", &[host], "400", "ambiguous_target"),
        ("oddity, route's method", "PUT /app/a;x", &[host], "400", "ambiguous_target"),
        ("oddity, two credentials", "GET /app/a;x", &[host, bad, key], "400", "ambiguous_target"),
        ("oddity, no credential", "GET /app/a;x", &[host], "400", "ambiguous_target"),
        ("target, preflight of an oddity", "OPTIONS /app/a;x", &[host, &preflight], "400", "ambiguous_target"),
        ("expectation, no route", "GET /nowhere", &[host, "Expect: x\r\n"], "417", "expectation_failed"),
        ("own, credential", "DELETE /auth/login", &[host, bad], "405", "method_not_allowed"),
        ("own, preflight of a route", "OPTIONS /auth/login", &[host, &preflight], "405", "method_not_allowed"),
        ("own, no route", "GET /auth/nothing", &[host, bad], "404", "no_route"),
        ("preflight, route's method", "OPTIONS /app/x", &[host, &preflight], "204", ""),
        ("preflight, bad credential", "OPTIONS /app/x", &[host, &preflight, bad], "204", ""),
        ("preflight, two credentials", "OPTIONS /app/x", &[host, &preflight, bad, key], "204", ""),
        ("no route, bad credential", "GET /nowhere", &[host, bad], "404", "no_route"),
        ("no route, two credentials", "GET /nowhere", &[host, bad, key], "404", "no_route"),
        ("route's method, bad credential", "PUT /app/x", &[host, bad], "405", "method_not_allowed"),
        ("route's method, two credentials", "PUT /app/x", &[host, bad, key], "405", "method_not_allowed"),
        ("route's method, limit and body", "GET /once", &[host, &ann, long], "405", "method_not_allowed"),
        ("two credentials, both bad", "GET /app/x", &[host, bad, key], "400", "invalid_request"),
        ("two credentials, one not enough", "GET /app/x", &[host, &bob, key], "400", "invalid_request"),
        ("no credential, scopes", "GET /app/x", &[host], "401", "missing_credential"),
        ("no credential, roles", "GET /staff/t", &[host], "401", "missing_credential"),
        ("verification, scopes", "GET /app/x", &[host, bad], "401", "invalid_token"),
        ("verification, body", "POST /once", &[host, bad, long], "401", "invalid_token"),
        ("revocation, scopes", "GET /app/x", &[host, &gone], "401", "invalid_token"),
        ("revocation, limit", "POST /once", &[host, &gone], "401", "invalid_token"),
        ("scopes, roles", "GET /app/x", &[host, &bob], "403", "insufficient_scope"),
        ("roles, where", "GET /staff/other", &[host, &bob], "403", "forbidden"),
        ("scopes, body", "POST /once", &[host, &bob, long], "403", "insufficient_scope"),
        ("backend, limit", "POST /once", &[host, &ann], "502", "bad_gateway"),
        ("scopes, limit", "POST /once", &[host, &bob], "403", "insufficient_scope"),
        ("limit, backend", "POST /once", &[host, &ann], "429", "rate_limited"),
        ("limit, body", "POST /once", &[host, &ann, long], "429", "rate_limited"),
        ("verification, a limit that is reached", "POST /once", &[host, bad], "401", "invalid_token"),
        ("two credentials, a limit that is reached", "POST /once", &[host, &ann, key], "400", "invalid_request"),
    ];
    for (what, line, fields, status, code) in cases {
        let fields = fields.concat();
        let body = if fields.contains(long) { "12345" } else { "" };
        let expected = ((*status).to_owned(), (*code).to_owned());
        assert_eq!(said(&gateway, line, &fields, body).await, expected, "{what}: {line}");
    }
}
