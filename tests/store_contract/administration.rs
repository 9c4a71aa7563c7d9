//! Lists by the page, and changes that leave somebody who can administer.

use portcullis::domain::{Revoked, User};
use portcullis::store::{Guard, Page, Store, StoreError, StoreResult, UserChange};

use crate::make::{NOW, Place, UNTIL, after, key, opened, saved_user, user};

fn guard(user: &User) -> Guard {
    Guard { generation: user.generation, roles: vec!["boss_of".to_owned(), "admin".to_owned()] }
}

async fn saved(store: &dyn Store, name: &str, role: &str, change: impl FnOnce(&mut User)) -> User {
    let mut user = User { roles: vec![role.to_owned()], ..user(name) };
    change(&mut user);
    store.create_user(&user).await.expect("created");
    user
}

async fn delete(store: &dyn Store, user: &User) -> StoreResult<usize> {
    Ok(store.delete_user_guarded(user.id, &guard(user), NOW, UNTIL).await?.len())
}

async fn change(store: &dyn Store, user: &User, change: UserChange) -> StoreResult<User> {
    let change = UserChange { guard: Some(guard(user)), ..change };
    Ok(store.change_user(user.id, change, NOW, UNTIL).await?.0)
}

pub(crate) async fn lists_come_by_the_page_with_their_whole_length(place: &Place) {
    let store = place.open().await;
    let mut users = Vec::new();
    for name in ["anna", "bert", "carl"] {
        users.push(saved_user(&*store, name).await);
    }
    let page = Page { skip: 1, limit: 1 };
    let list = store.list_users(None, page).await.expect("listed");
    assert_eq!((list.items[0].username.as_str(), list.items.len(), list.total), ("bert", 1, 3));
    let list = store.list_users(Some("R"), page).await.expect("listed");
    assert_eq!((list.items[0].username.as_str(), list.total), ("carl", 2));
    for nobodys in ["\0", "a\0", "%", "_", "\\"] {
        let list = store.list_users(Some(nobodys), Page { skip: 0, limit: 10 }).await.expect("listed");
        assert_eq!((list.items.len(), list.total), (0, 0), "{nobodys:?}");
    }

    for _ in 0..2 {
        opened(&*store, &users[0]).await;
        store.create_key(&key(&users[0])).await.expect("made");
    }
    let (ended, _) = opened(&*store, &users[1]).await;
    store.create_key(&key(&users[1])).await.expect("made");
    let sessions = store.list_sessions(None, NOW, page).await.expect("listed");
    assert_eq!((sessions.items.len(), sessions.total), (1, 3));
    store.end_session(ended.id, NOW, UNTIL).await.expect("ended");
    let sessions = store.list_sessions(None, NOW, page).await.expect("listed");
    assert_eq!((sessions.items.len(), sessions.total), (1, 2));
    let sessions = store.list_sessions(Some(users[1].id), NOW, page).await.expect("listed");
    assert_eq!((sessions.items.len(), sessions.total), (0, 0));
    assert_eq!(store.list_sessions(None, after(8 * 86_400), page).await.expect("listed").total, 0, "expired");
    let keys = store.list_keys(None, page).await.expect("listed");
    assert_eq!((keys.items.len(), keys.total), (1, 3));
    let keys = store.list_keys(Some(users[0].id), page).await.expect("listed");
    assert_eq!((keys.items[0].owner, keys.items.len(), keys.total), (users[0].id, 1, 2));
}

