//! Connections to the server: made at the first use, dropped when the server is lost, made again at the next.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::migrate;
use crate::domain::SecretString;
use crate::store::{Fault, Outcome, StoreError, StoreResult};

/// How long a server has to take a new connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a call waits for one of the connections: within its deadline, so that this is the error reported.
const ACQUIRE: Duration = Duration::from_secs(4);
/// A server has 100 by default, for all replicas and everybody else.
const CONNECTIONS: u32 = 10;
/// Beside these, for who follows the log of revocations: one, and one while another that was given up is seen to.
const FOR_THE_LOG: u32 = 2;
/// How long a connection that comes back has to answer before it is given up: sqlx itself would wait until TCP does.
const BACK: Duration = Duration::from_secs(2);
/// How long migrations may take, waiting for another replica's included.
const MIGRATION: Duration = Duration::from_mins(30);
/// Closed before a firewall forgets it.
const IDLE: Duration = Duration::from_mins(4);
/// So that all of them move over some time after an address leads elsewhere.
const LIFETIME: Duration = Duration::from_mins(30);

/// The server ends what a replica that is stuck or cut off has begun, within what others wait. What was answered is on the
/// server's disk, even where it is set up to be lax.
const SETTINGS: &str = "SET statement_timeout = '4500ms'; SET lock_timeout = '4s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET client_min_messages = warning; SET standard_conforming_strings = on; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The connections there are.
pub(super) struct Pools {
    /// For everything else.
    pub(super) work: PgPool,
    /// To follow the log of revocations.
    pub(super) log: PgPool,
}

pub(super) struct Connections {
    options: PgConnectOptions,
    /// For errors: where the server is.
    place: String,
    pools: ArcSwapOption<Pools>,
    /// Held by the one who connects; holds why the last attempt failed.
    attempt: Arc<Mutex<Option<StoreError>>>,
    failures: AtomicU64,
    answers: AtomicU64,
}

impl Connections {
    pub(super) fn new(url: &SecretString) -> StoreResult<Self> {
        // sqlx' own error may quote the URL.
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|_| StoreError::Unavailable("[store].url is no URL of a PostgreSQL server".to_owned()))?;
        let name = options.get_application_name().unwrap_or("portcullis").to_owned();
        let options = options.application_name(&name).extra_float_digits(None).disable_statement_logging();
        let place = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        Ok(Self {
            options,
            place,
            pools: ArcSwapOption::empty(),
            attempt: Arc::default(),
            failures: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        })
    }

    /// The connections there are, if any.
    pub(super) fn current(&self) -> Option<Arc<Pools>> {
        self.pools.load_full()
    }

    /// The connections, made if there are none. One caller at a time tries; who waited for one that failed shares its error.
    pub(super) async fn pools(self: &Arc<Self>) -> Outcome<Arc<Pools>> {
        if let Some(pools) = self.current() {
            return Ok(pools);
        }
        let failures = self.failures.load(Ordering::SeqCst);
        let mut attempt = Arc::clone(&self.attempt).lock_owned().await;
        if let Some(pools) = self.current() {
            return Ok(pools);
        }
        if self.failures.load(Ordering::SeqCst) != failures
            && let Some(error) = attempt.take()
        {
            *attempt = Some(error.clone());
            return Err(error.into());
        }
        // A migration goes on when the one who asked first does not wait for it any more.
        let this = Arc::clone(self);
        let opened = tokio::spawn(async move { this.open(attempt).await }).await;
        opened.map_err(|error| StoreError::Unavailable(error.to_string()))?.map_err(Fault::from)
    }

    async fn open(&self, mut attempt: OwnedMutexGuard<Option<StoreError>>) -> StoreResult<Arc<Pools>> {
        match self.prepare().await {
            Ok(()) => {
                let pools = Arc::new(Pools { work: self.pool(CONNECTIONS), log: self.pool(FOR_THE_LOG) });
                self.pools.store(Some(Arc::clone(&pools)));
                *attempt = None;
                Ok(pools)
            }
            Err(Fault { error, .. }) => {
                let error = match error {
                    StoreError::Unavailable(why) => StoreError::Unavailable(format!("PostgreSQL at {}: {why}", self.place)),
                    error @ (StoreError::Corrupt(_)
                    | StoreError::NotFound(_)
                    | StoreError::Taken(_)
                    | StoreError::Changed
                    | StoreError::Last) => error,
                };
                *attempt = Some(error.clone());
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(error)
            }
        }
    }

    fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            .max_lifetime(LIFETIME)
            // One that broke is noticed by its use, which is tried again.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(set_up(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_lazy_with(self.options.clone())
    }

    /// Connects once, which says at once what a pool would try again and again, and migrates.
    async fn prepare(&self) -> Outcome<()> {
        let late = || StoreError::Unavailable(format!("no connection within {CONNECT:?}"));
        let connecting = async {
            let mut connection = self.options.connect().await?;
            set_up(&mut connection).await?;
            require_utf8(&mut connection).await?;
            let is_current = migrate::is_current(&mut connection).await?;
            Ok::<_, Fault>((connection, is_current))
        };
        let (mut connection, is_current) = timeout(CONNECT, connecting).await.map_err(|_| late())??;
        // Whoever only runs the gateway need not be allowed to make tables.
        if !is_current {
            let late = || StoreError::Unavailable(format!("its schema was not brought up to date within {MIGRATION:?}"));
            timeout(MIGRATION, migrate::run(&mut connection)).await.map_err(|_| late())??;
        }
        timeout(CONNECT, connection.close()).await.map_err(|_| late())?.map_err(Fault::from)
    }

    /// Drops `used`, if it is what there still is; work that others began on it goes on.
    pub(super) fn lost(&self, used: Option<&Arc<Pools>>) {
        let now = self.pools.load();
        if used.is_none_or(|used| now.as_ref().is_some_and(|now| Arc::ptr_eq(used, now))) {
            self.pools.compare_and_swap(&*now, None);
        }
    }

    /// Counts an answer of the server.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers there were: as long as there are some, the server is not lost but busy.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

async fn set_up(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(SETTINGS).execute(connection).await?;
    Ok(())
}

/// Whether a connection that comes back may be used again: one that was given up in the middle of its work may never answer.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match timeout(BACK, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

async fn require_utf8(connection: &mut PgConnection) -> Outcome<()> {
    let encoding: String = sqlx::query("SELECT current_setting('server_encoding')").fetch_one(connection).await?.try_get(0)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    let why = format!("its encoding is {encoding}: make a database with ENCODING 'UTF8'");
    Err(StoreError::Unavailable(why).into())
}
