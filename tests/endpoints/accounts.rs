//! Accounts that people make, change and get back themselves.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request};
use portcullis::accounts::admin::NewUser;
use portcullis::config::Rate;
use portcullis::domain::secret::ExposeSecret;
use portcullis::domain::{AuditEvent, AuditKind, Clock as _};
use portcullis::mail::Kind;
use portcullis::store::UserChange;
use serde_json::{Value, json};

use crate::gate::{Answer, Gate, PASSWORD, bearer, open};

const NEW: &str = "an entirely other passphrase";

async fn register(gate: &Gate, name: &str, email: &str) -> Answer {
    gate.post("/auth/register", json!({"username": name, "email": email, "password": PASSWORD, "full_name": "A. Person"})).await
}

async fn send(gate: &Gate, method: Method, path: &str, token: &str, body: &Value) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    gate.send(bearer(request, token).body(Body::from(body.to_string())).expect("a request")).await
}

async fn patch(gate: &Gate, token: &str, body: Value) -> Answer {
    send(gate, Method::PATCH, "/auth/me", token, &body).await
}

async fn change_password(gate: &Gate, token: &str, current: &str, new: &str) -> Answer {
    let body = json!({"current_password": current, "new_password": new});
    send(gate, Method::POST, "/auth/password", token, &body).await
}

async fn reset(gate: &Gate, token: &str, new: &str) -> Answer {
    gate.post("/auth/password/reset/confirm", json!({"token": token, "new_password": new})).await
}

async fn login(gate: &Gate, name: &str, password: &str) -> Answer {
    gate.post("/auth/login", json!({"username": name, "password": password})).await
}

#[track_caller]
fn field(answer: &Answer) -> String {
    assert_eq!(answer.problem(), (422, "invalid_body"));
    answer.json["field"].as_str().expect("a field").to_owned()
}

#[tokio::test]
async fn what_is_off_is_as_if_it_were_not_there() {
    let gate = Gate::new().await;
    for path in ["/auth/register", "/auth/password/reset", "/auth/password/reset/confirm", "/auth/email/confirm"] {
        for method in ["GET", "POST"] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
            assert_eq!(gate.send(request).await.problem(), (404, "no_route"), "{method} {path}");
        }
    }
    let document = gate.send(Request::get("/auth/openapi.json").body(Body::empty()).expect("a request")).await.json;
    assert!(document["paths"]["/auth/register"].is_null() && document["paths"]["/auth/password"].is_object());
}

#[tokio::test]
async fn a_registered_account_has_the_default_role_and_an_address_once_it_is_confirmed() {
    let gate = Gate::open().await;
    let made = register(&gate, "Ann.B", "ann@example.com").await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!((&made.json["username"], &made.json["roles"]), (&json!("Ann.B"), &json!(["viewer"])));
    assert_eq!((&made.json["email"], &made.json["email_verified"]), (&json!("ann@example.com"), &json!(false)));
    assert!(!made.body.contains(PASSWORD) && made.json["password"].is_null());
    assert_eq!(login(&gate, "ann@example.com", PASSWORD).await.problem(), (401, "invalid_credentials"));
    let access = login(&gate, "ann.b", PASSWORD).await.tokens().access;
    assert_eq!(gate.me(&access).await.json["email"], Value::Null);

    let token = gate.letters.token(0).await;
    assert_eq!(gate.post("/auth/email/confirm", json!({"token": token})).await.status, 204);
    let me = gate.me(&access).await.json;
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("ann@example.com"), &json!(true)));
    assert_eq!(login(&gate, "Ann@Example.com", PASSWORD).await.status, 200);
    assert_eq!(field(&gate.post("/auth/email/confirm", json!({"token": token})).await), "token");
    let kinds: Vec<_> = gate.audit().await.iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&AuditKind::UserCreated) && kinds.contains(&AuditKind::EmailVerified), "{kinds:?}");
}

#[tokio::test]
async fn without_mail_an_address_is_taken_as_it_is_and_only_once() {
    let gate = Gate::with(|config| config.accounts.registration = true).await;
    let made = register(&gate, "ann", "ann@example.com").await;
    assert_eq!((made.status.as_u16(), &made.json["email_verified"]), (201, &json!(false)));
    assert_eq!(register(&gate, "bob", "ANN@example.com").await.problem(), (409, "conflict"));
    assert_eq!(register(&gate, "ANN", "other@example.com").await.problem(), (409, "conflict"));
}

