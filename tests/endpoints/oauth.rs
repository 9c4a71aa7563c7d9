//! OAuth 2 at the endpoints: who gets tokens, how refusals look, and what ends and is told of tokens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::accounts::admin::NewClient;
use portcullis::config::{PasswordGrant, Rate};
use portcullis::domain::{ClientId, Clock, Grant};
use portcullis::store::{Clients, Sessions, UserChange, Users};
use serde_json::{Value, json};

use crate::gate::{Answer, Gate, PASSWORD};

/// A client that was made.
struct Made {
    id: ClientId,
    secret: String,
}

impl Made {
    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }
}

async fn client(gate: &Gate, name: &str, grants: &[Grant], scopes: &str) -> Made {
    let scopes = Some(scopes.parse().expect("scopes"));
    let new = NewClient { name: name.to_owned(), grants: Some(grants.to_vec()), scopes, ..NewClient::default() };
    let made = gate.admin.create_client(new).await.expect("a client");
    Made { id: made.record.id, secret: made.secret.expect("a secret").expose().to_owned() }
}

async fn public(gate: &Gate, name: &str) -> ClientId {
    let new = NewClient { name: name.to_owned(), public: true, ..NewClient::default() };
    gate.admin.create_client(new).await.expect("a client").record.id
}

async fn form(gate: &Gate, path: &str, authorization: Option<&str>, body: &str) -> Answer {
    let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    gate.send(request.body(Body::from(body.to_owned())).expect("a request")).await
}

/// Status and error, where it is the object that RFC 6749 §5.2 wants, and nothing else.
#[track_caller]
fn refused(answer: &Answer) -> (u16, &str) {
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"), "{answer:?}");
    assert_eq!(answer.json.as_object().map(serde_json::Map::len), Some(2), "{answer:?}");
    assert_eq!(answer.status == 401, answer.header("www-authenticate").starts_with("Basic realm="), "{answer:?}");
    (answer.status.as_u16(), answer.json["error"].as_str().expect("an error"))
}

#[tokio::test]
async fn a_password_gives_tokens_that_a_refresh_trades_on() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    let answer = form(&gate, "/auth/token", None, &format!("{password}&scope=orders:read")).await;
    let tokens = answer.tokens();
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert_eq!((tokens.claims()["client_id"].as_str(), tokens.scope.as_str()), (Some("portcullis"), "orders:read"));
    let refresh = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    let again = form(&gate, "/auth/token", None, &refresh).await.tokens();
    assert_eq!(again.scope, "orders:read");
    // It is a login like any other.
    assert_eq!(gate.refresh(&again.refresh).await.status, 200);
}

#[tokio::test]
async fn a_client_in_a_users_name_gets_no_more_than_both_may() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    let app = client(&gate, "app", &[Grant::Password, Grant::RefreshToken], "orders:read items").await;
    let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    let tokens = form(&gate, "/auth/token", Some(&app.basic()), &password).await.tokens();
    assert_eq!(tokens.scope, "items:read orders:read", "portcullis:account is the client's only where it is named");
    assert_eq!(tokens.claims()["client_id"], app.id.to_string());
    let asked = form(&gate, "/auth/token", Some(&app.basic()), &format!("{password}&scope=orders")).await.tokens();
    assert_eq!(asked.scope, "orders:read", "what is asked is cut to the client's, too");
    let narrow = format!("grant_type=refresh_token&refresh_token={}&scope=items", tokens.refresh);
    let narrowed = form(&gate, "/auth/token", Some(&app.basic()), &narrow).await.tokens();
    assert_eq!(narrowed.scope, "items:read");
    let wide = format!("grant_type=refresh_token&refresh_token={}", narrowed.refresh);
    let widened = form(&gate, "/auth/token", Some(&app.basic()), &wide).await.tokens();
    assert_eq!(widened.scope, "items:read orders:read", "a narrowed token does not narrow the session (RFC 6749 §6)");
    for more in ["payroll", "orders:write", "portcullis:account"] {
        let nothing = format!("grant_type=refresh_token&refresh_token={}&scope={more}", widened.refresh);
        let answer = form(&gate, "/auth/token", Some(&app.basic()), &nothing).await;
        assert_eq!(refused(&answer), (400, "invalid_scope"), "{more}: held or not, the session was not granted it");
    }
    let wide = format!("grant_type=refresh_token&refresh_token={}", widened.refresh);
    assert_eq!(form(&gate, "/auth/token", Some(&app.basic()), &wide).await.status, 200, "that used nothing up");
}

