//! Revocation between replicas, on a real Redis that is killed, paused and emptied.
//! The replicas are services of one process, on one Redis and one log.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use portcullis::config::{self, RevocationCheck};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{Clock, Concern, Entry, Revoked, SessionId, SystemClock, SystemEntropy, Timestamp, UserId};
use portcullis::revocation::{RevocationService, Revocations as _, Standing, announce, start};
use portcullis::store::RevocationLog;

use crate::log::{MemoryLog, Mood};
use crate::redis::RedisServer;

const REPLICA: config::Revocation =
    config::Revocation { check: RevocationCheck::Replica, max_staleness: Duration::from_secs(2), allow_when_unavailable: false };
const STRICT: config::Revocation = config::Revocation { check: RevocationCheck::Strict, ..REPLICA };
const KEY: &str = "portcullis:revocations";

/// What the replicas of a test share. Time moves only when told to, so that staleness does not depend on the machine.
struct Shared {
    log: Arc<MemoryLog>,
    redis: Option<RedisServer>,
    clock: Arc<ManualClock>,
}

impl Shared {
    fn with_redis() -> Self {
        Self { redis: Some(RedisServer::start()), ..Self::without_redis() }
    }

    fn without_redis() -> Self {
        Self { log: Arc::default(), redis: None, clock: Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000))) }
    }

    fn redis(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("this test has one")
    }

    fn redis_config(&self) -> Option<config::Redis> {
        self.redis.as_ref().map(|redis| config::Redis { url: redis.url().into(), key_prefix: "portcullis".to_owned() })
    }

    /// Starts a replica without waiting for it.
    fn starting(&self, settings: config::Revocation) -> Arc<RevocationService> {
        let log = Arc::clone(&self.log) as Arc<dyn RevocationLog>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let runtime = tokio::runtime::Handle::current();
        start(settings, log, self.redis_config().as_ref(), clock, &runtime, Box::new(|_| {})).expect("a usable URL")
    }

    /// Starts a replica and waits until it is ready, and until messages reach it.
    async fn replica(&self, settings: config::Revocation) -> Arc<RevocationService> {
        let replica = self.starting(settings);
        eventually("it is ready", async || replica.is_ready()).await;
        if self.redis.is_some() {
            self.wait_until_fed(&replica).await;
        }
        replica
    }

    /// Waits until what is in Redis alone reaches `replica`.
    async fn wait_until_fed(&self, replica: &RevocationService) {
        let session = session();
        let entry = Entry { seq: 0, what: Revoked::Session { id: session }, until: self.later() };
        let redis = self.redis_config().expect("this test has one");
        announce(&redis, &[entry], self.clock.as_ref(), Duration::from_secs(5)).await.expect("Redis takes it");
        eventually("what is in Redis alone is known", async || replica.standing(&of(session)).await == Standing::Revoked).await;
    }

    fn later(&self) -> Timestamp {
        self.clock.now().plus(Duration::from_mins(20))
    }

    /// Ends a session in the store.
    fn commit(&self) -> (SessionId, Entry) {
        let session = session();
        (session, self.log.commit(Revoked::Session { id: session }, self.later()))
    }

    /// Whether the stream holds `session`.
    fn is_published(&self, session: SessionId) -> bool {
        let redis = self.redis.as_ref().expect("this test has one");
        redis.command(&["XRANGE", KEY, "-", "+"]).contains(&session.to_string())
    }
}

fn session() -> SessionId {
    SessionId::generate(Timestamp::from_secs(1_800_000_000), &SystemEntropy)
}

fn of(session: SessionId) -> Concern {
    Concern { token: None, session: Some(session), account: None, key: None }
}

/// Waits until something is so; the bound only ends a test that can't succeed any more.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let so = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), so).await.unwrap_or_else(|_| panic!("never came: {what}"));
}

async fn is_refused(replica: &RevocationService, session: SessionId) {
    eventually("the replica refuses", async || replica.standing(&of(session)).await == Standing::Revoked).await;
}

