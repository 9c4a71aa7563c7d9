//! What is SQLite's own: its file, and who else holds it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use portcullis::domain::Revoked;
use portcullis::store::{self, StoreError, UserChange};
use sqlx::{Connection, SqliteConnection};
use tokio::task::JoinSet;

use crate::make::{NOW, Place, UNTIL, saved_user, scopes, user, what, whole_log};

/// Another program's connection.
async fn other(place: &Place) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", place.path().display())).await.unwrap()
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
    restored.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
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
    place.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
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