pub(crate) async fn the_last_who_holds_a_role_keeps_it(place: &Place) {
    let store = place.open().await;
    let root = saved(&*store, "root", "admin", |_| {}).await;
    // What `LIKE` takes for the same is not the same.
    for (name, role) in [("a", "Admin"), ("b", "bossXof"), ("c", "admin2"), ("d", "viewer")] {
        saved(&*store, name, role, |_| {}).await;
    }
    for refused in [
        delete(&*store, &root).await.map(drop),
        change(&*store, &root, UserChange { disabled: Some(true), ..UserChange::default() }).await.map(drop),
        change(&*store, &root, UserChange { roles: Some(vec!["viewer".to_owned()]), ..UserChange::default() }).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Last)), "{refused:?}");
    }
    assert_eq!(store.last_revocation().await.expect("a number"), 0, "what was refused revoked nothing");
    let moved = UserChange { roles: Some(vec!["boss_of".to_owned()]), ..UserChange::default() };
    let root = change(&*store, &root, moved).await.expect("another of the roles");
    let other = saved(&*store, "other", "admin", |_| {}).await;
    assert_eq!(delete(&*store, &root).await.expect("deleted"), 1);
    assert!(matches!(delete(&*store, &root).await, Err(StoreError::NotFound("user"))));
    assert!(matches!(delete(&*store, &other).await, Err(StoreError::Last)));
    let entries = store.revocations_after(0, 10).await.expect("entries");
    assert!(entries.iter().any(|entry| entry.what == Revoked::Generation { subject: root.id, below: i64::MAX }));
}

pub(crate) async fn who_is_disabled_or_a_machine_does_not_count(place: &Place) {
    let store = place.open().await;
    let alone = saved(&*store, "alone", "admin", |user| user.service = true).await;
    delete(&*store, &alone).await.expect("nobody who counts is taken away");
    let root = saved(&*store, "root", "admin", |_| {}).await;
    let machine = saved(&*store, "job", "admin", |user| user.service = true).await;
    let off = saved(&*store, "off", "admin", |user| user.disabled = true).await;
    assert!(matches!(delete(&*store, &root).await, Err(StoreError::Last)));
    delete(&*store, &machine).await.expect("a machine is not the last");
    let off = change(&*store, &off, UserChange { disabled: Some(false), ..UserChange::default() }).await.expect("enabled");
    delete(&*store, &root).await.expect("another is left");
    assert!(matches!(delete(&*store, &off).await, Err(StoreError::Last)));
}

pub(crate) async fn of_two_who_take_each_other_one_is_left(place: &Place) {
    for round in 0..10 {
        let (one, other) = (place.open().await, place.open().await);
        for user in one.users(None, 0, 200).await.expect("users") {
            one.delete_user(user.id, NOW, UNTIL).await.expect("deleted");
        }
        let anna = saved(&*one, &format!("anna{round}"), "admin", |_| {}).await;
        let bert = saved(&*one, &format!("bert{round}"), "admin", |_| {}).await;
        let demoted = UserChange { roles: Some(Vec::new()), ..UserChange::default() };
        let (first, second) = tokio::join!(async { delete(&*one, &bert).await.map(drop) }, async {
            if round % 2 == 0 { delete(&*other, &anna).await.map(drop) } else { change(&*other, &anna, demoted).await.map(drop) }
        });
        let refused = [&first, &second].into_iter().filter(|done| matches!(done, Err(StoreError::Last))).count();
        let done = [&first, &second].into_iter().filter(|done| done.is_ok()).count();
        assert_eq!((refused, done), (1, 1), "{first:?} {second:?}");
    }
}

pub(crate) async fn what_was_judged_by_an_older_state_is_refused(place: &Place) {
    let store = place.open().await;
    let alice = saved(&*store, "alice", "viewer", |_| {}).await;
    let wider = UserChange { scopes: Some("*".parse().expect("scopes")), ..UserChange::default() };
    store.change_user(alice.id, wider, NOW, UNTIL).await.expect("changed");
    let named = UserChange { full_name: Some(None), ..UserChange::default() };
    assert!(matches!(change(&*store, &alice, named).await, Err(StoreError::Changed)));
    assert!(matches!(delete(&*store, &alice).await, Err(StoreError::Changed)));
    let now = store.user(alice.id).await.expect("asked").expect("there");
    assert_eq!(now.full_name.as_deref(), Some("Somebody"));
}
