//! Every endpoint, knocked on without a credential and with the wrong method.

use axum::body::Body;
use axum::http::{Method, Request};
use portcullis::endpoints::ENDPOINTS;

use crate::gate::Gate;

fn knock(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn each_endpoint_refuses_a_stranger() {
    let gate = Gate::new().await;
    let mut seen = Vec::new();
    for (methods, path) in ENDPOINTS {
        let method = methods.split(',').next().expect("a method");
        let answer = gate.send(knock(method, &format!("/auth{path}"))).await;
        let (status, code) = answer.problem();
        seen.push(format!("{method} {path}: {status} {code} {}", answer.header("www-authenticate")).trim_end().to_owned());
    }
    insta::assert_snapshot!(seen.join("\n"), @r#"
    POST /login: 422 invalid_body
    POST /refresh: 422 invalid_body
    POST /logout: 401 missing_credential Bearer realm="portcullis"
    GET /me: 401 missing_credential Bearer realm="portcullis"
    "#);
}

#[tokio::test]
async fn another_method_is_told_what_the_endpoint_takes() {
    let gate = Gate::new().await;
    for (methods, path) in ENDPOINTS.into_iter().map(|(methods, path)| (methods, format!("/auth{path}"))) {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            if !methods.split(',').any(|takes| takes == method.as_str()) {
                let answer = gate.send(knock(method.as_str(), &path)).await;
                assert_eq!(answer.problem(), (405, "method_not_allowed"), "{method} {path}");
                assert_eq!(answer.header("allow"), methods.replace(',', ", "), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_a_404_problem() {
    let gate = Gate::new().await;
    for path in
        ["/auth", "/auth/", "/auth/nothing", "/auth/login/", "/auth/LOGIN", "/auth/token", "/.well-known/openid-configuration"]
    {
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
async fn the_keys_are_public_and_may_be_kept() {
    let gate = Gate::new().await;
    let answer = gate.send(knock("GET", "/.well-known/jwks.json")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let key = &answer.json["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("EC"), Some("P-256")));
    assert!(key["kid"].is_string() && key["d"].is_null(), "{key}");
}

#[tokio::test]
async fn a_prefix_may_be_anything_even_empty() {
    for prefix in ["/deep/auth", "", "/{odd}"] {
        let gate = Gate::with(|config| config.auth.prefix = prefix.to_owned()).await;
        assert_eq!(gate.send(knock("GET", &format!("{prefix}/me").replace(['{', '}'], "x"))).await.status.as_u16() / 100, 4);
    }
}
