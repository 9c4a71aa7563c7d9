//! Reload, drain, and being killed at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::sync::Semaphore;

use crate::echo::{echo, held};
use crate::gateway::{Gateway, Setup};

fn open_route(path: &str, backend: std::net::SocketAddr) -> String {
    format!("version = 1\n[[route]]\nname = \"open\"\npath = \"{path}\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n")
}

#[tokio::test]
async fn a_reload_swaps_the_routes_whole_without_a_failed_request() {
    let backend = echo().await;
    let gateway = Arc::new(Gateway::start(Setup::routes(open_route("/**", backend).replace("version = 1", ""))).await);
    let (going, failed, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let caller = tokio::spawn({
        let (gateway, going, failed, made) = (gateway.clone(), going.clone(), failed.clone(), made.clone());
        async move {
            while going.load(Ordering::Relaxed) {
                let answer = gateway.get("/x").await;
                made.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    for round in 0..20 {
        let routes = format!(
            "{}[[route]]\nname = \"new\"\npath = \"/new-{round}\"\nauth = \"required\"\nbackend = \"http://{backend}\"\n",
            open_route("/**", backend)
        );
        std::fs::write(gateway.own_folder().join("routes/test.toml"), routes).expect("written");
        gateway.signal("HUP");
        gateway.until("the new route is in force", || async { gateway.get(&format!("/new-{round}")).await.status == 401 }).await;
    }
    going.store(false, Ordering::Relaxed);
    caller.await.expect("the caller ends");
    assert!(made.load(Ordering::Relaxed) > 20);
    assert_eq!(failed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reload_with_an_error_keeps_the_old_policy_and_says_so() {
    let backend = echo().await;
    let gateway = Gateway::start(Setup::routes(open_route("/a", backend).replace("version = 1", ""))).await;
    let file = gateway.own_folder().join("routes/test.toml");
    std::fs::write(&file, open_route("/b", backend).replace("auth =", "auht =")).expect("written");
    gateway.signal("HUP");
    gateway.until("the reload is refused", || async { gateway.log().contains("auht") }).await;
    assert_eq!((gateway.get("/a").await.status, gateway.get("/b").await.status), (200, 404));
    let refused =
        |line: &str| line.starts_with("portcullis_config_reload_total{") && !line.contains("\"ok\"") && line.ends_with(" 1");
    assert!(gateway.metrics().await.lines().any(refused), "{}", gateway.metrics().await);
    std::fs::write(&file, open_route("/b", backend)).expect("written");
    gateway.signal("HUP");
    gateway.until("the mended file is in force", || async { gateway.get("/b").await.status == 200 }).await;
    assert_eq!(gateway.get("/a").await.status, 404);
}

#[tokio::test]
async fn sigterm_lets_calls_end_and_exits_zero_when_idle() {
    let (backend, arrived, go) = held().await;
    let mut gateway = Gateway::start(Setup::routes(open_route("/**", backend).replace("version = 1", ""))).await;
    let call = tokio::spawn(gateway.request("GET", "/slow").send());
    arrived.notified().await;
    gateway.signal("TERM");
    gateway.until("it accepts no more", || async { tokio::net::TcpStream::connect(gateway.address).await.is_err() }).await;
    go.notify_one();
    let answer = call.await.expect("the call's task").expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.expect("a body").as_str()), (200, "done"));
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_store_that_hangs_does_not_hold_up_the_end() {
    if crate::storage::on_postgres() {
        return; // A row that is locked holds up no other.
    }
    let backend = echo().await;
    let mut gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .server("drain_timeout = \"1s\""),
    )
    .await;
    gateway.user("alice", &[]);
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "k"], "");
    let call = gateway.send(gateway.request("GET", "/x").header("X-API-Key", key.trim())).await;
    assert_eq!(call.status, 200, "there is a time of last use to write down");
    let file = format!("sqlite://{}/data/portcullis.db", gateway.folder().display());
    let mut other = sqlx::SqliteConnection::connect(&file).await.expect("opened");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("locked");
    gateway.signal("TERM");
    let ended = tokio::time::timeout(Duration::from_secs(3), gateway.ended()).await;
    assert_eq!(ended, Ok(Some(0)), "within drain_timeout and a moment");
}

#[tokio::test]
async fn who_can_connect_can_signal() {
    let backend = echo().await;
    let mut gateway = Gateway::start(Setup::routes(open_route("/**", backend).replace("version = 1", ""))).await;
    for _ in 0..3 {
        gateway.signal("TERM");
        assert_eq!(gateway.ended().await, Some(0));
        gateway.spawn_again();
        while std::net::TcpStream::connect(gateway.address).is_err() {
            tokio::task::yield_now().await;
        }
        gateway.signal("HUP");
    }
    gateway.until("it serves all the same", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
}

#[tokio::test]
async fn a_drain_delay_is_unready_and_still_serves() {
    let backend = echo().await;
    let mut gateway = Gateway::start(
        Setup::routes(open_route("/**", backend).replace("version = 1", ""))
            .server("drain_delay = \"2s\"\ndrain_timeout = \"1s\""),
    )
    .await;
    gateway.signal("TERM");
    gateway.until("it is not ready", || async { gateway.admin_status("/readyz").await == Some(503) }).await;
    assert_eq!(gateway.get("/x").await.status, 200);
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
pub(crate) async fn a_kill_at_any_moment_loses_nothing_that_was_answered() {
    let backend = echo().await;
    let mut gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .with("[login]\nrate_limit = \"100000/1s\"\n[tokens]\nrefresh_grace = \"0s\"\n"),
    )
    .await;
    gateway.user("alice", &[]);
    for _ in 0..6 {
        let (dead, alive) = storm(&gateway).await;
        assert!(dead.len() + alive.len() > 3, "the storm did something");
        gateway.kill_and_restart().await;
        for tokens in &dead {
            let call = gateway.get_as("/x", tokens["access_token"].as_str().expect("a token")).await;
            assert_eq!(call.status, 401, "a session whose logout was answered is alive again");
            let again = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await;
            assert_eq!(again.status, 401, "and can be refreshed");
        }
        for tokens in &alive {
            let call = gateway.get_as("/x", tokens["access_token"].as_str().expect("a token")).await;
            assert_eq!(call.status, 200, "a session that was answered is gone");
            let again = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await;
            assert_eq!(again.status, 200, "or can't be refreshed");
        }
    }
}

/// Logs in, refreshes and logs out on four connections for a while; gives what was answered: sessions dead, and alive.
async fn storm(gateway: &Gateway) -> (Vec<Value>, Vec<Value>) {
    let workers = (0..4).map(|worker| async move {
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        for round in 0..6 {
            let mut tokens = gateway.login("alice").await;
            for _ in 0..(worker + round) % 3 {
                tokens = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await.json();
            }
            if (worker + round) % 2 == 0 {
                let answer = gateway.post("/auth/logout", &json!({ "refresh_token": tokens["refresh_token"] })).await;
                assert_eq!(answer.status, 204);
                dead.push(tokens);
            } else {
                alive.push(tokens);
            }
        }
        (dead, alive)
    });
    let (dead, alive): (Vec<_>, Vec<_>) = futures_util::future::join_all(workers).await.into_iter().unzip();
    (dead.concat(), alive.concat())
}

/// One client's ledger: what it was answered, and what it asked last and was never answered.
#[derive(Default)]
struct Ledger {
    /// Sessions whose logout was answered with 204.
    dead: Vec<Value>,
    /// Sessions with nothing under way when the gateway died.
    alive: Vec<Value>,
}

/// Logs in, refreshes and logs out until the gateway no longer answers. What is under way then is in no ledger.
/// Each answer adds a permit to `answers`.
async fn until_killed(gateway: &Gateway, worker: usize, answers: &Semaphore) -> Ledger {
    let mut ledger = Ledger::default();
    // `None`: no answer, or one that was cut off. Whoever was answered anything else than what was asked says so here.
    let ask = |path: &'static str, body: Value, status: u16| async move {
        let answer = gateway.http.post(format!("{}{path}", gateway.url)).json(&body).send().await.ok()?;
        let found = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        assert_eq!(found, status, "{path}: {text}");
        answers.add_permits(1);
        Some(serde_json::from_str(&text).unwrap_or(Value::Null))
    };
    for round in 0.. {
        let credentials = json!({ "username": "alice", "password": crate::gateway::PASSWORD });
        let Some(mut tokens) = ask("/auth/login", credentials, 200).await else { break };
        if (worker + round).is_multiple_of(3) {
            ledger.alive.push(tokens);
            continue;
        }
        for _ in 0..(worker + round) % 4 {
            let body = json!({ "refresh_token": tokens["refresh_token"] });
            let Some(next) = ask("/auth/refresh", body, 200).await else { return ledger };
            tokens = next;
        }
        let body = json!({ "refresh_token": tokens["refresh_token"] });
        if ask("/auth/logout", body, 204).await.is_none() {
            break;
        }
        ledger.dead.push(tokens);
    }
    ledger
}

#[tokio::test]
pub(crate) async fn a_kill_in_the_middle_of_a_storm_loses_nothing_that_was_answered() {
    let backend = echo().await;
    let mut gateway = Gateway::start(
        Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
            .with("[login]\nrate_limit = \"100000/1s\"\n[tokens]\nrefresh_grace = \"0s\"\n"),
    )
    .await;
    gateway.user("alice", &[]);
    let mut answered = 0;
    for round in 0..8 {
        let answers = Semaphore::new(0);
        let storm = futures_util::future::join_all((0..6).map(|worker| until_killed(&gateway, worker, &answers)));
        let kill = async {
            let enough = tokio::time::timeout(Duration::from_secs(20), answers.acquire_many(30 + round * 7)).await;
            enough.expect("the storm goes on").expect("open").forget();
            gateway.signal("KILL");
        };
        let (ledgers, ()) = tokio::join!(storm, kill);
        gateway.kill_and_restart().await;
        for tokens in ledgers.iter().flat_map(|ledger| &ledger.dead) {
            answered += 1;
            let call = gateway.get_as("/x", tokens["access_token"].as_str().expect("a token")).await;
            assert_eq!(call.status, 401, "a session whose logout was answered is alive again");
            let again = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await;
            assert_eq!(again.status, 401, "and can be refreshed");
        }
        for tokens in ledgers.iter().flat_map(|ledger| &ledger.alive) {
            answered += 1;
            let call = gateway.get_as("/x", tokens["access_token"].as_str().expect("a token")).await;
            assert_eq!(call.status, 200, "a session that was answered is gone");
            let again = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await;
            assert_eq!(again.status, 200, "or can't be refreshed");
        }
    }
    println!("{answered} answered sessions held through 8 kills in a storm");
    assert!(answered > 50, "{answered}: the storms did something");
}

#[tokio::test]
async fn a_first_start_makes_a_key_and_a_second_keeps_it() {
    let backend = echo().await;
    let mut gateway = Gateway::start(Setup::routes(open_route("/**", backend).replace("version = 1", ""))).await;
    let keys = || {
        let mut names: Vec<_> = std::fs::read_dir(gateway.folder().join("keys"))
            .expect("keys")
            .map(|file| file.expect("a file").file_name())
            .collect();
        names.sort();
        names
    };
    let first = keys();
    assert_eq!(first.len(), 1);
    gateway.kill_and_restart().await;
    let names: Vec<_> =
        std::fs::read_dir(gateway.folder().join("keys")).expect("keys").map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(names, first);
}

/// Huge pages would stand half empty: 13 MiB more for an idle gateway, and 15 KiB for each connection.
#[tokio::test]
async fn memory_is_taken_in_small_pages() {
    let gateway = Gateway::start(Setup::routes("")).await;
    let map = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", gateway.id())).expect("a process");
    let huge = map.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).expect("a line").trim();
    assert_eq!(huge, "0 kB");
}
