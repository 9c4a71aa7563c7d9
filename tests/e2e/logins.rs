//! Log in, refresh, log out, me: the gateway's own endpoints as clients use them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup};

async fn gateway(sections: &str) -> Gateway {
    let backend = echo().await;
    let gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .with("[login]\nrate_limit = \"1000/1s\"\n")
            .with(sections),
    )
    .await;
    gateway.user("alice", &["--email", "alice@example.com", "--roles", "user", "--scopes", "items:read orders"]);
    gateway
}

fn text<'a>(tokens: &'a Value, member: &str) -> &'a str {
    tokens[member].as_str().unwrap_or_else(|| panic!("no {member} in {tokens}"))
}

async fn refresh(gateway: &Gateway, token: &str) -> crate::gateway::Answer {
    gateway.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

#[tokio::test]
pub(crate) async fn a_login_by_name_or_address_in_json_or_form_gives_a_token_response() {
    let gateway = gateway("").await;
    let form = |fields: &'static str| {
        gateway.request("POST", "/auth/login").header("Content-Type", "application/x-www-form-urlencoded").body(fields)
    };
    for request in [
        gateway.request("POST", "/auth/login").json(&json!({ "username": "alice", "password": PASSWORD, "extra": [1] })),
        gateway.request("POST", "/auth/login").json(&json!({ "username": "Alice@Example.COM", "password": PASSWORD })),
        form("username=alice&password=correct+horse+battery+staple"),
        form("grant_type=password&username=ALICE&password=correct%20horse%20battery%20staple&scope=&client_id="),
    ] {
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.json();
        let mut members: Vec<_> = tokens.as_object().expect("an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(text(&tokens, "scope"), "items:read orders portcullis:account");
        assert!(text(&tokens, "refresh_token").starts_with("ptr_"));
    }
}

#[tokio::test]
async fn an_access_token_is_what_rfc_9068_asks_and_verifies_by_the_published_keys() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let token = text(&tokens, "access_token");
    let jwks = gateway.send(gateway.request("GET", "/.well-known/jwks.json").header("Host", "gateway.test")).await;
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwks.body).expect("a JWKS");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), jsonwebtoken::Algorithm::ES256));
    let key = jwks.find(header.kid.as_deref().expect("a kid")).expect("the key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_issuer(&["http://gateway.test"]);
    rules.set_audience(&["portcullis"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a usable key");
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).expect("a valid token").claims;
    for claim in [
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "jti",
        "sid",
        "client_id",
        "scope",
        "roles",
        "gen",
        "preferred_username",
        "auth_time",
        "amr",
    ] {
        assert!(!claims[claim].is_null(), "{claim} is missing: {claims}");
    }
    assert_eq!(claims["client_id"], "portcullis");
    assert_eq!(claims["roles"], json!(["user"]));
    assert_eq!((&claims["email"], &claims["email_verified"]), (&json!("alice@example.com"), &json!(true)));
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(900));
}

#[tokio::test]
async fn asked_scopes_are_narrowed_and_nothing_left_is_invalid_scope() {
    let gateway = gateway("").await;
    for (asked, given) in [("items", "items:read"), ("orders:write", "orders:write"), ("items:read nothing", "items:read")] {
        let tokens = gateway.login_asking("alice", Some(asked)).await;
        assert_eq!(text(&tokens, "scope"), given, "{asked}");
        let tokens = refresh(&gateway, text(&tokens, "refresh_token")).await.json();
        assert_eq!(text(&tokens, "scope"), given, "{asked} after a refresh");
    }
    let body = json!({ "username": "alice", "password": PASSWORD, "scope": "nothing" });
    let answer = gateway.post("/auth/login", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_scope"));
}

#[tokio::test]
pub(crate) async fn a_refresh_replaces_its_token_and_a_late_replay_kills_the_session() {
    let gateway = gateway("[tokens]\nrefresh_grace = \"0s\"\n").await;
    let first = gateway.login("alice").await;
    let second = refresh(&gateway, text(&first, "refresh_token")).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(gateway.get_as("/x", text(&second, "access_token")).await.status, 200);
    let replay = refresh(&gateway, text(&first, "refresh_token")).await;
    assert_eq!((replay.status, replay.code().as_str()), (401, "invalid_token"));
    assert_eq!(refresh(&gateway, text(&second, "refresh_token")).await.status, 401);
    assert_eq!(gateway.get_as("/x", text(&second, "access_token")).await.status, 401);
    gateway.until("the replay is in the audit log", || async { gateway.log().contains("refresh_replay") }).await;
}

#[tokio::test]
pub(crate) async fn a_hundred_parallel_refreshes_of_one_token_log_nobody_out() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    let answers = join_all((0..100).map(|_| refresh(&gateway, text(&tokens, "refresh_token")))).await;
    let successors: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            text(&answer.json(), "refresh_token").to_owned()
        })
        .collect();
    assert_eq!(successors.len(), 1, "all got the very same successor");
    let next = refresh(&gateway, successors.first().expect("one")).await;
    assert_eq!(next.status, 200);
    assert_eq!(gateway.cli(&["session", "list", "--user", "alice", "--format", "json"], "").matches("\"id\"").count(), 1);
}

