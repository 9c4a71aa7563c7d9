//! What is SQLite's own: its file, who else holds it, and what lies in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use portcullis::domain::Revoked;
use portcullis::store::{self, Rotated, StoreError, UserChange};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::task::JoinSet;

use crate::make::{
    GRACE, NOW, Place, UNTIL, after, is_ended, opened, refreshed, rotate, saved_user, scopes, user, what, whole_log,
};

/// Another program's connection.
async fn other(place: &Place) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", place.path().display())).await.unwrap()
}

async fn run(place: &Place, statement: &'static str) {
    let mut other = other(place).await;
    sqlx::query(statement).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
}

async fn count(place: &Place, statement: &'static str) -> i64 {
    let mut other = other(place).await;
    let count = sqlx::query(statement).fetch_one(&mut other).await.unwrap().get(0);
    other.close().await.unwrap();
    count
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_the_file() {
    let place = Place::sqlite();
    let store = place.open().await;
    saved_user(&*store, "anna").await;
    let folder = place.path().parent().unwrap().to_owned();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 1, "the log is beside it: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_make_one_schema() {
    for _ in 0..5 {
        let place = Arc::new(Place::sqlite());
        let mut replicas = JoinSet::new();
        for i in 0..8 {
            let place = Arc::clone(&place);
            replicas.spawn(async move { saved_user(&*place.open().await, &format!("user{i}")).await });
        }
        assert_eq!(replicas.join_all().await.len(), 8);
        assert_eq!(place.open().await.users(None, 0, 20).await.unwrap().len(), 8);
        assert_eq!(count(&place, "SELECT COUNT(*) FROM _sqlx_migrations").await, 4);
    }
}

#[tokio::test]
async fn a_later_schema_is_refused_only_if_it_says_so() {
    let place = Place::sqlite();
    drop(place.open().await);
    run(&place, "UPDATE meta SET value = 9 WHERE name = 'schema_version'").await;
    run(&place, "INSERT INTO _sqlx_migrations SELECT 9, 'later', installed_on, success, x'00', 0 FROM _sqlx_migrations LIMIT 1")
        .await;
    saved_user(&*place.open().await, "anna").await;
    run(&place, "UPDATE meta SET value = 9 WHERE name = 'min_compatible'").await;
    let refused = store::open(&place.url()).await.map(|_| ());
    assert!(matches!(&refused, Err(StoreError::Corrupt(why)) if why.contains("newer release")), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let place = Place::sqlite();
    fs::create_dir_all(place.path().parent().unwrap()).unwrap();
    let letter = "dear diary, ".repeat(1000);
    fs::write(place.path(), &letter).unwrap();
    let refused = store::open(&place.url()).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(fs::read_to_string(place.path()).unwrap(), letter);
    for url in ["mysql://localhost/db", "sqlite::memory:", "sqlite://x.db?mode=memory", "data/portcullis.db"] {
        assert!(matches!(store::open_lazily(&url.into()).map(|_| ()), Err(StoreError::Unavailable(_))), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_another_program_is_told_that_it_is_busy() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let mut other = other(&place).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut writers = JoinSet::new();
    for i in 0..4 {
        let store = Arc::clone(&store);
        writers.spawn(async move { store.create_user(&user(&format!("user{i}"))).await });
    }
    for refused in writers.join_all().await {
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert!(store.user(anna.id).await.unwrap().is_some(), "readers do not wait");
    lock.rollback().await.unwrap();
    saved_user(&*store, "bert").await;
    assert_eq!(store.users(None, 0, 10).await.unwrap().len(), 2, "who was refused left nothing");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_no_store_until_it_is_back() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let folder = place.path().parent().unwrap().to_owned();
    let away = folder.with_file_name("away");
    fs::rename(&folder, &away).unwrap();
    for _ in 0..2 {
        assert!(matches!(store.user(anna.id).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.create_user(&user("bert")).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    }
    assert!(!folder.exists(), "an empty store in its place would let nobody in");
    fs::rename(&away, &folder).unwrap();
    assert!(store.user(anna.id).await.unwrap().is_some());
    saved_user(&*store, "bert").await;
}

#[tokio::test]
async fn a_file_that_was_replaced_is_opened_anew() {
    let (place, restored) = (Place::sqlite(), Place::sqlite());
    let store = place.open().await;
    saved_user(&*store, "anna").await;
    assert!(store.user_by_login("anna").await.unwrap().is_some());
    let bert = saved_user(&*restored.open().await, "bert").await;
    run(&restored, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    fs::remove_dir_all(place.path().parent().unwrap()).unwrap();
    fs::create_dir(place.path().parent().unwrap()).unwrap();
    fs::copy(restored.path(), place.path()).unwrap();
    assert_eq!(store.user_by_login("bert").await.unwrap().map(|user| user.id), Some(bert.id));
    assert!(store.user_by_login("anna").await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_was_read_only_at_the_start_is_written_to_when_it_may_be() {
    let place = Place::sqlite();
    let anna = saved_user(&*place.open().await, "anna").await;
    run(&place, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let may = |mode| {
        for file in fs::read_dir(place.path().parent().unwrap()).unwrap() {
            fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    may(0o400);
    let is_root = fs::OpenOptions::new().append(true).open(place.path()).is_ok();
    let store = place.open().await;
    assert!(store.user(anna.id).await.unwrap().is_some(), "reads go on");
    // Whom no mode stops has nothing to see here.
    if !is_root {
        assert!(matches!(store.create_user(&user("bert")).await, Err(StoreError::Unavailable(_))));
    }
    may(0o600);
    saved_user(&*store, "carl").await;
}

#[tokio::test]
async fn a_store_that_is_opened_lazily_opens_when_it_can() {
    let place = Place::sqlite();
    let folder = place.path().parent().unwrap().to_owned();
    fs::write(&folder, "in the way").unwrap();
    assert!(matches!(store::open(&place.url()).await.map(|_| ()), Err(StoreError::Unavailable(_))));
    let store = store::open_lazily(&place.url()).unwrap();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    fs::remove_file(&folder).unwrap();
    store.ping().await.unwrap();
    saved_user(&*store, "anna").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_is_done_or_undone() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let mut done = 0;
    for yields in 0..200 {
        let (store, id) = (Arc::clone(&store), anna.id);
        let role = format!("role{yields}");
        let call = tokio::spawn(async move {
            let change = UserChange { roles: Some(vec![role]), ..UserChange::default() };
            store.change_user(id, change, NOW, UNTIL).await
        });
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        call.abort();
        if let Ok(finished) = call.await {
            finished.unwrap();
            done += 1;
        }
    }
    let change = UserChange { scopes: Some(scopes("last")), ..UserChange::default() };
    let (changed, _) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    let log = whole_log(&*store).await;
    assert!(log.len() > done, "what was answered is there");
    let below: Vec<_> =
        (anna.generation + 1..=changed.generation).map(|below| Revoked::Generation { subject: anna.id, below }).collect();
    assert_eq!(what(&log), below, "each generation has its entry, each entry its generation");
}

#[tokio::test]
async fn a_sealed_successor_is_erased_when_nobody_may_ask_for_it_any_more() {
    const SEALED: &str = "SELECT COUNT(*) FROM refresh_tokens WHERE sealed_successor IS NOT NULL";
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;
    assert_eq!(count(&place, SEALED).await, 1);
    refreshed(&*store, &second, NOW).await;
    assert_eq!(count(&place, SEALED).await, 1, "the first token's is gone, the second's is there");
    store.end_session(session.id, NOW, UNTIL).await.unwrap();
    assert_eq!(count(&place, SEALED).await, 0);

    let (_, first) = opened(&*store, &anna).await;
    refreshed(&*store, &first, NOW).await;
    store.prune(after(9), GRACE).await.unwrap();
    assert_eq!(count(&place, SEALED).await, 1);
    store.prune(after(10), GRACE).await.unwrap();
    assert_eq!(count(&place, SEALED).await, 0);
}

#[tokio::test]
async fn a_successor_that_can_not_be_read_ends_the_session() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for damage in [
        "UPDATE refresh_tokens SET sealed_successor = x'00' WHERE sealed_successor IS NOT NULL",
        "DELETE FROM refresh_tokens WHERE parent IS NOT NULL",
    ] {
        let (session, first) = opened(&*store, &anna).await;
        refreshed(&*store, &first, NOW).await;
        run(&place, damage).await;
        assert!(matches!(rotate(&*store, &first, NOW).await, Rotated::Reused { .. }), "{damage}");
        assert!(is_ended(&*store, session.id).await);
    }
}

#[tokio::test]
async fn what_a_later_release_wrote_does_not_stop_a_reader() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for _ in 0..3 {
        run(&place, "UPDATE counters SET value = value + 1 WHERE name = 'revocations'").await;
        run(&place, "INSERT INTO revocations SELECT value, 'planet', 'x', NULL, 0 FROM counters").await;
    }
    let (session, _) = opened(&*store, &anna).await;
    let entries = store.end_session(session.id, NOW, UNTIL).await.unwrap();
    assert_eq!(store.revocations_after(0, 2).await.unwrap(), entries);
    run(&place, "INSERT INTO audit (at, kind) VALUES (0, 'eclipse')").await;
    assert!(store.events(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_an_error_that_does_not_show_it() {
    let place = Place::sqlite();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    for damage in ["UPDATE users SET roles = 'hunter2'", "UPDATE users SET scopes = 'hunter2::', roles = '[]'"] {
        run(&place, damage).await;
        match store.user(anna.id).await {
            Err(StoreError::Corrupt(why)) => assert!(!why.contains("hunter2"), "{why}"),
            other => panic!("{damage}: {other:?}"),
        }
    }
}
