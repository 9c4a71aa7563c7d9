//! Refresh tokens.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::{LOGIN_CLIENT, Revoked, SessionRecord, User};
use portcullis::store::{Rotated, Rotation, UserChange};
use tokio::task::JoinSet;

use crate::make::{
    GRACE, NOW, Place, TTL, UNTIL, after, is_ended, is_refused, opened, refreshed, rotate, saved_user, token, what, whole_log,
};

pub(crate) async fn a_refresh_replaces_the_token_and_extends_the_session(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let change = UserChange { roles: Some(vec!["admin".to_owned()]), ..UserChange::default() };
    let (changed, _) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    let (successor, now) = (token(), after(100));
    let rotation = Rotation {
        presented: &first,
        client: LOGIN_CLIENT,
        successor: &successor,
        may_go_on: &|_, _| true,
        now,
        grace: GRACE,
        ttl: TTL,
        revoke_until: UNTIL,
    };
    let Rotated::Live { session: live, user, refresh } = store.rotate(rotation).await.unwrap() else { panic!("refused") };
    assert_eq!(refresh.expose(), successor.expose());
    assert_eq!(format!("{user:?}"), format!("{changed:?}"), "the user as he is now");
    assert_eq!((live.id, live.used_at, live.expires_at), (session.id, now, now.plus(TTL)));
    assert_eq!(format!("{live:?}"), format!("{:?}", store.session(session.id).await.unwrap().unwrap()));
    let third = refreshed(&*store, &refresh, now.plus(TTL).minus(Duration::from_millis(1))).await;
    assert_ne!(third.expose(), refresh.expose());
}

pub(crate) async fn a_replay_within_the_grace_gives_the_same_successor(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    for seconds in [0, 1, 9] {
        assert_eq!(refreshed(&*store, &first, after(seconds)).await.expose(), second.expose());
    }
    assert!(!is_ended(&*store, session.id).await);
    refreshed(&*store, &second, after(9)).await;
}

pub(crate) async fn a_replay_after_the_grace_ends_the_session(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    let Rotated::Reused { session: ended, entries } = rotate(&*store, &first, NOW.plus(GRACE)).await else { panic!("accepted") };
    assert_eq!((ended.id, ended.ended_at), (session.id, Some(NOW.plus(GRACE))));
    assert_eq!(what(&entries), [Revoked::Session { id: session.id }]);
    assert_eq!(entries[0].until, UNTIL);
    assert_eq!(whole_log(&*store).await, entries);
    assert!(is_ended(&*store, session.id).await);
    for token in [&first, &second] {
        assert!(is_refused(&*store, token, after(11)).await);
    }
}

