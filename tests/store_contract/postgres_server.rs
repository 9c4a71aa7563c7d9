//! What is PostgreSQL's own: several connections that write at once, and a server that ends some of them.

use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::{Hash256, MailPurpose, MailedToken, Revoked, SystemEntropy, TokenId};
use portcullis::store::{self, Rotated, StoreError, UserChange};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::make::{GRACE, NOW, Place, UNTIL, is_ended, opened, rotate, saved_user, user, what, whole_log};

/// Another program's connection.
pub(crate) async fn other(place: &Place) -> PgConnection {
    use secrecy::ExposeSecret;
    PgConnection::connect(place.url().expose_secret()).await.unwrap()
}

const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// Until so many connections to this database wait for a lock.
pub(crate) async fn until_waiting(place: &Place, waiting: i64) {
    for _ in 0..800 {
        if place.count(WAITING).await >= waiting {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

fn a_token() -> Revoked {
    Revoked::Token { id: TokenId::generate(NOW, &SystemEntropy) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_commits_late_is_never_stepped_over() {
    let place = Place::postgres();
    let (store, follower) = (place.open().await, place.open().await);
    // Somebody has taken a number, and takes his time with the commit.
    let mut slow = other(&place).await;
    let mut late = slow.begin().await.unwrap();
    sqlx::raw_sql(
        "UPDATE counters SET value = value + 1 WHERE name = 'revocations'; \
         INSERT INTO revocations SELECT value, 'session', '0192f0c1-2345-7abc-8def-0123456789ab', NULL, 1800001000000 FROM counters",
    )
    .execute(&mut *late)
    .await
    .unwrap();
    let what = a_token();
    let quick = tokio::spawn({
        let (store, what) = (Arc::clone(&store), what.clone());
        async move { store.revoke(&what, UNTIL).await.unwrap() }
    });
    until_waiting(&place, 1).await;
    assert_eq!(follower.revocations_after(0, 10).await.unwrap(), [], "who came second is not seen before the first");
    assert_eq!(follower.last_revocation().await.unwrap(), 0);
    late.commit().await.unwrap();
    let quick = quick.await.unwrap();
    let seen = follower.revocations_after(0, 10).await.unwrap();
    assert_eq!(seen.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(seen[1], quick);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_given_back_leaves_no_gap_to_wait_for() {
    let place = Place::postgres();
    let store = place.open().await;
    let mut slow = other(&place).await;
    let mut late = slow.begin().await.unwrap();
    sqlx::raw_sql("UPDATE counters SET value = value + 1 WHERE name = 'revocations'").execute(&mut *late).await.unwrap();
    let quick = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.revoke(&a_token(), UNTIL).await.unwrap() }
    });
    until_waiting(&place, 1).await;
    late.rollback().await.unwrap();
    assert_eq!(quick.await.unwrap().seq, 1);
}

#[tokio::test]
async fn who_only_runs_the_gateway_need_not_be_allowed_to_make_tables() {
    use secrecy::ExposeSecret;
    let place = Place::postgres();
    drop(place.open().await);
    // Roles belong to the server, which is everybody's.
    place
        .run(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway') THEN CREATE ROLE gateway LOGIN; END IF; \
         EXCEPTION WHEN unique_violation OR duplicate_object THEN NULL; END $$; \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway",
        )
        .await;
    let url = place.url().expose_secret().replace("portcullis@", "gateway@");
    let store = store::open(&url.into()).await.unwrap();
    let anna = saved_user(&*store, "anna").await;
    opened(&*store, &anna).await;
    store.prune(NOW, GRACE).await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let place = Place::postgres();
    place.run("CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (7)").await;
    let refused = store::open(&place.url()).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(place.count("SELECT COUNT(*) FROM users WHERE id = 7").await, 1);
    assert_eq!(place.count("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'").await, 1, "all or nothing");
}

#[tokio::test]
async fn a_database_that_can_not_hold_every_name_is_refused() {
    use secrecy::ExposeSecret;
    let place = Place::postgres();
    // Its name is ours alone, as that of the place is.
    let name = place.url().expose_secret().split(['/', '?']).nth(3).unwrap().to_owned() + "_latin";
    let run = async |statement: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut other(&place).await).await.unwrap();
    };
    run(format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")).await;
    let url = place.url().expose_secret().replace(name.trim_end_matches("_latin"), &name);
    let refused = store::open(&url.into()).await.map(|_| ());
    run(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("ENCODING 'UTF8'")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_another_program_is_told_that_it_is_busy() {
    let place = Place::postgres();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let mut other = other(&place).await;
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE users IN SHARE MODE").execute(&mut *lock).await.unwrap();
    let mut writers = JoinSet::new();
    for i in 0..4 {
        let store = Arc::clone(&store);
        writers.spawn(async move { store.create_user(&user(&format!("user{i}"))).await });
    }
    for refused in writers.join_all().await {
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert_eq!(place.count(WAITING).await, 0, "the server does not wait for longer than its caller did");
    assert!(store.user(anna.id).await.unwrap().is_some(), "readers do not wait");
    lock.rollback().await.unwrap();
    saved_user(&*store, "bert").await;
    assert_eq!(store.users(None, 0, 10).await.unwrap().len(), 2, "who was refused left nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_a_deadlock_is_run_again() {
    let place = Place::postgres();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (session, _) = opened(&*store, &anna).await;
    let mut other = other(&place).await;
    let mut foe = other.begin().await.unwrap();
    // It has what the store locks last, will want what the store locks first, and is patient.
    sqlx::raw_sql("SET LOCAL deadlock_timeout = '30s'; UPDATE counters SET value = value WHERE name = 'revocations'")
        .execute(&mut *foe)
        .await
        .unwrap();
    let ending = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.end_session(session.id, NOW, UNTIL).await.unwrap() }
    });
    until_waiting(&place, 1).await;
    sqlx::query("UPDATE users SET full_name = 'Anna F.' WHERE id = $1")
        .bind(anna.id.to_string())
        .execute(&mut *foe)
        .await
        .unwrap();
    foe.commit().await.unwrap();
    let entries = ending.await.unwrap();
    assert_eq!(what(&entries), [Revoked::Session { id: session.id }]);
    assert_eq!(whole_log(&*store).await, entries, "once");
    assert_eq!(store.user(anna.id).await.unwrap().unwrap().full_name.as_deref(), Some("Anna F."));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_ends_are_made_anew_without_a_caller_noticing() {
    const OTHERS: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'portcullis'";
    let place = Place::postgres();
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    assert!(place.count(OTHERS).await > 0);
    assert!(store.user(anna.id).await.unwrap().is_some(), "a reader");
    assert!(place.count(OTHERS).await > 0);
    let (session, first) = opened(&*store, &anna).await;

    // In the middle of a transaction, before its commit.
    let mut other = other(&place).await;
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("UPDATE counters SET value = value WHERE name = 'revocations'").execute(&mut *lock).await.unwrap();
    let ending = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.end_session(session.id, NOW, UNTIL).await.unwrap() }
    });
    until_waiting(&place, 1).await;
    assert!(place.count(OTHERS).await > 0);
    lock.rollback().await.unwrap();
    let entries = ending.await.unwrap();
    assert_eq!(whole_log(&*store).await, entries, "done once");
    assert!(matches!(rotate(&*store, &first, NOW).await, Rotated::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_mailed_is_redeemed_once_whoever_comes_at_the_same_time() {
    let place = Place::postgres();
    let stores = [place.open().await, place.open().await];
    let anna = saved_user(&*stores[0], "anna").await;
    for n in 0..5_u8 {
        let token = |text: &[u8]| MailedToken {
            hash: Hash256::of(text),
            user: anna.id,
            purpose: MailPurpose::Email,
            email: "anna@example.org".to_owned(),
            created_at: NOW,
            expires_at: UNTIL,
        };
        let tokens = [token(&[n, 1]), token(&[n, 2])];
        let (one, other) = tokio::join!(stores[0].mail(&tokens[0], None), stores[1].mail(&tokens[1], None));
        one.and(other).unwrap();
        let mut left = Vec::new();
        for token in &tokens {
            left.extend(stores[0].mailed(&token.hash, MailPurpose::Email, NOW).await.unwrap());
        }
        let [left] = left.as_slice() else { panic!("one takes the other's place: {left:?}") };
        let redeem = |store: usize| stores[store].redeem(&left.hash, MailPurpose::Email, UserChange::default(), NOW, UNTIL);
        let (one, other) = tokio::join!(redeem(0), redeem(1));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_slip_past_a_new_password() {
    let place = Place::postgres();
    let stores = [place.open().await, place.open().await];
    let anna = saved_user(&*stores[0], "anna").await;
    for n in 0..20 {
        let password = store::NewPassword { hash: format!("$argon2id${n}").into(), keep: None };
        let change = UserChange { password: Some(password), ..UserChange::default() };
        let (session, first) = (crate::make::session(&anna), crate::make::token());
        let (opened, changed) =
            tokio::join!(stores[1].open_session(&session, first.hash()), stores[0].change_user(anna.id, change, NOW, UNTIL));
        let (now, entries) = changed.unwrap();
        // It was there before the change and has been ended by it, or came after, and knows.
        if opened.unwrap().generation < now.generation {
            assert!(what(&entries).contains(&Revoked::Session { id: session.id }));
            assert!(is_ended(&*stores[0], session.id).await);
        }
    }
}
