//! How often somebody may try to log in.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::config::{Login, Rate, Redis};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{Clock, Timestamp};
use portcullis::limit::{LoginLimits as _, Logins, own_network};

use crate::redis::RedisServer;

const MINUTE: Duration = Duration::from_mins(1);
const SETTINGS: Login = Login {
    rate_limit: Rate { count: 5, period: MINUTE },
    account_rate_limit: Rate { count: 20, period: Duration::from_mins(15) },
    concurrency: 1,
    queue: 64,
};

fn limits() -> (Arc<ManualClock>, Logins) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
    let limits = Logins::new(&SETTINGS, Arc::clone(&clock) as Arc<dyn Clock>);
    (clock, limits)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test]
async fn an_address_has_a_burst_of_n_and_then_one_each_nth_of_the_period() {
    let (clock, limits) = limits();
    for _ in 0..5 {
        assert_eq!(limits.attempt(address("192.0.2.1")).await, Ok(()));
    }
    let refused = limits.attempt(address("192.0.2.1")).await.expect_err("the sixth");
    assert_eq!((refused.policy, refused.limit, refused.window), ("login", 5, MINUTE));
    assert_eq!(refused.retry_after, MINUTE / 5);
    assert_eq!(limits.attempt(address("192.0.2.2")).await, Ok(()), "another address is another bucket");
    clock.advance(refused.retry_after.checked_sub(Duration::from_millis(1)).expect("longer"));
    assert!(limits.attempt(address("192.0.2.1")).await.is_err());
    clock.advance(Duration::from_millis(1));
    assert_eq!(limits.attempt(address("192.0.2.1")).await, Ok(()), "exactly when it was said");
    assert!(limits.attempt(address("192.0.2.1")).await.is_err());
}

#[tokio::test]
async fn addresses_of_one_ipv6_64_and_both_spellings_of_an_ipv4_share_a_bucket() {
    let (_, limits) = limits();
    for host in 1..=5 {
        assert_eq!(limits.attempt(address(&format!("2001:db8:1:2::{host}"))).await, Ok(()));
    }
    assert!(limits.attempt(address("2001:db8:1:2:ffff::1")).await.is_err());
    assert_eq!(limits.attempt(address("2001:db8:1:3::1")).await, Ok(()));
    for _ in 0..5 {
        assert_eq!(limits.attempt(address("::ffff:192.0.2.1")).await, Ok(()));
    }
    assert!(limits.attempt(address("192.0.2.1")).await.is_err());
}

#[tokio::test]
async fn only_failures_count_against_an_account() {
    let (clock, limits) = limits();
    for _ in 0..1000 {
        assert_eq!(limits.may_try("alice", None).await, Ok(()));
    }
    for _ in 0..20 {
        assert_eq!(limits.may_try("alice", None).await, Ok(()));
        let _ = limits.failed("alice", None).await;
    }
    let refused = limits.may_try("alice", None).await.expect_err("after twenty failures");
    assert_eq!((refused.limit, refused.window), (20, Duration::from_mins(15)));
    assert_eq!(refused.retry_after, Duration::from_mins(15) / 20);
    assert_eq!(limits.may_try("bob", None).await, Ok(()));
    clock.advance(refused.retry_after);
    assert_eq!(limits.may_try("alice", None).await, Ok(()));
    let _ = limits.failed("alice", None).await;
    assert!(limits.may_try("alice", None).await.is_err());
}

#[tokio::test]
async fn strangers_do_not_lock_the_owner_out_and_the_owners_network_is_limited_too() {
    let (_, limits) = limits();
    let home = own_network(address("192.0.2.77"));
    for _ in 0..100 {
        let _ = limits.failed("alice", None).await;
    }
    assert!(limits.may_try("alice", None).await.is_err());
    assert_eq!(limits.may_try("alice", Some(&home)).await, Ok(()));
    for _ in 0..20 {
        let _ = limits.failed("alice", Some(&home)).await;
    }
    assert!(limits.may_try("alice", Some(&home)).await.is_err());
    assert_eq!(limits.may_try("alice", Some("198.51.100.0/24")).await, Ok(()));
}