pub(crate) async fn a_replay_of_a_token_whose_successor_was_used_ends_the_session(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (_, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    let third = refreshed(&*store, &second, NOW).await;
    assert!(matches!(rotate(&*store, &first, NOW).await, Rotated::Reused { .. }));
    assert!(is_refused(&*store, &third, NOW).await);
}

pub(crate) async fn a_replay_ends_the_session_of_a_disabled_account_too(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    refreshed(&*store, &first, NOW).await;
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    assert!(matches!(rotate(&*store, &first, after(60)).await, Rotated::Reused { .. }));
    assert!(is_ended(&*store, session.id).await);
}

pub(crate) async fn unknown_expired_ended_and_disabled_are_refused(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    assert!(is_refused(&*store, &token(), NOW).await, "unknown");
    let (session, first) = opened(&*store, &anna).await;
    assert!(is_refused(&*store, &first, NOW.plus(TTL)).await, "expired");
    let disabled = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
    store.change_user(anna.id, disabled(true), NOW, UNTIL).await.unwrap();
    assert!(is_refused(&*store, &first, NOW).await, "disabled");
    store.change_user(anna.id, disabled(false), NOW, UNTIL).await.unwrap();
    let second = refreshed(&*store, &first, NOW).await;
    store.end_session(session.id, NOW, UNTIL).await.unwrap();
    for token in [&first, &second] {
        assert!(is_refused(&*store, token, NOW).await, "ended");
    }
}

pub(crate) async fn a_hundred_parallel_refreshes_give_one_successor(place: &Place) {
    let stores = [place.open().await, place.open().await];
    let anna = saved_user(&*stores[0], "anna").await;
    let (session, first) = opened(&*stores[0], &anna).await;
    let mut refreshes = JoinSet::new();
    for i in 0..100 {
        let (store, first) = (Arc::clone(&stores[i % 2]), first.clone());
        refreshes.spawn(async move { refreshed(&*store, &first, NOW).await.expose().to_owned() });
    }
    let successors: HashSet<String> = refreshes.join_all().await.into_iter().collect();
    assert_eq!(successors.len(), 1);
    assert!(!is_ended(&*stores[0], session.id).await);
    let second = portcullis::domain::refresh::RefreshToken::parse(successors.iter().next().unwrap()).unwrap();
    refreshed(&*stores[1], &second, NOW).await;
}

pub(crate) async fn a_refresh_that_races_a_logout_leaves_nothing_alive(place: &Place) {
    let stores = [place.open().await, place.open().await];
    let anna = saved_user(&*stores[0], "anna").await;
    for _ in 0..20 {
        let (session, first) = opened(&*stores[0], &anna).await;
        let refresh = tokio::spawn({
            let (store, first) = (Arc::clone(&stores[1]), first.clone());
            async move { rotate(&*store, &first, NOW).await }
        });
        let entries = stores[0].end_session(session.id, NOW, UNTIL).await.unwrap();
        assert_eq!(what(&entries), [Revoked::Session { id: session.id }]);
        let mut tokens = vec![first];
        match refresh.await.unwrap() {
            Rotated::Live { refresh, .. } => tokens.push(refresh),
            Rotated::Refused => {}
            other @ (Rotated::Reused { .. } | Rotated::NotLikeThis) => panic!("{other:?}"),
        }
        for token in &tokens {
            assert!(is_refused(&*stores[1], token, NOW).await);
            assert!(stores[1].session_of_refresh(token.hash()).await.unwrap().is_none());
        }
    }
    assert!(stores[1].sessions(Some(anna.id), NOW).await.unwrap().is_empty());
}

pub(crate) async fn a_token_in_another_clients_hands_is_refused_and_stays_good(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    // Neither the fresh one is used up, nor does the used one end the session.
    for presented in [&first, &second] {
        let successor = token();
        let now = NOW.plus(GRACE);
        let rotation = Rotation {
            presented,
            client: "another",
            successor: &successor,
            may_go_on: &|_, _| true,
            now,
            grace: GRACE,
            ttl: TTL,
            revoke_until: UNTIL,
        };
        assert!(matches!(store.rotate(rotation).await.unwrap(), Rotated::Refused));
    }
    assert!(!is_ended(&*store, session.id).await);
    refreshed(&*store, &second, NOW.plus(GRACE)).await;
}

pub(crate) async fn who_may_not_go_on_as_asked_loses_nothing_and_a_replay_ends_the_session_whatever_is_asked(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let asked = async |presented, now| {
        let (successor, may_go_on) = (token(), |of: &SessionRecord, user: &User| (of.id, user.id) != (session.id, anna.id));
        let rotation = Rotation {
            presented,
            client: LOGIN_CLIENT,
            successor: &successor,
            may_go_on: &may_go_on,
            now,
            grace: GRACE,
            ttl: TTL,
            revoke_until: UNTIL,
        };
        store.rotate(rotation).await.unwrap()
    };
    assert!(matches!(asked(&first, NOW).await, Rotated::NotLikeThis), "a fresh one");
    let second = refreshed(&*store, &first, NOW.plus(GRACE)).await;
    assert!(matches!(asked(&first, NOW.plus(GRACE)).await, Rotated::NotLikeThis), "a used one within its grace");
    assert_eq!(refreshed(&*store, &first, NOW.plus(GRACE)).await.expose(), second.expose());
    assert!(matches!(asked(&first, NOW.plus(GRACE * 2)).await, Rotated::Reused { .. }));
    assert!(is_ended(&*store, session.id).await);
    assert!(matches!(asked(&second, NOW.plus(GRACE * 2)).await, Rotated::Refused), "there is no session to ask about");
}
