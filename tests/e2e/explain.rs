//! `portcullis explain` against the gateway itself: what it says is what a client gets, and what a backend is sent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};

const ROUTES: &str = r#"
[defaults]
backend = "http://BACKEND"
[[route]]
name = "public"
path = "/public/**"
methods = ["GET"]
auth = "none"
[[route]]
name = "maybe"
path = "/maybe"
auth = "optional"
[[route]]
name = "orders-read"
path = "/api/tenants/{tenant}/orders/**"
methods = ["GET"]
scopes = ["orders:read"]
strip_prefix = "/api"
add_prefix = "/v2"
[[route]]
name = "orders-write"
hosts = ["shop.example.com"]
path = "/api/tenants/{tenant}/orders/**"
methods = ["POST", "DELETE"]
scopes = ["orders:write"]
roles = ["user"]
where = { "attributes.tenant" = "{tenant}" }
[[route]]
name = "keys-only"
path = "/hooks/{source}"
credentials = ["api_key"]
request_headers = { "X-Secret" = "${HOOK_SECRET:-hush-hush}" }
[[route]]
name = "odd"
path = "/odd/**"
allow_in_path = ["semicolon"]
auth = "none"
[[route]]
name = "nowhere-yet"
path = "/any/**"
any_scopes = ["orders:read", "orders:write"]
host = "legacy.example.com"
"#;

/// Method, target, host, header fields, and the status that comes of them.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], u16);

/// What a client gets: status, code, challenge, `Allow`, and what the backend saw.
#[derive(Debug, PartialEq)]
struct Got {
    status: u16,
    code: Value,
    challenge: Value,
    allow: Value,
    seen: Option<(String, Value)>,
}

/// Sends it byte for byte: clients mend such targets.
fn ask(gateway: &Gateway, method: &str, target: &str, host: &str, headers: &[(&str, &str)]) -> Got {
    let mut socket = TcpStream::connect(gateway.address).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n");
    head.extend(headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]));
    socket.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let field = |wanted: &str| {
        let values: Vec<&str> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
            .collect();
        if values.is_empty() { Value::Null } else { values.join(", ").into() }
    };
    let (start, end) = (body.find('{'), body.rfind('}'));
    let body: Value = match (start, end) {
        (Some(start), Some(end)) => serde_json::from_str(&body[start..=end]).expect("JSON"),
        _ => Value::Null,
    };
    let seen = (status == 200).then(|| (body["target"].as_str().unwrap_or_default().to_owned(), body["headers"].clone()));
    Got { status, code: body["code"].clone(), challenge: field("www-authenticate"), allow: field("allow"), seen }
}

/// The same of `explain`.
fn explained(gateway: &Gateway, method: &str, target: &str, host: &str, headers: &[(&str, &str)]) -> Value {
    let fields: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}")).chain([format!("Host: {host}")]).collect();
    let mut args = vec!["explain", method, target, "--format", "json"];
    for field in &fields {
        args.extend(["--header", field]);
    }
    let output = portcullis_in(gateway.own_folder(), &args, "");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let told: Value =
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{target}: {out}{}", String::from_utf8_lossy(&output.stderr)));
    let code = i32::from(told["allowed"] != true);
    assert_eq!(output.status.code(), Some(code), "{method} {target}");
    for (_, value) in headers.iter().filter(|(name, _)| *name != "Origin") {
        let secret = value.rsplit(' ').next().unwrap_or_default();
        assert!(secret.len() < 20 || !out.contains(secret), "it prints a credential: {out}");
    }
    assert!(!out.contains("hush-hush"), "it prints a secret: {out}");
    told
}

