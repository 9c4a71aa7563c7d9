//! What was answered survives a process that is killed, and a disk that is full.
//!
//! The process is this test program itself, run again with a variable that says what to do.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use portcullis::domain::refresh::RefreshToken;
use portcullis::domain::{AuditEvent, AuditKind, Revoked, SessionId, UserId};
use portcullis::store::{self, Rotated, Store, StoreError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use crate::make::{NOW, Place, UNTIL, opened, refreshed, rotate, saved_user, whole_log};

/// Tells the child where the store is.
const CHILD: &str = "PORTCULLIS_TEST_CHILD";
/// Begins each line of the ledger.
const ACK: &str = "ack ";

fn this_program() -> PathBuf {
    env::current_exe().unwrap()
}

/// What the store answered to the child.
#[derive(Default)]
struct Ledger {
    users: Vec<UserId>,
    sessions: HashMap<SessionId, Session>,
}

#[derive(Default)]
struct Session {
    /// Each of its refresh tokens, in order.
    tokens: Vec<RefreshToken>,
    /// The number of the entry that ended it.
    ended: Option<i64>,
}

impl Ledger {
    fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let session = || words[1].parse::<SessionId>().unwrap();
        match words[0] {
            "user" => self.users.push(words[1].parse().unwrap()),
            "open" | "rotate" => {
                let token = RefreshToken::parse(words[2]).unwrap();
                self.sessions.entry(session()).or_default().tokens.push(token);
            }
            "end" => self.sessions.get_mut(&session()).unwrap().ended = Some(words[2].parse().unwrap()),
            _ => panic!("{line}"),
        }
    }

    async fn check(&self, store: &dyn Store) {
        for user in &self.users {
            assert!(store.user(*user).await.unwrap().is_some(), "{user} was created");
        }
        let log = whole_log(store).await;
        for (id, session) in &self.sessions {
            let kept = store.session(*id).await.unwrap().expect("it was opened");
            if let Some(seq) = session.ended {
                assert!(kept.ended_at.is_some(), "{id} was ended");
                let entry = log.iter().find(|entry| entry.seq == seq).expect("its entry is there");
                assert_eq!(entry.what, Revoked::Session { id: *id });
                continue;
            }
            if kept.ended_at.is_some() {
                continue; // The answer was lost with the child.
            }
            for token in &session.tokens {
                assert_eq!(store.session_of_refresh(token.hash()).await.unwrap().unwrap().id, *id);
            }
            let [.., parent, last] = session.tokens.as_slice() else { continue };
            match rotate(store, parent, NOW).await {
                Rotated::Live { refresh, .. } => assert_eq!(refresh.expose(), last.expose(), "it was handed out"),
                // The last one was used, and the answer was lost with the child.
                Rotated::Reused { .. } => {}
                Rotated::Refused | Rotated::NotLikeThis => panic!("a live session's token was refused"),
            }
        }
    }
}

/// Works until it is killed, and says what was done once it was.
async fn work(store: Arc<dyn Store>, run: u32, worker: u32) {
    for n in 0.. {
        let user = saved_user(&*store, &format!("user-{run}-{worker}-{n}")).await;
        println!("\n{ACK}user {}", user.id);
        let (session, mut token) = opened(&*store, &user).await;
        println!("\n{ACK}open {} {}", session.id, token.expose());
        for _ in 0..3 {
            token = refreshed(&*store, &token, NOW).await;
            println!("\n{ACK}rotate {} {}", session.id, token.expose());
        }
        if n % 2 == 0 {
            let entries = store.end_session(session.id, NOW, UNTIL).await.unwrap();
            println!("\n{ACK}end {} {}", session.id, entries[0].seq);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn child_that_is_killed() {
    let Ok(url) = env::var(CHILD) else { return };
    let store = store::open(&url.into()).await.unwrap();
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        workers.spawn(work(Arc::clone(&store), std::process::id(), worker));
    }
    workers.join_next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_when_the_process_is_killed() {
    use secrecy::ExposeSecret;
    let place = Place::sqlite();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20 {
        // xorshift: the same moments in every run, counted in answers.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = Command::new(this_program())
            .args(["--exact", "crash::child_that_is_killed", "--nocapture"])
            .env(CHILD, place.url().expose_secret())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut answers = lines.filter_map(|line| line.strip_prefix(ACK).map(str::to_owned));
        let mut ledger = Ledger::default();
        for _ in 0..=seed % 80 {
            ledger.add(&answers.next().expect("an answer"));
        }
        child.kill().unwrap();
        answers.for_each(|answer| ledger.add(&answer));
        child.wait().unwrap();
        ledger.check(&*place.open().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn child_whose_disk_is_full() {
    let Ok(url) = env::var(CHILD) else { return };
    let store = store::open(&url.into()).await.unwrap();
    let anna = saved_user(&*store, "anna").await;
    let event = AuditEvent {
        at: NOW,
        kind: AuditKind::LoginOk,
        actor: None,
        subject: None,
        address: None,
        request_id: None,
        detail: Some("x".repeat(100_000)),
    };
    let mut written = 0;
    let full = loop {
        match store.record(&event).await {
            Ok(()) => written += 1,
            Err(full) => break full,
        }
    };
    assert!(matches!(full, StoreError::Unavailable(_)), "{full:?}");
    for _ in 0..3 {
        assert!(matches!(store.record(&event).await, Err(StoreError::Unavailable(_))));
        assert!(store.user(anna.id).await.unwrap().is_some(), "reads go on");
    }
    setrlimit(Resource::Fsize, Rlimit { current: None, ..getrlimit(Resource::Fsize) }).unwrap();
    store.record(&event).await.unwrap();
    assert_eq!(store.events(0, 1_000_000).await.unwrap().len(), written + 1);
    println!("\n{ACK}done");
}

#[tokio::test]
async fn a_full_disk_fails_writes_while_it_is_full() {
    use secrecy::ExposeSecret;
    let place = Place::sqlite();
    // A limit on the size of files, whose signal is ignored, is as good as a disk that is full.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\""])
        .arg(this_program())
        .args(["--exact", "crash::child_whose_disk_is_full", "--nocapture"])
        .env(CHILD, place.url().expose_secret())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(said.contains("ack done"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}
