//! The store in a PostgreSQL database, which several replicas share.
//!
//! Transactions are READ COMMITTED and lock what they go by before they read it ([`locks`]), so that they behave as on
//! SQLite, where a writer is alone. The counter of the revocation log stays locked until the commit: its numbers follow
//! commit order. Who loses a deadlock, or a connection before the commit, is run again; a commit that gives no answer is
//! not, because it may have happened.

mod connections;
mod locks;
mod migrate;
#[expect(clippy::duplicate_mod, reason = "sqlx has types of its own for each database, and bounds that span them can't be read")]
#[path = "../tables/mod.rs"]
mod tables;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Transaction;
use sqlx::postgres::PgPool;
use tokio::time::{sleep, timeout};

use super::error::Remedy;
use super::{Fault, Outcome, Store, StoreError, StoreResult, sql};
use crate::domain::SecretString;
use connections::Connections;

/// How long a call waits for the store before it is [`StoreError::Unavailable`]; a commit may take as long once more.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often work is run at most, when it lost a deadlock or its connection.
const TRIES: u32 = 4;
/// Before the second try; doubled for each further one.
const PAUSE: Duration = Duration::from_millis(5);

type Tx = Transaction<'static, sqlx::Postgres>;

// What `tables` is compiled for.
use Postgres as Db;
use sqlx::PgConnection as DbConnection;
use sqlx::postgres::PgRow as DbRow;

/// The store on PostgreSQL.
pub(super) struct Postgres {
    connections: Arc<Connections>,
}

impl Postgres {
    /// The store at `postgres://…`; connects to nothing yet.
    pub(super) fn new(url: &SecretString) -> StoreResult<Self> {
        Ok(Self { connections: Arc::new(Connections::new(url)?) })
    }

    /// Connects and migrates, if that has not been done.
    pub(super) async fn ensure_open(&self) -> StoreResult<()> {
        self.reading(|| self.readers()).await.map(drop)
    }

    async fn readers(&self) -> Outcome<PgPool> {
        Ok(self.connections.pools().await?.work.clone())
    }

    /// Who follows the log waits behind nobody else: calls are refused where it can't be read.
    async fn followers(&self) -> Outcome<PgPool> {
        Ok(self.connections.pools().await?.log.clone())
    }

    async fn begin(&self) -> Outcome<Tx> {
        // Whatever the server's default is: behind a lock, the next statement has to see what its holder did.
        Ok(self.readers().await?.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
    }

    /// Runs what only reads, or has yet to be committed, within the deadline.
    async fn reading<T, F>(&self, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        self.within(DEADLINE, work).await
    }

    async fn within<T, F>(&self, deadline: Duration, work: impl Fn() -> F) -> StoreResult<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let (used, answers) = (self.connections.current(), self.connections.answers());
        let late = || Fault { error: StoreError::too_slow(deadline), remedy: Remedy::Unanswered };
        let done = timeout(deadline, self.tried(work)).await.unwrap_or_else(|_| Err(late()));
        done.map_err(|fault| {
            if fault.remedy == Remedy::Unanswered && self.connections.answers() == answers {
                self.connections.lost(used.as_ref());
            }
            fault.error
        })
    }

    async fn tried<T, F>(&self, work: impl Fn() -> F) -> Outcome<T>
    where
        F: Future<Output = Outcome<T>>,
    {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let used = self.connections.current();
            match work().await {
                Err(Fault { remedy: Remedy::Again, .. }) => {
                    sleep(pause).await;
                    pause *= 2;
                }
                Err(Fault { remedy: Remedy::Reconnect, .. }) => self.connections.lost(used.as_ref()),
                Err(fault @ Fault { remedy: Remedy::Unanswered, .. }) => return Err(fault),
                done => {
                    self.connections.answered();
                    return done;
                }
            }
        }
        work().await
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
        let (tx, value) = self.within(deadline, work).await?;
        let used = self.connections.current();
        let committed = timeout(DEADLINE, tx.commit()).await;
        let fault = match committed {
            Ok(Ok(())) => return Ok(value),
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault { error: StoreError::too_slow(DEADLINE), remedy: Remedy::Reconnect },
        };
        if fault.remedy == Remedy::Reconnect {
            self.connections.lost(used.as_ref());
        }
        Err(fault.error)
    }
}

#[async_trait]
impl Store for Postgres {
    async fn ping(&self) -> StoreResult<()> {
        self.reading(|| async {
            sqlx::query(sql::META).bind("schema_version").fetch_one(&self.readers().await?).await?;
            Ok(())
        })
        .await
    }
}
