//! Counts that all replicas share, in Redis. Whoever can't reach it within a moment counts by itself: never unlimited.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Script};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;

use super::cells::Key;
use crate::config::{self, Rate};

/// How long a connection may take; nobody waits for it.
const CONNECT: Duration = Duration::from_secs(1);

/// Redis' address is none that can be used.
#[derive(Debug, thiserror::Error)]
#[error("Redis: {0}")]
pub struct AddressError(#[from] redis::RedisError);

/// What is asked of a count.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// Count one, if one is left.
    Take,
    /// Only whether one is left.
    Look,
    /// Count one in any case.
    Charge,
}

/// What all replicas counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// How long to wait; zero for not at all.
    pub(super) wait: Duration,
    /// When the key is back at a full burst.
    pub(super) full_in: Duration,
}

pub(super) struct Counts {
    client: Client,
    prefix: String,
    script: Script,
    runtime: Handle,
    connection: ArcSwapOption<MultiplexedConnection>,
    connecting: AtomicBool,
}

impl Counts {
    /// Connects in the background.
    pub(super) fn new(redis: &config::Redis, runtime: &Handle) -> Result<Arc<Self>, AddressError> {
        let counts = Arc::new(Self {
            client: Client::open(redis.url.expose_secret())?,
            prefix: format!("{}:limit", redis.key_prefix),
            script: Script::new(include_str!("gcra.lua")),
            runtime: runtime.clone(),
            connection: ArcSwapOption::empty(),
            connecting: AtomicBool::new(false),
        });
        counts.connect();
        Ok(counts)
    }

    /// Whether Redis answered last time.
    pub(super) fn has_contact(&self) -> bool {
        self.connection.load().is_some()
    }

    /// What all replicas counted; `None` without contact, or where it does not come within `deadline`.
    pub(super) async fn ask(self: &Arc<Self>, what: &str, key: &Key, rate: Rate, ask: Ask, deadline: Duration) -> Option<Count> {
        let Some(connection) = self.connection.load_full() else {
            self.connect();
            return None;
        };
        let weight = (rate.period / rate.count.max(1)).max(Duration::from_micros(1)).as_micros();
        // No less than one call: Redis takes no expiry of nothing, and whoever makes keys chooses their rates.
        let most = rate.period.as_micros().saturating_mul(2).max(weight);
        let rest = weight.saturating_mul(u128::from(rate.count.saturating_sub(1)));
        let mode = match ask {
            Ask::Take => "take",
            Ask::Look => "look",
            Ask::Charge => "charge",
        };
        let mut connection = (*connection).clone();
        let mut call = self.script.key(self.name(what, key));
        call.arg(micros(weight)).arg(micros(rest)).arg(micros(most)).arg(mode);
        match tokio::time::timeout(deadline, call.invoke_async::<(u64, u64)>(&mut connection)).await {
            Ok(Ok((wait, full_in))) => Some(Count { wait: Duration::from_micros(wait), full_in: Duration::from_micros(full_in) }),
            Ok(Err(error)) => self.lost(&error.to_string()),
            Err(_) => self.lost("it did not answer in time"),
        }
    }

    fn lost(self: &Arc<Self>, error: &str) -> Option<Count> {
        if self.connection.swap(None).is_some() {
            tracing::warn!(error, "limits count in this process alone");
        }
        self.connect();
        None
    }

    /// Connects, one at a time; who comes in the meantime counts by itself.
    pub(super) fn connect(self: &Arc<Self>) {
        if self.connecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let counts = Arc::clone(self);
        self.runtime.spawn(async move {
            let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(CONNECT));
            let connecting = counts.client.get_multiplexed_async_connection_with_config(&config);
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(Ok(connection)) => counts.connection.store(Some(Arc::new(connection))),
                Ok(Err(error)) => tracing::debug!(%error, "no connection for limits"),
                Err(_) => tracing::debug!("no connection for limits in time"),
            }
            counts.connecting.store(false, Ordering::Release);
        });
    }

    fn name(&self, what: &str, key: &Key) -> String {
        let mut name = format!("{}:{what}:", self.prefix);
        for byte in key {
            // Writing to a string can't fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

fn micros(micros: u128) -> u64 {
    // Lua counts in doubles: whole up to 2^53.
    u64::try_from(micros).unwrap_or(u64::MAX).min(1 << 50)
}
