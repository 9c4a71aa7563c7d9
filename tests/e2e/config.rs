//! What a reload changes, what it can't, and what it says about that.

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup, free_address, until_or};

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

#[tokio::test]
async fn own_endpoints_are_where_the_prefix_says_and_nowhere_else() {
    let backend = echo().await;
    let route = format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\nauth = \"none\"\n");
    let gateway = Gateway::start(Setup::routes(route).with("[auth]\nprefix = \"/_sys/account\"")).await;
    gateway.user("ann", &[]);
    let login = serde_json::json!({ "username": "ann", "password": PASSWORD });
    assert!(gateway.post("/auth/login", &login).await.body.contains("/auth/login"), "the backend's");
    let tokens = gateway.post("/_sys/account/login", &login).await.json();
    let refresh = serde_json::json!({ "refresh_token": tokens["refresh_token"] });
    let tokens = gateway.post("/_sys/account/refresh", &refresh).await.json();
    let access = tokens["access_token"].as_str().expect("an access token");
    assert_eq!(gateway.get_as("/_sys/account/me", access).await.json()["username"], "ann");
    assert_eq!(gateway.get("/_sys/account/nothing").await.code(), "no_route");
    let refresh = serde_json::json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(gateway.post("/_sys/account/logout", &refresh).await.status, 204);
    assert_eq!(gateway.get_as("/_sys/account/me", access).await.code(), "invalid_token");
}

#[tokio::test]
async fn paths_and_values_from_files_begin_at_the_file_that_names_them() {
    let backend = echo().await;
    let dir = tempfile::tempdir().expect("a folder");
    let routes = dir.path().join("conf/routes");
    std::fs::create_dir_all(&routes).expect("made");
    std::fs::write(dir.path().join("conf/gateway.toml"), "").expect("written");
    std::fs::write(routes.join("secret"), "s3cret\n").expect("written");
    let route = format!(
        "[[route]]\nname = \"a\"\npath = \"/a\"\nbackend = \"http://{backend}\"\nauth = \"none\"\n\
         request_headers = {{ \"X-Told\" = \"${{file:secret}} $${{x}} ${{NONE:-else}}\" }}"
    );
    std::fs::write(routes.join("a.toml"), route).expect("written");
    let (listen, admin) = (free_address(), free_address());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "-c", "conf/gateway.toml"])
        .current_dir(dir.path())
        .env("PORTCULLIS__SERVER__LISTEN", format!("[\"{listen}\"]"))
        .env("PORTCULLIS__SERVER__ADMIN_LISTEN", admin.to_string())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let told = || async { reqwest::get(format!("http://{listen}/a")).await.ok()?.text().await.ok() };
    until_or("it answers", || async { told().await.is_some() }, String::new).await;
    let answer = told().await.expect("an answer");
    child.kill().expect("killed");
    child.wait().expect("it ends");
    assert!(answer.contains("s3cret ${x} else"), "{answer}");
    assert!(dir.path().join("conf/keys").is_dir() && dir.path().join("conf/data/portcullis.db").is_file());
    assert!(!dir.path().join("keys").exists() && !dir.path().join("data").exists());
}
