//! Logging in.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use portcullis::accounts::admin::NewUser;
use portcullis::config::Rate;
use portcullis::domain::secret::ExposeSecret;
use portcullis::domain::{AuditKind, Clock as _, SecretString, Timestamp};
use portcullis::endpoints::ClientAddress;
use portcullis::store::{NewPassword, UserChange, Users};
use serde_json::{Value, json};

use crate::gate::{Answer, Gate, PASSWORD, json_request};

async fn login(gate: &Gate, username: &str, password: &str) -> Answer {
    gate.post("/auth/login", json!({"username": username, "password": password})).await
}

async fn from(gate: &Gate, address: &str, username: &str, password: &str) -> Answer {
    let mut request = json_request("/auth/login", &json!({"username": username, "password": password}));
    request.extensions_mut().insert(ClientAddress(address.parse::<IpAddr>().expect("an address")));
    gate.send(request).await
}

async fn narrowed(gate: &Gate, username: &str, scope: &str) -> Answer {
    gate.post("/auth/login", json!({"username": username, "password": PASSWORD, "scope": scope})).await
}

fn checks(gate: &Gate) -> usize {
    gate.passwords.checks.swap(0, Ordering::SeqCst)
}

#[tokio::test]
async fn the_answer_is_a_token_response_and_nothing_else() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    let answer = login(&gate, "alice", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let names: Vec<&String> = answer.json.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(answer.json["scope"], "items:read orders portcullis:account");
}

#[tokio::test]
async fn the_token_says_who_and_what() {
    let gate = Gate::new().await;
    let user = gate.user("Alice", &["user"], "orders").await;
    let attributes = serde_json::Map::from_iter([("tenant".to_owned(), json!("a1"))]);
    gate.admin.set_attributes("alice", attributes).await.expect("set");
    let mut claims = gate.login("ALICE@example.com").await.claims();
    let unique = claims.as_object_mut().expect("claims");
    assert!(unique.remove("jti").is_some_and(|jti| jti.is_string()) && unique.remove("sid").is_some_and(|sid| sid.is_string()));
    let now = 1_800_000_000;
    assert_eq!(
        claims,
        json!({
            "iss": "http://127.0.0.1:8080", "aud": "portcullis", "sub": user.id, "client_id": "portcullis",
            "iat": now, "exp": now + 900, "auth_time": now, "amr": ["pwd"], "gen": 2,
            "scope": "items:read orders portcullis:account", "roles": ["user"], "attributes": {"tenant": "a1"},
            "preferred_username": "Alice", "email": "Alice@example.com", "email_verified": true,
        })
    );
}

#[tokio::test]
async fn unknown_wrong_disabled_and_service_get_one_answer_at_one_cost() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.user("gone", &[], "").await;
    gate.admin.set_disabled("gone", true).await.expect("disabled");
    let service = NewUser { username: "robot".to_owned(), service: true, ..NewUser::default() };
    gate.admin.create_user(service).await.expect("a service account");
    let mut first: Option<Value> = None;
    for (username, password) in [
        ("alice", "wrong"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("robot", PASSWORD),
        ("robot", ""),
        ("", ""),
        ("al\0ice", "\0"),
        ("alice", &"x".repeat(300)),
    ] {
        let answer = login(&gate, username, password).await;
        assert_eq!(answer.problem(), (401, "invalid_credentials"), "{username}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"portcullis\"");
        assert_eq!(first.get_or_insert_with(|| answer.json.clone()), &answer.json, "{username}");
        assert_eq!(checks(&gate), 1, "{username} costs one check");
    }
}