#[tokio::test]
async fn an_access_token_does_not_refresh_and_a_refresh_token_does_not_call() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    assert_eq!(refresh(&gateway, text(&tokens, "access_token")).await.status, 401);
    assert_eq!(gateway.get_as("/x", text(&tokens, "refresh_token")).await.status, 401);
}

#[tokio::test]
pub(crate) async fn a_logout_by_bearer_or_by_refresh_token_kills_the_session() {
    let gateway = gateway("").await;
    for by_bearer in [true, false] {
        let tokens = gateway.login("alice").await;
        let request = gateway.request("POST", "/auth/logout");
        let request = if by_bearer {
            request.bearer_auth(text(&tokens, "access_token"))
        } else {
            // An expired or broken bearer does not spoil a valid refresh token.
            request.bearer_auth("a.b.c").json(&json!({ "refresh_token": tokens["refresh_token"] }))
        };
        let again = request.try_clone().expect("a copy");
        assert_eq!(gateway.send(request).await.status, 204);
        assert_eq!(gateway.get_as("/x", text(&tokens, "access_token")).await.status, 401);
        assert_eq!(refresh(&gateway, text(&tokens, "refresh_token")).await.status, 401);
        let again = gateway.send(again).await.status;
        assert!(again == 204 || again == 401, "{again}");
    }
    assert_eq!(gateway.send(gateway.request("POST", "/auth/logout")).await.status, 401);
}

#[tokio::test]
pub(crate) async fn everywhere_ends_all_of_the_users_sessions_and_nobody_elses() {
    let gateway = gateway("").await;
    gateway.user("bob", &[]);
    let (one, two, bob) = (gateway.login("alice").await, gateway.login("alice").await, gateway.login("bob").await);
    let request = gateway.request("POST", "/auth/logout").bearer_auth(text(&one, "access_token"));
    assert_eq!(gateway.send(request.json(&json!({ "everywhere": true }))).await.status, 204);
    for tokens in [&one, &two] {
        assert_eq!(gateway.get_as("/x", text(tokens, "access_token")).await.status, 401);
        assert_eq!(refresh(&gateway, text(tokens, "refresh_token")).await.status, 401);
    }
    assert_eq!(gateway.get_as("/x", text(&bob, "access_token")).await.status, 200);
}

#[tokio::test]
async fn an_api_key_does_not_log_out() {
    let gateway = gateway("").await;
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "k"], "");
    let answer = gateway.send(gateway.request("POST", "/auth/logout").header("X-API-Key", key.trim())).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn me_tells_the_user_of_himself() {
    let gateway = gateway("").await;
    gateway.cli(&["user", "set-attribute", "alice", "tenant=a1"], "");
    let tokens = gateway.login("alice").await;
    let answer = gateway.get_as("/auth/me", text(&tokens, "access_token")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let me = answer.json();
    assert_eq!(me["username"], "alice");
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("alice@example.com"), &json!(true)));
    assert_eq!((&me["roles"], &me["attributes"]), (&json!(["user"]), &json!({ "tenant": "a1" })));
    assert_eq!((&me["disabled"], &me["is_active"]), (&json!(false), &json!(true)));
    for member in ["id", "full_name", "scopes", "created_at"] {
        assert!(me.get(member).is_some(), "{member}: {me}");
    }
    assert_eq!(gateway.get("/auth/me").await.status, 401);
}

