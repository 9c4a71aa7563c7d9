//! What pages of other origins may do from a browser.

use axum::response::IntoResponse as _;

use crate::echo::serve;
use crate::gateway::{Answer, Gateway, Setup, free_address};

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.test";

/// A backend with CORS of its own, which says what method reached it and whether a credential did.
async fn opinionated() -> std::net::SocketAddr {
    let answer = |request: axum::extract::Request| async move {
        let seen = format!("{} {:?}", request.method(), request.headers().get("x-auth-user"));
        let headers = [
            ("Access-Control-Allow-Origin", "https://backend.example"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Allow-Private-Network", "true"),
            ("Vary", "Accept"),
            ("X-Seen", "yes"),
        ];
        (headers, seen).into_response()
    };
    serve(axum::Router::new().fallback(answer)).await
}

async fn gateway(sections: &str) -> Gateway {
    let (backend, dead) = (opinionated().await, free_address());
    let setup = Setup::routes(format!(
        r#"
        [defaults]
        backend = "http://{backend}"
        [[route]]
        name = "app"
        path = "/app/**"
        methods = ["GET", "DELETE"]
        scopes = ["app:read"]
        cors = {{ allow_origins = ["{APP}", "https://*.example.org", "null"], expose_headers = ["X-Seen", "RateLimit"], allow_credentials = true, max_age = "1h" }}
        rate_limit = "2/1h"
        [[route]]
        name = "app-post"
        path = "/app/**"
        methods = ["POST"]
        [[route]]
        name = "any"
        path = "/any"
        auth = "none"
        cors = {{ allow_origins = ["*"], allow_methods = ["GET"], allow_headers = ["*"] }}
        [[route]]
        name = "own-business"
        path = "/backend"
        cors = "backend"
        methods = ["PUT"]
        [[route]]
        name = "plain"
        path = "/plain"
        auth = "none"
        cors = {{ allow_origins = [] }}
        [[route]]
        name = "dead"
        path = "/dead"
        auth = "none"
        backend = "http://{dead}"
        cors = {{ allow_origins = ["{APP}"] }}
        "#
    ))
    .with(sections);
    let gateway = Gateway::start(setup).await;
    gateway.user("alice", &["--scopes", "app:read"]);
    gateway
}

async fn preflight(gateway: &Gateway, path: &str, origin: &str, method: &str) -> Answer {
    let request = gateway.request("OPTIONS", path).header("Origin", origin).header("Access-Control-Request-Method", method);
    gateway.send(request.header("Access-Control-Request-Headers", "authorization")).await
}

async fn from(gateway: &Gateway, origin: &str, method: &str, path: &str) -> Answer {
    gateway.send(gateway.request(method, path).header("Origin", origin)).await
}

fn allowed(answer: &Answer) -> String {
    answer.header("access-control-allow-origin")
}

fn says_nothing(answer: &Answer) -> bool {
    !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_method_that_it_asks_for_without_a_credential() {
    let gateway = gateway("").await;
    for origin in [APP, "https://a.b.example.org", "null"] {
        let answer = preflight(&gateway, "/app/x", origin, "DELETE").await;
        assert_eq!((answer.status, allowed(&answer), answer.body.as_str()), (204, origin.to_owned(), ""));
        assert_eq!(answer.header("access-control-allow-methods"), "DELETE, GET, HEAD");
        assert_eq!(answer.header("access-control-allow-headers"), "Authorization, Content-Type, X-API-Key");
        assert_eq!(answer.header("access-control-max-age"), "3600");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("vary").starts_with("Origin"), "{}", answer.header("vary"));
        assert!(!answer.header("x-request-id").is_empty());
    }
    let answer = preflight(&gateway, "/any", EVIL, "GET").await;
    assert_eq!((answer.status, allowed(&answer)), (204, "*".to_owned()));
    assert_eq!(answer.header("access-control-allow-methods"), "GET");
    assert_eq!(answer.header("access-control-allow-headers"), "*, Authorization");
    assert_eq!(answer.header("access-control-max-age"), "600");
}

#[tokio::test]
async fn a_preflight_names_the_method_that_it_asks_for_and_the_key_header_as_it_is_configured() {
    let gateway = gateway("[api_keys]\nheader = \"X-Own-Key\"\n").await;
    let answer = preflight(&gateway, "/dead", APP, "PROPFIND").await;
    assert_eq!((answer.status, allowed(&answer)), (204, APP.to_owned()));
    assert_eq!(answer.header("access-control-allow-methods"), "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, PROPFIND");
    assert_eq!(answer.header("access-control-allow-headers"), "Authorization, Content-Type, X-Own-Key");
    // It depends on what is asked, for a cache too.
    assert_eq!(answer.header("vary"), "Origin | Access-Control-Request-Method, Access-Control-Request-Headers");
    let any = preflight(&gateway, "/any", APP, "GET").await;
    assert_eq!(any.header("vary"), "Access-Control-Request-Method, Access-Control-Request-Headers");
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_learns_nothing() {
    let gateway = gateway("").await;
    for origin in [EVIL, "https://app.example.com.evil.test", "http://app.example.com", "https://example.org"] {
        let answer = preflight(&gateway, "/app/x", origin, "GET").await;
        assert!(answer.status == 204 && says_nothing(&answer), "{origin}: {answer:?}");
        assert!(answer.header("vary").contains("Origin"));
        let answer = from(&gateway, origin, "GET", "/app/x").await;
        assert!(answer.status == 401 && says_nothing(&answer), "{origin}: {answer:?}");
    }
}

#[tokio::test]
async fn without_rules_a_preflight_is_an_ordinary_request() {
    let gateway = gateway("").await;
    // The route of POST has no rules, the other one does: the method decides.
    assert_eq!(preflight(&gateway, "/app/x", APP, "POST").await.status, 405);
    assert_eq!(preflight(&gateway, "/app/x", APP, "PUT").await.status, 405);
    assert_eq!(preflight(&gateway, "/nowhere", APP, "GET").await.code(), "no_route");
    assert_eq!(preflight(&gateway, "/app/a%5Cb", APP, "GET").await.code(), "ambiguous_target");
    let plain = preflight(&gateway, "/plain", APP, "GET").await;
    assert_eq!((plain.status, plain.body.as_str(), allowed(&plain).as_str()), (200, "OPTIONS None", "https://backend.example"));
    for half in ["Origin", "Access-Control-Request-Method"] {
        let request = gateway.request("OPTIONS", "/app/x").header(half, "GET");
        assert_eq!(gateway.send(request).await.status, 405, "{half} alone");
    }
    let twice = gateway.request("OPTIONS", "/app/x").header("Origin", APP).header("Origin", APP);
    assert_eq!(gateway.send(twice.header("Access-Control-Request-Method", "GET")).await.status, 405);
}

#[tokio::test]
async fn refusals_for_want_of_a_route_are_marked_as_the_paths_own_routes_say() {
    let gateway = gateway("").await;
    for (method, path, status) in [("PATCH", "/app/x", 405), ("POST", "/app/a;b", 400), ("PUT", "/dead;x", 400)] {
        let answer = from(&gateway, APP, method, path).await;
        assert_eq!((answer.status, answer.header("vary").contains("Origin")), (status, status == 405 || path == "/app/a;b"));
        let told = if path == "/dead;x" { "" } else { APP };
        assert_eq!(allowed(&answer), told, "{method} {path}");
        assert!(says_nothing(&from(&gateway, EVIL, method, path).await), "{method} {path}");
    }
    assert!(says_nothing(&from(&gateway, APP, "POST", "/backend").await), "CORS is the backend's own business there");
}

#[tokio::test]
async fn a_backend_whose_business_it_is_gets_the_preflight_as_nobodys() {
    let gateway = gateway("").await;
    let request = gateway.request("OPTIONS", "/backend").header("Origin", APP).header("Access-Control-Request-Method", "PUT");
    let answer = gateway.send(request.header("X-Auth-User", "root").header("X-API-Key", "k")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "OPTIONS None"));
    assert_eq!(allowed(&answer), "https://backend.example", "its headers are left alone");
    assert_eq!(gateway.request("OPTIONS", "/backend").send().await.expect("an answer").status(), 405, "no preflight");
    assert_eq!(from(&gateway, APP, "PUT", "/backend").await.status, 401, "nor is any other call");
}

#[tokio::test]
async fn the_gateways_rules_replace_the_backends_on_answers_and_stand_on_refusals() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let token = tokens["access_token"].as_str().expect("a token");
    let call = || gateway.request("GET", "/app/x").header("Origin", APP);
    let narrow = gateway.login_asking("alice", Some("portcullis:account")).await;
    let statuses = [
        (call().bearer_auth(token), 200),
        (call(), 401),
        (call().bearer_auth(narrow["access_token"].as_str().expect("a token")), 403),
        (call().bearer_auth(token), 200),
        (call().bearer_auth(token), 429),
        (gateway.request("GET", "/dead").header("Origin", APP), 502),
    ];
    for (request, status) in statuses {
        let answer = gateway.send(request).await;
        assert_eq!((answer.status, allowed(&answer)), (status, APP.to_owned()));
        assert!(answer.header("vary").contains("Origin"), "{}", answer.header("vary"));
        assert_eq!(answer.header("access-control-allow-private-network"), "");
        if status != 502 {
            assert_eq!(answer.header("access-control-expose-headers"), "X-Seen, RateLimit");
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
        }
    }
    // A cache must not give this to a page.
    let without = gateway.send(gateway.request("GET", "/app/x").bearer_auth(token)).await;
    assert!(says_nothing(&without) && without.header("vary").contains("Origin"), "{without:?}");
    let any = from(&gateway, EVIL, "GET", "/any").await;
    assert_eq!((allowed(&any).as_str(), any.header("access-control-allow-credentials").as_str()), ("*", ""));
    assert_eq!(any.header("vary"), "Accept");
}