#[tokio::test]
async fn a_registration_does_not_tell_whose_an_address_is() {
    let gate = Gate::open().await;
    gate.user("carol", &[], "").await;
    let answers = [register(&gate, "ann", "carol@example.com").await, register(&gate, "bob", "free@example.com").await];
    let [taken, free] = &answers;
    assert_eq!((taken.status.as_u16(), free.status.as_u16()), (201, 201));
    for member in ["email_verified", "roles", "scopes", "disabled", "full_name"] {
        assert_eq!(taken.json[member], free.json[member], "{member}");
    }
    assert_eq!(taken.json["email"], "carol@example.com");
    gate.letters.letter(1).await;
    let mut letters = gate.letters.all();
    letters.sort_by_key(|(_, to)| to.clone());
    assert_eq!(letters, [(Kind::Taken, "carol@example.com".to_owned()), (Kind::Confirm, "free@example.com".to_owned())]);
    for name in ["ann", "bob"] {
        let access = login(&gate, name, PASSWORD).await.tokens().access;
        assert_eq!(gate.me(&access).await.json["email"], Value::Null, "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_named_and_costs_no_hash() {
    let gate = Gate::with(open).await;
    let good = json!({"username": "ann", "email": "ann@example.com", "password": PASSWORD});
    for (name, value) in [
        ("username", json!("")),
        ("username", json!("a b")),
        ("username", json!("ann@example.com")),
        ("username", json!("x".repeat(65))),
        ("username", json!(7)),
        ("email", json!("nobody")),
        ("email", json!("a@b.example\r\nBcc: c@d.example")),
        ("email", json!(null)),
        ("password", json!("short")),
        ("password", json!("aaaaaaaaaaaaaaaaaaaa")),
        ("full_name", json!("two\nlines")),
    ] {
        let mut body = good.clone();
        body[name] = value.clone();
        let answer = gate.post("/auth/register", body).await;
        assert_eq!(field(&answer), name, "{value}");
        assert!(!answer.body.contains("short"), "{}", answer.body);
    }
    let weak = gate.post("/auth/register", json!({"username": "ann", "email": "a@b.example", "password": "short"})).await;
    assert_eq!(weak.json["detail"], "The password needs 15 characters at least.");
    assert!(gate.letters.all().is_empty());
}

#[tokio::test]
async fn registrations_are_limited_by_address_and_by_mailbox() {
    let gate = Gate::open().await;
    for number in 0..5 {
        assert_eq!(register(&gate, &format!("u{number}"), "same@example.com").await.status, 201);
    }
    let refused = register(&gate, "u5", "SAME@example.com").await;
    assert_eq!(refused.problem(), (429, "rate_limited"));
    assert!(!refused.header("retry-after").is_empty());
    for number in 6..20 {
        assert_eq!(register(&gate, &format!("u{number}"), &format!("u{number}@example.com")).await.status, 201);
    }
    assert_eq!(register(&gate, "u20", "u20@example.com").await.problem(), (429, "rate_limited"));
}

#[tokio::test]
async fn a_name_is_changed_at_once_and_what_is_not_there_stays() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    assert_eq!(patch(&gate, &access, json!({"full_name": "Ann Other"})).await.json["full_name"], "Ann Other");
    assert_eq!(patch(&gate, &access, json!({})).await.json["full_name"], "Ann Other");
    // A client that puts the account back as it got it.
    let me = gate.me(&access).await.json;
    let put = send(&gate, Method::PUT, "/auth/me", &access, &me).await;
    assert_eq!((put.status.as_u16(), &put.json), (200, &me));
    assert_eq!(patch(&gate, &access, json!({"full_name": null})).await.json["full_name"], Value::Null);
    assert_eq!(field(&patch(&gate, &access, json!({"full_name": 3})).await), "full_name");
    assert!(gate.letters.all().is_empty());
}

#[tokio::test]
async fn another_address_needs_the_password_and_the_mailed_link_and_the_old_one_is_told() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    assert_eq!(field(&patch(&gate, &access, json!({"email": "new@example.com"})).await), "current_password");
    let wrong = json!({"email": "new@example.com", "current_password": "not the password"});
    assert_eq!(patch(&gate, &access, wrong).await.problem(), (401, "invalid_credentials"));
    assert!(gate.letters.all().is_empty());
    let asked = patch(&gate, &access, json!({"email": "new@example.com", "current_password": PASSWORD})).await;
    assert_eq!((asked.status.as_u16(), &asked.json["email"]), (200, &json!("ann@example.com")));
    let token = gate.letters.token(0).await;
    assert_eq!(gate.post("/auth/email/confirm", json!({"token": token})).await.status, 204);
    assert_eq!(gate.me(&access).await.json["email"], "new@example.com");
    let told = gate.letters.letter(1).await;
    assert_eq!((told.kind, told.to.as_str()), (Kind::EmailChanged, "ann@example.com"));
    assert!(!told.text.expose_secret().contains("new@example.com"));
}