#[tokio::test]
async fn a_password_that_was_set_under_another_rule_still_lets_in() {
    let gate = Gate::with(|config| config.passwords.max_length = 20).await;
    let long = "a long one, as an application had them before ".repeat(8);
    let user = gate.admin.create_user(NewUser {
        username: "alice".to_owned(),
        password: Some("not yet replaced".to_owned().into()),
        ..NewUser::default()
    });
    let (id, now) = (user.await.expect("a user").id, gate.clock.now());
    let password = Some(NewPassword { hash: format!("plain:{long}").into(), keep: None });
    let change = UserChange { password, ..UserChange::default() };
    gate.store.real.change_user(id, change, now, now).await.expect("changed");
    assert_eq!(login(&gate, "alice", &long).await.status, 200);
    assert_eq!(login(&gate, "alice", long.trim_end()).await.problem(), (401, "invalid_credentials"));
}

#[tokio::test]
async fn a_name_is_good_in_every_case_and_as_an_address() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    for name in ["alice", "ALICE", " alice ", "Alice@Example.com"] {
        assert_eq!(login(&gate, name, PASSWORD).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn asked_scopes_are_cut_to_what_is_held() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    for (asked, given) in [
        ("items", "items:read"),
        ("orders:write", "orders:write"),
        ("items:read unknown", "items:read"),
        ("*", "items:read orders"),
        ("portcullis:account", "portcullis:account"),
        ("", "items:read orders portcullis:account"),
    ] {
        assert_eq!(narrowed(&gate, "alice", asked).await.tokens().scope, given, "{asked}");
    }
    for asked in ["unknown", "portcullis:admin", "items:", "a\"b"] {
        assert_eq!(narrowed(&gate, "alice", asked).await.problem(), (400, "invalid_scope"), "{asked}");
    }
}

#[tokio::test]
async fn an_admin_gets_the_admin_scope_only_unasked_or_by_name() {
    let gate = Gate::new().await;
    gate.user("root", &["admin"], "").await;
    assert_eq!(gate.login("root").await.scope, "* items:read portcullis:account portcullis:admin");
    assert_eq!(narrowed(&gate, "root", "portcullis:admin").await.tokens().scope, "portcullis:admin");
    assert_eq!(narrowed(&gate, "root", "orders").await.tokens().scope, "orders");
}

#[tokio::test]
async fn attempts_are_limited_by_address_before_any_password_is_checked() {
    let gate = Gate::with(|config| config.login.rate_limit = Rate { count: 2, period: Duration::from_mins(1) }).await;
    gate.user("alice", &[], "").await;
    for _ in 0..2 {
        assert_eq!(from(&gate, "2001:db8::1", "alice", "wrong").await.problem().0, 401);
    }
    checks(&gate);
    let answer = from(&gate, "2001:db8::2", "alice", PASSWORD).await;
    assert_eq!(answer.problem(), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(answer.header("ratelimit"), "\"login\";r=0;t=30");
    assert_eq!(answer.header("ratelimit-policy"), "\"login\";q=2;w=60");
    assert_eq!(checks(&gate), 0);
    assert_eq!(from(&gate, "2001:db8:0:1::1", "alice", PASSWORD).await.status, 200, "another /64 is another client");
    gate.clock.advance(Duration::from_secs(30));
    assert_eq!(from(&gate, "2001:db8::1", "alice", PASSWORD).await.status, 200);
}

fn few_failures(config: &mut portcullis::config::Config) {
    config.login.account_rate_limit = Rate { count: 3, period: Duration::from_mins(15) };
}

#[tokio::test]
async fn failures_are_limited_by_account_whatever_the_spelling_and_the_address() {
    let gate = Gate::with(few_failures).await;
    gate.user("alice", &[], "").await;
    for (at, name) in ["alice", "ALICE", "alice@example.com"].into_iter().enumerate() {
        assert_eq!(from(&gate, &format!("198.51.{at}.1"), name, "wrong").await.problem().0, 401, "{name}");
    }
    let answer = from(&gate, "198.51.100.1", " Alice", PASSWORD).await;
    assert_eq!(answer.problem(), (429, "rate_limited"));
    assert!(answer.header("ratelimit-policy").ends_with(";q=3;w=900"), "{answer:?}");
    for name in ["nobody", "NOBODY", " ｎobody"] {
        assert_eq!(from(&gate, "198.51.100.1", name, "wrong").await.problem().0, 401, "{name}");
    }
    assert_eq!(from(&gate, "198.51.100.1", "Nobody", "wrong").await.problem().0, 429, "unknown accounts are limited alike");
    // Lower case is not composed as the other spelling is: the store calls them one name, and so do the limits.
    for name in ["\u{390}", "\u{3aa}\u{301}", "\u{399}\u{308}\u{301}"] {
        assert_eq!(from(&gate, "198.51.100.1", name, "wrong").await.problem().0, 401, "{name}");
    }
    assert_eq!(from(&gate, "198.51.100.1", "\u{390}", "wrong").await.problem().0, 429, "one name in three spellings");
}

#[tokio::test]
async fn strangers_cannot_lock_an_owner_out_of_his_own_network() {
    let gate = Gate::with(few_failures).await;
    gate.user("alice", &[], "").await;
    assert_eq!(from(&gate, "203.0.113.7", "alice", PASSWORD).await.status, 200);
    for _ in 0..3 {
        from(&gate, "198.51.100.1", "alice", "wrong").await;
    }
    assert_eq!(from(&gate, "198.51.100.1", "alice", PASSWORD).await.problem().0, 429);
    assert_eq!(from(&gate, "203.0.113.8", "alice", PASSWORD).await.status, 200, "the owner's /24 counts by itself");
}

#[tokio::test]
async fn guesses_side_by_side_learn_no_more_than_guesses_in_a_row() {
    let gate = Gate::with(few_failures).await;
    gate.user("alice", &[], "").await;
    let door = gate.passwords.door.write().await;
    let guesses = futures_util::future::join_all((0..20).map(|_| login(&gate, "alice", "wrong")));
    let open = async {
        while gate.passwords.checks.load(Ordering::SeqCst) < 20 {
            tokio::task::yield_now().await;
        }
        drop(door);
    };
    let (answers, ()) = tokio::join!(guesses, open);
    let learned = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(learned, 3);
}

#[tokio::test]
async fn a_guess_that_was_not_waited_for_counts() {
    let gate = Gate::with(few_failures).await;
    gate.user("alice", &[], "").await;
    for guess in 1..=3 {
        let door = gate.passwords.door.write().await;
        let request = login(&gate, "alice", "wrong");
        tokio::select! {
            _ = request => panic!("the door is closed"),
            () = async { while gate.passwords.checks.load(Ordering::SeqCst) < guess { tokio::task::yield_now().await } } => {}
        }
        drop(door);
        while gate.audit().await.iter().filter(|event| event.kind == AuditKind::LoginFailed).count() < guess {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(login(&gate, "alice", PASSWORD).await.problem().0, 429);
}

#[tokio::test]
async fn a_full_queue_and_a_store_that_is_down_are_503() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    gate.passwords.full.store(true, Ordering::SeqCst);
    let answer = login(&gate, "alice", PASSWORD).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "unavailable"), "1"));
    gate.passwords.full.store(false, Ordering::SeqCst);
    gate.store.down.store(true, Ordering::SeqCst);
    let answer = login(&gate, "alice", PASSWORD).await;
    assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "unavailable"), "1"));
    assert!(!answer.body.contains("plug"), "the store's words stay inside: {answer:?}");
}

