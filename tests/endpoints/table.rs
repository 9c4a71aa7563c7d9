//! Every endpoint, knocked on without a credential and with the wrong method.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use portcullis::config;
use portcullis::endpoints::{is_own, paths};

use crate::gate::Gate;

fn knock(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")
}

/// What the endpoint at `path` takes, by its own word.
async fn methods(gate: &Gate, path: &str) -> Vec<String> {
    let allow = gate.send(knock("OPTIONS", path)).await.header("allow").to_owned();
    allow.split(", ").map(str::to_owned).collect()
}

#[tokio::test]
async fn each_endpoint_refuses_a_stranger() {
    let gate = Gate::open().await;
    let mut seen = Vec::new();
    for path in paths().map(|path| format!("/auth{path}")) {
        for method in methods_of(&gate, &path).await {
            let answer = gate.send(knock(&method, &path)).await;
            if answer.status == 200 {
                seen.push(format!("{method} {path}: 200"));
                continue;
            }
            if let Some(error) = answer.json["error"].as_str() {
                // The endpoints of OAuth 2 refuse in their RFC's words.
                seen.push(format!("{method} {path}: {} {error}", answer.status.as_u16()));
                continue;
            }
            let (status, code) = answer.problem();
            seen.push(format!("{method} {path}: {status} {code} {}", answer.header("www-authenticate")).trim_end().to_owned());
        }
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    POST /auth/login: 422 invalid_body
    POST /auth/refresh: 422 invalid_body
    POST /auth/logout: 401 missing_credential Bearer realm="portcullis"
    POST /auth/token: 400 invalid_request
    POST /auth/revoke: 400 invalid_request
    POST /auth/introspect: 400 invalid_request
    GET /auth/me: 401 missing_credential Bearer realm="portcullis"
    PATCH /auth/me: 401 missing_credential Bearer realm="portcullis"
    PUT /auth/me: 401 missing_credential Bearer realm="portcullis"
    POST /auth/password: 401 missing_credential Bearer realm="portcullis"
    POST /auth/password/reset: 422 invalid_body
    GET /auth/password/reset/confirm: 200
    POST /auth/password/reset/confirm: 422 invalid_body
    GET /auth/email/confirm: 200
    POST /auth/email/confirm: 422 invalid_body
    POST /auth/register: 422 invalid_body
    GET /auth/keys: 401 missing_credential Bearer realm="portcullis"
    POST /auth/keys: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/keys/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/sessions: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/sessions/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/users: 401 missing_credential Bearer realm="portcullis"
    POST /auth/admin/users: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/admin/users/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/users/{id}: 401 missing_credential Bearer realm="portcullis"
    PATCH /auth/admin/users/{id}: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/admin/sessions: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/sessions: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/admin/sessions/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/keys: 401 missing_credential Bearer realm="portcullis"
    POST /auth/admin/keys: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/admin/keys/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/clients: 401 missing_credential Bearer realm="portcullis"
    POST /auth/admin/clients: 401 missing_credential Bearer realm="portcullis"
    DELETE /auth/admin/clients/{id}: 401 missing_credential Bearer realm="portcullis"
    GET /auth/admin/audit: 401 missing_credential Bearer realm="portcullis"
    GET /auth/openapi.json: 200
    GET /auth/docs: 200
    "#);
}

#[tokio::test]
async fn every_endpoint_is_described_and_nothing_else_is() {
    let gate = Gate::open().await;
    let document = gate.send(knock("GET", "/auth/openapi.json")).await.json;
    let described = document["paths"].as_object().expect("paths");
    let mut there: Vec<_> = paths().map(|path| format!("/auth{path}")).collect();
    there.extend(["jwks.json", "oauth-authorization-server", "openid-configuration"].map(|name| format!("/.well-known/{name}")));
    there.sort();
    assert_eq!(described.keys().cloned().collect::<Vec<_>>(), there);
    for (path, methods) in described {
        let described: Vec<_> = methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        let takes = methods_of(&gate, path).await;
        assert_eq!(described, takes, "{path}");
    }
}

/// What it takes beside HEAD, in order.
async fn methods_of(gate: &Gate, path: &str) -> Vec<String> {
    let mut takes: Vec<_> = methods(gate, path).await.into_iter().filter(|method| method != "HEAD").collect();
    takes.sort();
    takes
}

#[tokio::test]
async fn another_method_is_told_what_the_endpoint_takes() {
    let gate = Gate::open().await;
    for path in paths().map(|path| format!("/auth{path}")) {
        let takes = methods(&gate, &path).await;
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if !takes.iter().any(|takes| takes == method) {
                let answer = gate.send(knock(method, &path)).await;
                assert_eq!(answer.problem(), (405, "method_not_allowed"), "{method} {path}");
                assert_eq!(answer.header("allow"), takes.join(", "), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_a_404_problem() {
    let gate = Gate::new().await;
    for path in ["/auth", "/auth/", "/auth/nothing", "/auth/login/", "/auth/LOGIN", "/auth/authorize", "/.well-known/webfinger"] {
        assert_eq!(gate.send(knock("POST", path)).await.problem(), (404, "no_route"), "{path}");
    }
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let answer = Gate::new().await.send(knock("HEAD", "/auth/me")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn the_keys_are_public_and_never_older_than_those_that_sign() {
    let gate = Gate::new().await;
    let answer = gate.send(knock("GET", "/.well-known/jwks.json")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = &answer.json["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("EC"), Some("P-256")));
    assert!(key["kid"].is_string() && key["d"].is_null(), "{key}");
}

#[tokio::test]
async fn the_prefix_is_where_the_configuration_says() {
    let gate = Gate::with(|config| config.auth.prefix = "/deep/auth".to_owned()).await;
    assert_eq!(gate.send(knock("GET", "/deep/auth/me")).await.problem(), (401, "missing_credential"));
    assert_eq!(gate.send(knock("GET", "/auth/me")).await.problem(), (404, "no_route"));
}

#[tokio::test]
async fn every_endpoint_can_have_an_alias() {
    let default = config::Auth::default();
    for path in paths() {
        // What has an id in its path is below its group, and reached by the group's alias.
        let group = path.split("/{").next().expect("a path");
        let target = format!("{}{group}", default.prefix);
        assert!(default.can_be_aliased(&target), "{target} is missing in config/aliases.rs");
        if group != path {
            let auth = config::Auth { aliases: BTreeMap::from([("/x".to_owned(), target.clone())]), ..config::Auth::default() };
            assert_eq!(auth.alias("/x/7").as_deref(), Some(format!("{target}/7").as_str()));
        }
    }
    for nothing in ["/auth/nothing", "/auth/admin/userz", "/auth/keys/7", "/auth/login/", "/login"] {
        assert!(!default.can_be_aliased(nothing), "{nothing}");
    }
}

#[tokio::test]
async fn the_gateways_own_paths_end_at_a_slash() {
    let config = Gate::new().await.admin.config;
    for (path, own) in [
        ("/auth", true),
        ("/auth/", true),
        ("/auth/any/thing", true),
        ("/.well-known/jwks.json", true),
        ("/authX", false),
        ("/auth.", false),
        ("/x/auth", false),
        ("/", false),
        ("/.well-known/other", false),
    ] {
        assert_eq!(is_own(&config, path), own, "{path}");
    }
}
