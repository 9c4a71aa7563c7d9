//! `run --upgrade`: another process takes the listeners over, and no client notices.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup, free_address, portcullis_in};

fn open_route(backend: std::net::SocketAddr) -> String {
    format!(
        "[[route]]\nname = \"open\"\npath = \"/open/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n\
         [[route]]\nname = \"rest\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"
    )
}

/// Waits for a process that was replaced; it must end well.
async fn ends(mut old: Child) {
    for _ in 0..1200 {
        if let Some(status) = old.try_wait().expect("its state") {
            assert_eq!(status.code(), Some(0));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("the old process goes on");
}

/// Calls in a loop until told to stop: keep-alive and not, with bodies and without. Every answer is looked at.
fn callers(
    gateway: &Gateway,
    token: &str,
    going: &Arc<AtomicBool>,
    made: &Arc<AtomicU32>,
) -> Vec<tokio::task::JoinHandle<Vec<String>>> {
    (0..6_usize)
        .map(|caller| {
            let (going, made, url, token) = (going.clone(), made.clone(), gateway.url.clone(), token.to_owned());
            let admin = gateway.admin.clone();
            tokio::spawn(async move {
                let pool = if caller % 3 == 0 { 0 } else { 4 };
                let http = reqwest::Client::builder()
                    .pool_max_idle_per_host(pool)
                    .retry(reqwest::retry::never())
                    .build()
                    .expect("a client");
                let mut failed = Vec::new();
                while going.load(Ordering::Relaxed) {
                    let request = match caller {
                        0 | 1 => http.get(format!("{url}/open/x")),
                        2 | 3 => http.post(format!("{url}/x")).bearer_auth(&token).body("body"),
                        4 => http.get(format!("{url}/auth/me")).bearer_auth(&token),
                        _ => http.get(format!("{admin}/readyz")),
                    };
                    match request.send().await {
                        Ok(answer) if answer.status() == 200 => match answer.bytes().await {
                            Ok(body) if !body.is_empty() => drop(made.fetch_add(1, Ordering::Relaxed)),
                            body => failed.push(format!("{caller}: {body:?}")),
                        },
                        other => failed.push(format!("{caller}: {other:?}")),
                    }
                }
                failed
            })
        })
        .collect()
}

#[tokio::test]
async fn ten_upgrades_under_load_fail_no_request() {
    let backend = echo().await;
    let mut gateway = Gateway::start(Setup::routes(open_route(backend)).server("drain_timeout = \"10s\"")).await;
    gateway.user("alice", &[]);
    let token = gateway.login("alice").await["access_token"].as_str().expect("a token").to_owned();
    let (going, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let callers = callers(&gateway, &token, &going, &made);
    let mut old = Vec::new();
    for round in 1..=10 {
        old.push(gateway.upgrade());
        let so_far = made.load(Ordering::Relaxed);
        gateway.until("it took over", || async { gateway.log().matches("took the listeners over").count() == round }).await;
        gateway.until("and is called", || async { made.load(Ordering::Relaxed) > so_far + 10 }).await;
    }
    going.store(false, Ordering::Relaxed);
    let mut failed = Vec::new();
    for caller in callers {
        failed.extend(caller.await.expect("a caller"));
    }
    let made = made.load(Ordering::Relaxed);
    println!("{made} requests over 10 upgrades, {} failed", failed.len());
    assert!(failed.is_empty(), "{} of {made} failed: {:#?}", failed.len(), failed.first());
    for old in old {
        ends(old).await;
    }
    assert_eq!(gateway.get("/open/x").await.status, 200);
    let tokens = gateway.login("alice").await;
    assert!(tokens["access_token"].is_string(), "the store came through");
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_the_old_one_as_it_was() {
    let backend = echo().await;
    let gateway = Gateway::start(Setup::routes(open_route(backend))).await;
    let file = gateway.own_folder().join("gateway.toml");
    let good = std::fs::read_to_string(&file).expect("the configuration");
    // Nobody can listen there, as the other listener of the new configuration is taken.
    let taken = std::net::TcpListener::bind(free_address()).expect("a port");
    let listen = format!("listen = [\"{}\", \"{}\"]", gateway.address, taken.local_addr().expect("its address"));
    let bad = good.replacen(&format!("listen = [\"{}\"]", gateway.address), &listen, 1);
    std::fs::write(&file, bad).expect("written");
    let failed = portcullis_in(gateway.own_folder(), &["run", "--upgrade"], "");
    assert_eq!(failed.status.code(), Some(3), "{}", String::from_utf8_lossy(&failed.stderr));
    std::fs::write(&file, good.replacen("version = 1", "versio = 1", 1)).expect("written");
    let failed = portcullis_in(gateway.own_folder(), &["run", "--upgrade"], "");
    assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stderr));
    std::fs::write(&file, good).expect("written");
    assert_eq!(gateway.get("/open/x").await.status, 200);
    assert_eq!(gateway.admin_status("/readyz").await, Some(200));
    let mut gateway = gateway;
    let old = gateway.upgrade();
    ends(old).await;
    assert_eq!(gateway.get("/open/x").await.status, 200, "and it can be replaced later");
}

#[tokio::test]
async fn an_upgrade_changes_the_listeners_to_those_of_the_new_configuration() {
    let backend = echo().await;
    let mut gateway = Gateway::start(Setup::routes(open_route(backend)).server("drain_timeout = \"1s\"")).await;
    let (kept, new) = (gateway.address, free_address());
    let socket = gateway.own_folder().join("h.sock");
    let file = gateway.own_folder().join("gateway.toml");
    let first = std::fs::read_to_string(&file).expect("the configuration");
    let with = |listen: &str| first.replacen(&format!("listen = [\"{kept}\"]"), &format!("listen = [{listen}]"), 1);
    std::fs::write(&file, with(&format!("\"{kept}\", \"{new}\", \"unix:h.sock\""))).expect("written");
    ends(gateway.upgrade()).await;
    assert!(tokio::net::TcpStream::connect(new).await.is_ok() && tokio::net::UnixStream::connect(&socket).await.is_ok());
    ends(gateway.upgrade()).await;
    assert!(tokio::net::UnixStream::connect(&socket).await.is_ok(), "the socket's file outlives the one who made it");
    std::fs::write(&file, with(&format!("\"{kept}\""))).expect("written");
    ends(gateway.upgrade()).await;
    assert!(tokio::net::TcpStream::connect(new).await.is_err(), "what is not wanted any more is closed");
    assert!(!socket.exists());
    assert_eq!(gateway.get("/open/x").await.status, 200);
}

#[tokio::test]
async fn with_nobody_to_replace_it_is_a_plain_start_that_says_so() {
    let backend = echo().await;
    let mut gateway = Gateway::start(Setup::routes(open_route(backend))).await;
    gateway.signal("KILL");
    gateway.ended().await;
    drop(gateway.upgrade());
    gateway.until("it serves", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
    assert!(gateway.log().contains("no gateway runs on this configuration"), "{}", gateway.log());
    gateway.user("alice", &[]);
    let answer = gateway.post("/auth/login", &serde_json::json!({ "username": "alice", "password": PASSWORD })).await;
    assert_eq!(answer.status, 200);
}