#[tokio::test]
async fn an_address_that_somebody_has_is_not_told_apart_and_not_taken() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    gate.user("bob", &[], "").await;
    let access = gate.login("ann").await.access;
    let answer = patch(&gate, &access, json!({"email": "BOB@example.com", "current_password": PASSWORD})).await;
    assert_eq!((answer.status.as_u16(), &answer.json["email"]), (200, &json!("ann@example.com")));
    let letter = gate.letters.letter(0).await;
    assert_eq!((letter.kind, letter.to.as_str()), (Kind::Taken, "bob@example.com"));
    // Taken between the mail and the click.
    patch(&gate, &access, json!({"email": "free@example.com", "current_password": PASSWORD})).await;
    let token = gate.letters.token(1).await;
    gate.user("free", &[], "").await;
    assert_eq!(gate.post("/auth/email/confirm", json!({"token": token})).await.problem(), (409, "conflict"));
}

#[tokio::test]
async fn without_mail_an_address_stays() {
    let gate = Gate::new().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    let change = json!({"email": "new@example.com", "current_password": PASSWORD});
    assert_eq!(patch(&gate, &access, change).await.problem(), (403, "forbidden"));
    assert_eq!(patch(&gate, &access, json!({"email": "ann@example.com"})).await.status, 200);
}

#[tokio::test]
async fn an_account_that_is_put_back_as_it_was_got_changes_nothing_confirmed_or_not() {
    for with_mail in [false, true] {
        let gate = Gate::with(|config| if with_mail { open(config) } else { config.accounts.registration = true }).await;
        let id = gate.user("ann", &[], "").await.id;
        let unconfirmed = UserChange { email: Some(Some(("ann@example.com".to_owned(), false))), ..UserChange::default() };
        let now = gate.clock.now();
        gate.store.real.change_user(id, unconfirmed, now, now).await.expect("changed");
        let access = gate.login("ann").await.access;
        let me = gate.me(&access).await.json;
        assert_eq!((&me["email"], &me["email_verified"]), (&json!("ann@example.com"), &json!(false)));
        let put = send(&gate, Method::PUT, "/auth/me", &access, &me).await;
        assert_eq!((put.status.as_u16(), &put.json), (200, &me), "{with_mail}");
        // With the password it asks for another mail, where there is any.
        let again = patch(&gate, &access, json!({"email": "ann@example.com", "current_password": PASSWORD})).await;
        assert_eq!((again.status.as_u16(), &again.json), (200, &me), "{with_mail}");
        if with_mail {
            let token = gate.letters.token(0).await;
            assert_eq!(gate.post("/auth/email/confirm", json!({"token": token})).await.status, 204);
            assert_eq!(gate.me(&access).await.json["email_verified"], true);
        }
        assert_eq!(gate.letters.all().len(), usize::from(with_mail));
    }
}