#[tokio::test]
async fn failures_that_ran_at_the_same_time_are_paid_for_but_never_for_longer_than_twice_the_period() {
    let (clock, limits) = limits();
    for _ in 0..30 {
        let _ = limits.failed("alice", None).await;
    }
    let step = Duration::from_mins(15) / 20;
    assert_eq!(limits.may_try("alice", None).await.expect_err("over").retry_after, step * 11);
    for _ in 0..10_000 {
        let _ = limits.failed("alice", None).await;
    }
    assert!(limits.may_try("alice", None).await.expect_err("over").retry_after <= Duration::from_mins(30));
    clock.advance(Duration::from_mins(30));
    assert_eq!(limits.may_try("alice", None).await, Ok(()));
}

#[tokio::test]
async fn new_rates_keep_what_was_counted() {
    let (_, limits) = limits();
    for _ in 0..5 {
        assert_eq!(limits.attempt(address("192.0.2.1")).await, Ok(()));
    }
    limits.set(&Login { rate_limit: Rate { count: 2, period: MINUTE }, ..SETTINGS });
    assert!(limits.attempt(address("192.0.2.1")).await.is_err(), "a reload gives no new tries");
    assert_eq!(limits.attempt(address("192.0.2.2")).await, Ok(()));
    assert_eq!(limits.attempt(address("192.0.2.2")).await, Ok(()));
    assert!(limits.attempt(address("192.0.2.2")).await.is_err(), "the new rate is in force");
}

/// Limits of one replica among those that share `redis`.
async fn sharing(redis: &RedisServer) -> Logins {
    let redis = Redis { url: redis.url().into(), key_prefix: "portcullis".to_owned() };
    let (_, limits) = limits();
    let limits = limits.shared(&redis, &tokio::runtime::Handle::current()).expect("a usable URL");
    while !limits.is_shared() {
        tokio::task::yield_now().await;
    }
    limits
}

/// Waits for contact; trying is what makes it connect again.
async fn in_contact(limits: &Logins) {
    while !limits.is_shared() {
        let _ = limits.may_try("nobody", None).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_redis_count_together() {
    let redis = RedisServer::start();
    let (ours, theirs) = (sharing(&redis).await, sharing(&redis).await);
    // What a busy machine counts alone for a moment is not lost to the test: it asks until it is refused.
    let mut attempts = 0;
    for limits in [&ours, &theirs].into_iter().cycle() {
        in_contact(limits).await;
        if let Err(refused) = limits.attempt(address("192.0.2.1")).await {
            assert_eq!((refused.policy, refused.limit), ("login", 5));
            assert!(refused.retry_after <= MINUTE && !refused.retry_after.is_zero());
            break;
        }
        attempts += 1;
    }
    assert!((5..10).contains(&attempts), "{attempts}: alone they would allow ten");
    for _ in 0..40 {
        in_contact(&ours).await;
        let _ = ours.failed("alice", None).await;
    }
    in_contact(&theirs).await;
    assert_eq!(theirs.may_try("bob", None).await, Ok(()));
    let mut refused = false;
    for _ in 0..1000 {
        in_contact(&theirs).await;
        refused = refused || theirs.may_try("alice", None).await.is_err();
    }
    assert!(refused, "forty failures at the other replica");
    assert_eq!(theirs.may_try("alice", Some("192.0.2.0/24")).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_contact_to_redis_each_replica_still_counts() {
    let mut redis = RedisServer::start();
    let limits = sharing(&redis).await;
    redis.pause();
    for _ in 0..5 {
        assert_eq!(limits.attempt(address("192.0.2.1")).await, Ok(()));
    }
    assert!(limits.attempt(address("192.0.2.1")).await.is_err());
    redis.kill();
    for _ in 0..20 {
        assert_eq!(limits.may_try("alice", None).await, Ok(()));
        let _ = limits.failed("alice", None).await;
    }
    assert!(limits.may_try("alice", None).await.is_err());
    redis.restart_empty();
    in_contact(&limits).await;
    assert!(limits.attempt(address("192.0.2.1")).await.is_err(), "what Redis lost is still counted here");
}
