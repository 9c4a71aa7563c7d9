//! What the command line does to accounts, and what running gateways make of it.

use std::time::Duration;

use portcullis::accounts::admin::{AdminError, NewKey, NewUser};
use portcullis::domain::{AuditKind, Clock};
use portcullis::store::RevocationLog;
use serde_json::{Map, json};

use crate::gate::{Gate, PASSWORD};

fn new(username: &str) -> NewUser {
    NewUser { username: username.to_owned(), password: Some(PASSWORD.to_owned().into()), ..NewUser::default() }
}

#[tokio::test]
async fn an_account_is_judged_before_it_is_made() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let mut told = Vec::new();
    for user in [
        new("no spaces"),
        NewUser { email: Some("nowhere".to_owned()), ..new("bob") },
        NewUser { roles: Some(vec!["usr".to_owned()]), ..new("bob") },
        NewUser { password: Some("short".to_owned().into()), ..new("bob") },
        NewUser { password: None, ..new("bob") },
        NewUser { service: true, ..new("bob") },
        new("ALICE"),
        new("alice@example.com"),
        NewUser { email: Some("ALICE@EXAMPLE.COM".to_owned()), ..new("bob") },
    ] {
        let error = gate.admin.create_user(user).await.expect_err("refused");
        assert!(!error.is_outage());
        told.push(error.to_string());
    }
    insta::assert_snapshot!(told.join("\n"), @"
    `no spaces` is no username: use 1 to 64 of the letters a-z, digits and . _ - + @
    `nowhere` is no e-mail address: write it as name@example.com
    there is no role `usr` (did you mean `user`?): use admin, user, viewer, or declare it in [roles] of gateway.toml
    The password needs 15 characters at least. Choose another ([passwords] in gateway.toml has the rules).
    a password is needed, or --service for an account without one
    a service account has no password: leave one of the two away
    the username is taken: usernames and e-mail addresses share one namespace, choose another
    the username is taken: usernames and e-mail addresses share one namespace, choose another
    the email is taken: usernames and e-mail addresses share one namespace, choose another
    ");
    assert_eq!(gate.admin.users(None, 0, 10).await.expect("users").len(), 1);
}

#[tokio::test]
async fn an_account_without_roles_gets_the_default_one() {
    let gate = Gate::new().await;
    assert_eq!(gate.admin.create_user(new("bob")).await.expect("made").roles, ["viewer"]);
    let none = NewUser { roles: Some(Vec::new()), ..new("carol") };
    assert_eq!(gate.admin.create_user(none).await.expect("made").roles, [""; 0]);
}

#[tokio::test]
async fn every_change_of_rights_kills_access_tokens_and_spares_the_session() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "").await;
    let mut tokens = gate.login("alice").await;
    for change in ["roles", "scopes", "attributes"] {
        let user = match change {
            "roles" => gate.admin.set_roles("alice", &["viewer".to_owned()]).await,
            "scopes" => gate.admin.set_scopes("alice", "orders".parse().expect("scopes")).await,
            _ => gate.admin.set_attributes("alice", Map::from_iter([("tenant".to_owned(), json!("a"))])).await,
        };
        user.expect("changed");
        assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"), "{change}");
        tokens = gate.refresh(&tokens.refresh).await.tokens();
        assert_eq!(gate.me(&tokens.access).await.status, 200, "{change}");
    }
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_the_old_one() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let tokens = gate.login("alice").await;
    gate.admin.set_password("alice", "a wholly different one".to_owned().into()).await.expect("set");
    assert_eq!(gate.me(&tokens.access).await.problem(), (401, "invalid_token"));
    assert_eq!(gate.refresh(&tokens.refresh).await.problem(), (401, "invalid_token"));
    let old = gate.post("/auth/login", json!({"username": "alice", "password": PASSWORD})).await;
    assert_eq!(old.problem(), (401, "invalid_credentials"));
    let weak = gate.admin.set_password("alice", "alice".to_owned().into()).await.expect_err("refused");
    assert!(matches!(weak, AdminError::Invalid(_)));
}