#[tokio::test]
async fn a_refresh_token_works_for_its_own_client_only_and_a_strangers_try_changes_nothing() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let grants = [Grant::Password, Grant::RefreshToken];
    let (app, other) = (client(&gate, "app", &grants, "orders").await, client(&gate, "other", &grants, "orders").await);
    let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    let of_app = form(&gate, "/auth/token", Some(&app.basic()), &password).await.tokens().refresh;
    let of_login = gate.login("alice").await.refresh;
    let refresh = |token: &str| format!("grant_type=refresh_token&refresh_token={token}");
    for _ in 0..2 {
        for (who, token) in [(Some(other.basic()), &of_app), (None, &of_app), (Some(app.basic()), &of_login)] {
            let answer = form(&gate, "/auth/token", who.as_deref(), &refresh(token)).await;
            assert_eq!(refused(&answer), (400, "invalid_grant"));
        }
        assert_eq!(gate.refresh(&of_app).await.problem(), (401, "invalid_token"));
    }
    assert_eq!(form(&gate, "/auth/token", Some(&app.basic()), &refresh(&of_app)).await.status, 200);
    assert_eq!(gate.refresh(&of_login).await.status, 200);
}

#[tokio::test]
async fn an_old_refresh_token_ends_its_session_whatever_scope_is_asked_with_it() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let first = gate.login("alice").await;
    let second = gate.refresh(&first.refresh).await.tokens();
    let ask = |token: &str| format!("grant_type=refresh_token&refresh_token={token}&scope=payroll");
    assert_eq!(refused(&form(&gate, "/auth/token", None, &ask(&second.refresh)).await), (400, "invalid_scope"));
    gate.clock.advance(Duration::from_secs(10));
    assert_eq!(refused(&form(&gate, "/auth/token", None, &ask(&first.refresh)).await), (400, "invalid_grant"));
    assert_eq!(gate.me(&second.access).await.problem(), (401, "invalid_token"), "the session is dead");
    assert_eq!(refused(&form(&gate, "/auth/token", None, &ask(&second.refresh)).await), (400, "invalid_grant"));
}

#[tokio::test]
async fn a_client_as_itself_is_no_user() {
    let gate = Gate::new().await;
    let batch = client(&gate, "batch", &[Grant::ClientCredentials], "orders portcullis:account").await;
    let body = format!("grant_type=client_credentials&client_id={}&client_secret={}", batch.id, batch.secret);
    let answer = form(&gate, "/auth/token", None, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json["refresh_token"].is_null() && answer.json["token_type"] == "Bearer", "{answer:?}");
    assert_eq!(answer.json["scope"], "orders portcullis:account");
    let access = answer.json["access_token"].as_str().expect("a token");
    assert_eq!(gate.me(access).await.problem(), (403, "forbidden"));
    let told = form(&gate, "/auth/introspect", Some(&batch.basic()), &format!("token={access}")).await.json;
    let id = batch.id.to_string();
    assert_eq!((&told["active"], &told["sub"], &told["client_id"]), (&json!(true), &json!(id), &json!(id)));
    assert!(told["username"].is_null(), "{told}");
    let narrow = form(&gate, "/auth/token", None, &format!("{body}&scope=orders:read")).await;
    assert_eq!(narrow.json["scope"], "orders:read");
    assert_eq!(refused(&form(&gate, "/auth/token", None, &format!("{body}&scope=payroll")).await), (400, "invalid_scope"));
    gate.admin.delete_client(batch.id).await.expect("deleted");
    assert_eq!(gate.me(access).await.problem(), (401, "invalid_token"), "dead at once");
    assert_eq!(refused(&form(&gate, "/auth/token", None, &body).await), (401, "invalid_client"));
}