#[tokio::test]
async fn a_better_hash_replaces_the_old_one() {
    let gate = Gate::new().await;
    let user = gate.user("alice", &[], "").await;
    let change = UserChange {
        password: Some(NewPassword { hash: SecretString::from(format!("weak:{PASSWORD}")), keep: None }),
        ..UserChange::default()
    };
    let at = Timestamp::from_secs(1_800_000_000);
    gate.store.change_user(user.id, change, at, at).await.expect("changed");
    gate.login("alice").await;
    let kept = gate.store.user(user.id).await.expect("read").expect("there").password.expect("a hash");
    assert_eq!(kept.expose_secret(), format!("plain:{PASSWORD}"));
    gate.login("alice").await;
}

#[tokio::test]
async fn a_session_knows_device_and_address() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let body = json!({"username": "alice", "password": PASSWORD}).to_string();
    let request = Request::post("/auth/login").header("content-type", "application/json").header("user-agent", "b".repeat(300));
    let mut request = request.body(Body::from(body)).expect("a request");
    request.extensions_mut().insert(ClientAddress("::ffff:203.0.113.9".parse().expect("an address")));
    assert_eq!(gate.send(request).await.status, 200);
    let sessions = gate.admin.sessions(Some("alice")).await.expect("sessions");
    assert_eq!((sessions[0].address.as_str(), sessions[0].device.len()), ("203.0.113.9", 256));
}