#[tokio::test]
async fn sessions_are_ended_one_by_one_and_all_at_once() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "").await;
    let (one, two, three) = (gate.login("alice").await, gate.login("alice").await, gate.login("alice").await);
    let sid = one.claims()["sid"].as_str().expect("a sid").parse().expect("an id");
    gate.admin.end_session(sid).await.expect("ended");
    assert_eq!((gate.me(&one.access).await.status.as_u16(), gate.me(&two.access).await.status.as_u16()), (401, 200));
    gate.admin.end_sessions("alice").await.expect("ended");
    assert_eq!((gate.me(&two.access).await.status.as_u16(), gate.me(&three.access).await.status.as_u16()), (401, 401));
    assert!(gate.admin.sessions(None).await.expect("sessions").is_empty());
}

#[tokio::test]
async fn a_key_never_holds_more_than_its_owner() {
    let gate = Gate::new().await;
    gate.user("alice", &["user"], "orders").await;
    gate.user("root", &["admin"], "").await;
    let key = |owner: &str, scopes: Option<&str>| NewKey {
        owner: owner.to_owned(),
        name: "job".to_owned(),
        scopes: scopes.map(|scopes| scopes.parse().expect("scopes")),
        expires_in: Some(Duration::from_hours(24)),
        allow: vec!["192.0.2.7/24".to_owned()],
        rate_limit: None,
    };
    for (owner, scopes) in [("alice", "items"), ("alice", "*"), ("alice", "portcullis:admin"), ("alice", "orders reports")] {
        let error = gate.admin.create_key(key(owner, Some(scopes))).await.expect_err(scopes);
        assert!(error.to_string().contains("does not hold the scope"), "{error}");
    }
    for (owner, scopes, holds) in [
        ("alice", Some("orders:read"), "orders:read"),
        ("alice", Some("portcullis:account"), "portcullis:account"),
        ("alice", None, "items:read orders"),
        ("root", Some("* portcullis:admin"), "* portcullis:admin"),
        ("root", None, "* items:read"),
    ] {
        let made = gate.admin.create_key(key(owner, scopes)).await.expect("made");
        assert_eq!(made.record.scopes.to_string(), holds, "{owner} {scopes:?}");
        assert_eq!(made.record.allowed_cidrs, ["192.0.2.0/24"]);
        assert_eq!(made.record.expires_at, Some(gate.clock.now().plus(Duration::from_hours(24))));
        assert!(!format!("{made:?}").contains(made.key.expose()), "a key does not print");
    }
    assert_eq!(gate.admin.keys(Some("alice")).await.expect("keys").len(), 3);
}

#[tokio::test]
async fn a_key_is_remembered_as_revoked_for_as_long_as_it_may_be_cached() {
    let gate = Gate::with(|config| config.api_keys.cache_ttl = Duration::from_hours(2)).await;
    gate.user("alice", &[], "orders").await;
    gate.key("alice", "orders").await;
    let id = gate.admin.keys(None).await.expect("keys")[0].id.clone();
    gate.admin.revoke_key(&id).await.expect("revoked");
    let entries = gate.store.revocations_after(0, 10).await.expect("entries");
    assert_eq!(entries[0].until, gate.clock.now().plus(Duration::from_mins(121)));
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let gate = Gate::new().await;
    let error = gate.admin.set_disabled("nobody", true).await.expect_err("not there");
    assert_eq!(error.to_string(), "there is no user `nobody`: `portcullis user list` shows all");
    assert!(gate.admin.revoke_key(&"a".repeat(26).parse().expect("an id")).await.is_err());
}

#[tokio::test]
async fn changes_are_written_down_with_who_made_them() {
    let gate = Gate::new().await;
    gate.user("alice", &[], "orders").await;
    gate.key("alice", "orders").await;
    gate.admin.set_roles("alice", &["user".to_owned()]).await.expect("set");
    gate.admin.delete_user("alice").await.expect("deleted");
    let told: Vec<_> = gate.audit().await.into_iter().map(|event| (event.kind, event.actor)).collect();
    let cli = Some("cli".to_owned());
    let kinds = [AuditKind::UserCreated, AuditKind::KeyCreated, AuditKind::RolesChanged, AuditKind::UserDeleted];
    assert_eq!(told, kinds.map(|kind| (kind, cli.clone())));
}
