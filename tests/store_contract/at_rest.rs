//! What lies in the tables, and who else writes there: other programs, and other releases of this one.

use portcullis::domain::Revoked;
use portcullis::store::{self, Rotated, StoreError};
use tokio::task::JoinSet;

use crate::make::{GRACE, NOW, Place, UNTIL, after, is_ended, opened, refreshed, rotate, saved_user, what};

pub(crate) async fn replicas_that_start_together_make_one_schema(place: &Place) {
    const REPLICAS: usize = 12;
    let mut replicas = JoinSet::new();
    for i in 0..REPLICAS {
        let url = place.url();
        replicas.spawn(async move { saved_user(&*store::open(&url).await.unwrap(), &format!("user{i}")).await });
    }
    assert_eq!(replicas.join_all().await.len(), REPLICAS);
    assert_eq!(place.open().await.users(None, 0, 20).await.unwrap().len(), REPLICAS);
    assert_eq!(place.count("SELECT COUNT(*) FROM _sqlx_migrations WHERE success").await, 4);
}

pub(crate) async fn a_later_schema_is_refused_only_if_it_says_so(place: &Place) {
    drop(place.open().await);
    place.run("UPDATE meta SET value = 99 WHERE name = 'schema_version'").await;
    place
        .run("INSERT INTO _sqlx_migrations SELECT 99, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1")
        .await;
    saved_user(&*place.open().await, "anna").await;
    place.run("UPDATE meta SET value = 99 WHERE name = 'min_compatible'").await;
    let refused = store::open(&place.url()).await.map(|_| ());
    assert!(matches!(&refused, Err(StoreError::Corrupt(why)) if why.contains("newer release")), "{refused:?}");
}

pub(crate) async fn what_a_later_release_wrote_does_not_stop_a_reader(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for _ in 0..3 {
        place.run("UPDATE counters SET value = value + 1 WHERE name = 'revocations'").await;
        place.run("INSERT INTO revocations SELECT value, 'planet', 'x', NULL, 0 FROM counters").await;
    }
    let (session, _) = opened(&*store, &anna).await;
    let entries = store.end_session(session.id, NOW, UNTIL).await.unwrap();
    assert_eq!(what(&entries), [Revoked::Session { id: session.id }]);
    assert_eq!(store.revocations_after(0, 2).await.unwrap(), entries);
    place.run("INSERT INTO audit (at, kind) VALUES (0, 'eclipse')").await;
    assert!(store.events(0, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_sealed_successor_is_erased_when_nobody_may_ask_for_it_any_more(place: &Place) {
    const SEALED: &str = "SELECT COUNT(*) FROM refresh_tokens WHERE sealed_successor IS NOT NULL";
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    assert_eq!(place.count(SEALED).await, 1);
    refreshed(&*store, &second, NOW).await;
    assert_eq!(place.count(SEALED).await, 1, "the first token's is gone, the second's is there");
    store.end_session(session.id, NOW, UNTIL).await.unwrap();
    assert_eq!(place.count(SEALED).await, 0);

    let (_, first) = opened(&*store, &anna).await;
    refreshed(&*store, &first, NOW).await;
    store.prune(after(9), GRACE).await.unwrap();
    assert_eq!(place.count(SEALED).await, 1);
    store.prune(after(10), GRACE).await.unwrap();
    assert_eq!(place.count(SEALED).await, 0);
}

pub(crate) async fn a_successor_that_can_not_be_read_ends_the_session(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for damage in [
        "UPDATE refresh_tokens SET sealed_successor = hash WHERE sealed_successor IS NOT NULL",
        "DELETE FROM refresh_tokens WHERE parent IS NOT NULL",
    ] {
        let (session, first) = opened(&*store, &anna).await;
        refreshed(&*store, &first, NOW).await;
        place.run(damage).await;
        assert!(matches!(rotate(&*store, &first, NOW).await, Rotated::Reused { .. }), "{damage}");
        assert!(is_ended(&*store, session.id).await);
    }
}

pub(crate) async fn a_row_that_can_not_be_read_is_an_error_that_does_not_show_it(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for damage in ["UPDATE users SET roles = 'hunter2'", "UPDATE users SET scopes = 'hunter2::', roles = '[]'"] {
        place.run(damage).await;
        match store.user(anna.id).await {
            Err(StoreError::Corrupt(why)) => assert!(!why.contains("hunter2"), "{why}"),
            other => panic!("{damage}: {other:?}"),
        }
    }
}
