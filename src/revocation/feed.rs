//! The Redis stream: every replica follows it on a connection of its own, resumes where it stopped, and adds what Redis lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::streams::{StreamRangeReply, StreamReadReply};
use ::redis::{AsyncConnectionConfig, Client, Pipeline, pipe};
use arc_swap::ArcSwapOption;
use secrecy::ExposeSecret as _;
use tokio::sync::Notify;

use super::freshness::Freshness;
use super::list::List;
use super::store::StoreFollower;
use super::stream::{Message, Position, add_all, add_marker};
use crate::config;
use crate::domain::{Clock, Entry, Revoked, Timestamp};

/// How long a publication holds up its caller.
const IN_LINE: Duration = Duration::from_millis(100);
/// How long other commands may take.
const COMMAND: Duration = Duration::from_secs(1);
/// Entries that wait for Redis; beyond, all that is live is compared with the stream instead.
const PENDING: usize = 10_000;
/// Messages read or written at once.
const BATCH: usize = 1000;
/// How long one replica has for adding what Redis lost before another does it too (which does no harm).
const RESTORE: Duration = Duration::from_secs(5);

/// Redis can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// It refused, broke off, or its address is none.
    #[error("Redis: {0}")]
    Failed(#[from] ::redis::RedisError),
    /// It did not answer in time.
    #[error("Redis did not answer in time")]
    Silent,
    /// It answered what it can't have.
    #[error("Redis answered something else than asked")]
    Confused,
}

type Result<T> = std::result::Result<T, RedisError>;

/// What is to be published when Redis is back.
#[derive(Default)]
struct Pending {
    entries: Vec<Entry>,
    /// More than fits: everything live has to be compared.
    overflowed: bool,
}

pub(super) struct Feed {
    client: Client,
    key: String,
    list: Arc<List>,
    fresh: Arc<Freshness>,
    store: Arc<StoreFollower>,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
    /// For everything but waiting; absent while Redis can't be used. The follower puts it there and takes it away.
    commands: ArcSwapOption<MultiplexedConnection>,
    /// The last message read; `None` when the stream has to be read whole.
    position: Mutex<Option<Position>>,
    pending: Mutex<Pending>,
    reconnect: Notify,
    /// The longest way from publishing to the list since last asked, in milliseconds.
    lag: AtomicU64,
}

