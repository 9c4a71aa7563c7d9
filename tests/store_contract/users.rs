//! Accounts.

use std::time::Duration;

use portcullis::domain::{AuditEvent, AuditKind, Revoked, UserId};
use portcullis::store::{NewPassword, Page, StoreError, UserChange};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::make::{
    NOW, Place, UNTIL, after, is_ended, is_refused, key, opened, refreshed, saved_user, scopes, user, what, whole_log,
};

pub(crate) async fn an_account_comes_back_as_it_was_made(place: &Place) {
    let store = place.open().await;
    let mut made = user("Anna");
    made.email = Some("Anna@example.org".to_owned());
    made.email_verified = true;
    store.create_user(&made).await.unwrap();
    let found = store.user(made.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{made:?}"));
    assert_eq!(found.password.unwrap().expose_secret(), "$argon2id$old");

    let mut bare = user("robot");
    (bare.password, bare.full_name, bare.service, bare.disabled) = (None, None, true, true);
    store.create_user(&bare).await.unwrap();
    assert_eq!(format!("{:?}", store.user(bare.id).await.unwrap().unwrap()), format!("{bare:?}"));
}

pub(crate) async fn names_and_addresses_are_one_namespace_without_regard_to_case(place: &Place) {
    let store = place.open().await;
    let mut anna = user("Anna");
    anna.email = Some("anna@Example.org".to_owned());
    store.create_user(&anna).await.unwrap();
    let tries = [
        ("aNNA", None, "username"),
        ("ANNA@example.ORG", None, "username"),
        ("bert", Some("Anna"), "email"),
        ("bert", Some("anna@EXAMPLE.org"), "email"),
        ("\u{ff21}nna", None, "username"),
    ];
    for (username, email, field) in tries {
        let mut other = user(username);
        other.email = email.map(str::to_owned);
        let refused = store.create_user(&other).await;
        assert!(matches!(refused, Err(StoreError::Taken(taken)) if taken == field), "{username} {email:?}: {refused:?}");
        assert!(store.user(other.id).await.unwrap().is_none(), "nothing of {username} stays");
    }
    saved_user(&*store, "bert").await;
}

pub(crate) async fn accounts_that_come_together_are_all_added_or_none(place: &Place) {
    let store = place.open().await;
    store.create_user(&user("Anna")).await.unwrap();
    let event = |subject: &UserId| AuditEvent {
        at: NOW,
        kind: AuditKind::UserCreated,
        actor: Some("cli".to_owned()),
        subject: Some(subject.to_string()),
        address: None,
        request_id: None,
        detail: None,
    };
    let some = [user("bert"), user("carl"), user("aNNA"), user("dora")];
    let events: Vec<_> = some.iter().map(|user| event(&user.id)).collect();
    let refused = store.create_users(&some, &events).await;
    assert!(matches!(refused, Err(StoreError::Taken("username"))), "{refused:?}");
    assert_eq!((store.users(None, 0, 10).await.unwrap().len(), store.events(0, 10).await.unwrap().len()), (1, 0));

    let some = [user("bert"), user("carl"), user("dora")];
    let events: Vec<_> = some.iter().map(|user| event(&user.id)).collect();
    store.create_users(&some, &events).await.unwrap();
    let carl = store.user_by_login("Carl").await.unwrap().unwrap();
    assert_eq!(format!("{carl:?}"), format!("{:?}", some[1]));
    assert_eq!((store.users(None, 0, 10).await.unwrap().len(), store.events(0, 10).await.unwrap().len()), (4, 3));
}

pub(crate) async fn an_account_may_be_named_by_its_own_address(place: &Place) {
    let store = place.open().await;
    let mut anna = user("anna@example.org");
    anna.email = Some("Anna@example.org".to_owned());
    store.create_user(&anna).await.unwrap();
    let change = UserChange { email: Some(None), ..UserChange::default() };
    store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    assert_eq!(store.user_by_login("anna@example.org").await.unwrap().unwrap().id, anna.id, "the username is still his");
}

pub(crate) async fn an_account_is_found_by_every_spelling_of_its_names(place: &Place) {
    let store = place.open().await;
    let mut anna = user("Änna");
    anna.email = Some("Anna@example.org".to_owned());
    store.create_user(&anna).await.unwrap();
    for login in ["Änna", "äNNA", "A\u{308}nna", "anna@EXAMPLE.org"] {
        assert_eq!(store.user_by_login(login).await.unwrap().map(|user| user.id), Some(anna.id), "{login}");
    }
    for login in ["", "anna", "%nna", "Änna "] {
        assert!(store.user_by_login(login).await.unwrap().is_none(), "{login:?}");
    }
}

pub(crate) async fn accounts_are_listed_by_name_and_found_by_a_part_of_it(place: &Place) {
    let store = place.open().await;
    for (name, email) in [("carl", "x_y@a.org"), ("Bert", "BERT@a.org"), ("anna", "xzy@b.org")] {
        let mut user = user(name);
        user.email = Some(email.to_owned());
        store.create_user(&user).await.unwrap();
    }
    let names = async |query, skip, limit| {
        let users = store.users(query, skip, limit).await.unwrap();
        users.into_iter().map(|user| user.username).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 0, 10).await, ["anna", "Bert", "carl"]);
    assert_eq!(names(None, 1, 1).await, ["Bert"]);
    assert_eq!(names(Some("@A.org"), 0, 10).await, ["Bert", "carl"]);
    assert_eq!(names(Some("ERT"), 0, 10).await, ["Bert"]);
    assert_eq!(names(Some("x_y"), 0, 10).await, ["carl"], "a query is no pattern");
    assert!(names(Some("%"), 0, 10).await.is_empty());
}

