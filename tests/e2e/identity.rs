//! What the backend learns of the caller, and that nobody can make it up.

use serde_json::{Value, json};

use crate::answers::raw;
use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

async fn gateway(sections: &str) -> Gateway {
    let backend = echo().await;
    let gateway = Gateway::start(
        Setup::routes(format!(
            "[defaults]\nbackend = \"http://{backend}\"\n\
             [[route]]\nname = \"private\"\npath = \"/private/**\"\n\
             [[route]]\nname = \"open\"\npath = \"/open\"\nauth = \"none\"\n\
             [[route]]\nname = \"optional\"\npath = \"/optional\"\nauth = \"optional\"\n\
             [[route]]\nname = \"moved\"\npath = \"/api/v1/**\"\nauth = \"none\"\nstrip_prefix = \"/api\"\nadd_prefix = \"/v2\"\nhost = \"legacy.internal\"\n\
             request_headers = {{ \"X-Legacy\" = \"1\", \"Accept\" = \"\" }}\nresponse_headers = {{ \"X-Seen\" = \"yes\" }}\n"
        ))
        .with(sections),
    )
    .await;
    gateway.user("alice", &["--email", "alice@example.com", "--full-name", "Älice, A", "--roles", "user", "--scopes", "b a"]);
    gateway
}

fn headers(answer: &crate::gateway::Answer) -> Value {
    answer.json()["headers"].clone()
}

#[tokio::test]
async fn the_backend_learns_who_calls_and_never_sees_the_token() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let token = tokens["access_token"].as_str().expect("a token");
    let answer = gateway.get_as("/private/x?y=1", token).await;
    assert_eq!(answer.json()["target"], "/private/x?y=1");
    let seen = headers(&answer);
    assert_eq!(seen["x-auth-user"], "alice");
    assert_eq!(seen["x-auth-email"], "alice@example.com");
    assert_eq!(seen["x-auth-name"], "%C3%84lice, A");
    assert_eq!(seen["x-auth-roles"], "user");
    assert_eq!(seen["x-auth-scopes"], "a b portcullis:account");
    assert_eq!(seen["x-auth-method"], "bearer");
    assert!(seen["x-auth-subject"].is_string() && seen["x-auth-session"].is_string(), "{seen}");
    assert_eq!(seen.get("authorization"), None);
    assert!(!answer.body.contains(token));
    assert_eq!(seen["x-request-id"], answer.header("x-request-id"));
    assert_eq!((&seen["x-forwarded-for"], &seen["x-real-ip"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    assert_eq!(seen["x-forwarded-proto"], "http");
}

#[tokio::test]
async fn forged_identity_is_removed_in_every_fold_on_every_route() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let token = tokens["access_token"].as_str().expect("a token");
    let forged = [
        "X-Auth-User",
        "x_auth_user",
        "X.Auth.User",
        "HTTP_X_AUTH_USER",
        "http-x-auth-user",
        "X-Auth-Roles",
        "X_Auth-Scopes",
        "Remote-User",
        "REMOTE_USER",
        "X-Forwarded-User",
        "X_Forwarded_Groups",
        "X-Auth-Assertion",
        "X-Original-URL",
        "X-Forwarded-Prefix",
        "X-HTTP-Method-Override",
        "X-Rewrite-Url",
        "X-Forwarded-Email",
    ];
    for path in ["/private/x", "/open", "/optional"] {
        let lines = forged.map(|name| format!("{name}: forged-value\r\n")).concat();
        let authorization = if path == "/open" { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let answer = raw(
            &gateway,
            &format!(
                "GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close, X-Auth-User, X-Auth-Subject\r\n{authorization}{lines}\r\n"
            ),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        assert!(!answer.contains("forged-value"), "{path}: {answer}");
        assert_eq!(answer.contains(r#""x-auth-user":"alice""#), path != "/open", "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_table_names_its_own_headers() {
    let gateway = gateway(
        "[identity]\nheaders = { \"Remote-User\" = \"{username}\", \"X-Who\" = \"{method}/{subject}\", \"X-Tenant\" = \"{attributes.tenant}\" }\nforward_credential = true\n",
    )
    .await;
    let tokens = gateway.login("alice").await;
    let request = gateway.request("GET", "/private/x").bearer_auth(tokens["access_token"].as_str().expect("a token"));
    let answer = gateway.send(request.header("X-Tenant", "forged").header("X-Auth-User", "forged")).await;
    let seen = headers(&answer);
    assert_eq!(seen["remote-user"], "alice");
    assert!(seen["x-who"].as_str().is_some_and(|who| who.starts_with("bearer/")), "{seen}");
    assert_eq!((seen.get("x-tenant"), seen.get("x-auth-user")), (None, None));
    assert!(seen["authorization"].is_string(), "forward_credential passes the token on");
}

#[tokio::test]
async fn rewrites_and_header_rules_reach_the_backend_and_the_client() {
    let gateway = gateway("").await;
    let answer = gateway.get("/api/v1/%7Euser?q=%2f").await;
    assert_eq!(answer.json()["target"], "/v2/v1/~user?q=%2f");
    let seen = headers(&answer);
    assert_eq!((&seen["host"], &seen["x-legacy"], seen.get("accept")), (&json!("legacy.internal"), &json!("1"), None));
    assert_eq!(answer.header("x-seen"), "yes");
}

#[tokio::test]
async fn forwarded_addresses_are_believed_only_from_trusted_proxies() {
    let trusting = gateway("").await;
    let request = || trusting.request("GET", "/open").header("X-Forwarded-For", "203.0.113.7").header("X-Real-IP", "203.0.113.7");
    let seen = headers(&trusting.send(request()).await);
    assert_eq!((&seen["x-forwarded-for"], &seen["x-real-ip"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));

    let backend = echo().await;
    let behind = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n"))
            .server("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]"),
    )
    .await;
    let request = behind.request("GET", "/x").header("X-Forwarded-For", "198.51.100.1, 203.0.113.7, 10.1.2.3");
    let seen = headers(&behind.send(request).await);
    assert_eq!(seen["x-real-ip"], "203.0.113.7");
}