impl Feed {
    pub(super) fn new(
        redis: &config::Redis,
        list: Arc<List>,
        fresh: Arc<Freshness>,
        store: Arc<StoreFollower>,
        clock: Arc<dyn Clock>,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self> {
        Ok(Self {
            client: Client::open(redis.url.expose_secret())?,
            key: stream_key(redis),
            list,
            fresh,
            store,
            clock,
            runtime,
            commands: ArcSwapOption::empty(),
            position: Mutex::default(),
            pending: Mutex::default(),
            reconnect: Notify::new(),
            lag: AtomicU64::new(0),
        })
    }

    /// Follows for ever, whatever happens to Redis.
    pub(super) async fn run(&self) {
        let mut pause = Duration::from_millis(25);
        let mut failing = false;
        loop {
            let before = self.fresh.now();
            let Err(error) = self.follow().await;
            self.commands.store(None);
            self.store.set_fed(false);
            if self.fresh.now().saturating_sub(before) > COMMAND * 5 {
                (pause, failing) = (Duration::from_millis(25), false);
            }
            if !failing {
                tracing::warn!(%error, "revocations follow the store alone");
                failing = true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(COMMAND / 2);
        }
    }

    async fn follow(&self) -> Result<std::convert::Infallible> {
        let mut reader = connect(&self.client).await?;
        let commands = connect(&self.client).await?;
        self.attach(&mut reader).await?;
        self.commands.store(Some(Arc::new(commands)));
        self.store.set_fed(true);
        tracing::info!("revocations follow Redis");
        loop {
            self.publish_pending(&mut reader).await?;
            tokio::select! {
                done = self.step(&mut reader) => done?,
                () = self.reconnect.notified() => return Err(RedisError::Silent),
            }
        }
    }

    /// Waits for messages, takes them in, and makes sure that nothing was lost before them.
    async fn step(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        let Some(position) = self.position() else {
            return self.attach(reader).await;
        };
        let wait = (self.fresh.max_staleness() / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let began = self.fresh.now();
        let mut read = ::redis::cmd("XREAD");
        read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(1000));
        read.arg("STREAMS").arg(&self.key).arg(position.to_string());
        let reply: Option<StreamReadReply> = within(wait * 2, read.query_async(reader)).await?;
        let messages = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let messages: Vec<Message> = messages.filter_map(|message| Message::read(&message)).collect();
        // Taken in before anything else is asked: this is the way that a revocation takes to the other replicas.
        for message in &messages {
            self.take_in(message);
        }
        if !self.holds(reader, position).await? {
            return self.attach(reader).await;
        }
        if let Some(last) = messages.last() {
            self.set_position(Some(last.position));
        }
        if messages.len() < BATCH {
            self.fresh.redis_heard(began);
        }
        Ok(())
    }

    /// Resumes behind the last message read. Where that one is gone, so may be others: the stream is read whole, the
    /// store is asked, and what Redis does not hold is published again.
    async fn attach(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        if let Some(position) = self.position()
            && self.holds(reader, position).await?
        {
            return Ok(());
        }
        if self.position().is_some() {
            tracing::warn!("Redis lost revocations: reading them again, publishing what it lacks");
        }
        self.set_position(None);
        self.fresh.stream_attached();
        self.store.wake();
        let mut held = HashSet::new();
        let last = self.read_behind(reader, None, &mut held).await?;
        let last = self.restore(reader, last, held).await?;
        self.set_position(last);
        Ok(())
    }

    /// Publishes what is live and not `held` by the stream, one replica at a time, and gives the stream's last message.
    async fn restore(
        &self,
        reader: &mut MultiplexedConnection,
        mut last: Option<Position>,
        mut held: HashSet<(Revoked, Timestamp)>,
    ) -> Result<Option<Position>> {
        let lock = format!("{}:restore", self.key);
        let millis = u64::try_from(RESTORE.as_millis()).unwrap_or(5000);
        for attempt in 0..20 {
            if self.lacking(&held).is_empty() && last.is_some() {
                return Ok(last);
            }
            let mut take = ::redis::cmd("SET");
            take.arg(&lock).arg("1").arg("NX").arg("PX").arg(millis);
            let taken: Option<String> = within(COMMAND, take.query_async(reader)).await?;
            // Whoever held it may have died, and the same entry twice does no harm: no use in waiting for long.
            if taken.is_some() || attempt == 19 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            last = self.read_behind(reader, last, &mut held).await?.or(last);
        }
        last = self.read_behind(reader, last, &mut held).await?.or(last);
        let lacking = self.lacking(&held);
        if !lacking.is_empty() {
            tracing::info!(entries = lacking.len(), "publishing revocations that Redis lacks");
        }
        self.add(reader, &lacking, COMMAND).await?;
        if lacking.is_empty() && last.is_none() {
            let mut marker = pipe();
            add_marker(&mut marker, &self.key, self.clock.now());
            within(COMMAND, marker.exec_async(reader)).await?;
        }
        within(COMMAND, ::redis::cmd("DEL").arg(&lock).exec_async(reader)).await?;
        Ok(self.read_behind(reader, last, &mut held).await?.or(last))
    }

    fn lacking(&self, held: &HashSet<(Revoked, Timestamp)>) -> Vec<Entry> {
        let mut live = self.list.live(self.clock.now());
        live.retain(|entry| !held.contains(&(entry.what.clone(), entry.until)));
        live
    }

    /// Takes in everything behind `from`, notes what it was in `held`, and gives the last message's place.
    async fn read_behind(
        &self,
        reader: &mut MultiplexedConnection,
        from: Option<Position>,
        held: &mut HashSet<(Revoked, Timestamp)>,
    ) -> Result<Option<Position>> {
        let mut last = None;
        loop {
            let start = last.or(from).map_or_else(|| "-".to_owned(), |position: Position| format!("({position}"));
            let messages = self.range(reader, &start, "+", BATCH, COMMAND).await?;
            for message in &messages {
                self.list_entry(message);
                held.extend(message.entry.as_ref().map(|entry| (entry.what.clone(), entry.until)));
                last = Some(message.position);
            }
            if messages.len() < BATCH {
                return Ok(last);
            }
        }
    }

    /// Confirms that the list holds everything that the stream holds, taking in what it does not yet. One round trip.
    pub(super) async fn confirm(&self) -> Result<bool> {
        let (Some(commands), Some(mut position)) = (self.commands.load_full(), self.position()) else {
            return Ok(false);
        };
        let mut commands = (*commands).clone();
        if !self.fresh.stream_is_whole() {
            return Ok(false);
        }
        loop {
            let messages = self.range(&mut commands, &position.to_string(), "+", BATCH, IN_LINE).await?;
            match (messages.first(), messages.last()) {
                (Some(first), Some(last)) if first.position == position => {
                    for message in &messages {
                        self.take_in(message);
                    }
                    if messages.len() < BATCH {
                        return Ok(true);
                    }
                    position = last.position;
                }
                _ => return Ok(false),
            }
        }
    }

    /// Publishes durable entries. Holds its caller up for a moment at most; what fails is published later.
    pub(super) async fn publish(self: &Arc<Self>, entries: Vec<Entry>) {
        let Some(commands) = self.commands.load_full() else {
            return self.postpone(entries);
        };
        let feed = Arc::clone(self);
        // A task of its own: a caller that hangs up must not take the publication with it.
        let task = self.runtime.spawn(async move {
            let mut commands = (*commands).clone();
            if let Err(error) = feed.add(&mut commands, &entries, IN_LINE).await {
                tracing::warn!(%error, entries = entries.len(), "revocations are published later");
                feed.postpone(entries);
                if !matches!(error, RedisError::Silent) {
                    feed.reconnect.notify_one();
                }
            }
        });
        if task.await.is_err() {
            tracing::error!("a publication was cut off; the replicas follow the store");
        }
    }

    fn postpone(&self, entries: Vec<Entry>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.entries.len().saturating_add(entries.len()) > PENDING {
            pending.entries.clear();
            pending.overflowed = true;
        }
        if !pending.overflowed {
            pending.entries.extend(entries);
        }
    }

    async fn publish_pending(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.overflowed {
            self.set_position(None);
            let done = self.attach(reader).await;
            if done.is_err() {
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).overflowed = true;
            }
            return done;
        }
        let done = self.add(reader, &pending.entries, COMMAND).await;
        if done.is_err() {
            self.postpone(pending.entries);
        }
        done
    }

    /// Whether entries wait for Redis.
    pub(super) fn has_pending(&self) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.overflowed || !pending.entries.is_empty()
    }