#[tokio::test]
async fn a_client_that_is_deleted_while_a_password_is_checked_gets_no_session() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let app = client(&gate, "app", &[Grant::Password], "orders").await;
    let (basic, password) = (app.basic(), format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+")));
    let door = gate.passwords.door.write().await;
    let deleted = async {
        while gate.passwords.checks.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        gate.admin.delete_client(app.id).await.expect("deleted");
        drop(door);
    };
    let (answer, ()) = tokio::join!(form(&gate, "/auth/token", Some(&basic), &password), deleted);
    assert_eq!(refused(&answer), (401, "invalid_client"));
    assert!(gate.admin.sessions(Some("alice")).await.expect("sessions").is_empty());
}

#[tokio::test]
async fn refusals_are_in_the_words_of_the_rfc() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let batch = client(&gate, "batch", &[Grant::ClientCredentials], "orders").await;
    let open = public(&gate, "spa").await;
    let (basic, unknown) = (batch.basic(), format!("Basic {}", STANDARD.encode(format!("{open}0:x"))));
    let wrong = format!("Basic {}", STANDARD.encode(format!("{}:pts_wrong", batch.id)));
    let body = format!("client_id={}&client_secret={}", batch.id, batch.secret);
    let password = "grant_type=password&username=alice&password=x";
    let cases: Vec<(Option<&str>, String, u16, &str)> = vec![
        (None, String::new(), 400, "invalid_request"),
        (None, "grant_type=".into(), 400, "invalid_request"),
        (None, "grant_type=authorization_code&code=x".into(), 400, "unsupported_grant_type"),
        (None, "grant_type=implicit".into(), 400, "unsupported_grant_type"),
        (None, "grant_type=password&username=alice".into(), 400, "invalid_request"),
        (None, "grant_type=refresh_token".into(), 400, "invalid_request"),
        (None, format!("{password}&username=bob"), 400, "invalid_request"),
        (None, format!("{password}&x=1&x=2"), 400, "invalid_request"),
        (None, password.into(), 400, "invalid_grant"),
        (None, format!("{password}&client_id=portcullis&client_secret=x"), 401, "invalid_client"),
        (None, "grant_type=refresh_token&refresh_token=ptr_x".into(), 400, "invalid_grant"),
        (None, format!("{password}&scope=%22"), 400, "invalid_scope"),
        (None, "grant_type=client_credentials".into(), 401, "invalid_client"),
        (Some(&unknown), "grant_type=client_credentials".into(), 401, "invalid_client"),
        (Some(&wrong), "grant_type=client_credentials".into(), 401, "invalid_client"),
        (Some("Bearer x"), "grant_type=client_credentials".into(), 401, "invalid_client"),
        (None, format!("grant_type=client_credentials&client_id={}", batch.id), 401, "invalid_client"),
        (None, format!("grant_type=client_credentials&client_id={open}&client_secret=x"), 401, "invalid_client"),
        (None, format!("grant_type=client_credentials&client_id={open}"), 400, "unauthorized_client"),
        (Some(&basic), password.into(), 400, "unauthorized_client"),
        (Some(&basic), "grant_type=refresh_token&refresh_token=ptr_x".into(), 400, "unauthorized_client"),
        (Some(&basic), format!("grant_type=client_credentials&{body}"), 400, "invalid_request"),
        (Some(&basic), format!("grant_type=client_credentials&client_id={open}"), 400, "invalid_request"),
        (None, format!("grant_type={}", "x".repeat(17_000)), 413, "invalid_request"),
    ];
    for (authorization, body, status, error) in cases {
        let answer = form(&gate, "/auth/token", authorization, &body).await;
        assert_eq!(refused(&answer), (status, error), "{authorization:?} {body:.200}");
    }
    assert_eq!(refused(&gate.post("/auth/token", json!({ "grant_type": "password" })).await), (415, "invalid_request"));
    let twice = form(&gate, "/auth/token", None, "grant_type=password&x=1&x=2").await;
    assert_eq!(twice.json["error_description"], "`x` comes twice.");
}

