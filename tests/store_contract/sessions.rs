//! Logins.

use portcullis::domain::{Revoked, SessionId, SystemEntropy};
use portcullis::store::{StoreError, UserChange};

use crate::make::{
    NOW, Place, TTL, UNTIL, after, is_ended, is_refused, opened, refreshed, saved_user, session, token, user, what, whole_log,
};

pub(crate) async fn a_session_is_opened_with_its_user_as_he_is_now(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let change = UserChange { roles: Some(vec!["admin".to_owned()]), ..UserChange::default() };
    let (changed, _) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    let mut wanted = session(&anna);
    wanted.granted = None;
    let user = store.open_session(&wanted, token().hash()).await.unwrap();
    assert_eq!(format!("{user:?}"), format!("{changed:?}"));
    assert_eq!(format!("{:?}", store.session(wanted.id).await.unwrap().unwrap()), format!("{wanted:?}"));
    let (narrow, _) = opened(&*store, &anna).await;
    assert_eq!(store.session(narrow.id).await.unwrap().unwrap().granted, narrow.granted);
}

pub(crate) async fn no_session_is_opened_for_who_is_gone_or_disabled(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    for user in [anna, user("nobody")] {
        let (session, token) = (session(&user), token());
        let refused = store.open_session(&session, token.hash()).await;
        assert!(matches!(refused, Err(StoreError::NotFound("user"))), "{refused:?}");
        assert!(store.session(session.id).await.unwrap().is_none());
        assert!(store.session_of_refresh(token.hash()).await.unwrap().is_none());
    }
}

pub(crate) async fn live_sessions_are_listed_newest_first(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    let mut ids = Vec::new();
    for (user, seconds) in [(&anna, 1), (&anna, 3), (&bert, 2), (&anna, 4)] {
        let mut session = session(user);
        session.created_at = after(seconds);
        session.expires_at = after(seconds).plus(TTL);
        store.open_session(&session, token().hash()).await.unwrap();
        ids.push(session.id);
    }
    store.end_session(ids[3], NOW, UNTIL).await.unwrap();
    let listed = async |user, now| {
        store.sessions(user, now).await.unwrap().into_iter().map(|session| session.id).collect::<Vec<SessionId>>()
    };
    assert_eq!(listed(None, NOW).await, [ids[1], ids[2], ids[0]]);
    assert_eq!(listed(Some(anna.id), NOW).await, [ids[1], ids[0]]);
    assert_eq!(listed(Some(anna.id), after(1).plus(TTL)).await, [ids[1]], "what ended by itself is not live");
}

pub(crate) async fn ending_a_session_twice_gives_its_entry_twice(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let once = store.end_session(session.id, NOW, UNTIL).await.unwrap();
    let twice = store.end_session(session.id, after(5), UNTIL).await.unwrap();
    assert_eq!(what(&once), [Revoked::Session { id: session.id }]);
    assert_eq!(what(&twice), what(&once));
    assert_eq!(whole_log(&*store).await, [once, twice].concat());
    assert_eq!(store.session(session.id).await.unwrap().unwrap().ended_at, Some(NOW), "it ended when it first did");
    assert!(is_refused(&*store, &first, NOW).await);
    let unknown = store.end_session(SessionId::generate(NOW, &SystemEntropy), NOW, UNTIL).await;
    assert!(matches!(unknown, Err(StoreError::NotFound("session"))), "{unknown:?}");
}

pub(crate) async fn all_sessions_but_one_are_ended(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    let (kept, kept_token) = opened(&*store, &anna).await;
    let (other, _) = opened(&*store, &anna).await;
    let (berts, _) = opened(&*store, &bert).await;
    let entries = store.end_sessions(anna.id, Some(kept.id), NOW, UNTIL).await.unwrap();
    assert_eq!(what(&entries), [Revoked::Session { id: other.id }]);
    let kept_token = refreshed(&*store, &kept_token, NOW).await;
    let entries = store.end_sessions(anna.id, None, NOW, UNTIL).await.unwrap();
    assert_eq!(what(&entries), [Revoked::Session { id: kept.id }]);
    assert!(is_refused(&*store, &kept_token, NOW).await);
    assert!(!is_ended(&*store, berts.id).await);
}

pub(crate) async fn a_session_is_found_by_its_fresh_and_used_tokens_while_it_lives(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    for token in [&first, &second] {
        assert_eq!(store.session_of_refresh(token.hash()).await.unwrap().unwrap().id, session.id);
    }
    assert!(store.session_of_refresh(token().hash()).await.unwrap().is_none());
    store.end_session(session.id, NOW, UNTIL).await.unwrap();
    for token in [&first, &second] {
        assert!(store.session_of_refresh(token.hash()).await.unwrap().is_none());
    }
}