    /// Drops messages whose entries have all ended, never the last one: it is where the others resume.
    pub(super) async fn trim(&self) -> Result<()> {
        let Some(commands) = self.commands.load_full() else { return Ok(()) };
        let mut commands = (*commands).clone();
        for _ in 0..100 {
            let messages = self.range(&mut commands, "-", "+", BATCH, COMMAND).await?;
            let now = self.clock.now();
            let ended = |message: &Message| message.entry.as_ref().is_none_or(|entry| entry.until < now);
            let Some(keep) = messages.iter().find(|message| !ended(message)).or(messages.last()) else { return Ok(()) };
            let mut trim = ::redis::cmd("XTRIM");
            trim.arg(&self.key).arg("MINID").arg(keep.position.to_string());
            within(COMMAND, trim.exec_async(&mut commands)).await?;
            if messages.len() < BATCH || messages.last().is_none_or(|last| last.position != keep.position) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The longest lag since this was last asked.
    pub(super) fn take_lag(&self) -> Duration {
        Duration::from_millis(self.lag.swap(0, Ordering::Relaxed))
    }

    /// Applies a message that came as it was published.
    fn take_in(&self, message: &Message) {
        if self.list_entry(message)
            && let Some(lag) = message.lag(self.clock.now())
        {
            self.lag.fetch_max(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn list_entry(&self, message: &Message) -> bool {
        message.entry.as_ref().is_some_and(|entry| self.list.apply(entry))
    }

    fn position(&self) -> Option<Position> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_position(&self, position: Option<Position>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }

    async fn holds(&self, connection: &mut MultiplexedConnection, position: Position) -> Result<bool> {
        let place = position.to_string();
        Ok(!self.range(connection, &place, &place, 1, COMMAND).await?.is_empty())
    }

    async fn range(
        &self,
        connection: &mut MultiplexedConnection,
        from: &str,
        to: &str,
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<Message>> {
        let mut range = ::redis::cmd("XRANGE");
        range.arg(&self.key).arg(from).arg(to).arg("COUNT").arg(count);
        let reply: StreamRangeReply = within(deadline, range.query_async(connection)).await?;
        reply.ids.iter().map(|message| Message::read(message).ok_or(RedisError::Confused)).collect()
    }

    async fn add(&self, connection: &mut MultiplexedConnection, entries: &[Entry], deadline: Duration) -> Result<()> {
        for batch in entries.chunks(BATCH) {
            let mut pipeline = Pipeline::with_capacity(batch.len());
            add_all(&mut pipeline, &self.key, batch, self.clock.now());
            within(deadline, pipeline.exec_async(connection)).await?;
        }
        Ok(())
    }
}

/// Publishes entries from a process that follows nothing, such as the command line, within `deadline`. Without it the
/// replicas still learn of them from the store.
pub async fn announce(redis: &config::Redis, entries: &[Entry], clock: &dyn Clock, deadline: Duration) -> Result<()> {
    let publish = async {
        let client = Client::open(redis.url.expose_secret())?;
        let mut connection = connect(&client).await?;
        let mut pipeline = pipe();
        add_all(&mut pipeline, &stream_key(redis), entries, clock.now());
        Ok(pipeline.exec_async(&mut connection).await?)
    };
    tokio::time::timeout(deadline, publish).await.unwrap_or(Err(RedisError::Silent))
}

fn stream_key(redis: &config::Redis) -> String {
    format!("{}:revocations", redis.key_prefix)
}

/// The deadlines of commands are ours: the library's own would break a waiting read off.
async fn connect(client: &Client) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(COMMAND)).set_response_timeout(None);
    within(COMMAND, client.get_multiplexed_async_connection_with_config(&config)).await
}

async fn within<T>(deadline: Duration, answer: impl Future<Output = ::redis::RedisResult<T>>) -> Result<T> {
    Ok(tokio::time::timeout(deadline, answer).await.map_err(|_| RedisError::Silent)??)
}