#[tokio::test]
async fn an_address_of_ones_own_is_no_password() {
    let gate = Gate::open().await;
    let body = json!({"username": "ann", "email": "ann.person@example.com", "password": "ANN.person@example.com"});
    assert_eq!(field(&gate.post("/auth/register", body).await), "password");
    let long = NewUser {
        username: "bob".to_owned(),
        email: Some("bob.person@example.com".to_owned()),
        password: Some(PASSWORD.to_owned().into()),
        ..NewUser::default()
    };
    gate.admin.create_user(long).await.expect("a user");
    let access = gate.login("bob").await.access;
    assert_eq!(field(&change_password(&gate, &access, PASSWORD, "Bob.person@example.com").await), "new_password");
    gate.post("/auth/password/reset", json!({"email": "bob.person@example.com"})).await;
    let token = gate.letters.token(0).await;
    assert_eq!(field(&reset(&gate, &token, "bob.person@EXAMPLE.com").await), "new_password");
}

/// Runs `asked` with a check of the current password that ends when the password has been reset by mail.
async fn while_the_password_is_reset(gate: &Gate, asked: impl Future<Output = Answer>) -> Answer {
    gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
    let token = gate.letters.token(0).await;
    let (door, before) = (gate.passwords.door.write().await, gate.passwords.checks.load(Ordering::SeqCst));
    let reset = async {
        while gate.passwords.checks.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        assert_eq!(reset(gate, &token, NEW).await.status, 204);
        drop(door);
    };
    tokio::join!(asked, reset).0
}

#[tokio::test]
async fn who_knew_the_old_password_sets_none_over_one_that_was_set_by_mail_meanwhile() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    let thief = change_password(&gate, &access, PASSWORD, "what a thief would like");
    assert_eq!(while_the_password_is_reset(&gate, thief).await.problem(), (503, "unavailable"));
    assert_eq!(login(&gate, "ann", "what a thief would like").await.status, 401);
    assert_eq!(login(&gate, "ann", NEW).await.status, 200);
}

#[tokio::test]
async fn who_knew_the_old_password_gets_no_link_for_another_address_once_it_was_reset() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    let asked = json!({"full_name": "A Thief", "email": "thief@example.com", "current_password": PASSWORD});
    let thief = patch(&gate, &access, asked);
    while_the_password_is_reset(&gate, thief).await;
    let access = login(&gate, "ann", NEW).await.tokens().access;
    assert_eq!(patch(&gate, &access, json!({"email": "ann2@example.com", "current_password": NEW})).await.status, 200);
    let expected = [Kind::Reset, Kind::PasswordChanged, Kind::Confirm];
    gate.letters.letter(expected.len() - 1).await;
    let letters = gate.letters.all();
    assert_eq!(letters.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), expected);
    assert_eq!(letters.last().map(|(_, to)| to.as_str()), Some("ann2@example.com"));
}

#[tokio::test]
async fn changes_need_the_scope_for_ones_account() {
    let gate = Gate::open().await;
    gate.user("ann", &["user"], "").await;
    let narrowed = gate.post("/auth/login", json!({"username": "ann", "password": PASSWORD, "scope": "items:read"})).await;
    let access = narrowed.tokens().access;
    assert_eq!(patch(&gate, &access, json!({})).await.problem(), (403, "insufficient_scope"));
    assert_eq!(change_password(&gate, &access, PASSWORD, NEW).await.problem(), (403, "insufficient_scope"));
    let key = gate.key("ann", "items:read").await;
    let request = Request::patch("/auth/me").header("x-api-key", key).header("content-type", "application/json");
    let answer = gate.send(request.body(Body::from("{}")).expect("a request")).await;
    assert_eq!(answer.problem(), (403, "insufficient_scope"));
}

#[tokio::test]
async fn a_new_password_ends_other_sessions_and_the_own_goes_on_by_a_refresh() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let (own, other) = (gate.login("ann").await, gate.login("ann").await);
    let changed = change_password(&gate, &own.access, PASSWORD, NEW).await;
    assert_eq!((changed.status.as_u16(), changed.body.as_str()), (204, ""));
    assert_eq!(gate.me(&own.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.me(&other.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&other.refresh).await.problem(), (401, "invalid_token"));
    let fresh = gate.refresh(&own.refresh).await.tokens();
    assert_eq!(gate.me(&fresh.access).await.status, 200);
    assert_eq!(login(&gate, "ann", PASSWORD).await.status, 401);
    assert_eq!(login(&gate, "ann", NEW).await.status, 200);
    let told = gate.letters.letter(0).await;
    assert_eq!((told.kind, told.to.as_str()), (Kind::PasswordChanged, "ann@example.com"));
}