async fn goes_on(replica: &RevocationService) {
    let live = session();
    eventually("calls go on", async || replica.standing(&of(live)).await == Standing::Live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_reach_the_other_replica_through_redis_alone() {
    let shared = Shared::with_redis();
    let (ours, theirs) = (shared.replica(REPLICA).await, shared.replica(REPLICA).await);
    for _ in 0..1000 {
        let id = session();
        ours.publish(vec![Entry { seq: 0, what: Revoked::Session { id }, until: shared.later() }]).await;
        assert_eq!(ours.standing(&of(id)).await, Standing::Revoked, "the answering replica refuses first");
        is_refused(&theirs, id).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_killed_revocations_follow_the_store_and_are_published_when_it_is_back() {
    let mut shared = Shared::with_redis();
    let (ours, theirs) = (shared.replica(REPLICA).await, shared.replica(REPLICA).await);
    let (before, entry) = shared.commit();
    ours.publish(vec![entry]).await;
    is_refused(&theirs, before).await;
    shared.redis().kill();

    let (during, entry) = shared.commit();
    ours.publish(vec![entry]).await;
    assert_eq!(ours.standing(&of(during)).await, Standing::Revoked);
    is_refused(&theirs, during).await;
    assert_eq!(theirs.standing(&of(before)).await, Standing::Revoked);
    shared.clock.advance(Duration::from_mins(1));
    goes_on(&ours).await;
    goes_on(&theirs).await;

    shared.redis().restart_empty();
    eventually("both are published", async || shared.is_published(before) && shared.is_published(during)).await;
    eventually("nothing waits", async || !ours.has_unpublished()).await;
    for replica in [&ours, &theirs] {
        shared.wait_until_fed(replica).await;
        assert_eq!(replica.standing(&of(before)).await, Standing::Revoked);
        assert_eq!(replica.standing(&of(during)).await, Standing::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_with_its_data_is_resumed() {
    let mut shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    shared.redis().kill();
    let (during, entry) = shared.commit();
    replica.publish(vec![entry]).await;
    shared.redis().restart();
    eventually("it is published", async || shared.is_published(during)).await;
    shared.wait_until_fed(&replica).await;
    goes_on(&replica).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_redis_holds_up_neither_publications_nor_calls() {
    let mut shared = Shared::with_redis();
    let (ours, theirs) = (shared.replica(REPLICA).await, shared.replica(REPLICA).await);
    shared.redis().pause();
    let mut ended = Vec::new();
    for _ in 0..20 {
        let (session, entry) = shared.commit();
        ours.publish(vec![entry]).await;
        assert_eq!(ours.standing(&of(session)).await, Standing::Revoked);
        ended.push(session);
    }
    assert!(ours.has_unpublished());
    for session in &ended {
        is_refused(&theirs, *session).await;
    }
    shared.clock.advance(Duration::from_mins(1));
    goes_on(&ours).await;
    goes_on(&theirs).await;

    shared.redis().resume();
    eventually("all are published", async || ended.iter().all(|session| shared.is_published(*session))).await;
    shared.wait_until_fed(&theirs).await;
    for session in &ended {
        assert_eq!(theirs.standing(&of(*session)).await, Standing::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_does_not_take_the_publication_with_it() {
    let mut shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    shared.redis().pause();
    let (session, entry) = shared.commit();
    let mut caller = Box::pin(replica.publish(vec![entry]));
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(caller.as_mut().poll(context).is_pending())).await);
    drop(caller);
    assert_eq!(replica.standing(&of(session)).await, Standing::Revoked);
    shared.redis().resume();
    eventually("it is published", async || shared.is_published(session)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_flushed_redis_lost_is_published_again_and_never_accepted() {
    let mut shared = Shared::with_redis();
    let (ours, theirs) = (shared.replica(REPLICA).await, shared.replica(REPLICA).await);
    let mut ended = Vec::new();
    for round in 0..5 {
        for _ in 0..10 {
            let (session, entry) = shared.commit();
            ours.publish(vec![entry]).await;
            ended.push(session);
        }
        for session in &ended {
            is_refused(&theirs, *session).await;
        }
        shared.redis().command(&["FLUSHALL"]);
        for replica in [&ours, &theirs] {
            for session in &ended {
                assert_eq!(replica.standing(&of(*session)).await, Standing::Revoked, "round {round}");
            }
        }
        // At once behind the loss, with a higher id: nobody may take it for the next message and go on.
        let (session, entry) = shared.commit();
        theirs.publish(vec![entry]).await;
        ended.push(session);
        eventually("Redis holds all again", async || ended.iter().all(|session| shared.is_published(*session))).await;
        is_refused(&ours, session).await;
    }
    shared.wait_until_fed(&ours).await;
    shared.wait_until_fed(&theirs).await;
    goes_on(&ours).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_lost_at_the_end_of_the_stream_is_published_again() {
    let shared = Shared::with_redis();
    let (ours, theirs) = (shared.replica(REPLICA).await, shared.replica(REPLICA).await);
    let (session, entry) = shared.commit();
    ours.publish(vec![entry]).await;
    is_refused(&theirs, session).await;
    let redis = shared.redis.as_ref().expect("this test has one");
    // A promoted copy that had not yet got the last message, and goes on with lower ids.
    let reply = redis.command(&["XREVRANGE", KEY, "+", "-", "COUNT", "2"]);
    let mut ids = reply.lines().filter(|line| line.contains('-') && line.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
    let (last, previous) = (ids.next().expect("the last"), ids.find(|id| id.len() > 10).expect("the one before"));
    redis.command(&["XDEL", KEY, last]);
    redis.command(&["XSETID", KEY, previous]);
    eventually("it is published again", async || shared.is_published(session)).await;
    shared.wait_until_fed(&ours).await;
    shared.wait_until_fed(&theirs).await;
    assert_eq!(theirs.standing(&of(session)).await, Standing::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_gone_redis_keeps_the_list_fresh_and_feeds_it() {
    let shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    shared.log.set(Mood::Failing);
    for _ in 0..3 {
        shared.clock.advance(Duration::from_secs(10));
        goes_on(&replica).await;
        shared.wait_until_fed(&replica).await;
    }
    assert!(replica.is_ready());
    let late = shared.starting(REPLICA);
    shared.wait_until_fed(&late).await;
    assert!(!late.is_ready(), "only the store is whole");
    assert_eq!(late.standing(&of(session())).await, Standing::Unknown);
    shared.log.set(Mood::Working);
    eventually("it is ready", async || late.is_ready()).await;
}

/// The fed list's age is what decides when both are gone: it must not count a wait that Redis ended as silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_keeps_the_list_younger_than_one_wait() {
    let shared = Shared::with_redis();
    let log = Arc::clone(&shared.log) as Arc<dyn RevocationLog>;
    let (clock, runtime) = (Arc::new(SystemClock::default()), tokio::runtime::Handle::current());
    let replica = start(REPLICA, log, shared.redis_config().as_ref(), clock, &runtime, Box::new(|_| {})).expect("a usable URL");
    eventually("it is ready", async || replica.is_ready()).await;
    shared.wait_until_fed(&replica).await;
    shared.log.set(Mood::Failing);
    let mut ages = Vec::new();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ages.push(replica.stats().staleness);
    }
    ages.sort_unstable();
    // A wait takes a quarter of max_staleness. The middle of the ages, so that a busy machine does not fail the test.
    assert!(ages[100] < REPLICA.max_staleness / 4, "{:?} at the median", ages[100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_lost_its_data_does_not_make_the_list_fresh_without_the_store() {
    let shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    shared.log.set(Mood::Failing);
    shared.clock.advance(Duration::from_secs(1));
    shared.redis.as_ref().expect("this test has one").command(&["FLUSHALL"]);
    shared.wait_until_fed(&replica).await;
    shared.clock.advance(Duration::from_secs(10));
    shared.wait_until_fed(&replica).await;
    assert_eq!(replica.standing(&of(session())).await, Standing::Unknown);
    shared.log.set(Mood::Working);
    goes_on(&replica).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_both_gone_nobody_can_say_unless_configured_to_allow() {
    let mut shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    let (ended, entry) = shared.commit();
    replica.publish(vec![entry]).await;
    shared.redis().kill();
    shared.log.set(Mood::Hanging);
    assert_eq!(replica.standing(&of(session())).await, Standing::Live, "for max_staleness the list is good");
    shared.clock.advance(REPLICA.max_staleness + Duration::from_millis(1));
    assert_eq!(replica.standing(&of(session())).await, Standing::Unknown);
    assert!(!replica.is_ready());
    assert_eq!(replica.standing(&of(ended)).await, Standing::Revoked, "what is known stays refused");
    replica.set(config::Revocation { allow_when_unavailable: true, ..REPLICA });
    assert_eq!(replica.standing(&of(session())).await, Standing::Live);
    assert!(replica.is_ready());
    assert_eq!(replica.standing(&of(ended)).await, Standing::Revoked);
    replica.set(REPLICA);
    shared.log.set(Mood::Working);
    goes_on(&replica).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_strict_the_very_next_call_is_refused() {
    let shared = Shared::with_redis();
    let replica = shared.replica(STRICT).await;
    let redis = shared.redis_config().expect("this test has one");
    for _ in 0..200 {
        let id = session();
        let entry = Entry { seq: 0, what: Revoked::Session { id }, until: shared.later() };
        announce(&redis, &[entry], shared.clock.as_ref(), Duration::from_secs(5)).await.expect("Redis takes it");
        assert_eq!(replica.standing(&of(id)).await, Standing::Revoked);
    }
    goes_on(&replica).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_strict_the_store_is_asked_where_redis_is_silent_or_gone() {
    let mut shared = Shared::with_redis();
    let replica = shared.replica(STRICT).await;
    shared.redis().pause();
    for _ in 0..5 {
        let (session, _) = shared.commit();
        assert_eq!(replica.standing(&of(session)).await, Standing::Revoked);
    }
    goes_on(&replica).await;
    shared.redis().kill();
    for _ in 0..50 {
        let (session, _) = shared.commit();
        assert_eq!(replica.standing(&of(session)).await, Standing::Revoked);
    }
    goes_on(&replica).await;
    shared.log.set(Mood::Failing);
    assert_eq!(replica.standing(&of(session())).await, Standing::Unknown);
    replica.set(config::Revocation { allow_when_unavailable: true, ..STRICT });
    assert_eq!(replica.standing(&of(session())).await, Standing::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_strict_calls_that_come_together_share_a_question() {
    let shared = Shared::without_redis();
    let replica = shared.replica(STRICT).await;
    shared.log.set(Mood::Hanging);
    let before = shared.log.questions();
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let replica = Arc::clone(&replica);
            tokio::spawn(async move { replica.standing(&of(session())).await })
        })
        .collect();
    eventually("one was asked", async || shared.log.questions() > before).await;
    shared.log.set(Mood::Working);
    for call in calls {
        assert_eq!(call.await.expect("no panic"), Standing::Live);
    }
    let asked = shared.log.questions() - before;
    assert!(asked < 50, "500 calls asked {asked} questions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_store_alone_is_followed() {
    let shared = Shared::without_redis();
    let subject = UserId::generate(shared.clock.now(), &SystemEntropy);
    shared.log.commit(Revoked::Generation { subject, below: 3 }, shared.later());
    let all: Vec<SessionId> = (0..2500).map(|_| shared.commit().0).collect();
    let replica = shared.replica(REPLICA).await;
    for session in all {
        assert_eq!(replica.standing(&of(session)).await, Standing::Revoked, "known as soon as it is ready");
    }
    assert!(replica.is_outdated(subject, 2) && !replica.is_outdated(subject, 3));
    is_refused(&replica, shared.commit().0).await;
    let (session, _) = shared.commit();
    replica.wake();
    is_refused(&replica, session).await;
    shared.clock.advance(Duration::from_secs(10));
    goes_on(&replica).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_not_ready_before_it_read_the_store() {
    let shared = Shared::without_redis();
    let (ended, _) = shared.commit();
    shared.log.set(Mood::Hanging);
    let replica = shared.starting(config::Revocation { allow_when_unavailable: true, ..REPLICA });
    assert!(!replica.is_ready());
    assert_eq!(replica.standing(&of(session())).await, Standing::Unknown, "a list that was never held allows nobody");
    shared.log.set(Mood::Working);
    eventually("it is ready", async || replica.is_ready()).await;
    assert_eq!(replica.standing(&of(ended)).await, Standing::Revoked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_read_in_one_go_however_long_it_takes() {
    let shared = Shared::without_redis();
    let all: Vec<SessionId> = (0..30_000).map(|_| shared.commit().0).collect();
    // Each page is there well before a list grows old, all of them are not.
    shared.log.slow_down(REPLICA.max_staleness / 3);
    let replica = shared.replica(REPLICA).await;
    assert_eq!(shared.log.questions(), 1, "it was not given up and begun again");
    for session in all {
        assert_eq!(replica.standing(&of(session)).await, Standing::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_starts_reads_what_stands_in_redis_and_puts_nothing_there() {
    let shared = Shared::with_redis();
    for _ in 0..10 {
        shared.commit();
    }
    // Published, and lost by a store that was not as durable as it said.
    let lost: Vec<_> =
        (0..2500).map(|_| Entry { seq: 0, what: Revoked::Session { id: session() }, until: shared.later() }).collect();
    let redis = shared.redis_config().expect("this test has one");
    announce(&redis, &lost, shared.clock.as_ref(), Duration::from_secs(20)).await.expect("Redis takes them");
    let replica = shared.replica(REPLICA).await;
    for entry in &lost {
        let Revoked::Session { id } = entry.what else { panic!("a session") };
        is_refused(&replica, id).await;
    }
    let redis = shared.redis.as_ref().expect("this test has one");
    let reply = redis.command(&["XLEN", KEY]);
    let length: usize = reply.lines().next().and_then(|line| line.strip_prefix(':')?.parse().ok()).expect("a number");
    // The ones of this test, and what `replica` asks with whether it is fed.
    assert!(length < lost.len() + 10, "{length}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_went_back_is_read_again_and_nothing_is_forgotten() {
    let shared = Shared::without_redis();
    let known: Vec<SessionId> = (0..10).map(|_| shared.commit().0).collect();
    let replica = shared.replica(REPLICA).await;
    shared.log.forget_all();
    is_refused(&replica, shared.commit().0).await;
    is_refused(&replica, shared.commit().0).await;
    for session in known {
        assert_eq!(replica.standing(&of(session)).await, Standing::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_entries_leave_the_list_and_the_stream_and_following_goes_on() {
    let shared = Shared::with_redis();
    let replica = shared.replica(REPLICA).await;
    let mut ended = Vec::new();
    for _ in 0..100 {
        let (session, entry) = shared.commit();
        replica.publish(vec![entry]).await;
        ended.push(session);
    }
    assert!(replica.stats().entries >= 100);
    // What comes back through Redis behind the clock's step would be forgotten at the next one only.
    shared.wait_until_fed(&replica).await;
    shared.clock.advance(Duration::from_mins(21));
    eventually("they are forgotten", async || replica.stats().entries == 0).await;
    eventually("Redis keeps a place only", async || shared.is_trimmed()).await;
    shared.wait_until_fed(&replica).await;
    goes_on(&replica).await;
}

impl Shared {
    fn is_trimmed(&self) -> bool {
        self.redis.as_ref().expect("this test has one").command(&["XLEN", KEY]).starts_with(":1\r\n")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_was_shut_down_asks_nobody_any_more() {
    let shared = Shared::without_redis();
    let replica = shared.replica(REPLICA).await;
    replica.shutdown().await;
    let asked = shared.log.questions();
    replica.wake();
    tokio::task::yield_now().await;
    assert_eq!(shared.log.questions(), asked);
}