pub(crate) async fn a_change_of_rights_raises_the_generation_once_and_revokes_what_is_older(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let tenant = json!({ "tenant": "b2" }).as_object().cloned();
    let all = [
        UserChange { roles: Some(vec!["admin".to_owned()]), ..UserChange::default() },
        UserChange { scopes: Some(scopes("orders")), ..UserChange::default() },
        UserChange { attributes: tenant, ..UserChange::default() },
        UserChange { disabled: Some(true), ..UserChange::default() },
        UserChange { password: Some(NewPassword { hash: "$argon2id$new".into(), keep: None }), ..UserChange::default() },
        UserChange { roles: Some(vec![]), scopes: Some(scopes("")), disabled: Some(false), ..UserChange::default() },
    ];
    for (below, change) in (anna.generation + 1..).zip(all) {
        let (changed, entries) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
        assert_eq!(changed.generation, below);
        assert_eq!(what(&entries), [Revoked::Generation { subject: anna.id, below }]);
        assert_eq!(entries[0].until, UNTIL);
        assert_eq!(format!("{changed:?}"), format!("{:?}", store.user(anna.id).await.unwrap().unwrap()));
    }
    assert_eq!(whole_log(&*store).await.len(), 6);
}

pub(crate) async fn a_change_of_nothing_revokes_nothing(place: &Place) {
    let store = place.open().await;
    let mut anna = user("anna");
    anna.roles = vec!["user".to_owned(), "viewer".to_owned()];
    store.create_user(&anna).await.unwrap();
    let same = UserChange {
        full_name: Some(Some("Anna B.".to_owned())),
        email: Some(Some(("anna@example.org".to_owned(), true))),
        roles: Some(vec!["viewer".to_owned(), "user".to_owned()]),
        scopes: Some(anna.scopes.clone()),
        attributes: json!({ "tenant": "a1", "unknown": null }).as_object().cloned(),
        disabled: Some(false),
        password: None,
        guard: None,
    };
    let (changed, entries) = store.change_user(anna.id, same, NOW, UNTIL).await.unwrap();
    assert_eq!((changed.generation, entries), (anna.generation, vec![]));
    assert_eq!(changed.full_name.as_deref(), Some("Anna B."));
    assert_eq!((changed.email.as_deref(), changed.email_verified), (Some("anna@example.org"), true));
    assert_eq!(store.last_revocation().await.unwrap(), 0);
}