#[tokio::test]
async fn a_new_password_keeps_the_rules_and_is_another() {
    let gate = Gate::new().await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    for new in ["short", "aaaaaaaaaaaaaaaaaaaa", PASSWORD] {
        assert_eq!(field(&change_password(&gate, &access, PASSWORD, new).await), "new_password", "{new}");
    }
    assert_eq!(gate.me(&access).await.status, 200);
}

#[tokio::test]
async fn guessing_the_current_password_counts_as_guessing_at_the_login() {
    let three = |config: &mut portcullis::config::Config| {
        config.login.account_rate_limit = Rate { count: 3, period: std::time::Duration::from_mins(15) };
    };
    let gate = Gate::with(three).await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    for _ in 0..3 {
        assert_eq!(change_password(&gate, &access, "a wrong guess", NEW).await.problem(), (401, "invalid_credentials"));
    }
    assert_eq!(change_password(&gate, &access, PASSWORD, NEW).await.problem(), (429, "rate_limited"));
    assert_eq!(login(&gate, "ann", PASSWORD).await.problem(), (429, "rate_limited"));
    let limited = |config: &mut portcullis::config::Config| {
        config.login.rate_limit = Rate { count: 2, period: std::time::Duration::from_mins(1) };
    };
    let gate = Gate::with(limited).await;
    gate.user("ann", &[], "").await;
    let access = gate.login("ann").await.access;
    assert_eq!(change_password(&gate, &access, "a wrong guess", NEW).await.problem(), (401, "invalid_credentials"));
    assert_eq!(change_password(&gate, &access, PASSWORD, NEW).await.problem(), (429, "rate_limited"));
}

#[tokio::test]
async fn a_reset_is_answered_alike_whoever_there_is() {
    let gate = Gate::open().await;
    for name in ["ann", "gone"] {
        gate.user(name, &[], "").await;
    }
    gate.admin.set_disabled("gone", true).await.expect("disabled");
    let service = NewUser {
        username: "robot".to_owned(),
        email: Some("robot@example.com".to_owned()),
        service: true,
        ..Default::default()
    };
    gate.admin.create_user(service).await.expect("a service account");
    let mut answers = Vec::new();
    for email in ["gone@example.com", "robot@example.com", "nobody@example.com", "nonsense", "ann", "Ann@Example.com"] {
        let answer = gate.post("/auth/password/reset", json!({"email": email})).await;
        answers.push((answer.status.as_u16(), answer.body.clone(), format!("{:?}", answer.headers)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().map(|(status, body, _)| (*status, body.as_str())), Some((202, "")));
    gate.letters.letter(0).await;
    // What comes of each is written down before it is mailed.
    let came_of = |events: Vec<AuditEvent>| {
        let mut came: Vec<_> =
            events.into_iter().filter(|event| event.kind == AuditKind::ResetAsked).map(|event| event.detail).collect();
        came.sort();
        came.into_iter().flatten().collect::<Vec<_>>()
    };
    while came_of(gate.audit().await).len() < 6 {
        tokio::task::yield_now().await;
    }
    let unknown = "unknown address";
    let expected = ["a link was mailed", "disabled account", "service account", unknown, unknown, unknown];
    assert_eq!(came_of(gate.audit().await), expected);
    assert_eq!(gate.letters.all(), [(Kind::Reset, "ann@example.com".to_owned())]);
    assert_eq!(gate.passwords.checks.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_address_that_nobody_confirmed_resets_nothing() {
    let gate = Gate::open().await;
    register(&gate, "ann", "ann@example.com").await;
    gate.letters.letter(0).await;
    assert_eq!(gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await.status, 202);
    let asked = |events: Vec<AuditEvent>| events.iter().any(|event| event.kind == AuditKind::ResetAsked);
    while !asked(gate.audit().await) {
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.letters.all().len(), 1);
}

#[tokio::test]
async fn a_mailed_link_sets_a_password_once_and_ends_all_sessions() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let before = gate.login("ann").await;
    gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
    let token = gate.letters.token(0).await;
    assert_eq!(field(&reset(&gate, &token, "short").await), "new_password");
    assert_eq!(field(&reset(&gate, "ptm_nonsense", NEW).await), "token");
    assert_eq!(reset(&gate, &token, NEW).await.status, 204);
    assert_eq!(field(&reset(&gate, &token, "yet another long passphrase").await), "token");
    assert_eq!(gate.me(&before.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&before.refresh).await.problem(), (401, "invalid_token"));
    assert_eq!(login(&gate, "ann", PASSWORD).await.status, 401);
    assert_eq!(login(&gate, "ann", NEW).await.status, 200);
    assert_eq!(gate.letters.letter(1).await.kind, Kind::PasswordChanged);
}

#[tokio::test]
async fn a_link_ends_after_half_an_hour_and_with_what_makes_it_stale() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    let mut letters = 0;
    for stale in ["time", "another link", "a new password", "disabled"] {
        gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
        let token = gate.letters.token(letters).await;
        letters += 1;
        match stale {
            "time" => gate.clock.advance(std::time::Duration::from_mins(30)),
            "another link" => {
                gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
                gate.letters.token(letters).await;
                letters += 1;
            }
            "a new password" => drop(gate.admin.set_password("ann", NEW.to_owned().into()).await.expect("set")),
            _ => drop(gate.admin.set_disabled("ann", true).await.expect("disabled")),
        }
        assert_eq!(field(&reset(&gate, &token, "yet another long passphrase").await), "token", "{stale}");
    }
}

#[tokio::test]
async fn of_two_that_use_a_link_at_once_one_does() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
    let token = gate.letters.token(0).await;
    let (one, two) = tokio::join!(reset(&gate, &token, NEW), reset(&gate, &token, "yet another long passphrase"));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422]);
}