#[tokio::test]
async fn who_may_use_passwords_is_the_operators_choice_and_logging_in_stays() {
    for (who, alone, as_client) in
        [(PasswordGrant::Open, 200, 200), (PasswordGrant::Clients, 401, 200), (PasswordGrant::Off, 400, 400)]
    {
        let gate = Gate::with(|config| config.auth.password_grant = who).await;
        gate.user("alice", &[], "orders").await;
        let app = client(&gate, "app", &[Grant::Password], "orders").await;
        let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
        assert_eq!(form(&gate, "/auth/token", None, &password).await.status, alone, "{who:?}");
        let answer = form(&gate, "/auth/token", Some(&app.basic()), &password).await;
        assert_eq!(answer.status, as_client, "{who:?}");
        assert!(answer.json["refresh_token"].is_null(), "this client may not refresh");
        let empty = form(&gate, "/auth/token", None, "grant_type=password").await;
        let error = if who == PasswordGrant::Off { "unsupported_grant_type" } else { "invalid_request" };
        assert_eq!(refused(&empty), (400, error), "{who:?}");
        gate.login("alice").await;
        let document: Value = gate.send(get("/.well-known/oauth-authorization-server")).await.json;
        let offered = document["grant_types_supported"].as_array().expect("grants").contains(&json!("password"));
        assert_eq!(offered, who != PasswordGrant::Off);
    }
}