pub(crate) async fn attributes_are_merged_and_null_removes_one(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let set = async |attributes: serde_json::Value| {
        let change = UserChange { attributes: attributes.as_object().cloned(), ..UserChange::default() };
        serde_json::Value::from(store.change_user(anna.id, change, NOW, UNTIL).await.unwrap().0.attributes)
    };
    assert_eq!(set(json!({ "floor": 3 })).await, json!({ "tenant": "a1", "floor": 3 }));
    assert_eq!(set(json!({ "tenant": null })).await, json!({ "floor": 3 }));
}

pub(crate) async fn an_address_that_changes_frees_the_old_one(place: &Place) {
    let store = place.open().await;
    let mut anna = user("anna");
    anna.email = Some("old@example.org".to_owned());
    store.create_user(&anna).await.unwrap();
    let to = |email: &str| UserChange { email: Some(Some((email.to_owned(), false))), ..UserChange::default() };
    store.change_user(anna.id, to("New@example.org"), NOW, UNTIL).await.unwrap();
    store.change_user(anna.id, to("new@EXAMPLE.org"), NOW, UNTIL).await.unwrap();
    assert!(store.user_by_login("old@example.org").await.unwrap().is_none());
    assert_eq!(store.user_by_login("new@example.org").await.unwrap().unwrap().id, anna.id);
    saved_user(&*store, "old@example.org").await;
}

pub(crate) async fn a_refused_change_changes_nothing(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    saved_user(&*store, "bert").await;
    let change = UserChange {
        email: Some(Some(("BERT".to_owned(), true))),
        roles: Some(vec!["admin".to_owned()]),
        password: Some(NewPassword { hash: "$argon2id$new".into(), keep: None }),
        ..UserChange::default()
    };
    let (session, _) = opened(&*store, &anna).await;
    let refused = store.change_user(anna.id, change, NOW, UNTIL).await;
    assert!(matches!(refused, Err(StoreError::Taken("email"))), "{refused:?}");
    assert_eq!(format!("{:?}", store.user(anna.id).await.unwrap().unwrap()), format!("{anna:?}"));
    assert_eq!(store.last_revocation().await.unwrap(), 0);
    assert!(!is_ended(&*store, session.id).await);
}

pub(crate) async fn a_new_password_ends_all_sessions_but_the_one_that_made_it(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    let (kept, kept_token) = opened(&*store, &anna).await;
    let (other, other_token) = opened(&*store, &anna).await;
    let (_, berts_token) = opened(&*store, &bert).await;
    let password = Some(NewPassword { hash: "$argon2id$new".into(), keep: Some(kept.id) });
    let change = UserChange { password, ..UserChange::default() };
    let (changed, entries) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    assert_eq!(changed.password.unwrap().expose_secret(), "$argon2id$new");
    let generation = Revoked::Generation { subject: anna.id, below: anna.generation + 1 };
    assert_eq!(what(&entries), [generation, Revoked::Session { id: other.id }]);
    assert_eq!(whole_log(&*store).await, entries);
    assert!(is_refused(&*store, &other_token, NOW).await);
    refreshed(&*store, &kept_token, NOW).await;
    refreshed(&*store, &berts_token, NOW).await;
}

pub(crate) async fn a_hash_is_replaced_only_while_it_is_the_one_that_was_verified(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let hash = async || store.user(anna.id).await.unwrap().unwrap().password.unwrap().expose_secret().to_owned();
    store.rehash_password(anna.id, &"$other".into(), &"$wrong".into()).await.unwrap();
    assert_eq!(hash().await, "$argon2id$old");
    store.rehash_password(anna.id, &"$argon2id$old".into(), &"$argon2id$better".into()).await.unwrap();
    assert_eq!(hash().await, "$argon2id$better");
    assert_eq!(store.user(anna.id).await.unwrap().unwrap().generation, anna.generation);
}

