//! What a reload changes, what it can't, and what it says about that.

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

fn warned(gateway: &Gateway, what: &str) -> usize {
    gateway.log().lines().filter(|line| line.contains("WARN") && line.contains(what)).count()
}

/// Reloads, and waits until the log says so once more.
async fn reload(gateway: &Gateway) {
    let done = || gateway.log().matches("the configuration was reloaded").count();
    let before = done();
    gateway.signal("HUP");
    gateway.until("it is reloaded", || async { done() > before }).await;
}

#[tokio::test]
async fn a_key_that_counts_from_the_next_start_is_told_until_it_is_as_it_was() {
    let backend = echo().await;
    let route = format!("[[route]]\nname = \"a\"\npath = \"/a\"\nbackend = \"http://{backend}\"\nauth = \"none\"\n");
    let gateway = Gateway::start(Setup::routes(route).server("threads = 1")).await;
    let file = gateway.own_folder().join("gateway.toml");
    let first = std::fs::read_to_string(&file).expect("the configuration");
    let told = "server.threads has changed and counts from the next start";

    let changed = first.replace("threads = 1", "threads = 2\nlimits = { request_line = \"256B\" }");
    std::fs::write(&file, changed).expect("written");
    reload(&gateway).await;
    gateway.until("it is told", || async { warned(&gateway, told) == 1 }).await;
    assert_eq!(gateway.get(&format!("/a?{}", "x".repeat(300))).await.status, 431, "limits count at once");

    std::fs::write(&file, first).expect("written");
    reload(&gateway).await;
    assert_eq!(gateway.get(&format!("/a?{}", "x".repeat(300))).await.status, 200);
    // A reload after it: what the one before had to say is in the log by now.
    reload(&gateway).await;
    assert_eq!(warned(&gateway, told), 1, "it is as it was started");
}

#[tokio::test]
async fn a_reload_tells_its_warnings() {
    let backend = echo().await;
    let route = format!("[[route]]\nname = \"a\"\npath = \"/a\"\nbackend = \"http://{backend}\"\nauth = \"none\"\n");
    let gateway = Gateway::start(Setup::routes(route)).await;
    std::fs::remove_file(gateway.own_folder().join("routes/test.toml")).expect("removed");
    reload(&gateway).await;
    assert_eq!(gateway.get("/a").await.status, 404);
    gateway.until("it is told", || async { warned(&gateway, "matches no file") == 1 }).await;
}
