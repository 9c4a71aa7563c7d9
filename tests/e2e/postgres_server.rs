//! A PostgreSQL server of one's own: down at the start, killed, paused, behind TLS and a password.

use std::os::unix::fs::{PermissionsExt as _, chown};

use serde_json::json;

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup, portcullis_in};
use crate::ports::free_address;
use crate::postgres::{PostgresServer, server_user};
use crate::secure::Authority;

async fn setup(url: &str) -> Setup {
    let backend = echo().await;
    Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))
        .with("[login]\nrate_limit = \"1000/1s\"\n")
        .store(url)
}

async fn login(gateway: &Gateway) -> u16 {
    gateway.post("/auth/login", &json!({ "username": "alice", "password": PASSWORD })).await.status
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_and_one_that_is_lost_is_found_again() {
    let mut server = PostgresServer::new(free_address().port(), &[]);
    let gateway = Gateway::start_unready(setup(&server.url()).await).await;
    assert_eq!(gateway.admin_status("/readyz").await, Some(503));
    assert_eq!(login(&gateway).await, 503);
    gateway.until("it is told", || async { gateway.log().contains("Connection refused") }).await;
    let listing = portcullis_in(gateway.own_folder(), &["user", "list"], "");
    let said = String::from_utf8_lossy(&listing.stderr).into_owned();
    assert_eq!(listing.status.code(), Some(3), "{said}");
    assert!(said.contains("PostgreSQL at 127.0.0.1:") && said.contains("refused"), "{said}");

    server.start();
    gateway.until("it is ready", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
    gateway.user("alice", &[]);
    assert_eq!(login(&gateway).await, 200);

    server.kill();
    assert_eq!(login(&gateway).await, 503);
    assert_eq!(login(&gateway).await, 503);
    server.start();
    gateway.until("a login works again", || async { login(&gateway).await == 200 }).await;

    server.pause();
    let answers = futures_util::future::join_all((0..20).map(|_| login(&gateway))).await;
    assert!(answers.iter().all(|status| *status == 503), "all within their deadline: {answers:?}");
    server.resume();
    gateway.until("a login works once more", || async { login(&gateway).await == 200 }).await;
}

#[tokio::test]
async fn with_a_shared_store_nobody_makes_keys_but_the_operator() {
    let server = PostgresServer::new(free_address().port(), &[]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("routes")).expect("made");
    let config = format!("version = 1\n[routes]\ninclude = []\n[store]\nurl = \"{}\"\n", server.url());
    std::fs::write(folder.path().join("gateway.toml"), config).expect("written");
    let run = portcullis_in(folder.path(), &["run"], "");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("init"), "{said}");
    assert!(!folder.path().join("keys").exists());
}

#[tokio::test]
async fn tls_is_verified_and_a_password_is_never_shown() {
    const SECRET: &str = "gehe%25im";
    let authority = Authority::new();
    let leaf = authority.leaf(&["127.0.0.1"]);
    let mut server = PostgresServer::new(free_address().port(), &["ssl=on"]);
    let key = server.data().join("server.key");
    std::fs::write(server.data().join("server.crt"), &leaf.pem).expect("written");
    std::fs::write(&key, leaf.key.serialize_pem()).expect("written");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("ours");
    if let Some((user, group)) = server_user() {
        chown(&key, Some(user), Some(group)).expect("we are root");
    }
    server.start();
    server.run("CREATE ROLE gateway LOGIN PASSWORD 'gehe%im'; CREATE DATABASE gateway OWNER gateway");
    std::fs::write(server.data().join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        .expect("written");
    server.run("SELECT pg_reload_conf()");

    let url = |password: &str, rest: &str| server.url_of("gateway", password, "gateway") + rest;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), &authority.pem).expect("written");
    let stranger = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(stranger.path(), Authority::new().pem).expect("written");
    let trusting = |file: &tempfile::NamedTempFile| format!("?sslmode=verify-full&sslrootcert={}", file.path().display());

    let gateway = Gateway::start(setup(&url(SECRET, &trusting(&ca))).await).await;
    gateway.user("alice", &[]);
    assert_eq!(login(&gateway).await, 200);

    for (password, rest, why) in [
        (SECRET, trusting(&stranger), "certificate"),
        (SECRET, "?sslmode=verify-full".to_owned(), "certificate"),
        (SECRET, "?sslmode=disable".to_owned(), "pg_hba.conf"),
        ("gehe%25imnis", trusting(&ca), "password authentication failed"),
    ] {
        let config = std::fs::read_to_string(gateway.own_folder().join("gateway.toml")).expect("read");
        let config = config.replace(&url(SECRET, &trusting(&ca)), &url(password, &rest));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("routes")).expect("made");
        std::fs::write(folder.path().join("gateway.toml"), config).expect("written");
        let listing = portcullis_in(folder.path(), &["user", "list"], "");
        let said = String::from_utf8_lossy(&listing.stderr).into_owned() + &String::from_utf8_lossy(&listing.stdout);
        assert_eq!(listing.status.code(), Some(3), "{said}");
        assert!(said.contains(why) && !said.contains("gehe"), "{why}: {said}");
    }
    assert!(!gateway.log().contains("gehe"), "{}", gateway.log());
}
