//! The OpenAPI document and the page that shows it.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use portcullis::config::PasswordGrant;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::gate::{Answer, Gate, PASSWORD, bearer};

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

async fn document(gate: &Gate) -> Value {
    gate.send(get("/auth/openapi.json")).await.json
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let of = |(path, item): (&String, &'_ Value)| {
        let item = item.as_object().expect("operations").keys().map(|method| (method.clone(), path.clone()));
        item.collect::<Vec<_>>()
    };
    let names = paths.flat_map(of);
    names.map(|(method, path)| (format!("{method} {path}"), &document["paths"][&path][&method])).collect()
}

#[tokio::test]
async fn the_document_is_this() {
    let gate = Gate::with(|config| {
        config.scopes = [("items:read".parse().expect("a scope"), "Read items".to_owned())].into();
    })
    .await;
    let mut document = document(&gate).await;
    document["info"]["version"] = "[version]".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).expect("JSON"));
}

#[tokio::test]
async fn what_registration_and_mail_add_is_this() {
    let (plain, open) = (document(&Gate::new().await).await, document(&Gate::open().await).await);
    let paths = open["paths"].as_object().expect("paths").iter().filter(|(path, _)| plain["paths"][path.as_str()].is_null());
    let added = paths.map(|(path, item)| (path.clone(), item.clone())).collect::<serde_json::Map<_, _>>();
    insta::assert_snapshot!(serde_json::to_string_pretty(&added).expect("JSON"));
}

