//! The store in one SQLite file, which the CLI and several replicas on a host may share.
//!
//! Writers queue for one connection and begin with `BEGIN IMMEDIATE`, so that a transaction never has to be retried;
//! readers have a few connections of their own, which in WAL mode no writer stops. Every wait ends after [`DEADLINE`].
//! A future that is dropped rolls its transaction back.

mod file;
mod locks;
mod migrate;
#[path = "../tables/mod.rs"]
mod tables;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use secrecy::ExposeSecret;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, Transaction};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{Outcome, Store, StoreError, StoreResult, sql};
use crate::domain::SecretString;
use file::Identity;

/// How long a call waits for the store before it is [`StoreError::Unavailable`]; a commit may take as long once more.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process's lock: within the deadline, so that its own error is the one reported.
const BUSY: Duration = Duration::from_millis(4500);
/// Between two tries to switch to WAL, which SQLite's own waiting does not cover.
const RETRY: Duration = Duration::from_millis(20);
const READERS: u32 = 4;

type Tx = Transaction<'static, sqlx::Sqlite>;

// What `tables` is compiled for.
use Sqlite as Db;
use sqlx::SqliteConnection as DbConnection;
use sqlx::sqlite::SqliteRow as DbRow;

/// The store on SQLite.
pub(super) struct Sqlite {
    path: PathBuf,
    /// Set while the file is open; replaced when the path leads to another file.
    open: ArcSwapOption<Open>,
    /// Guards opening. Holds whether it was open once: a file that is gone is not replaced by an empty one.
    opening: Mutex<bool>,
}

struct Open {
    file: Identity,
    /// SQLite opens what it may not write to all the same, and such a connection never writes again.
    writable: bool,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// The store at `sqlite://PATH`; touches nothing yet.
    pub(super) fn new(url: &SecretString) -> StoreResult<Self> {
        let url = url.expose_secret();
        if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::Unavailable("[store].url has to be sqlite://PATH or postgres://HOST/DATABASE".to_owned()));
        }
        let options = SqliteConnectOptions::from_str(url)?;
        Ok(Self { path: options.get_filename().to_owned(), open: ArcSwapOption::empty(), opening: Mutex::new(false) })
    }

    /// Opens the file if it is not open yet, or not the one that the path leads to now.
    pub(super) async fn ensure_open(&self) -> StoreResult<()> {
        self.reading(|| self.open()).await.map(drop)
    }

    async fn open(&self) -> Outcome<Arc<Open>> {
        if let Some(open) = self.still_open() {
            return Ok(open);
        }
        let mut was_open = self.opening.lock().await;
        if let Some(open) = self.still_open() {
            return Ok(open);
        }
        if let Some(old) = self.open.swap(None).filter(|old| !old.writable) {
            // SQLite shares the files beside the database among a process' connections: these opened them to read only.
            old.writer.close().await;
            old.readers.close().await;
        }
        if !*was_open {
            file::create(&self.path).map_err(|error| unreachable_file(&self.path, &error))?;
        }
        let open = Arc::new(Open::at(&self.path).await?);
        *was_open = true;
        self.open.store(Some(Arc::clone(&open)));
        Ok(open)
    }

    /// What is written to a file that was moved or deleted would be lost, so each call looks.
    fn still_open(&self) -> Option<Arc<Open>> {
        let is_same = |open: &Arc<Open>| Identity::of(&self.path).is_ok_and(|found| found == open.file);
        self.open.load_full().filter(is_same).filter(|open| open.writable || !file::is_writable(&self.path))
    }

    async fn readers(&self) -> Outcome<SqlitePool> {
        Ok(self.open().await?.readers.clone())
    }

    /// Those for who follows the log, whom nobody keeps waiting here.
    async fn followers(&self) -> Outcome<SqlitePool> {
        self.readers().await
    }

    async fn begin(&self) -> Outcome<Tx> {
        let writer = self.open().await?.writer.clone();
        Ok(writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Runs what only reads, within the deadline.
    async fn reading<T, F>(&self, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        Self::within(DEADLINE, work).await
    }

    async fn within<T, F>(deadline: Duration, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        timeout(deadline, work()).await.map_err(|_| StoreError::too_slow(deadline))?.map_err(|fault| fault.error)
    }

    /// Runs what writes, within the deadline, and commits it.
    ///
    /// The commit has a deadline of its own: one that is cut off leaves open whether it happened, never half of it.
    async fn writing<T, F>(&self, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<(Tx, T)>>,
    {
        self.writing_within(DEADLINE, work).await
    }

    /// The same with a deadline of its own.
    async fn writing_within<T, F>(&self, deadline: Duration, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<(Tx, T)>>,
    {
        let (tx, value) = Self::within(deadline, work).await?;
        timeout(DEADLINE, tx.commit()).await.map_err(|_| StoreError::too_slow(DEADLINE))??;
        Ok(value)
    }
}

impl Open {
    async fn at(path: &Path) -> Outcome<Self> {
        let file = Identity::of(path).map_err(|error| unreachable_file(path, &error))?;
        // Asked before SQLite opens it: a file that becomes writable in between is opened once more, which does no harm.
        let writable = file::is_writable(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .pragma("trusted_schema", "OFF")
            .pragma("secure_delete", "FAST")
            .disable_statement_logging();
        prepare(&options).await?;
        let pool = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(DEADLINE).idle_timeout(None).max_lifetime(None);
            pool.test_before_acquire(false).after_release(|connection, _| Box::pin(is_clean(connection)))
        };
        Ok(Self {
            file,
            writable,
            writer: pool().max_connections(1).connect_lazy_with(options.clone()),
            // Not SQLITE_OPEN_READONLY: a reader in WAL mode has to write its mark into the shared-memory file.
            readers: pool().max_connections(READERS).connect_lazy_with(options.pragma("query_only", "ON")),
        })
    }
}

/// Switches the file to WAL, which it stays in, and migrates it.
async fn prepare(options: &SqliteConnectOptions) -> Outcome<()> {
    let wal = options.clone().journal_mode(SqliteJournalMode::Wal);
    let mut connection = loop {
        match wal.connect().await {
            Ok(connection) => break connection,
            // The caller's deadline ends this.
            Err(error) if is_busy(&error) => sleep(RETRY).await,
            Err(error) => return Err(error.into()),
        }
    };
    let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await?.try_get(0)?;
    if mode != "wal" {
        let why = format!("its file system can't keep a write-ahead log (journal mode {mode})");
        return Err(StoreError::Unavailable(why).into());
    }
    migrate::run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether a connection that comes back may be used again.
///
/// When a disk is full SQLite rolls back by itself; the rollback that sqlx then sends fails, and sqlx believes for ever
/// that the connection is inside a transaction.
async fn is_clean(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind this, a rollback that was queued has been run.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|fault| fault.code()?.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

fn unreachable_file(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

#[async_trait]
impl Store for Sqlite {
    async fn ping(&self) -> StoreResult<()> {
        self.reading(|| async {
            sqlx::query(sql::META).bind("schema_version").fetch_one(&self.readers().await?).await?;
            Ok(())
        })
        .await
    }
}
