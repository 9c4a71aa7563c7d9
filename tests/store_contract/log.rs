//! The durable log of revocations.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::{Entry, KeyId, Revoked, SystemEntropy, TokenId, UserId};
use tokio::task::JoinSet;

use crate::make::{GRACE, NOW, Place, UNTIL, after, is_refused, opened, refreshed, saved_user, session, whole_log};

const DAY: Duration = Duration::from_hours(24);

fn a_token() -> Revoked {
    Revoked::Token { id: TokenId::generate(NOW, &SystemEntropy) }
}

pub(crate) async fn entries_come_back_in_order_by_page(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    assert_eq!(store.last_revocation().await.unwrap(), 0);
    let all = [
        a_token(),
        Revoked::Session { id: session(&anna).id },
        Revoked::Generation { subject: UserId::generate(NOW, &SystemEntropy), below: 7 },
        Revoked::ApiKey { id: KeyId::generate(&SystemEntropy) },
    ];
    let mut written = Vec::new();
    for (i, what) in all.iter().enumerate() {
        let entry = store.revoke(what, after(i as u64)).await.unwrap();
        assert_eq!((&entry.what, entry.until), (what, after(i as u64)));
        written.push(entry);
    }
    assert!(written.is_sorted_by_key(|entry| entry.seq));
    assert_eq!(store.revocations_after(0, 3).await.unwrap(), written[..3]);
    assert_eq!(store.revocations_after(written[2].seq, 3).await.unwrap(), written[3..]);
    assert_eq!(store.revocations_after(written[3].seq, 3).await.unwrap(), []);
    assert_eq!(store.last_revocation().await.unwrap(), written[3].seq);
}

pub(crate) async fn the_same_thing_revoked_again_is_a_new_entry(place: &Place) {
    let store = place.open().await;
    let what = a_token();
    let first = store.revoke(&what, UNTIL).await.unwrap();
    let again = store.revoke(&what, UNTIL).await.unwrap();
    assert!(again.seq > first.seq);
    assert_eq!(store.revocations_after(first.seq, 10).await.unwrap(), [again]);
}

pub(crate) async fn a_follower_misses_nothing_that_commits_late(place: &Place) {
    const WRITERS: usize = 8;
    const EACH: usize = 15;
    let stores = [place.open().await, place.open().await];
    let anna = saved_user(&*stores[0], "anna").await;
    let mut writers = JoinSet::new();
    for i in 0..WRITERS {
        let (store, anna) = (Arc::clone(&stores[i % 2]), anna.clone());
        writers.spawn(async move {
            let mut written = Vec::new();
            for n in 0..EACH {
                if n % 3 == 0 {
                    let (session, _) = opened(&*store, &anna).await;
                    written.extend(store.end_session(session.id, NOW, UNTIL).await.unwrap());
                } else {
                    written.push(store.revoke(&a_token(), UNTIL).await.unwrap());
                }
            }
            written
        });
    }
    let follower = place.open().await;
    let mut seen: Vec<Entry> = Vec::new();
    while seen.len() < WRITERS * EACH {
        let seq = seen.last().map_or(0, |entry| entry.seq);
        let page = follower.revocations_after(seq, 7).await.unwrap();
        if page.is_empty() && writers.is_empty() {
            break;
        }
        seen.extend(page);
        // Those that are done are taken out, so that a follower that stepped over an entry ends and fails.
        while let Some(done) = writers.try_join_next() {
            let written = done.unwrap();
            assert!(written.is_sorted_by_key(|entry| entry.seq));
            let last = follower.last_revocation().await.unwrap();
            assert!(written.iter().all(|entry| entry.seq <= last));
        }
    }
    assert_eq!(seen.len(), WRITERS * EACH);
    assert!(seen.is_sorted_by(|one, next| one.seq < next.seq));
    assert_eq!(seen, whole_log(&*stores[0]).await);
}

pub(crate) async fn a_session_that_goes_on_forgets_tokens_that_ended_long_ago(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW.plus(6 * DAY)).await;
    store.prune(NOW.plus(8 * DAY), GRACE).await.unwrap();
    assert!(store.session_of_refresh(first.hash()).await.unwrap().is_some(), "it would still be noticed");
    store.prune(NOW.plus(8 * DAY + Duration::from_millis(1)), GRACE).await.unwrap();
    assert!(store.session_of_refresh(first.hash()).await.unwrap().is_none());
    assert_eq!(store.session_of_refresh(second.hash()).await.unwrap().unwrap().id, session.id);
    refreshed(&*store, &second, NOW.plus(9 * DAY)).await;
}

pub(crate) async fn what_nobody_needs_is_forgotten(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let kept = store.revoke(&a_token(), after(10)).await.unwrap();
    let last = store.revoke(&a_token(), after(9)).await.unwrap();
    store.remember_network(anna.id, "192.0.2.0/24", NOW).await.unwrap();
    let (ended, _) = opened(&*store, &anna).await;
    store.end_session(ended.id, NOW, after(10)).await.unwrap();
    let (session, first) = opened(&*store, &anna).await;
    let second = refreshed(&*store, &first, NOW).await;

    assert_eq!(store.prune(after(10), GRACE).await.unwrap(), 2, "an entry and a sealed successor");
    let log = whole_log(&*store).await;
    assert_eq!((log.len(), &log[0]), (2, &kept));
    assert!(store.last_revocation().await.unwrap() > last.seq, "numbers are not given twice");
    assert_eq!(store.prune(after(10), GRACE).await.unwrap(), 0);
    refreshed(&*store, &second, after(10)).await;
    let Some(live) = store.session(session.id).await.unwrap() else { panic!("forgotten while it lived") };

    let ended_long_ago = NOW.plus(DAY + Duration::from_millis(1));
    store.prune(ended_long_ago, GRACE).await.unwrap();
    assert!(store.session(ended.id).await.unwrap().is_none());
    assert!(whole_log(&*store).await.is_empty());
    assert!(store.session(session.id).await.unwrap().is_some());
    assert!(store.knows_network(anna.id, "192.0.2.0/24", NOW).await.unwrap());

    let a_day_after_it_expired = live.expires_at.plus(DAY + Duration::from_millis(1));
    store.prune(a_day_after_it_expired, GRACE).await.unwrap();
    assert!(store.session(session.id).await.unwrap().is_none());
    for token in [&first, &second] {
        assert!(is_refused(&*store, token, NOW).await);
    }
    assert!(store.knows_network(anna.id, "192.0.2.0/24", NOW).await.unwrap());
    store.prune(NOW.plus(30 * DAY + Duration::from_millis(1)), GRACE).await.unwrap();
    assert!(!store.knows_network(anna.id, "192.0.2.0/24", NOW).await.unwrap());
    assert!(store.user(anna.id).await.unwrap().is_some());
}