#[tokio::test]
async fn logins_are_written_down_without_what_was_typed() {
    let gate = Gate::with(|config| config.login.rate_limit = Rate { count: 3, period: Duration::from_mins(1) }).await;
    let user = gate.user("alice", &[], "").await;
    gate.login("alice").await;
    login(&gate, "alice", "hunter2 hunter2").await;
    login(&gate, "hunter2 hunter2", "x").await;
    for _ in 0..5 {
        login(&gate, "alice", PASSWORD).await;
    }
    let events = gate.audit().await;
    let (id, none) = (Some(user.id.to_string()), None::<String>);
    let told: Vec<_> = events.iter().skip(1).map(|event| (event.kind, event.actor.clone(), event.subject.clone())).collect();
    assert_eq!(
        told,
        [
            (AuditKind::LoginOk, id.clone(), id.clone()),
            (AuditKind::LoginFailed, none.clone(), id),
            (AuditKind::LoginFailed, none.clone(), none.clone()),
            (AuditKind::LoginLimited, none.clone(), none),
        ],
        "limits are written once a second"
    );
    assert_eq!((events[1].address.as_deref(), events[1].request_id.as_deref()), (Some("192.0.2.1"), Some("req-1")));
    assert!(!format!("{events:?}").contains("hunter2"));
    let metrics = gate.metrics.render();
    for line in ["{outcome=\"ok\"} 1", "{outcome=\"failed\"} 2", "{outcome=\"limited\"} 5"] {
        assert!(metrics.contains(&format!("portcullis_login_total{line}")), "{line}\n{metrics}");
    }
}

/// A login of alice during whose password check `meanwhile` happens.
async fn overtaken(gate: &Gate, meanwhile: impl Future<Output = ()>) -> Answer {
    let door = gate.passwords.door.write().await;
    let change = async {
        while gate.passwords.checks.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        meanwhile.await;
        drop(door);
    };
    tokio::join!(login(gate, "alice", PASSWORD), change).0
}

#[tokio::test]
async fn a_login_that_a_change_overtakes_opens_nothing() {
    for change in ["password", "disabled", "deleted"] {
        let gate = Gate::new().await;
        gate.user("alice", &[], "").await;
        let answer = overtaken(&gate, async {
            match change {
                "password" => gate.admin.set_password("alice", "a wholly different one".to_owned().into()).await,
                "disabled" => gate.admin.set_disabled("alice", true).await,
                _ => gate.admin.delete_user("alice").await,
            }
            .expect("changed");
        });
        assert_eq!(answer.await.problem(), (401, "invalid_credentials"), "{change}");
        assert!(gate.admin.sessions(None).await.expect("sessions").is_empty(), "{change}");
    }
}

#[tokio::test]
async fn a_login_that_a_change_of_roles_overtakes_gets_the_new_ones() {
    let gate = Gate::new().await;
    gate.user("alice", &["admin"], "").await;
    let answer = overtaken(&gate, async {
        gate.admin.set_roles("alice", &[]).await.expect("changed");
    });
    let tokens = answer.await.tokens();
    assert_eq!(tokens.scope, "portcullis:account");
    assert_eq!(gate.me(&tokens.access).await.status, 200, "it is of the new generation");
}
