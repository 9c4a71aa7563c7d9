//! The Redis stream as commands with deadlines: no more than what following, publishing and restoring need.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::streams::{StreamRangeReply, StreamReadReply};
use ::redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult, cmd, pipe};
use secrecy::ExposeSecret as _;

use super::message::{Message, Position, add_all, add_marker};
use crate::config;
use crate::domain::{Clock, Entry, Timestamp};

/// How long a command may take that nobody waits for.
pub(super) const COMMAND: Duration = Duration::from_secs(1);
/// Messages read or written at once.
pub(super) const BATCH: usize = 1000;

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
    /// A command on another connection failed.
    #[error("the connection to Redis broke")]
    Broken,
}

pub(super) type Result<T> = std::result::Result<T, RedisError>;

pub(super) struct Stream {
    client: Client,
    key: String,
}

impl Stream {
    pub(super) fn new(redis: &config::Redis) -> Result<Self> {
        Ok(Self { client: Client::open(redis.url.expose_secret())?, key: format!("{}:revocations", redis.key_prefix) })
    }

    /// A connection whose deadlines are ours: the library's own would break a waiting read off.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(COMMAND)).set_response_timeout(None);
        within(COMMAND, self.client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// Waits for messages behind `position`, at most `wait`.
    pub(super) async fn wait(
        &self,
        connection: &mut MultiplexedConnection,
        position: Position,
        wait: Duration,
    ) -> Result<Vec<Message>> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(1000));
        read.arg("STREAMS").arg(&self.key).arg(position.to_string());
        let reply: Option<StreamReadReply> = within(wait * 2, read.query_async(connection)).await?;
        let messages = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        messages.map(|message| Message::read(&message).ok_or(RedisError::Confused)).collect()
    }

    /// A batch of messages from `from` (an id, `(id` for those behind it, `-` for the first) on.
    pub(super) async fn range(
        &self,
        connection: &mut MultiplexedConnection,
        from: &str,
        deadline: Duration,
    ) -> Result<Vec<Message>> {
        self.between(connection, from, "+", BATCH, deadline).await
    }

    /// The place of the last message.
    pub(super) async fn last(&self, connection: &mut MultiplexedConnection) -> Result<Option<Position>> {
        let mut last = cmd("XREVRANGE");
        last.arg(&self.key).arg("+").arg("-").arg("COUNT").arg(1);
        let reply: StreamRangeReply = within(COMMAND, last.query_async(connection)).await?;
        reply.ids.first().map(|message| message.id.parse().map_err(|_| RedisError::Confused)).transpose()
    }

    /// Whether the message at `position` is there.
    pub(super) async fn holds(&self, connection: &mut MultiplexedConnection, position: Position) -> Result<bool> {
        let place = position.to_string();
        Ok(!self.between(connection, &place, &place, 1, COMMAND).await?.is_empty())
    }

    async fn between(
        &self,
        connection: &mut MultiplexedConnection,
        from: &str,
        to: &str,
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<Message>> {
        let mut range = cmd("XRANGE");
        range.arg(&self.key).arg(from).arg(to).arg("COUNT").arg(count);
        let reply: StreamRangeReply = within(deadline, range.query_async(connection)).await?;
        reply.ids.iter().map(|message| Message::read(message).ok_or(RedisError::Confused)).collect()
    }

    /// Publishes `entries`.
    pub(super) async fn add(
        &self,
        connection: &mut MultiplexedConnection,
        entries: &[Entry],
        now: Timestamp,
        deadline: Duration,
    ) -> Result<()> {
        for batch in entries.chunks(BATCH) {
            let mut pipeline = Pipeline::with_capacity(batch.len());
            add_all(&mut pipeline, &self.key, batch, now);
            within(deadline, pipeline.exec_async(connection)).await?;
        }
        Ok(())
    }

    /// Adds a message that only marks a place.
    pub(super) async fn mark(&self, connection: &mut MultiplexedConnection, now: Timestamp) -> Result<()> {
        let mut marker = pipe();
        add_marker(&mut marker, &self.key, now);
        within(COMMAND, marker.exec_async(connection)).await
    }

    /// Drops the messages before `position`.
    async fn drop_before(&self, connection: &mut MultiplexedConnection, position: Position) -> Result<()> {
        let mut trim = cmd("XTRIM");
        trim.arg(&self.key).arg("MINID").arg(position.to_string());
        within(COMMAND, trim.exec_async(connection)).await
    }

    /// Drops messages whose entries have all ended, never the last one: it is where the others resume.
    pub(super) async fn trim(&self, connection: &mut MultiplexedConnection, now: Timestamp) -> Result<()> {
        for _ in 0..100 {
            let messages = self.range(connection, "-", COMMAND).await?;
            let ended = |message: &Message| message.entry.as_ref().is_none_or(|entry| entry.until < now);
            let Some(keep) = messages.iter().find(|message| !ended(message)).or(messages.last()) else { return Ok(()) };
            self.drop_before(connection, keep.position).await?;
            if messages.len() < BATCH || messages.last().is_none_or(|last| last.position != keep.position) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether this replica is the one that adds what Redis lost, for `span`.
    pub(super) async fn take_turn(&self, connection: &mut MultiplexedConnection, span: Duration) -> Result<bool> {
        let mut take = cmd("SET");
        take.arg(self.turn()).arg("1").arg("NX").arg("PX").arg(u64::try_from(span.as_millis()).unwrap_or(1000));
        let taken: Option<String> = within(COMMAND, take.query_async(connection)).await?;
        Ok(taken.is_some())
    }

    /// Lets another have its turn. One that took too long ends somebody else's, which does no more than let two add at once.
    pub(super) async fn end_turn(&self, connection: &mut MultiplexedConnection) -> Result<()> {
        within(COMMAND, cmd("DEL").arg(self.turn()).exec_async(connection)).await
    }

    fn turn(&self) -> String {
        format!("{}:restore", self.key)
    }
}

/// Publishes entries from a process that follows nothing, such as the command line, within `deadline`. Without it the
/// replicas still learn of them from the store.
pub async fn announce(redis: &config::Redis, entries: &[Entry], clock: &dyn Clock, deadline: Duration) -> Result<()> {
    let publish = async {
        let stream = Stream::new(redis)?;
        let mut connection = stream.connect().await?;
        stream.add(&mut connection, entries, clock.now(), deadline).await
    };
    tokio::time::timeout(deadline, publish).await.unwrap_or(Err(RedisError::Silent))
}

async fn within<T>(deadline: Duration, answer: impl Future<Output = RedisResult<T>>) -> Result<T> {
    Ok(tokio::time::timeout(deadline, answer).await.map_err(|_| RedisError::Silent)??)
}