pub(crate) async fn a_deleted_account_leaves_only_its_revocations(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (live, token) = opened(&*store, &anna).await;
    let (ended, _) = opened(&*store, &anna).await;
    store.end_session(ended.id, NOW, UNTIL).await.unwrap();
    let key = key(&anna);
    store.create_key(&key).await.unwrap();
    store.remember_network(anna.id, "192.0.2.0/24", NOW).await.unwrap();

    let entries = store.delete_user(anna.id, NOW, UNTIL).await.unwrap();
    let all = Revoked::Generation { subject: anna.id, below: i64::MAX };
    assert_eq!(what(&entries), [all, Revoked::Session { id: live.id }, Revoked::ApiKey { id: key.id.clone() }]);
    assert_eq!(store.revocations_after(1, 10).await.unwrap(), entries);
    assert!(store.user(anna.id).await.unwrap().is_none());
    assert!(store.session(live.id).await.unwrap().is_none());
    assert!(store.key(&key.id).await.unwrap().is_none());
    assert!(!store.knows_network(anna.id, "192.0.2.0/24", NOW).await.unwrap());
    assert!(is_refused(&*store, &token, NOW).await);
    assert!(matches!(store.delete_user(anna.id, NOW, UNTIL).await, Err(StoreError::NotFound("user"))));
    saved_user(&*store, "anna").await;
}

pub(crate) async fn a_network_is_known_since_it_was_last_seen(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    store.remember_network(anna.id, "192.0.2.0/24", after(60)).await.unwrap();
    store.remember_network(anna.id, "192.0.2.0/24", NOW).await.unwrap();
    let knows = async |user: UserId, network, since| store.knows_network(user, network, since).await.unwrap();
    assert!(knows(anna.id, "192.0.2.0/24", after(60)).await, "an earlier login takes nothing back");
    assert!(!knows(anna.id, "192.0.2.0/24", after(60).plus(Duration::from_millis(1))).await);
    assert!(!knows(anna.id, "198.51.100.0/24", NOW).await);
    assert!(!knows(bert.id, "192.0.2.0/24", NOW).await);
}

pub(crate) async fn nobody_has_nothing(place: &Place) {
    let store = place.open().await;
    let nobody = user("nobody");
    assert!(store.user(nobody.id).await.unwrap().is_none());
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    let changed = store.change_user(nobody.id, change, NOW, UNTIL).await;
    assert!(matches!(changed, Err(StoreError::NotFound("user"))), "{changed:?}");
    let remembered = store.remember_network(nobody.id, "192.0.2.0/24", NOW).await;
    assert!(matches!(remembered, Err(StoreError::NotFound("user"))), "{remembered:?}");
    assert_eq!(store.end_sessions(nobody.id, None, NOW, UNTIL).await.unwrap(), []);
    assert!(store.sessions(Some(nobody.id), NOW).await.unwrap().is_empty());
    store.ping().await.unwrap();
}

pub(crate) async fn text_that_not_every_database_keeps_is_kept_alike(place: &Place) {
    let store = place.open().await;
    let mut anna = user("anna");
    anna.full_name = Some("An\0na".to_owned());
    anna.attributes = json!({ "x": "a\0b" }).as_object().unwrap().clone();
    store.create_user(&anna).await.unwrap();
    let found = store.user(anna.id).await.unwrap().unwrap();
    assert_eq!(found.full_name.as_deref(), Some("An\u{fffd}na"));
    assert_eq!(found.attributes, anna.attributes);
    assert!(store.user_by_login("an\0na").await.unwrap().is_none());
    assert!(store.users(Some("an\0"), 0, 10).await.unwrap().is_empty());
    for query in ["an\0", "\0"] {
        let list = store.list_users(Some(query), Page { skip: 0, limit: 10 }).await.unwrap();
        assert_eq!((list.items.len(), list.total), (0, 0), "{query:?}");
    }
}

pub(crate) async fn accounts_are_in_the_order_of_their_bytes(place: &Place) {
    let store = place.open().await;
    for name in ["_z", "a_b", "a-c", "ab", "aB1", "é", "zz", "a.b", "1"] {
        saved_user(&*store, name).await;
    }
    let users = store.users(None, 0, 20).await.unwrap();
    let names: Vec<_> = users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["1", "_z", "a-c", "a.b", "a_b", "ab", "aB1", "zz", "é"]);
}
