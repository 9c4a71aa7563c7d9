//! Bodies: JSON or a form, and nothing else.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::gate::{Answer, Gate, PASSWORD};

async fn send(gate: &Gate, path: &str, kind: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = Request::post(path);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    gate.send(request.body(body.into()).expect("a request")).await
}

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

#[tokio::test]
async fn a_login_is_taken_as_json_and_as_a_form() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "").await;
    let as_json = json!({"username": "alice", "password": PASSWORD, "more": {"a": [1]}, "grant_type": 7}).to_string();
    let as_form = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
    let as_oauth2 = format!("grant_type=password&{as_form}&scope=&client_id=&client_secret=&more=1");
    for (kind, body) in [
        ("application/json", as_json.clone()),
        ("Application/JSON; charset=utf-8", as_json),
        ("application/x-www-form-urlencoded", as_form.clone()),
        ("application/x-www-form-urlencoded;charset=UTF-8", as_form.replace('+', "%20")),
        ("application/x-www-form-urlencoded", as_oauth2),
    ] {
        let answer = send(&gate, "/auth/login", Some(kind), body.clone()).await;
        assert_eq!(answer.status, 200, "{kind} {body} {answer:?}");
    }
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let gate = Gate::new().await;
    for (body, field) in [
        (r#"{"password": "x"}"#, "username"),
        (r#"{"username": "x"}"#, "password"),
        (r#"{"username": "x", "password": null}"#, "password"),
        (r#"{"username": 7, "password": "x"}"#, "username"),
        (r#"{"username": ["x"], "password": "x"}"#, "username"),
        (r#"{"username": "x", "password": {"x": 1}}"#, "password"),
        (r#"{"username": "x", "password": "x", "scope": ["a"]}"#, "scope"),
        (r#"{"username": "x", "username": "y", "password": "x"}"#, "username"),
        (r#"{"username": "x", "password": "x", "other": 1, "other": 2}"#, "other"),
    ] {
        let answer = send(&gate, "/auth/login", JSON, body).await;
        assert_eq!(answer.problem(), (422, "invalid_body"), "{body}");
        assert_eq!(answer.json["field"], field, "{body}");
    }
    for (body, field) in [
        ("password=x", "username"),
        ("username=x&password=x&username=y", "username"),
        ("username=x&password=x&grant_type=client_credentials", "grant_type"),
        ("", "username"),
    ] {
        let answer = send(&gate, "/auth/login", FORM, body).await;
        assert_eq!(answer.problem(), (422, "invalid_body"), "{body}");
        assert_eq!(answer.json["field"], field, "{body}");
    }
    let answer = send(&gate, "/auth/logout", JSON, r#"{"everywhere": "yes"}"#).await;
    assert_eq!((answer.problem(), &answer.json["field"]), ((422, "invalid_body"), &json!("everywhere")));
}

#[tokio::test]
async fn what_is_no_object_in_utf_8_is_refused_without_being_quoted() {
    let gate = Gate::new().await;
    let deep = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    for body in
        [b"".as_slice(), b"{", b"null", b"[]", b"\"hunter2\"", b"{\"username\": hunter2}", b"{\"a\":\"\xff\"}", deep.as_bytes()]
    {
        let answer = send(&gate, "/auth/login", JSON, body.to_vec()).await;
        assert_eq!(answer.problem(), (422, "invalid_body"), "{body:?}");
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
    }
    assert_eq!(send(&gate, "/auth/login", FORM, "username=%ff&password=x").await.problem(), (422, "invalid_body"));
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let gate = Gate::new().await;
    for kind in [None, Some("text/plain"), Some("multipart/form-data; boundary=x"), Some("application/jsonx"), Some("")] {
        for path in ["/auth/login", "/auth/refresh", "/auth/logout"] {
            assert_eq!(send(&gate, path, kind, "{}").await.problem(), (415, "unsupported_media_type"), "{path} {kind:?}");
        }
    }
    let twice = Request::post("/auth/login").header("content-type", "application/json").header("content-type", "text/plain");
    assert_eq!(gate.send(twice.body(Body::from("{}")).expect("a request")).await.problem().0, 415);
}

#[tokio::test]
async fn a_body_over_16_kib_is_refused_by_its_length_and_by_its_bytes() {
    let gate = Gate::new().await;
    let body = json!({"username": "x", "password": "x".repeat(16 * 1024)}).to_string();
    assert_eq!(send(&gate, "/auth/login", JSON, body.clone()).await.problem(), (413, "body_too_large"));
    let announced = Request::post("/auth/login").header("content-length", "999999").body(Body::empty()).expect("a request");
    assert_eq!(gate.send(announced).await.problem(), (413, "body_too_large"));
    let fits = json!({"username": "x", "password": "x".repeat(16 * 1024 - 40)}).to_string();
    assert!(fits.len() <= 16 * 1024 && send(&gate, "/auth/login", JSON, fits).await.problem() == (401, "invalid_credentials"));
}