#[tokio::test]
async fn failures_to_be_a_client_are_limited_by_address_and_success_is_not() {
    let gate = Gate::with(|config| config.login.rate_limit = Rate { count: 3, period: Duration::from_mins(1) }).await;
    let batch = client(&gate, "batch", &[Grant::ClientCredentials], "orders").await;
    let grant = "grant_type=client_credentials";
    for _ in 0..10 {
        assert_eq!(form(&gate, "/auth/token", Some(&batch.basic()), grant).await.status, 200);
    }
    let wrong = format!("Basic {}", STANDARD.encode(format!("{}:x", batch.id)));
    for _ in 0..3 {
        assert_eq!(refused(&form(&gate, "/auth/token", Some(&wrong), grant).await), (401, "invalid_client"));
    }
    let answer = form(&gate, "/auth/token", Some(&wrong), grant).await;
    assert_eq!(refused(&answer), (429, "temporarily_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    for path in ["/auth/revoke", "/auth/introspect"] {
        assert_eq!(
            form(&gate, path, Some(&batch.basic()), "token=x").await.status,
            429,
            "{path}: from there not even the right one"
        );
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_said_with_when_to_come_back_and_nothing_was_done() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let app = client(&gate, "app", &[Grant::Password, Grant::RefreshToken, Grant::ClientCredentials], "orders").await;
    let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    let tokens = form(&gate, "/auth/token", Some(&app.basic()), &password).await.tokens();
    let (refresh, token) =
        (format!("grant_type=refresh_token&refresh_token={}", tokens.refresh), format!("token={}", tokens.access));
    gate.store.down.store(true, Ordering::SeqCst);
    for (path, client, body) in [
        ("/auth/token", Some(app.basic()), password.as_str()),
        ("/auth/token", None, &password),
        ("/auth/token", None, &refresh),
        ("/auth/token", Some(app.basic()), &refresh),
        ("/auth/token", Some(app.basic()), "grant_type=client_credentials"),
        ("/auth/revoke", Some(app.basic()), &token),
        ("/auth/introspect", Some(app.basic()), &token),
    ] {
        let answer = form(&gate, path, client.as_deref(), body).await;
        assert_eq!(refused(&answer), (503, "temporarily_unavailable"), "{path} {body:.30}");
        assert_eq!(answer.header("retry-after"), "1", "{path}");
        assert!(!answer.body.contains("plug"), "the store's words stay inside: {answer:?}");
    }
    gate.store.down.store(false, Ordering::SeqCst);
    assert_eq!(gate.me(&tokens.access).await.status, 200);
    assert_eq!(form(&gate, "/auth/token", Some(&app.basic()), &refresh).await.status, 200);
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens_and_no_others() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    let grants = [Grant::Password, Grant::RefreshToken];
    let (app, other) = (client(&gate, "app", &grants, "*").await, client(&gate, "other", &grants, "*").await);
    let password = format!("grant_type=password&username=alice&password={}", PASSWORD.replace(' ', "+"));
    let tokens = form(&gate, "/auth/token", Some(&app.basic()), &password).await.tokens();
    for token in [&tokens.access, &tokens.refresh] {
        let answer = form(&gate, "/auth/revoke", Some(&other.basic()), &format!("token={token}")).await;
        assert_eq!(refused(&answer), (400, "invalid_grant"));
        assert_eq!(refused(&form(&gate, "/auth/revoke", None, &format!("token={token}")).await), (401, "invalid_client"));
    }
    assert_eq!(gate.me(&tokens.access).await.status, 200);
    let own = format!("token={}&token_type_hint=refresh_token", tokens.access);
    assert_eq!(form(&gate, "/auth/revoke", Some(&app.basic()), &own).await.status, 200, "a wrong hint does no harm");
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    let refresh = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
    let next = form(&gate, "/auth/token", Some(&app.basic()), &refresh).await.tokens();
    let own = format!("token={}&token_type_hint=nonsense", next.refresh);
    for _ in 0..2 {
        assert_eq!(form(&gate, "/auth/revoke", Some(&app.basic()), &own).await.status, 200);
    }
    assert_eq!(gate.me(&next.access).await.problem(), (401, "invalid_token"), "its access tokens die with it");
    assert_eq!(form(&gate, "/auth/revoke", Some(&app.basic()), "token=nothing").await.status, 200);
    assert_eq!(refused(&form(&gate, "/auth/revoke", Some(&app.basic()), "").await), (400, "invalid_request"));

    let login = gate.login("alice").await;
    let named = format!("client_id=portcullis&token={}", login.refresh);
    assert_eq!(form(&gate, "/auth/revoke", None, &named).await.status, 200);
    assert_eq!(gate.me(&login.access).await.problem(), (401, "invalid_token"));
}

#[tokio::test]
async fn introspection_tells_clients_with_a_secret_and_nothing_of_what_is_not_good() {
    let gate = Gate::new().await;
    let user = gate.user("alice", &[], "orders").await;
    let app = client(&gate, "app", &[Grant::ClientCredentials], "").await;
    let ask = async |token: &str| form(&gate, "/auth/introspect", Some(&app.basic()), &format!("token={token}")).await.json;
    let (tokens, later) = (gate.login("alice").await, gate.login("alice").await);
    let claims = tokens.claims();
    let expected = json!({
        "active": true, "scope": "orders portcullis:account", "client_id": "portcullis", "username": "alice",
        "token_type": "Bearer", "exp": claims["exp"], "iat": claims["iat"], "sub": user.id, "aud": "portcullis",
        "iss": "http://127.0.0.1:8080", "jti": claims["jti"],
    });
    assert_eq!(ask(&tokens.access).await, expected);
    assert_eq!(gate.logout(&tokens.access).await.status, 204);
    let inactive = json!({ "active": false });
    for token in [tokens.access.as_str(), "nothing", &tokens.refresh, &format!("{}x", later.access)] {
        assert_eq!(ask(token).await, inactive, "{token}");
    }
    assert_eq!(ask(&later.access).await["active"], true);
    gate.revocations.unknown.store(true, Ordering::SeqCst);
    let answer = form(&gate, "/auth/introspect", Some(&app.basic()), &format!("token={}", later.access)).await;
    assert_eq!(refused(&answer), (503, "temporarily_unavailable"), "nobody can say, and nobody does");
    gate.revocations.unknown.store(false, Ordering::SeqCst);
    gate.admin.set_disabled("alice", true).await.expect("disabled");
    assert_eq!(ask(&later.access).await, inactive);

    let open = public(&gate, "spa").await;
    for body in [format!("token=x&client_id={open}"), "token=x".to_owned(), "token=x&client_id=portcullis".to_owned()] {
        assert_eq!(refused(&form(&gate, "/auth/introspect", None, &body).await), (401, "invalid_client"), "{body}");
    }
}

#[tokio::test]
async fn introspection_knows_what_the_list_has_not_heard_of_yet() {
    let gate = Gate::new().await;
    let (alice, bob) = (gate.user("alice", &[], "orders").await, gate.user("bob", &[], "orders").await);
    let (api, batch) = (
        client(&gate, "api", &[Grant::ClientCredentials], "").await,
        client(&gate, "batch", &[Grant::ClientCredentials], "orders").await,
    );
    let active = async |token: &str| {
        let answer = form(&gate, "/auth/introspect", Some(&api.basic()), &format!("token={token}")).await;
        answer.json["active"].as_bool().expect("active or not")
    };
    let (ended, changed) = (gate.login("alice").await, gate.login("bob").await);
    let own = form(&gate, "/auth/token", Some(&batch.basic()), "grant_type=client_credentials").await;
    let own = own.json["access_token"].as_str().expect("a token").to_owned();
    assert!(active(&ended.access).await && active(&changed.access).await && active(&own).await);
    // Each in the store only, as another replica would have done it a moment ago.
    let (now, until) = (gate.clock.now(), gate.clock.now().plus(Duration::from_hours(1)));
    gate.store.end_sessions(alice.id, None, now, until).await.expect("ended");
    let roles = UserChange { roles: Some(vec!["user".to_owned()]), ..UserChange::default() };
    gate.store.change_user(bob.id, roles, now, until).await.expect("changed");
    gate.store.delete_client(batch.id, now, until).await.expect("deleted");
    for (token, what) in [(&ended.access, "a session"), (&changed.access, "a generation"), (&own, "a client")] {
        assert!(!active(token).await, "{what}");
    }
}

#[tokio::test]
async fn the_metadata_says_what_works() {
    let gate = Gate::with(|config| config.auth.prefix = "/deep/auth".to_owned()).await;
    let document = gate.send(get("/.well-known/oauth-authorization-server")).await.json;
    assert_eq!(gate.send(get("/.well-known/openid-configuration")).await.json, document);
    assert_eq!(document["issuer"], "http://127.0.0.1:8080");
    for (name, path) in [("token", "token"), ("revocation", "revoke"), ("introspection", "introspect")] {
        let url = document[format!("{name}_endpoint")].as_str().expect("a URL").to_owned();
        assert_eq!(url, format!("http://127.0.0.1:8080/deep/auth/{path}"));
        let answer = form(&gate, url.trim_start_matches("http://127.0.0.1:8080"), None, "").await;
        assert_eq!(refused(&answer).0, 400, "{name}");
    }
    assert!(document["authorization_endpoint"].is_null());
    let grants = document["grant_types_supported"].as_array().expect("grants");
    for grant in grants {
        let answer = form(&gate, "/deep/auth/token", None, &format!("grant_type={}", grant.as_str().expect("text"))).await;
        assert_ne!(refused(&answer).1, "unsupported_grant_type", "{grant}");
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}
