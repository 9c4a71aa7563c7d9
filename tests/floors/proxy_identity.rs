//! What a backend is told of its caller, and what nobody else can make it believe.

use portcullis::policy::{AllowInPath, AuthMode, HeaderRule, HostRewrite};

use crate::backend::{Backend, Script};
use crate::gateway::{self, Answer, Gateway, config, route, routes, token_of};

async fn world() -> (Backend, Gateway) {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    (backend, gateway)
}

async fn get(gateway: &Gateway, target: &str, fields: &str) -> Answer {
    gateway.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_caller_is_named_to_the_backend_and_its_token_stays_here() {
    let (backend, gateway) = world().await;
    assert_eq!(get(&gateway, "/items/1?a=%2f", "Authorization: Bearer alice\r\n").await.status, 200);
    let seen = backend.last();
    assert_eq!(seen.line(), "GET /items/1?a=%2f HTTP/1.1");
    assert_eq!(seen.headers("x-auth-user"), ["alice"]);
    assert_eq!(seen.headers("x-auth-subject"), ["id-of-alice"]);
    assert_eq!(seen.headers("x-auth-scopes"), ["items:read"]);
    assert_eq!(seen.headers("x-auth-method"), ["bearer"]);
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.headers("host"), ["a.example"]);
    assert_eq!(seen.headers("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(seen.headers("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.headers("x-forwarded-host"), ["a.example"]);
    assert_eq!(seen.headers("x-request-id").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_identity_is_removed_on_every_route_in_every_spelling() {
    let (backend, gateway) = world().await;
    let forged = "X-Auth-User: root\r\nX_Auth_User: root\r\nx.auth.user: root\r\nHTTP_X_AUTH_USER: root\r\nX-AUTH-ROLES: admin\r\n\
                  X-Auth-Key: \r\nRemote-User: root\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
                  X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Forwarded-Prefix: /x\r\nX-HTTP-Method-Override: DELETE\r\n\
                  X_Request_Id: root\r\nHTTP_X_REQUEST_ID: root\r\n";
    for (target, credential) in [("/open/x", ""), ("/maybe/x", ""), ("/items/x", "Authorization: Bearer alice\r\n")] {
        assert_eq!(get(&gateway, target, &format!("{forged}{credential}")).await.status, 200, "{target}");
        let head = backend.last().head;
        assert!(!head.contains("root") && !head.contains("6.6.6.6") && !head.contains("admin"), "{target}: {head}");
        assert!(!head.to_lowercase().contains("override"), "{target}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_make_the_gateway_drop_its_own_headers() {
    let (backend, gateway) = world().await;
    for connection in ["X-Auth-User", "close, X-Auth-User, X-Auth-Subject", "x-request-id, x-real-ip"] {
        let fields = format!("Authorization: Bearer alice\r\nConnection: {connection}\r\nX-Auth-User: root\r\n");
        assert_eq!(get(&gateway, "/items/1", &fields).await.status, 200, "{connection}");
        let seen = backend.last();
        assert_eq!(seen.headers("x-auth-user"), ["alice"], "{connection}");
        assert_eq!((seen.headers("x-request-id").len(), seen.headers("x-real-ip").len()), (1, 1), "{connection}");
    }
    let many = (0..50).map(|n| format!("X-{n}")).collect::<Vec<_>>().join(", ");
    for connection in ["Host", "X-Forwarded-For, Forwarded", "Content-Length, Host", "\"X-Auth-User\"", &many] {
        let answer = get(&gateway, "/items/1", &format!("Authorization: Bearer alice\r\nConnection: {connection}\r\n")).await;
        assert_eq!(answer.status, 200, "{connection}: {answer:?}");
        let seen = backend.last();
        for (name, value) in [("x-auth-user", "alice"), ("host", "a.example"), ("x-forwarded-for", "127.0.0.1")] {
            assert_eq!(seen.headers(name), [value], "{connection}");
        }
        assert_eq!(seen.headers("forwarded").len(), 1, "{connection}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_one_connection_go_no_further() {
    let (backend, gateway) = world().await;
    let fields = "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                  Proxy-Authorization: Basic x\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nTrailer: x\r\n";
    assert_eq!(get(&gateway, "/open/x", fields).await.status, 200);
    let seen = backend.last();
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
        "trailer",
        "connection",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    backend.answer(Script::Bytes(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=9\r\nUpgrade: h2c\r\n\
          Proxy-Authenticate: Basic\r\nSet-Cookie: portcullis=evil\r\nSet-Cookie: =portcullis=evil\r\nSet-Cookie: app=1\r\n\
          Set-Cookie: __Host-portcullis=; Max-Age=0\r\nClear-Site-Data: \"cache\", \"cookies\"\r\n\
          Clear-Site-Data: \"*\"\r\nX-Own: 1\r\nServer: old\r\nContent-Length: 2\r\n\r\nok"
            .to_vec(),
    ));
    let answer = get(&gateway, "/open/x", "").await;
    for name in ["x-inner", "keep-alive", "upgrade", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.headers("set-cookie"), ["app=1"]);
    assert_eq!(answer.headers("clear-site-data"), ["\"cache\""]);
    assert_eq!((answer.headers("x-own"), answer.headers("server")), (vec!["1".into()], vec!["old".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_cookies_and_keys_stay_here_and_the_rest_passes_byte_for_byte() {
    let (backend, gateway) = world().await;
    for target in ["/open/x?api_key=robot&a=%2F&b", "/items/x?a=%2F&api_key=robot&b"] {
        let answer = get(&gateway, target, "Cookie: a=1; portcullis=ghost; b=\"2\"\r\nCookie: portcullis=x\r\n").await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let seen = backend.last();
        assert!(seen.target().ends_with("x?a=%2F&b"), "{}", seen.target());
        assert_eq!(seen.headers("cookie"), ["a=1; b=\"2\""]);
    }
    assert_eq!(get(&gateway, "/items/x", "X-API-Key: robot\r\n").await.status, 200);
    assert_eq!(backend.last().header("x-api-key"), None);
    assert_eq!(backend.last().headers("x-auth-method"), ["api_key"]);
    // Another scheme is the backend's own business where no credential is asked.
    assert_eq!(get(&gateway, "/maybe/x", "Authorization: Basic eDp5\r\n").await.status, 200);
    assert_eq!(backend.last().headers("authorization"), ["Basic eDp5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_is_wrong_and_reach_no_backend() {
    let (backend, gateway) = world().await;
    for (target, fields, status, code) in [
        ("/items/1", "", 401, "missing_credential"),
        ("/items/1", "Authorization: Basic eDp5\r\n", 401, "missing_credential"),
        ("/items/1", "Authorization: Bearer bad\r\n", 401, "invalid_token"),
        ("/maybe/1", "Authorization: Bearer bad\r\n", 401, "invalid_token"),
        ("/maybe/1", "X-API-Key: bad\r\n", 401, "invalid_api_key"),
        ("/items/1", "Cookie: portcullis=bad\r\n", 401, "invalid_session"),
        ("/items/1", "Authorization: Bearer a\r\nX-API-Key: b\r\n", 400, "invalid_request"),
        ("/items/1", "X-API-Key: a\r\nX-API-Key: b\r\n", 400, "invalid_request"),
        ("/items/%2e%2e/open", "", 400, "ambiguous_target"),
        ("/open/a;b", "", 400, "ambiguous_target"),
    ] {
        let answer = get(&gateway, target, fields).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{target} {fields}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        let id = answer.header("x-request-id").unwrap();
        assert!(answer.text().contains(&id));
    }
    let answer = get(&gateway, "/items/1", "").await;
    assert_eq!(answer.headers("www-authenticate"), ["Bearer realm=\"portcullis\", scope=\"items:read\""]);
    let answer = gateway.send("DELETE /items/1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("allow").as_deref()), (405, Some("GET, HEAD, POST")));
    let answer = get(&gateway, "/items/1", "Cookie: portcullis=bad\r\n").await;
    assert!(answer.header("set-cookie").unwrap().starts_with("portcullis=; Max-Age=0"));
    assert_eq!(backend.bytes(), 0);
    let answer = get(&gateway, "/maybe/1", "Cookie: portcullis=bad\r\n").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("set-cookie").unwrap().starts_with("portcullis=; Max-Age=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_or_unknowable_credential_does_not_pass() {
    let (backend, gateway) = world().await;
    gateway.revocations.tokens.lock().unwrap().push(token_of("mallory"));
    let answer = get(&gateway, "/items/1", "Authorization: Bearer mallory\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"));
    gateway.revocations.unknown.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = get(&gateway, "/items/1", "Authorization: Bearer alice\r\n").await;
    assert_eq!((answer.status, answer.header("retry-after").as_deref()), (503, Some("1")));
    assert_eq!(gateway.admin("/readyz").await.status, 503);
    assert_eq!(backend.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_judged_is_what_is_sent() {
    let backend = Backend::start("b").await;
    let mut wide = route("wide", "/open/**", AuthMode::None, gateway::backend(&[&backend.address]));
    wide.allow_in_path = AllowInPath::NAMES.iter().fold(AllowInPath::default(), |all, (_, one)| all.with(*one));
    let gateway = Gateway::start(vec![wide]);
    for (sent, received) in [
        ("/open/a%7eb/%2F/c", "/open/a~b/%2F/c"),
        ("/open/%61?x=%61&/../y", "/open/a?x=%61&/../y"),
        ("/open//a;b/%252e", "/open//a;b/%252e"),
        ("http://a.example/open/x?y", "/open/x?y"),
        ("/open/x?", "/open/x?"),
        ("/open/%e2%82%ac", "/open/%E2%82%AC"),
    ] {
        assert_eq!(get(&gateway, sent, "").await.status, 200, "{sent}");
        assert_eq!(backend.last().target(), received);
    }
    for refused in
        ["/open/../x", "/open/%2e%2e/x", "/open/\\x", "/open/%5cx", "/open/%00", "/open/x#y", "/open/%", "/open/%c0%af", "*"]
    {
        let before = backend.bytes();
        assert_eq!(get(&gateway, refused, "").await.status, 400, "{refused}");
        assert_eq!(backend.bytes(), before, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_rewrites_path_host_and_headers() {
    let backend = Backend::start("b").await;
    let mut spec = route("api", "/api/**", AuthMode::None, gateway::backend(&[&backend.address]));
    spec.strip_prefix = "/api".into();
    spec.add_prefix = "/v2".into();
    spec.host = HostRewrite::Backend;
    let rule = |name, value: Option<&'static str>| HeaderRule {
        name: http::HeaderName::from_static(name),
        value: value.map(http::HeaderValue::from_static),
    };
    spec.request_headers = vec![rule("authorization", Some("Basic legacy")), rule("x-drop", None)];
    spec.response_headers = vec![rule("x-backend", None), rule("x-frame-options", Some("DENY"))];
    let gateway = Gateway::start(vec![spec]);
    let answer = get(&gateway, "/api/x", "X-Drop: 1\r\nAuthorization: Bearer theirs\r\n").await;
    assert_eq!((answer.header("x-backend"), answer.header("x-frame-options").as_deref()), (None, Some("DENY")));
    let seen = backend.last();
    assert_eq!(seen.line(), "GET /v2/x HTTP/1.1");
    assert_eq!(
        (seen.headers("host"), seen.headers("authorization")),
        (vec![backend.address.clone()], vec!["Basic legacy".to_owned()])
    );
    assert_eq!(seen.header("x-drop"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_judged_first_and_a_protocol_that_nobody_asked_for_is_refused() {
    let (backend, gateway) = world().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(get(&gateway, "/items/1", upgrade).await.status, 401);
    assert_eq!(get(&gateway, "/items/1", "Connection: Upgrade\r\nUpgrade: anything\r\n").await.status, 401);
    assert_eq!(backend.bytes(), 0);
    backend
        .answer(Script::Bytes(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil".to_vec()));
    let answer = get(&gateway, "/open/x", "Connection: Upgrade\r\nUpgrade: h2c\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_host_opens_no_websocket_with_somebodys_cookie() {
    let (backend, gateway) = world().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let evil = "Origin: http://evil.example\r\n";
    let answer = get(&gateway, "/items/1", &format!("{upgrade}{evil}Cookie: portcullis=alice\r\n")).await;
    assert_eq!((answer.status, answer.code().as_str(), backend.bytes()), (403, "forbidden", 0));
    for allowed in ["Origin: http://a.example\r\nCookie: portcullis=alice\r\n", &format!("{evil}Authorization: Bearer alice\r\n")]
    {
        // The backend knows no WebSocket and answers as it does every call.
        assert_eq!(get(&gateway, "/items/1", &format!("{upgrade}{allowed}")).await.status, 200, "{allowed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_count_only_from_a_trusted_proxy() {
    let backend = Backend::start("b").await;
    let mut config = config();
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = Gateway::with(config, routes(&[&backend.address]));
    let fields = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: from-the-edge\r\n";
    let answer = get(&gateway, "/open/x", fields).await;
    assert_eq!(answer.headers("x-request-id"), ["from-the-edge"]);
    let seen = backend.last();
    assert_eq!(seen.headers("x-real-ip"), ["192.0.2.7"]);
    assert_eq!(seen.headers("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.headers("x-request-id"), ["from-the-edge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_connection_is_told_to_have_come_the_way_that_it_came() {
    let backend = Backend::start("b").await;
    let mut config = config();
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = Gateway::with(config, routes(&[&backend.address]));
    let mut proxy = gateway.connect().await;
    for (host, client, proto) in [
        ("a.example", "192.0.2.7", "https"),
        ("a.example", "192.0.2.7", "https"),
        ("a.example", "192.0.2.8", "https"),
        ("b.example", "192.0.2.8", "https"),
        ("b.example", "192.0.2.8", "http"),
    ] {
        let fields = format!("X-Forwarded-For: {client}\r\nX-Forwarded-Proto: {proto}\r\n");
        proxy.write(format!("GET /open/x HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).await;
        assert_eq!(proxy.answer().await.status, 200);
        let seen = backend.last();
        let forwarded = format!("for={client};host=\"{host}\";proto={proto}, for=127.0.0.1");
        assert_eq!(seen.headers("forwarded"), [forwarded]);
        let told = ["x-real-ip", "x-forwarded-host", "x-forwarded-proto"].map(|name| seen.headers(name).join(" "));
        assert_eq!(told, [client, host, proto]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_shown_on_the_gateways_own_host_and_where_no_route_has_them() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    let ask = |host: &str| format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer alice\r\n\r\n");
    assert_eq!(gateway.send(ask("127.0.0.1:1234")).await.text(), "keys");
    assert_eq!(gateway.send(ask("shop.example")).await.text(), "b");
    let few = Gateway::start(vec![route("x", "/x", AuthMode::None, gateway::backend(&[&backend.address]))]);
    assert_eq!(few.send(ask("shop.example")).await.text(), "keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_endpoints_are_answered_here_and_not_below_other_prefixes() {
    let (backend, gateway) = world().await;
    let answer = gateway.send("POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(get(&gateway, "/%61uth/me", "").await.text(), "me");
    assert_eq!(
        gateway.send("POST /auth/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n").await.code(),
        "body_too_large"
    );
    let chunks = format!("4000\r\n{}\r\n1\r\na\r\n0\r\n\r\n", "a".repeat(0x4000));
    let answer = gateway.send(format!("POST /auth/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).await;
    assert_eq!(answer.code(), "body_too_large");
    let mut client = gateway.connect().await;
    client.write("POST /auth/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 100);
    client.write("ok").await;
    assert_eq!(client.answer().await.text(), "ok");
    client.write("HEAD /auth/me HTTP/1.1\r\nHost: a\r\n\r\nGET /auth/me HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer_to("HEAD").await.status, 200);
    assert_eq!(client.answer().await.text(), "me");
    assert_eq!(backend.bytes(), 0);
    assert_eq!(get(&gateway, "/authentic", "Authorization: Bearer alice\r\n").await.text(), "b");
}
