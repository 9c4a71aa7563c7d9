//! Follows the Redis stream on a connection of its own, resumes where it stopped, publishes, and adds what Redis lost.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::freshness::Freshness;
use super::held::Held;
use super::list::List;
use super::message::{CAP, Message, Position};
use super::outbox::{Outbox, Unsent};
use super::store::StoreFollower;
use super::stream::{BATCH, COMMAND, RedisError, Result, Stream};
use crate::config;
use crate::domain::{Clock, Entry};

/// How long a publication, or a confirmation, holds up its caller.
const IN_LINE: Duration = Duration::from_millis(100);
/// How much earlier than asked Redis may end a wait: it counts in milliseconds, by a clock that it reads now and then.
const ROUNDING: Duration = Duration::from_millis(20);
/// The pauses between attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// How long a replica that starts waits for the store before it reads what Redis had before.
const STORE_FIRST: Duration = Duration::from_secs(5);
/// How long one replica has for adding what Redis lost before another does it too (which does no harm).
const TURN: Duration = Duration::from_secs(5);

/// A stretch of the stream.
#[derive(Clone, Copy)]
struct Old {
    /// The last message of it that was read.
    read: Option<Position>,
    /// Its last.
    last: Position,
}

pub(super) struct Feed {
    stream: Stream,
    list: Arc<List>,
    fresh: Arc<Freshness>,
    store: Arc<StoreFollower>,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
    /// For everything but waiting; absent while Redis can't be used. The follower puts it there and takes it away.
    commands: ArcSwapOption<MultiplexedConnection>,
    /// The last message read; `None` when the stream has to be read whole. Guarded for a copy; not asked by calls.
    position: Mutex<Option<Position>>,
    /// What was in the stream before this replica followed it, and was not read yet; absent before it did. Guarded for a copy.
    old: Mutex<Option<Old>>,
    outbox: Outbox,
    reconnect: Notify,
    /// The longest way from publishing to the list since last asked, in milliseconds; 0 is none, so it is one more.
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
            stream: Stream::new(redis)?,
            list,
            fresh,
            store,
            clock,
            runtime,
            commands: ArcSwapOption::empty(),
            position: Mutex::default(),
            old: Mutex::default(),
            outbox: Outbox::default(),
            reconnect: Notify::new(),
            lag: AtomicU64::new(0),
        })
    }

    /// Follows for ever, whatever happens to Redis.
    pub(super) async fn run(&self) {
        let mut pause = PAUSES.0;
        let mut failing = false;
        loop {
            let before = self.fresh.now();
            let Err(error) = self.follow().await;
            self.commands.store(None);
            self.store.set_fed(false);
            // It worked for a while: this is a new failure.
            if self.fresh.now().saturating_sub(before) > COMMAND * 5 {
                (pause, failing) = (PAUSES.0, false);
            }
            if !failing {
                tracing::warn!(%error, "revocations follow the store alone");
                failing = true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn follow(&self) -> Result<Infallible> {
        let mut reader = self.stream.connect().await?;
        let commands = self.stream.connect().await?;
        self.attach(&mut reader).await?;
        self.outbox.doubt_all();
        self.commands.store(Some(Arc::new(commands.clone())));
        self.store.set_fed(true);
        tracing::info!("revocations follow Redis");
        let following = async {
            loop {
                self.send_unsent(&mut reader).await?;
                tokio::select! {
                    done = self.step(&mut reader) => done?,
                    () = self.reconnect.notified() => return Err(RedisError::Broken),
                }
            }
        };
        // The one goes on for ever.
        let (never, ()) = tokio::try_join!(following, self.read_old(commands))?;
        Ok(never)
    }

    /// Waits for messages, takes them in, and makes sure that nothing was lost before them.
    async fn step(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        let Some(position) = self.position() else {
            return self.attach(reader).await;
        };
        // A quarter, so that a silent Redis is noticed, and the store asked, before the list looks stale.
        let wait = (self.fresh.max_staleness() / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let began = self.fresh.now();
        let messages = self.stream.wait(reader, position, wait).await?;
        // A wait that gave nothing says so of its end, not of its beginning. Not later than asked, nor than now: of when
        // Redis looked last no more is known.
        let silent_until = began + wait.min(self.fresh.now().saturating_sub(began)).saturating_sub(ROUNDING);
        let heard = if messages.is_empty() { silent_until } else { began };
        // Taken in before anything else is asked: this is the way that a revocation takes to the other replicas.
        for message in &messages {
            self.take_in(message);
        }
        if !self.stream.holds(reader, position).await? {
            return self.attach(reader).await;
        }
        if let Some(last) = messages.last() {
            self.set_position(Some(last.position));
        }
        if messages.len() < BATCH {
            self.fresh.redis_heard(heard);
        }
        Ok(())
    }

    /// Resumes behind the last message read. Where that one is gone, so may be others: the stream is read whole, the
    /// store is asked, and what Redis does not hold is published again.
    async fn attach(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        if let Some(position) = self.position() {
            if self.stream.holds(reader, position).await? {
                return Ok(());
            }
            tracing::warn!("Redis lost revocations: reading them again, publishing what it lacks");
        } else if self.old().is_none() {
            return self.begin(reader).await;
        }
        self.set_position(None);
        self.fresh.stream_attached();
        self.store.wake();
        let mut held = Held::new(CAP);
        let last = self.read_behind(reader, None, &mut held).await?;
        let last = self.restore(reader, last, held).await?;
        self.set_position(last);
        Ok(())
    }

    /// Follows the stream from its end on. What stands there was durable before it was published, so the store, which is read
    /// whole from now on, has it, and nobody waits for its being read here too, nor needs what Redis lacks.
    async fn begin(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        let found = self.stream.last(reader).await?;
        let last = if let Some(last) = found {
            last
        } else {
            self.stream.mark(reader, self.clock.now()).await?;
            self.stream.last(reader).await?.ok_or(RedisError::Confused)?
        };
        // Behind that: what is in the store from now on is all that came before.
        self.fresh.stream_attached();
        self.store.wake();
        self.set_position(Some(last));
        self.set_old(Old { read: None, last });
        Ok(())
    }

    /// Reads what was in the stream before, beside what comes: a store that lost its last commits has less than that.
    async fn read_old(&self, mut commands: MultiplexedConnection) -> Result<()> {
        // The store comes first, where it is there: this replica is ready by it alone.
        let _ = tokio::time::timeout(STORE_FIRST, self.until_loaded()).await;
        while let Some(old) = self.old().filter(|old| old.read < Some(old.last)) {
            let messages = self.stream.range(&mut commands, &behind(old.read), COMMAND).await?;
            for message in &messages {
                self.apply(message);
            }
            // Where there is no more, what was there has been dropped meanwhile.
            let read = messages.last().map_or(old.last, |last| last.position);
            self.set_old(Old { read: Some(read), ..old });
        }
        Ok(())
    }

    async fn until_loaded(&self) {
        while !self.fresh.is_loaded() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Publishes what is live and not `held` by the stream, one replica at a time, and gives the stream's last message.
    async fn restore(
        &self,
        reader: &mut MultiplexedConnection,
        last: Option<Position>,
        mut held: Held,
    ) -> Result<Option<Position>> {
        if last.is_some() && self.lacking(&held).is_empty() {
            return Ok(last);
        }
        for _ in 0..20 {
            // Whoever has the turn may have died, and the same entry twice does no harm: no use in waiting for long.
            if self.stream.take_turn(reader, TURN).await? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let last = self.read_behind(reader, last, &mut held).await?;
        let lacking = self.lacking(&held);
        if !lacking.is_empty() {
            tracing::info!(entries = lacking.len(), "publishing revocations that Redis lacks");
            self.stream.add(reader, &lacking, self.clock.now(), COMMAND).await?;
        } else if last.is_none() {
            self.stream.mark(reader, self.clock.now()).await?;
        }
        self.stream.end_turn(reader).await?;
        self.read_behind(reader, last, &mut held).await
    }

    /// What is live and not `held`: as much as fits, as what is added pushes out what came first, and what lives longest.
    fn lacking(&self, held: &Held) -> Vec<Entry> {
        let mut lacking = self.list.live(self.clock.now(), |entry| !held.has(entry));
        if lacking.len() > held.room() {
            lacking.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.until));
            lacking.truncate(held.room());
        }
        lacking
    }

    /// Applies everything behind `last`, notes what it was in `held`, and gives the last message's place.
    async fn read_behind(
        &self,
        reader: &mut MultiplexedConnection,
        mut last: Option<Position>,
        held: &mut Held,
    ) -> Result<Option<Position>> {
        loop {
            let messages = self.stream.range(reader, &behind(last), COMMAND).await?;
            for message in &messages {
                self.apply(message);
                message.entry.iter().for_each(|entry| held.add(entry));
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
        if !self.fresh.stream_is_whole() {
            return Ok(false);
        }
        let mut commands = (*commands).clone();
        loop {
            // From our own place on, so that the same answer says whether that place is still there.
            let messages = self.stream.range(&mut commands, &position.to_string(), IN_LINE).await?;
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
            return self.outbox.unsent(&entries);
        };
        self.outbox.sending(&entries);
        let feed = Arc::clone(self);
        // A task of its own: a caller that hangs up must not take the publication with it.
        let task = self.runtime.spawn(async move {
            let mut commands = (*commands).clone();
            if let Err(error) = feed.stream.add(&mut commands, &entries, feed.clock.now(), IN_LINE).await {
                tracing::warn!(%error, entries = entries.len(), "revocations are published later");
                feed.outbox.unsent(&entries);
                if !matches!(error, RedisError::Silent) {
                    feed.reconnect.notify_one();
                }
            }
        });
        if task.await.is_err() {
            tracing::error!("a publication was cut off; the replicas follow the store");
        }
    }

    async fn send_unsent(&self, reader: &mut MultiplexedConnection) -> Result<()> {
        match self.outbox.take_unsent() {
            Unsent::Entries(entries) => {
                let done = self.stream.add(reader, &entries, self.clock.now(), COMMAND).await;
                if done.is_err() {
                    self.outbox.unsent(&entries);
                }
                done
            }
            Unsent::Everything => {
                self.set_position(None);
                let done = self.attach(reader).await;
                if done.is_err() {
                    self.outbox.overflow();
                }
                done
            }
        }
    }

    /// Whether entries wait for Redis.
    pub(super) fn has_unpublished(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Forgets what ended, here and in Redis.
    pub(super) async fn sweep(&self) -> Result<()> {
        let now = self.clock.now();
        self.outbox.sweep(now);
        let Some(commands) = self.commands.load_full() else { return Ok(()) };
        self.stream.trim(&mut (*commands).clone(), now).await
    }

    /// The longest lag since this was last asked.
    pub(super) fn take_lag(&self) -> Option<Duration> {
        self.lag.swap(0, Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    /// Applies a message that came as it was published.
    fn take_in(&self, message: &Message) {
        if self.apply(message)
            && let Some(lag) = message.lag(self.clock.now())
        {
            let millis = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
            self.lag.fetch_max(millis.saturating_add(1), Ordering::Relaxed);
        }
    }

    fn apply(&self, message: &Message) -> bool {
        message.entry.as_ref().is_some_and(|entry| {
            let new = self.list.apply(entry);
            self.outbox.seen(entry);
            new
        })
    }

    fn old(&self) -> Option<Old> {
        *self.old.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_old(&self, old: Old) {
        *self.old.lock().unwrap_or_else(PoisonError::into_inner) = Some(old);
    }

    fn position(&self) -> Option<Position> {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_position(&self, position: Option<Position>) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

/// Where a range begins behind that message; at the first, where there is none.
fn behind(last: Option<Position>) -> String {
    last.map_or_else(|| "-".to_owned(), |position| format!("({position}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Revocation, RevocationCheck};
    use crate::domain::clock::ManualClock;
    use crate::domain::{Revoked, SessionId, SystemEntropy, Timestamp};
    use crate::store;

    fn entry(until: i64) -> Entry {
        let id = SessionId::generate(Timestamp::from_secs(1), &SystemEntropy);
        Entry { seq: 0, what: Revoked::Session { id }, until: Timestamp::from_secs(until) }
    }

    #[tokio::test]
    async fn what_redis_lacks_is_what_it_does_not_hold_with_that_end_and_no_more_than_fits() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_secs(100)));
        let settings =
            Revocation { check: RevocationCheck::Replica, max_staleness: Duration::from_secs(2), allow_when_unavailable: false };
        let (list, fresh) = (Arc::new(List::default()), Arc::new(Freshness::new(settings, Arc::clone(&clock))));
        let log = store::open_lazily(&"sqlite:///nowhere/at.all".into()).expect("not opened");
        let follower = Arc::new(StoreFollower::new(log, Arc::clone(&list), Arc::clone(&fresh)));
        let redis = config::Redis { url: "redis://127.0.0.1:1".into(), key_prefix: "x".to_owned() };
        let runtime = tokio::runtime::Handle::current();
        let feed = Feed::new(&redis, Arc::clone(&list), fresh, follower, clock, runtime).expect("a URL");
        let (held, longer, lacking, ended) = (entry(200), entry(300), [entry(201), entry(202), entry(203)], entry(99));
        list.apply_all(&[held.clone(), longer.clone(), ended]);
        list.apply_all(&lacking);
        let holding = |most| {
            let mut stream = Held::new(most);
            stream.add(&held);
            stream.add(&Entry { until: Timestamp::from_secs(250), ..longer.clone() });
            stream
        };
        let found = |most| {
            let mut found = feed.lacking(&holding(most));
            found.sort_by_key(|entry| entry.until);
            found
        };
        let [first, second, third] = lacking;
        assert_eq!(found(100), [first, second, third.clone(), longer.clone()]);
        assert_eq!(found(4), [third, longer.clone()], "those that live longest");
        assert_eq!(found(1), []);
    }
}