#[tokio::test]
async fn it_is_written_once_and_always_alike() {
    let (gate, other) = (Gate::new().await, Gate::new().await);
    let first = gate.send(get("/auth/openapi.json")).await;
    assert_eq!((first.header("content-type"), first.header("cache-control")), ("application/json", "no-store"));
    assert!(first.json["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{}", first.json["openapi"]);
    assert_eq!(first.body, gate.send(get("/auth/openapi.json")).await.body);
    assert_eq!(first.body, other.send(get("/auth/openapi.json")).await.body);
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(&Gate::open().await).await;
    let (mut open, mut seen) = (vec![&document], 0);
    while let Some(value) = open.pop() {
        if let Some(reference) = value["$ref"].as_str() {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            seen += 1;
        }
        open.extend(
            value.as_array().into_iter().flatten().chain(value.as_object().into_iter().flat_map(|object| object.values())),
        );
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn the_password_flow_lists_every_configured_scope_and_the_gateways_own() {
    let gate = Gate::with(|config| {
        config.auth.prefix = "/deep/auth".to_owned();
        config.server.public_url = "https://auth.example.com".to_owned();
        config.scopes = [("items:read", "Read items"), ("orders", "Orders")]
            .map(|(scope, description)| (scope.parse().expect("a scope"), description.to_owned()))
            .into();
    })
    .await;
    let document = gate.send(get("/deep/auth/openapi.json")).await.json;
    assert_eq!(document["servers"], json!([{ "url": "https://auth.example.com" }]));
    let flow = &document["components"]["securitySchemes"]["oauth2"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "/deep/auth/token");
    let scopes: Vec<_> = flow["scopes"].as_object().expect("scopes").keys().collect();
    assert_eq!(scopes, ["items:read", "orders", "portcullis:account", "portcullis:admin"]);
    assert_eq!(flow["scopes"]["items:read"], "Read items");
}

#[tokio::test]
async fn an_api_key_is_offered_in_the_query_only_where_it_is_taken_there() {
    for (parameter, offered) in [(Some("key".to_owned()), true), (None, false)] {
        let gate = Gate::with(|config| {
            config.api_keys.header = "X-Other".to_owned();
            config.api_keys.query_parameter = parameter;
        })
        .await;
        let document = document(&gate).await;
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!((&schemes["api_key"]["in"], &schemes["api_key"]["name"]), (&json!("header"), &json!("X-Other")));
        assert_eq!(schemes["api_key_in_query"]["name"] == "key", offered, "{schemes}");
        let names: Vec<_> = document["security"].as_array().expect("alternatives").iter().collect();
        assert_eq!(names.contains(&&json!({ "api_key_in_query": [] })), offered, "{names:?}");
        assert!(names.contains(&&json!({ "oauth2": [] })), "{names:?}");
    }
}

#[tokio::test]
async fn each_operation_has_its_name_its_group_and_its_refusals() {
    let gate = Gate::new().await;
    let document = document(&gate).await;
    let groups: Vec<_> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    for (name, operation) in operations(&document) {
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{name}");
        assert!(groups.contains(&&operation["tags"][0]), "{name} is of a group without a description: {}", operation["tags"]);
        let mut wanted = vec!["400", "405", "503"];
        if !operation["requestBody"].is_null() {
            wanted.extend(["413", "415", "429"]);
            // OAuth 2 says 400 in its place.
            wanted.extend((operation["tags"][0] != "oauth").then_some("422"));
        }
        for status in wanted {
            assert!(operation["responses"][status].is_object(), "{name} {status}");
        }
    }
    let me = &document["paths"]["/auth/me"]["get"]["responses"];
    assert!(me["401"].is_object() && me["403"].is_object() && me["415"].is_null(), "{me}");
    assert!(document["paths"]["/auth/docs"]["get"]["responses"]["401"].is_null());
}

/// The answer to `name`, judged by what the document says of it.
fn judge(document: &Value, name: &str, answer: &Answer) {
    let operation = operations(document).into_iter().find(|(known, _)| known == name).expect("an operation").1;
    let mut response = &operation["responses"][answer.status.as_str()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(reference.trim_start_matches('#')).expect("a component");
    }
    let kind = answer.header("content-type");
    let mut schema = response["content"][kind]["schema"].clone();
    assert!(schema.is_object(), "{name}: nothing is said of {} as {kind}", answer.status);
    schema["components"] = document["components"].clone();
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    if let Err(wrong) = schema.validate(&answer.json) {
        panic!("{name}: {wrong} in {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_really_answered_is_what_is_described() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "").await;
    let document = document(&gate).await;
    let token = gate.login("alice").await;
    let both = bearer(Request::get("/auth/me"), &token.access).header("x-api-key", "ptc_x").body(Body::empty());
    let text = Request::post("/auth/login").body(Body::from("text")).expect("a request");
    for (name, status, answer) in [
        ("get /auth/me", 200, gate.me(&token.access).await),
        ("get /auth/me", 401, gate.send(get("/auth/me")).await),
        ("get /auth/me", 401, gate.me("nonsense").await),
        ("get /auth/me", 400, gate.send(both.expect("a request")).await),
        ("post /auth/login", 200, gate.post("/auth/login", json!({"username": "alice", "password": PASSWORD})).await),
        ("post /auth/login", 401, gate.post("/auth/login", json!({"username": "alice", "password": "wrong"})).await),
        ("post /auth/login", 422, gate.post("/auth/login", json!({"username": "alice"})).await),
        ("post /auth/login", 413, gate.post("/auth/login", json!({"username": "a".repeat(20_000)})).await),
        ("post /auth/login", 415, gate.send(text).await),
        ("post /auth/refresh", 401, gate.refresh("ptr_nonsense").await),
    ] {
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        judge(&document, name, &answer);
    }
    let schema = &document["components"]["schemas"]["Problem"];
    let written: Vec<_> = gate.send(get("/auth/me")).await.json.as_object().expect("a document").keys().cloned().collect();
    let required = schema["required"].as_array().expect("members").iter();
    let mut required: Vec<_> = required.map(|name| name.as_str().expect("a name").to_owned()).collect();
    required.sort();
    assert_eq!(written, required);
}

#[tokio::test]
async fn the_examples_of_refusals_are_documents_by_the_schema() {
    let document = document(&Gate::new().await).await;
    let mut schema = document["components"]["schemas"]["Problem"].clone();
    schema["additionalProperties"] = false.into();
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for (name, response) in document["components"]["responses"].as_object().expect("responses") {
        for (code, example) in response["content"]["application/problem+json"]["examples"].as_object().expect("examples") {
            assert!(schema.is_valid(&example["value"]) && example["value"]["code"] == **code, "{name}: {example}");
        }
    }
}

#[tokio::test]
async fn the_page_may_load_its_own_files_only() {
    let gate = Gate::new().await;
    let page = gate.send(get("/auth/docs")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-store");
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")]
    {
        assert_eq!(page.header(name), value);
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("://") && !page.body.contains("style="), "{}", page.body);
    let files: Vec<_> = page.body.split('"').filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for address in files.into_iter().filter(|address| *address != "docs/openapi.json") {
        let path = format!("/auth/{address}");
        let (status, headers) = head(&gate, get(&path)).await;
        assert_eq!((status, headers["cache-control"].as_bytes()), (200, &b"no-cache"[..]), "{address}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let tag = headers["etag"].to_str().expect("a tag").to_owned();
        for (known, status) in
            [(tag.clone(), 304), (format!("\"other\", W/{tag}"), 304), ("*".to_owned(), 304), ("\"other\"".to_owned(), 200)]
        {
            let again = Request::get(&path).header("if-none-match", known).body(Body::empty()).expect("a request");
            assert_eq!(head(&gate, again).await.0, status, "{address}");
        }
    }
}

#[tokio::test]
async fn the_scopes_that_an_operation_tells_are_those_it_asks() {
    let gate = Gate::open().await;
    gate.user("root", &["admin"], "items:read").await;
    let narrowed = gate.token("root", "items:read").await;
    let document = document(&gate).await;
    let mut told = 0;
    for (name, operation) in operations(&document) {
        let (method, path) = name.split_once(' ').expect("both");
        let requirements = operation["security"].as_array().or_else(|| document["security"].as_array()).expect("requirements");
        if path == "/auth/logout" || !requirements.iter().any(|one| one["bearer"].is_array()) {
            continue;
        }
        let scopes = requirements.iter().find_map(|one| one["oauth2"].as_array()).expect("the password flow");
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str().expect("a scope")).collect();
        let answer = gate.call(&narrowed, &method.to_uppercase(), path, Value::Null).await;
        let refused = if answer.status == 403 { answer.header("www-authenticate") } else { "" };
        match scopes.as_slice() {
            [] => assert_ne!(answer.status, 403, "{name}: {}", answer.body),
            [scope] => assert!(refused.contains(&format!("scope=\"{scope}\"")), "{name}: {refused:?} {}", answer.body),
            more => panic!("{name} asks {more:?}"),
        }
        told += scopes.len();
    }
    assert!(told > 20, "{told}");
}

#[tokio::test]
async fn the_document_lies_beside_what_the_page_loads() {
    let gate = Gate::new().await;
    let (document, beside) = (gate.send(get("/auth/openapi.json")).await, gate.send(get("/auth/docs/openapi.json")).await);
    assert_eq!((document.status.as_u16(), &document.body), (200, &beside.body));
    assert_eq!((beside.header("content-type"), beside.header("cache-control")), ("application/json", "no-store"));
}

#[tokio::test]
async fn the_password_flow_leads_to_where_a_password_is_taken() {
    for (grant, path) in [(PasswordGrant::Open, "token"), (PasswordGrant::Clients, "login"), (PasswordGrant::Off, "login")] {
        let gate = Gate::with(|config| config.auth.password_grant = grant).await;
        gate.user("alice", &["user"], "").await;
        let address = document(&gate).await["components"]["securitySchemes"]["oauth2"]["flows"]["password"]["tokenUrl"].clone();
        assert_eq!(address, format!("/auth/{path}"));
        let form = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
        let request =
            Request::post(address.as_str().expect("a path")).header("content-type", "application/x-www-form-urlencoded");
        let answer = gate.send(request.body(Body::from(form)).expect("a request")).await;
        assert_eq!(answer.status, 200, "{grant:?}: {}", answer.body);
        assert!(answer.json["access_token"].is_string());
    }
}

/// Of an answer that may be no text.
async fn head(gate: &Gate, request: Request<Body>) -> (u16, HeaderMap) {
    let response = gate.router.clone().oneshot(request).await.expect("an answer");
    (response.status().as_u16(), response.headers().clone())
}