#[tokio::test]
async fn a_page_of_another_origin_can_log_in_where_the_gateways_rules_let_it() {
    let gateway = gateway(&format!("[cors]\nallow_origins = [\"{APP}\"]\n")).await;
    let answer = preflight(&gateway, "/auth/login", APP, "POST").await;
    assert_eq!((answer.status, allowed(&answer)), (204, APP.to_owned()));
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(preflight(&gateway, "/auth/login", APP, "DELETE").await.status, 405);
    assert_eq!(preflight(&gateway, "/auth/nothing", APP, "GET").await.status, 404);
    let body = serde_json::json!({ "username": "alice", "password": "wrong" });
    let wrong = gateway.send(gateway.request("POST", "/auth/login").header("Origin", APP).json(&body)).await;
    assert_eq!((wrong.status, allowed(&wrong)), (401, APP.to_owned()));
    // The same rules hold for routes without any, and where there is no route.
    assert_eq!(preflight(&gateway, "/app/x", APP, "POST").await.status, 204);
    assert_eq!(allowed(&from(&gateway, APP, "GET", "/nowhere").await), APP);
    assert_eq!(allowed(&preflight(&gateway, "/plain", APP, "GET").await), "https://backend.example", "the route has none");
    let evil = preflight(&gateway, "/auth/login", EVIL, "POST").await;
    assert!(evil.status == 204 && says_nothing(&evil), "{evil:?}");
}

#[tokio::test]
async fn without_any_rules_backends_headers_pass() {
    let gateway = Gateway::start(Setup::routes(format!(
        "[[route]]\nname = \"a\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{}\"\n",
        opinionated().await
    )))
    .await;
    assert_eq!(allowed(&from(&gateway, APP, "GET", "/x").await), "https://backend.example");
    assert!(says_nothing(&preflight(&gateway, "/auth/login", APP, "POST").await));
}
