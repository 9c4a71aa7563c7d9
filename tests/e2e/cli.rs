//! The command line, as an operator types it.

use crate::echo::echo;
use crate::gateway::{Gateway, PASSWORD, Setup, portcullis_in};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn gateway() -> Gateway {
    let backend = echo().await;
    Gateway::start(Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n"))).await
}

#[test]
fn init_writes_what_check_accepts_and_never_overwrites() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = portcullis_in(dir.path(), &["init", ".", "--password-stdin"], PASSWORD);
    assert!(made.status.success(), "{}", text(&made.stderr));
    for file in ["gateway.toml", "routes", "keys"] {
        assert!(dir.path().join(file).exists(), "{file} is missing");
    }
    let checked = portcullis_in(dir.path(), &["check", "--strict"], "");
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let users = portcullis_in(dir.path(), &["user", "list", "--format", "json"], "");
    let users: serde_json::Value = serde_json::from_slice(&users.stdout).expect("JSON");
    assert_eq!((&users[0]["username"], &users[0]["roles"]), (&"admin".into(), &serde_json::json!(["admin"])));
    let before = std::fs::read(dir.path().join("gateway.toml")).expect("the file");
    let again = portcullis_in(dir.path(), &["init", ".", "--password-stdin"], PASSWORD);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("gateway.toml"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read(dir.path().join("gateway.toml")).expect("the file"), before);
}

#[test]
fn check_shows_every_error_with_its_place_and_the_nearest_key() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("routes")).expect("a folder");
    std::fs::write(
        dir.path().join("gateway.toml"),
        "version = 1\n[server]\nlisten = [\"127.0.0.1:99999\"]\ndrain_dealy = \"1s\"\n[tokens]\naccess_ttl = \"soon\"\n",
    )
    .expect("written");
    std::fs::write(
        dir.path().join("routes/a.toml"),
        "version = 1\n[[route]]\nname = \"a\"\npath = \"a\"\nbackend = \"nowhere\"\nscops = [\"x\"]\n",
    )
    .expect("written");
    let checked = portcullis_in(dir.path(), &["check"], "");
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked.stdout) + &text(&checked.stderr);
    for part in
        ["gateway.toml:3:", "gateway.toml:4:", "drain_delay", "gateway.toml:6:", "a.toml:4:", "a.toml:5:", "a.toml:6:", "scopes"]
    {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    let json = portcullis_in(dir.path(), &["check", "--format", "json"], "");
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(report["errors"].as_array().is_some_and(|errors| errors.len() >= 6), "{report}");
    assert_eq!(portcullis_in(dir.path(), &["run"], "").status.code(), Some(1), "run refuses it too");
}

#[test]
fn wrong_usage_is_2_and_a_missing_file_names_init() {
    let dir = tempfile::tempdir().expect("a folder");
    assert_eq!(portcullis_in(dir.path(), &["rnu"], "").status.code(), Some(2));
    let run = portcullis_in(dir.path(), &["run"], "");
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("init"), "{}", text(&run.stderr));
}

#[test]
fn the_shipped_example_passes_check_strictly() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = portcullis_in(root, &["check", "--strict"], "");
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let routes = portcullis_in(root, &["routes"], "");
    assert!(routes.status.success() && text(&routes.stdout).lines().count() > 3, "{}", text(&routes.stdout));
}

#[tokio::test]
pub(crate) async fn what_the_cli_changes_counts_in_a_running_gateway() {
    let gateway = gateway().await;
    gateway.user("alice", &["--roles", "user"]);
    let tokens = gateway.login("alice").await;
    let token = tokens["access_token"].as_str().expect("a token");
    let key = gateway.cli(&["key", "create", "--owner", "alice", "--name", "ci", "--expires-in", "30d"], "");
    let key = key.trim().to_owned();
    let by_key = || gateway.request("GET", "/x").header("X-API-Key", &key);
    assert_eq!(gateway.send(by_key()).await.status, 200);
    let id = key.get(4..30).expect("the id");
    gateway.cli(&["key", "revoke", id], "");
    gateway.until("the revoked key is refused", || async { gateway.send(by_key()).await.status == 401 }).await;
    assert_eq!(gateway.get_as("/x", token).await.status, 200);
    gateway.cli(&["session", "revoke", "--user", "alice"], "");
    gateway.until("the ended session is refused", || async { gateway.get_as("/x", token).await.status == 401 }).await;
    gateway.cli(&["user", "set-password", "alice", "--password-stdin"], "another long pass phrase");
    let old = gateway.post("/auth/login", &serde_json::json!({ "username": "alice", "password": PASSWORD })).await;
    assert_eq!(old.status, 401);
    gateway.cli(&["user", "delete", "alice"], "");
    assert!(!gateway.cli(&["user", "list"], "").contains("alice"));
}

#[tokio::test]
pub(crate) async fn an_api_key_is_bound_by_its_addresses_its_expiry_and_its_owner() {
    let gateway = gateway().await;
    gateway.user("alice", &["--scopes", "items"]);
    let make = |more: &[&str]| {
        let mut args = vec!["key", "create", "--owner", "alice", "--name", "k"];
        args.extend(more);
        gateway.cli(&args, "").trim().to_owned()
    };
    let here = make(&["--allow", "127.0.0.0/8", "--scopes", "items:read"]);
    let elsewhere = make(&["--allow", "203.0.113.0/24"]);
    let call = |key: &str| gateway.send(gateway.request("GET", "/x").header("X-API-Key", key));
    let answer = call(&here).await;
    assert_eq!((answer.status, &answer.json()["headers"]["x-auth-scopes"]), (200, &"items:read".into()));
    assert_eq!(call(&elsewhere).await.status, 401);
    gateway.cli(&["user", "disable", "alice"], "");
    gateway.until("a disabled owner's key is refused", || async { call(&here).await.status == 401 }).await;
}
