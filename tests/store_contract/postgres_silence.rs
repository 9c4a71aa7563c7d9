//! PostgreSQL behind a network that swallows what it is given: nothing is refused, nothing is closed, nothing comes.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis::domain::{SecretString, UserId};
use portcullis::store::{self, Store, StoreError};
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::make::{Place, saved_user};
use crate::postgres_server::{other, until_waiting};

/// More than there are connections.
const CALLS: usize = 20;

/// A network before the server of a place.
struct Network {
    folder: TempDir,
    /// How often it was cut: what was connected before the last time is silent.
    cuts: watch::Sender<u32>,
}

impl Network {
    fn before(place: &Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (cuts, seen) = watch::channel(0);
        let server = folder_of(&place.url()).join(SOCKET);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, seen.clone()));
                tokio::spawn(carry(from_server, to_client, seen.clone()));
            }
        });
        Self { folder, cuts }
    }

    /// The URL of the same database through this network.
    fn url(&self, place: &Place) -> SecretString {
        use secrecy::ExposeSecret;
        let (direct, through) = (folder_of(&place.url()), self.folder.path());
        place.url().expose_secret().replace(&*direct.to_string_lossy(), &through.to_string_lossy()).into()
    }

    /// From now on nothing passes through what is connected. What connects anew is not concerned.
    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

const SOCKET: &str = ".s.PGSQL.5432";

fn folder_of(url: &SecretString) -> PathBuf {
    use secrecy::ExposeSecret;
    url.expose_secret().split_once("?host=").unwrap().1.into()
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cuts: watch::Receiver<u32>) {
    let born = *cuts.borrow();
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if *cuts.borrow() == born && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Keeps everybody from a table until it is dropped.
async fn locked<'a>(connection: &'a mut PgConnection, statement: &'static str) -> Transaction<'a, Postgres> {
    let mut lock = connection.begin().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut *lock).await.unwrap();
    lock
}

const USERS: &str = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
const COUNTERS: &str = "LOCK TABLE counters IN ACCESS EXCLUSIVE MODE";

fn readers(store: &Arc<dyn Store>, id: UserId) -> JoinSet<Result<(), StoreError>> {
    (0..CALLS)
        .map(|_| {
            let store = Arc::clone(store);
            async move { store.user(id).await.map(drop) }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fell_silent_under_load_is_found_again_where_it_answers() {
    let place = Place::postgres();
    let network = Network::before(&place);
    let store = store::open(&network.url(&place)).await.unwrap();
    let anna = saved_user(&*store, "anna").await;
    let mut other = other(&place).await;
    let lock = locked(&mut other, USERS).await;
    let calls = readers(&store, anna.id);
    until_waiting(&place, 10).await;
    network.cut();
    lock.rollback().await.unwrap();
    for call in calls.join_all().await {
        assert!(matches!(call, Err(StoreError::Unavailable(_))), "{call:?}");
    }
    assert!(store.user(anna.id).await.unwrap().is_some(), "no connection is left that waits for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_given_up_and_never_answers_takes_nobodys_place() {
    let place = Place::postgres();
    let network = Network::before(&place);
    let store = store::open(&network.url(&place)).await.unwrap();
    let mut other = other(&place).await;
    let lock = locked(&mut other, COUNTERS).await;
    let follower = || {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.last_revocation().await })
    };
    let given_up = [follower(), follower()];
    until_waiting(&place, 2).await;
    network.cut();
    lock.rollback().await.unwrap();
    for call in given_up {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(store.last_revocation().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_followed_however_many_others_wait() {
    let place = Place::postgres();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let mut other = other(&place).await;
    let lock = locked(&mut other, USERS).await;
    let calls = readers(&store, anna.id);
    until_waiting(&place, 10).await;
    assert_eq!(store.last_revocation().await.unwrap(), 0);
    assert_eq!(store.revocations_after(0, 10).await.unwrap(), []);
    lock.rollback().await.unwrap();
    for call in calls.join_all().await {
        call.unwrap();
    }
}