#[tokio::test]
async fn a_store_that_is_down_and_mails_without_room_are_503_for_everybody() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    gate.letters.full.store(true, Ordering::SeqCst);
    for email in ["ann@example.com", "nobody@example.com"] {
        assert_eq!(gate.post("/auth/password/reset", json!({"email": email})).await.problem(), (503, "unavailable"));
    }
    assert_eq!(register(&gate, "bob", "bob@example.com").await.problem(), (503, "unavailable"));
    gate.letters.full.store(false, Ordering::SeqCst);
    gate.store.down.store(true, Ordering::SeqCst);
    for email in ["ann@example.com", "nobody@example.com"] {
        assert_eq!(gate.post("/auth/password/reset", json!({"email": email})).await.problem(), (503, "unavailable"));
    }
}

#[tokio::test]
async fn the_pages_hold_the_secret_no_script_and_use_nothing_up() {
    let gate = Gate::open().await;
    gate.user("ann", &[], "").await;
    gate.post("/auth/password/reset", json!({"email": "ann@example.com"})).await;
    let token = gate.letters.token(0).await;
    let path = format!("/auth/password/reset/confirm?token={token}");
    for _ in 0..2 {
        let page = gate.send(Request::get(&path).body(Body::empty()).expect("a request")).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("no-referrer", "no-store"));
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(page.body.contains(&format!("value=\"{token}\"")) && !page.body.contains("<script"), "{}", page.body);
    }
    let press = |password: &str| {
        Request::post("/auth/password/reset/confirm")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html,*/*;q=0.8")
            .body(Body::from(format!("token={token}&new_password={}", password.replace(' ', "+"))))
            .expect("a request")
    };
    let weak = gate.send(press("short")).await;
    assert_eq!((weak.status.as_u16(), weak.header("content-type")), (422, "text/html; charset=utf-8"));
    assert!(weak.body.contains("15 characters at least") && weak.body.contains(&token), "{}", weak.body);
    let done = gate.send(press(NEW)).await;
    assert_eq!((done.status.as_u16(), done.header("content-type")), (200, "text/html; charset=utf-8"));
    let again = gate.send(press(NEW)).await;
    assert_eq!(again.status, 422);
    assert!(again.body.contains("has been used or has expired"), "{}", again.body);
}
