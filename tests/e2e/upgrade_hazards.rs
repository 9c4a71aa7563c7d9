//! `run --upgrade` when something comes between: one of the two always serves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

async fn start() -> Gateway {
    let backend = echo().await;
    let route = format!("[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n");
    Gateway::start(Setup::routes(route).server("drain_timeout = \"5s\"")).await
}

/// Waits until nothing of a process runs any more that was told to stop.
async fn stopped(gateway: &Gateway) {
    let threads = format!("/proc/{}/task", gateway.id());
    let is_stopped = |stat: std::path::PathBuf| std::fs::read_to_string(stat).is_ok_and(|stat| stat.contains(") T "));
    let all = || std::fs::read_dir(&threads).expect("threads").flatten().all(|thread| is_stopped(thread.path().join("stat")));
    gateway.until("it has stopped", || async { all() }).await;
}

fn signal(process: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(status.expect("kill").success(), "it is gone");
}

/// Where gateways are asked for their listeners: beside the database, where that is a file, else beside gateway.toml.
fn sockets(gateway: &Gateway) -> Vec<std::path::PathBuf> {
    let folders = [gateway.folder().join("data"), gateway.own_folder().to_owned()];
    let files = folders.iter().flat_map(std::fs::read_dir).flatten().map(|entry| entry.expect("one").path());
    files.filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
}

/// Says `words` to a gateway as one that takes its place would, and gets an answer to each.
fn say(gateway: &Gateway, words: &[&str]) -> UnixStream {
    let socket = sockets(gateway).pop().expect("a socket");
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else may ask for the listeners");
    let mut stream = UnixStream::connect(socket).expect("connected");
    for word in words {
        stream.write_all(format!("{word}\n").as_bytes()).expect("said");
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).expect("an answer");
        assert!(answer.contains("have"), "{answer}");
    }
    stream
}

#[tokio::test]
async fn a_new_process_that_dies_at_any_step_leaves_the_old_one_serving() {
    let mut gateway = start().await;
    let want = format!("{{\"want\":[\"{}\",\"admin {}\"]}}", gateway.address, gateway.admin.trim_start_matches("http://"));
    let failed = || gateway.log().matches("an upgrade came to nothing").count();
    // Who leaves without a word only looked whether somebody is here; they are heard one after the other.
    drop(say(&gateway, &[]));
    drop(say(&gateway, &[&want]));
    gateway.until("it says that nothing came of it", || async { failed() > 0 }).await;
    assert_eq!(failed(), 1);
    // Dead before it hears that the old one leaves.
    let mut new = say(&gateway, &[&want]);
    gateway.signal("STOP");
    stopped(&gateway).await;
    new.write_all(b"{\"go\":1}\n").expect("said");
    drop(new);
    gateway.signal("CONT");
    gateway.until("it says so again", || async { failed() == 2 }).await;
    assert_eq!((gateway.get("/x").await.status, gateway.admin_status("/readyz").await), (200, Some(200)));
    let mut old = gateway.upgrade();
    gateway.until("a living one takes over", || async { gateway.log().contains("took the listeners over") }).await;
    let old = tokio::task::spawn_blocking(move || old.wait()).await.expect("waited");
    assert_eq!(old.expect("it ends").code(), Some(0));
    assert_eq!(gateway.get("/x").await.status, 200);
}

#[tokio::test]
async fn one_that_is_told_to_end_before_it_took_over_takes_nothing() {
    let mut gateway = start().await;
    gateway.signal("STOP");
    let mut old = gateway.upgrade();
    // It stands before the old one, which says nothing.
    let asks = || async { gateway.log().matches('\n').count() > 0 && waits(&gateway) };
    gateway.until("it asks", asks).await;
    gateway.signal("TERM");
    signal(&old, "CONT");
    assert_eq!(gateway.ended().await, Some(3), "{}", gateway.log());
    assert!(gateway.log().contains("told to end before it took the listeners over"), "{}", gateway.log());
    assert_eq!(gateway.get("/x").await.status, 200);
    old.kill().expect("killed");
    old.wait().expect("it ends");
}

/// Whether the gateway's process is connected to another's upgrade socket.
fn waits(gateway: &Gateway) -> bool {
    let table = std::fs::read_to_string("/proc/net/unix").expect("the table");
    let folder = gateway.folder().display().to_string();
    // The one that listens, and the connection that the kernel has made for it.
    table.lines().filter(|line| line.contains(&folder) && line.contains("/upgrade-")).count() > 1
}

#[tokio::test]
async fn one_that_the_old_one_has_given_up_ends_and_does_not_serve_beside_it() {
    let mut gateway = start().await;
    gateway.signal("STOP");
    let mut old = gateway.upgrade();
    gateway.until("it asks", || async { waits(&gateway) }).await;
    gateway.signal("STOP");
    signal(&old, "CONT");
    let given_up = || async { gateway.log().contains("an upgrade came to nothing") };
    gateway.until("the old one waits no longer", given_up).await;
    gateway.signal("CONT");
    assert_eq!(gateway.ended().await, Some(3), "{}", gateway.log());
    assert!(!gateway.log().contains("took the listeners over"), "{}", gateway.log());
    assert_eq!(gateway.get("/x").await.status, 200);
    old.kill().expect("killed");
    old.wait().expect("it ends");
}

#[tokio::test]
async fn of_several_at_once_each_takes_the_place_of_the_one_before() {
    let mut gateway = start().await;
    let mut all: Vec<Child> = (0..3).map(|_| gateway.upgrade()).collect();
    gateway.until("each has", || async { gateway.log().matches("took the listeners over").count() == 3 }).await;
    // Any of them may have been the last.
    let mut ended = 0;
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        ended = 0;
        for child in &mut all {
            ended += u32::from(matches!(child.try_wait(), Ok(Some(status)) if status.code() == Some(0)));
        }
        if ended >= 2 {
            break;
        }
    }
    assert!(ended >= 2, "{}", gateway.log());
    assert_eq!((gateway.get("/x").await.status, gateway.admin_status("/readyz").await), (200, Some(200)));
    let left = sockets(&gateway);
    assert_eq!(left.len(), 1, "{left:?}");
    for child in &mut all {
        child.kill().ok();
        child.wait().expect("it ends");
    }
}