#[tokio::test]
pub(crate) async fn a_change_of_rights_kills_access_tokens_and_a_refresh_brings_the_new_ones() {
    let gateway = gateway("").await;
    let tokens = gateway.login("alice").await;
    gateway.cli(&["user", "set-scopes", "alice", "items:write"], "");
    gateway
        .until("the old access token is dead", || async {
            gateway.get_as("/x", text(&tokens, "access_token")).await.status == 401
        })
        .await;
    let tokens = refresh(&gateway, text(&tokens, "refresh_token")).await.json();
    assert_eq!(text(&tokens, "scope"), "items:write portcullis:account");
    assert_eq!(gateway.get_as("/x", text(&tokens, "access_token")).await.status, 200);
    gateway.cli(&["user", "disable", "alice"], "");
    gateway
        .until("a disabled user's token is dead", || async {
            gateway.get_as("/x", text(&tokens, "access_token")).await.status == 401
        })
        .await;
    assert_eq!(refresh(&gateway, text(&tokens, "refresh_token")).await.status, 401);
}

/// The statuses of wrong passwords for `alice`, each from another address.
async fn guesses(gateway: &Gateway, from: impl Iterator<Item = String>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for address in from {
        let wrong = json!({ "username": "alice", "password": "wrong" });
        let request = gateway.request("POST", "/auth/login").header("X-Forwarded-For", address).json(&wrong);
        statuses.push(gateway.send(request).await.status);
    }
    statuses
}

#[tokio::test]
pub(crate) async fn strangers_cannot_lock_an_owner_out_of_his_own_network() {
    let backend = echo().await;
    let gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .server("trusted_proxies = [\"127.0.0.1/32\"]")
            .with("[login]\nrate_limit = \"1000/1s\"\naccount_rate_limit = \"3/15m\"\n"),
    )
    .await;
    gateway.user("alice", &[]);
    let right = async |address: &str| {
        let body = json!({ "username": "alice", "password": PASSWORD });
        gateway.send(gateway.request("POST", "/auth/login").header("X-Forwarded-For", address).json(&body)).await.status
    };
    assert_eq!(right("203.0.113.7").await, 200);
    let strangers = (0..5).map(|net| format!("198.51.{net}.1"));
    assert_eq!(guesses(&gateway, strangers).await, [401, 401, 401, 429, 429]);
    assert_eq!(right("192.0.2.1").await, 429);
    assert_eq!(right("203.0.113.200").await, 200, "the owner's /24 has a bucket of its own");
    let own = (0..5).map(|host| format!("203.0.113.{host}"));
    assert_eq!(guesses(&gateway, own).await, [401, 401, 401, 429, 429]);
    assert_eq!(right("203.0.113.7").await, 429);
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_is_not_another() {
    let gateway = gateway("").await;
    gateway.login("alice").await;
    let claimed = (0..25).map(|net| format!("203.0.{net}.9"));
    let statuses = guesses(&gateway, claimed).await;
    assert_eq!((statuses[19], statuses[20]), (401, 429), "{statuses:?}");
    let answer = gateway.post("/auth/login", &json!({ "username": "alice", "password": PASSWORD })).await;
    assert_eq!(answer.status, 429);
}

#[tokio::test]
async fn hs256_tokens_work_and_the_secret_is_not_published() {
    let gateway = gateway("[tokens]\nalgorithm = \"HS256\"\nsecret = \"6f0b4c1e8d7a92f35be1c07d94a8e2f6-portcullis\"\n").await;
    let tokens = gateway.login("alice").await;
    let token = text(&tokens, "access_token");
    assert_eq!(jsonwebtoken::decode_header(token).expect("a header").alg, jsonwebtoken::Algorithm::HS256);
    assert_eq!(gateway.get_as("/x", token).await.status, 200);
    let jwks = gateway.send(gateway.request("GET", "/.well-known/jwks.json").header("Host", "gateway.test")).await;
    assert_eq!(jwks.json(), json!({ "keys": [] }));
}