/// What `explain` says that the backend gets is what it saw.
fn same_as_sent(told: &Value, backend: &str, target: &str, seen: &Value, what: &str) {
    assert_eq!(told["decision"], "allow", "{what}: {told:#}");
    let url = told["backend"]["url"].as_str().expect("a URL");
    assert_eq!(url, format!("http://{backend}{target}"), "{what}");
    assert_eq!(told["backend"]["host"], seen["host"], "{what}");
    for (name, value) in told["backend"]["set"].as_object().expect("fields") {
        let varies = name == "x-request-id" || value == "***";
        assert!(varies || seen[name] == *value, "{what}: {name} is told {value}, and was {}", seen[name]);
    }
    for name in ["x-auth-user", "x-auth-scopes", "x-auth-roles", "x-auth-method", "x-auth-key", "x-secret"] {
        let set = &told["backend"]["set"][name];
        assert_eq!(set.is_null(), seen[name].is_null(), "{what}: {name}");
    }
    for name in told["backend"]["removed"].as_array().expect("names") {
        assert!(seen[name.as_str().expect("a name")].is_null(), "{what}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_explain_says_is_what_a_client_gets() {
    let backend = echo().await;
    let roles = "[roles]\nuser = { scopes = [\"orders\"] }\n";
    let gateway = Gateway::start(Setup::routes(ROUTES.replace("BACKEND", &backend.to_string())).with(roles)).await;
    gateway.user("ann", &["--scopes", "orders:read"]);
    gateway.user("bob", &["--roles", "user", "--attribute", "tenant=a1"]);
    let token = |login: &Value| format!("Bearer {}", login["access_token"].as_str().expect("a token"));
    let (ann, bob) = (token(&gateway.login("ann").await), token(&gateway.login("bob").await));
    let gone = gateway.login("bob").await;
    let left = gateway.post("/auth/logout", &json!({ "refresh_token": gone["refresh_token"] })).await;
    assert_eq!(left.status, 204);
    let gone = token(&gone);
    let key = gateway.cli(&["key", "create", "--owner", "ann", "--name", "k"], "").trim().to_owned();
    let dead = gateway.cli(&["key", "create", "--owner", "ann", "--name", "dead"], "").trim().to_owned();
    gateway.cli(&["key", "revoke", &dead[4..30]], "");
    let shop = "shop.example.com";
    let orders = "/api/tenants/a1/orders";
    let auth = |value: &'static str| ("Authorization", value);
    let (ann, bob, gone) = (("Authorization", ann.as_str()), ("Authorization", bob.as_str()), ("Authorization", gone.as_str()));
    let (key, dead) = (("X-API-Key", key.as_str()), ("X-API-Key", dead.as_str()));
    let bad = format!("{}x", bob.1);
    let bad = ("Authorization", bad.as_str());
    let none: &[(&str, &str)] = &[];
    let cases: &[Case<'_>] = &[
        ("GET", "/public/a?b=%2F", shop, none, 200),
        ("GET", "/public/%61/x", shop, &[("X-Auth-User", "root")], 200),
        ("HEAD", "/nope", shop, none, 404),
        ("POST", "/public/a", shop, none, 405),
        ("PUT", orders, shop, &[bob], 405),
        ("PUT", orders, "other", none, 405),
        ("FOO", "/maybe", shop, none, 405),
        ("GET", "/maybe", shop, none, 200),
        ("GET", "/maybe/", shop, &[ann], 200),
        ("GET", "/maybe", shop, &[bad], 401),
        ("GET", "/maybe", shop, &[auth("Basic YTpi")], 200),
        ("GET", "/maybe/x", shop, none, 404),
        ("GET", "/", shop, none, 404),
        ("GET", "/publicX", shop, none, 404),
        ("GET", "/Public/a", shop, none, 404),
        ("GET", "/public/../x", shop, none, 400),
        ("GET", "/public/%2e%2E/x", shop, none, 400),
        ("GET", "/public/a%2Fb", shop, none, 400),
        ("GET", "/public/a;b", shop, none, 400),
        ("GET", "/odd/a;b", shop, none, 200),
        ("GET", "/odd//b", shop, none, 400),
        ("GET", "/public/%00", shop, none, 400),
        ("GET", "/public/%zz", shop, none, 400),
        ("GET", "/public/a\\b", shop, none, 400),
        ("GET", orders, "a..b", none, 400),
        ("GET", orders, "other", none, 401),
        ("GET", orders, "other", &[ann], 200),
        ("GET", "/api/tenants/a1/orders/7?x=1&y", "other", &[key], 200),
        ("GET", orders, shop, &[ann], 405),
        ("POST", orders, shop, none, 401),
        ("POST", orders, shop, &[bob], 200),
        ("DELETE", "/api/tenants/a2/orders/1", shop, &[bob], 403),
        ("POST", "/api/tenants/%61%31/orders", shop, &[bob], 200),
        ("POST", orders, shop, &[ann], 403),
        ("POST", orders, shop, &[gone], 401),
        ("POST", orders, shop, &[bad], 401),
        ("POST", orders, shop, &[auth("Bearer")], 400),
        ("POST", orders, shop, &[bob, key], 400),
        ("POST", orders, shop, &[bob, ann], 400),
        ("POST", "/hooks/x", shop, &[key], 200),
        ("POST", "/hooks/x", shop, &[bob], 401),
        ("POST", "/hooks/x", shop, &[dead], 401),
        ("POST", "/hooks/x", shop, &[("X-API-Key", "ptc_nonsense")], 401),
        ("GET", "/any/x", shop, &[bob, ("X-Auth-User", "root"), ("X-Forwarded-For", "6.6.6.6")], 200),
        ("GET", "/any/x", shop, none, 401),
    ];
    for (method, target, host, headers, status) in cases {
        let what = format!("{method} {target} on {host} with {:?}", headers.iter().map(|(name, _)| name).collect::<Vec<_>>());
        let got = ask(&gateway, method, target, host, headers);
        assert_eq!(got.status, *status, "{what}: {got:?}");
        let told = explained(&gateway, method, target, host, headers);
        if let Some((target, seen)) = &got.seen {
            same_as_sent(&told, &backend.to_string(), target, seen, &what);
            continue;
        }
        // A client that only wants the head gets no body.
        let code = if *method == "HEAD" { Value::Null } else { told["code"].clone() };
        let told = Got {
            status: told["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or_default(),
            code,
            challenge: told["answer"]["headers"]["www-authenticate"].clone(),
            allow: told["answer"]["headers"]["allow"].clone(),
            seen: None,
        };
        assert_eq!(told, got, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_token_is_judged_and_never_printed() {
    let backend = echo().await;
    let gateway = Gateway::start(Setup::routes(ROUTES.replace("BACKEND", &backend.to_string()))).await;
    gateway.user("ann", &["--scopes", "orders:read"]);
    let login = gateway.login("ann").await;
    let token = login["access_token"].as_str().expect("a token");
    let explain = |token: &str| {
        let output = portcullis_in(gateway.own_folder(), &["explain", "GET", "/any/x", "--token", "-"], &format!("{token}\n"));
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, out, err) = explain(token);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for told in ["bearer: verified", "username ann", "it ends 20", "x-auth-user: ann", "authorization"] {
        assert!(out.contains(told), "{told}: {out}");
    }
    assert!(!out.contains(token), "{out}");
    // Signed for another audience, as after a change of `tokens.audience`.
    let file = gateway.own_folder().join("gateway.toml");
    let config = std::fs::read_to_string(&file).expect("gateway.toml");
    let others = "[tokens]
audience = \"others\"
";
    let config = if config.contains(
        "[tokens]
",
    ) {
        config.replace(
            "[tokens]
",
            others,
        )
    } else {
        format!(
            "{config}
{others}"
        )
    };
    std::fs::write(&file, config).expect("written");
    let (code, out, _) = explain(token);
    assert_eq!(code, Some(1));
    for told in ["The token is for another audience.", "the token says of itself:", "aud \"portcullis\"", "401 invalid_token"] {
        assert!(out.contains(told), "{told}: {out}");
    }
    assert!(!out.contains(token), "{out}");
}

/// Routes on which more than a credential decides.
const MORE: &str = r#"
[defaults]
backend = "http://BACKEND"
[[route]]
name = "page"
path = "/page"
methods = ["GET"]
cors = { allow_origins = ["https://app.example.com"], allow_credentials = true }
[[route]]
name = "backends"
path = "/backends"
methods = ["PUT"]
cors = "backend"
rate_limit = "2/1h"
[[route]]
name = "limited"
path = "/limited"
auth = "none"
rate_limit = "3/1h"
max_body = "5B"
[[route]]
name = "watched"
path = "/watched"
scopes = ["watched"]
rate_limit = "1/1h"
enforce = false
"#;

/// Method, path, header fields, the status, the decision, and what is said of the preflight.
type Told<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str, Value);

#[tokio::test(flavor = "multi_thread")]
async fn preflights_limits_and_observed_routes_are_told_as_they_are_and_nothing_is_counted() {
    let backend = echo().await;
    let gateway = Gateway::start(Setup::routes(MORE.replace("BACKEND", &backend.to_string()))).await;
    let app = ("Origin", "https://app.example.com");
    let asks = |method: &'static str| ("Access-Control-Request-Method", method);
    let evil = ("Origin", "https://evil.test");
    let cases: &[Told<'_>] = &[
        ("OPTIONS", "/page", &[app, asks("GET")], 204, "preflight", json!({ "method": "GET", "answered_by": "gateway" })),
        ("OPTIONS", "/page", &[evil, asks("GET")], 204, "preflight", json!({ "method": "GET", "answered_by": "gateway" })),
        ("OPTIONS", "/page", &[app, asks("PUT")], 405, "deny", json!({ "method": "PUT", "answered_by": null })),
        ("OPTIONS", "/page", &[app], 405, "deny", Value::Null),
        ("OPTIONS", "/none", &[app, asks("GET")], 404, "deny", json!({ "method": "GET", "answered_by": null })),
        ("OPTIONS", "/auth/login", &[app, asks("POST")], 405, "own", Value::Null),
        ("OPTIONS", "/backends", &[evil, asks("PUT")], 200, "allow", json!({ "method": "PUT", "answered_by": "backend" })),
        ("OPTIONS", "/limited", &[app, asks("GET")], 200, "allow", json!({ "method": "GET", "answered_by": null })),
        ("GET", "/page", &[app], 401, "deny", Value::Null),
        ("GET", "/limited", &[("Expect", "100-continue")], 200, "allow", Value::Null),
        ("GET", "/limited", &[("Expect", "something")], 417, "deny", Value::Null),
        ("GET", "/watched", &[], 200, "allow", Value::Null),
    ];
    for (method, target, headers, status, decision, preflight) in cases {
        let what = format!("{method} {target} {headers:?}");
        let told = explained(&gateway, method, target, "shop.example.com", headers);
        assert_eq!((told["decision"].as_str(), &told["preflight"]), (Some(*decision), preflight), "{what}: {told:#}");
        let mut request = gateway.request(method, target).header("Host", "shop.example.com");
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let got = gateway.send(request).await;
        assert_eq!(got.status, *status, "{what}: {got:?}");
        for (name, value) in told["answer"]["headers"].as_object().into_iter().flatten() {
            let sent = got.header(name).replace(" | ", ", ");
            assert!(name == "x-request-id" || *value == sent, "{what}: {name} is told {value}, and was {sent}");
        }
        let marks = |name: &str| name.starts_with("access-control-");
        let count = got.headers.keys().filter(|name| marks(name.as_str())).count();
        let told = told["answer"]["headers"].as_object().map_or(0, |all| all.keys().filter(|name| marks(name)).count());
        assert_eq!(told, count, "{what}: {got:?}");
    }
    for _ in 0..5 {
        let told = explained(&gateway, "GET", "/limited", "shop.example.com", &[]);
        assert_eq!((&told["allowed"], &told["limit"]), (&true.into(), &json!({ "rate": "3/1h", "by": "address" })));
    }
    let left = gateway.get("/limited").await.header("ratelimit");
    assert_eq!(left, "\"route\";r=0;t=3600", "the two calls above and this one are all that counted");
    let told = explained(&gateway, "GET", "/watched", "shop.example.com", &[]);
    assert_eq!((&told["would_deny"], &told["limit"]), (&"missing_credential".into(), &Value::Null));
    assert_eq!(told["would_deny_detail"], "Send a bearer token or an API key.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_an_encrypted_connection_and_a_key_in_the_query_are_told_as_they_are() {
    let backend = echo().await;
    let setup = Setup::routes(ROUTES.replace("BACKEND", &backend.to_string()));
    let gateway = Gateway::start(setup.with("[api_keys]\nquery_parameter = \"api_key\"\n")).await;
    gateway.user("ann", &["--scopes", "orders:read"]);
    let login = gateway.login("ann").await;
    let bearer = format!("Bearer {}", login["access_token"].as_str().expect("a token"));
    let told = |target: &str, headers: &[(&str, &str)]| explained(&gateway, "GET", target, "shop.example.com", headers);
    let as_ann: &[(&str, &str)] = &[("Authorization", &bearer)];
    assert_eq!(told("/any/x", as_ann)["credential"]["revocation"], "live");
    let left = gateway.post("/auth/logout", &json!({ "refresh_token": login["refresh_token"] })).await;
    assert_eq!(left.status, 204);
    assert_eq!(told("/any/x", as_ann)["credential"]["revocation"], "revoked");
    for scheme in ["http", "https"] {
        let told = told(&format!("{scheme}://shop.example.com/maybe"), &[]);
        assert_eq!(told["backend"]["set"]["x-forwarded-proto"], scheme, "{told:#}");
    }
    let told = told("/any/x?api_key=d41d8cd98f00b204e9800998ecf8427e&b=1", &[]);
    assert_eq!((&told["code"], &told["credential"]["presented"]), (&"invalid_api_key".into(), &json!(["api_key"])), "{told:#}");
    assert_eq!((&told["request"]["url"], &told["target"]["query"]), (&"/any/x?api_key=***&b=1".into(), &"b=1".into()));
    assert!(!told.to_string().contains("d41d8cd9"), "it prints a credential: {told:#}");
}
