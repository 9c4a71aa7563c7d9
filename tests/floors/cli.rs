//! The command line as its users meet it: what is typed, what comes out on which stream, and the exit code.

#![expect(clippy::expect_used, clippy::panic, reason = "what a test can't go on without fails the test")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const PASSWORD: &str = "correct horse battery staple";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Runs `portcullis` in `dir` with `input` on stdin.
fn run_in(dir: &Path, args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(args)
        .current_dir(dir)
        .env_remove("PORTCULLIS_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // A command that reads no stdin may be gone by now.
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    let done = child.wait_with_output().expect("it ends");
    Ran {
        code: done.status.code().expect("no signal"),
        out: String::from_utf8(done.stdout).expect("UTF-8"),
        err: String::from_utf8(done.stderr).expect("UTF-8"),
    }
}

/// A folder with a gateway.toml that makes hashing cheap.
fn folder(more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let text = format!(
        "version = 1\n{more}\n[passwords]\nargon2 = {{ memory = \"8MiB\", iterations = 1, parallelism = 1 }}\n\
         [roles]\nadmin = {{ includes = [\"user\"], scopes = [\"*\"] }}\nuser = {{ scopes = [\"items:read\"] }}\nviewer = {{ scopes = [] }}\n"
    );
    fs::write(dir.path().join("gateway.toml"), text).expect("written");
    dir
}

fn add_ann(dir: &Path) -> Value {
    let args = ["user", "add", "ann", "--email", "ann@example.com", "--roles", "user", "--attribute", "tenant=a1"];
    run_in(dir, &[&args[..], &["--password-stdin", "--format", "json"]].concat(), &format!("{PASSWORD}\n")).json()
}

#[test]
fn the_help_of_every_command_is_stable() {
    let commands = [
        "",
        "run",
        "demo",
        "init",
        "check",
        "ready",
        "routes",
        "schema",
        "completions",
        "man",
        "explain",
        "test",
        "user",
        "user add",
        "user list",
        "user show",
        "user disable",
        "user enable",
        "user delete",
        "user set-password",
        "user set-roles",
        "user set-scopes",
        "user set-attribute",
        "key",
        "key create",
        "key list",
        "key revoke",
        "key import",
        "client",
        "client create",
        "client list",
        "client delete",
        "signing-key",
        "signing-key list",
        "signing-key rotate",
        "session",
        "session list",
        "session revoke",
    ];
    let help = |command: &str| {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ran = run_in(Path::new("/"), &args, "");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        format!("$ portcullis {}\n{}\n", args.join(" "), ran.out)
    };
    let text = commands.map(help).concat();
    insta::assert_snapshot!(text);
}

#[test]
fn the_version_goes_to_stdout() {
    let ran = run_in(Path::new("/"), &["--version"], "");
    assert_eq!((ran.code, ran.out), (0, format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn what_is_typed_wrong_exits_2_and_says_so_on_stderr() {
    let dir = folder("");
    let cases: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["run", "--nonsense"],
        &["check", "--format", "yaml"],
        &["demo", "--listen", "nowhere"],
        &["user"],
        &["user", "add"],
        &["user", "add", "ann", "--service", "--password-stdin"],
        &["user", "add", "ann", "--scopes", "a::b", "--service"],
        &["user", "add", "ann", "--attribute", "novalue", "--service"],
        &["user", "set-password"],
        &["key", "create", "--owner", "ann"],
        &["key", "create", "--owner", "ann", "--name", "x", "--expires-in", "soon"],
        &["key", "create", "--owner", "ann", "--name", "x", "--allow", "10.0.0.0/99"],
        &["session", "revoke"],
        &["session", "revoke", "01a20412-7cb2-7d9e-a9b6-6a990b30ccfa", "--user", "ann"],
    ];
    for args in cases {
        let ran = run_in(dir.path(), args, "");
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{args:?}: {}", ran.out);
    }
}

#[test]
fn a_password_is_never_taken_from_a_pipe_unasked() {
    let dir = folder("");
    let ran = run_in(dir.path(), &["user", "add", "ann"], PASSWORD);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("--password-stdin"), "{}", ran.err);
}

#[test]
fn a_missing_or_bad_configuration_exits_1_and_names_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [["user", "list"], ["key", "list"], ["session", "list"]] {
        let ran = run_in(dir.path(), &args, "");
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("gateway.toml") && ran.out.is_empty(), "{}", ran.err);
    }
    fs::write(dir.path().join("gateway.toml"), "version = 1\n[serverr]\n").expect("written");
    let ran = run_in(dir.path(), &["user", "list"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("gateway.toml:2:2") && ran.err.contains("server"), "{}", ran.err);
}

#[test]
fn a_store_that_cannot_be_reached_exits_3() {
    let dir = folder("[store]\nurl = \"sqlite:///proc/nowhere/portcullis.db\"");
    for args in [&["user", "list"][..], &["key", "list"], &["session", "list"], &["user", "add", "x", "--service"]] {
        let ran = run_in(dir.path(), args, "");
        assert_eq!(ran.code, 3, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains("[store].url") && ran.out.is_empty(), "{}", ran.err);
    }
    assert_eq!(run_in(dir.path(), &["signing-key", "rotate"], "").code, 0);
    let ran = run_in(dir.path(), &["explain", "GET", "/x", "--header", "X-API-Key: d41d8cd98f00b204e9800998ecf8427e"], "");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("[store].url") && ran.out.is_empty(), "{}", ran.err);
}

#[test]
fn a_user_is_added_shown_changed_and_deleted() {
    let dir = folder("");
    let dir = dir.path();
    let ann = add_ann(dir);
    assert_eq!(ann["username"], "ann");
    assert_eq!(ann["email_verified"], true);
    assert_eq!(ann["roles"], serde_json::json!(["user"]));
    assert_eq!(ann["attributes"], serde_json::json!({ "tenant": "a1" }));

    let done = |args: &[&str]| assert_eq!(run_in(dir, args, "").code, 0, "{args:?}");
    done(&["user", "set-roles", "ann", "admin,viewer"]);
    done(&["user", "set-scopes", "ANN", "x:read y"]);
    done(&["user", "set-attribute", "ann@example.com", "tenant=", "team=red"]);
    done(&["user", "disable", "ann"]);
    let shown = run_in(dir, &["user", "show", "ann", "--format", "json"], "").json();
    assert_eq!(shown["id"], ann["id"]);
    assert_eq!(shown["roles"], serde_json::json!(["admin", "viewer"]));
    assert_eq!(shown["scopes"], serde_json::json!(["x:read", "y"]));
    assert_eq!(shown["attributes"], serde_json::json!({ "team": "red" }));
    assert_eq!((&shown["disabled"], &shown["is_active"]), (&Value::Bool(true), &Value::Bool(false)));
    done(&["user", "enable", "ann"]);

    let listed = run_in(dir, &["user", "list"], "");
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    assert!(listed.out.starts_with("NAME  EMAIL"), "{}", listed.out);
    for args in [["user", "list"], ["user", "show"]] {
        let args: Vec<&str> = args.into_iter().chain((args[1] == "show").then_some("ann")).chain(["--format", "json"]).collect();
        assert!(!run_in(dir, &args, "").out.contains("argon2"), "a hash was shown");
    }

    done(&["user", "delete", "ann"]);
    assert_eq!(run_in(dir, &["user", "list", "--format", "json"], "").json(), serde_json::json!([]));
}

#[test]
fn a_user_without_roles_gets_the_default_role_and_a_service_no_password() {
    let dir = folder("");
    let added = run_in(dir.path(), &["user", "add", "job", "--service", "--format", "json"], "").json();
    assert_eq!(added["roles"], serde_json::json!(["viewer"]));
    assert_eq!(added["service"], true);
    // Said before a password is asked for, for which there would be no terminal.
    for more in [&["--password-stdin"][..], &[]] {
        let ran = run_in(dir.path(), &[&["user", "set-password", "job"], more].concat(), &format!("{PASSWORD}\n"));
        assert!(ran.code == 1 && ran.err.contains("service account"), "{} {}", ran.code, ran.err);
    }
}

#[test]
fn what_is_wrong_exits_1_and_changes_nothing() {
    let dir = folder("");
    let dir = dir.path();
    add_ann(dir);
    let cases: &[(&[&str], &str, &str)] = &[
        (&["user", "show", "bob"], "", "bob"),
        (&["user", "disable", "bob"], "", "user list"),
        (&["user", "add", "Ann", "--password-stdin"], PASSWORD, "taken"),
        (&["user", "add", "ann@example.com", "--service"], "", "taken"),
        (&["user", "add", "b/b", "--service"], "", "username"),
        (&["user", "add", "bob", "--password-stdin"], "short", "15"),
        (&["user", "add", "bob", "--password-stdin"], "", "stdin"),
        (&["user", "add", "b", "--email", "bob@long.example.com", "--password-stdin"], "Bob@long.example.com", "e-mail address"),
        (&["user", "add", "bob", "--roles", "nobody", "--service"], "", "role"),
        (&["user", "set-password", "ann", "--password-stdin"], "password", "15"),
        (&["key", "create", "--owner", "bob", "--name", "x"], "", "bob"),
        (&["key", "create", "--owner", "ann", "--name", "x", "--scopes", "items:write"], "", "items:write"),
        (&["key", "revoke", "abc"], "", "key list"),
        (&["key", "revoke", "00000000000000000000000000"], "", "key"),
        (&["session", "list", "--user", "bob"], "", "bob"),
        (&["session", "revoke", "abc"], "", "session list"),
        (&["session", "revoke", "01a20412-7cb2-7d9e-a9b6-6a990b30ccfa"], "", "session"),
    ];
    for (args, input, hint) in cases {
        let ran = run_in(dir, args, input);
        assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(hint) && ran.out.is_empty(), "{args:?}: {}", ran.err);
    }
    assert_eq!(run_in(dir, &["user", "list", "--format", "json"], "").json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_key_stands_alone_on_stdout_and_is_never_shown_again() {
    let dir = folder("");
    let dir = dir.path();
    add_ann(dir);
    let made = run_in(dir, &["key", "create", "--owner", "ann", "--name", "backup", "--scopes", "items:read"], "");
    assert_eq!(made.code, 0, "{}", made.err);
    let key = made.out.trim_end();
    assert!(key.len() == 80 && key.starts_with("ptc_") && made.out.lines().count() == 1, "{}", made.out);

    let args =
        ["key", "create", "--owner", "ann", "--name", "ci", "--expires-in", "30d", "--allow", "10.1.2.3/8", "--allow", "::1"];
    let other = run_in(dir, &[&args[..], &["--format", "json"]].concat(), "").json();
    assert_eq!(other["allowed_cidrs"], serde_json::json!(["10.0.0.0/8", "::1/128"]));
    assert_eq!(other["owner"], "ann");
    assert!(other["key"].as_str().is_some_and(|key| key.contains(other["id"].as_str().expect("an id"))), "{other}");
    assert!(other["expires_at"].is_string(), "{other}");

    let listed = run_in(dir, &["key", "list", "--format", "json"], "");
    assert_eq!(listed.json().as_array().map(Vec::len), Some(2));
    let id = key.strip_prefix("ptc_").and_then(|rest| rest.split('_').next()).expect("an id");
    let secret = key.rsplit('_').next().expect("a secret");
    assert!(listed.out.contains(id) && !listed.out.contains(secret), "{}", listed.out);

    assert_eq!(run_in(dir, &["key", "revoke", id], "").code, 0);
    let keys = run_in(dir, &["key", "list", "--format", "json"], "").json();
    let revoked = keys.as_array().expect("a list").iter().find(|key| key["id"] == id);
    assert!(revoked.is_none_or(|key| key["revoked_at"].is_string()), "{keys}");
    // Somebody may paste the whole key: it must not come back on the screen.
    let pasted = run_in(dir, &["key", "revoke", key], "");
    assert!(pasted.code == 1 && !pasted.err.contains(secret), "{}", pasted.err);
}

#[test]
fn sessions_of_nobody_are_an_empty_list() {
    let dir = folder("");
    add_ann(dir.path());
    assert_eq!(run_in(dir.path(), &["session", "list", "--format", "json"], "").json(), serde_json::json!([]));
    assert_eq!(run_in(dir.path(), &["session", "revoke", "--user", "ann"], "").code, 0);
}

#[test]
fn a_redis_that_is_gone_does_not_stop_a_change() {
    // Nobody listens on port 9 of the loopback.
    let dir = folder("[redis]\nurl = \"redis://127.0.0.1:9/0\"");
    add_ann(dir.path());
    let ran = run_in(dir.path(), &["user", "disable", "ann"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("warning: Redis was not told"), "{}", ran.err);
}

#[test]
fn the_configuration_is_named_by_flag_then_environment_then_place() {
    let (one, two) = (folder(""), folder(""));
    add_ann(one.path());
    let count = |args: &[&str], env: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(args).args(["--format", "json"]).current_dir(two.path()).env_remove("PORTCULLIS_CONFIG");
        let done = command.envs(env.map(|file| ("PORTCULLIS_CONFIG", file))).output().expect("it ran");
        serde_json::from_slice::<Value>(&done.stdout).expect("JSON").as_array().map(Vec::len)
    };
    let (first, second) = (one.path().join("gateway.toml"), two.path().join("gateway.toml"));
    assert_eq!(count(&["user", "list"], None), Some(0));
    assert_eq!(count(&["user", "list"], Some(&first)), Some(1));
    assert_eq!(count(&["user", "list", "-c", second.to_str().expect("UTF-8")], Some(&first)), Some(0));
}

#[test]
fn an_empty_variable_names_no_configuration() {
    let dir = folder("");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("check").current_dir(dir.path()).env("PORTCULLIS_CONFIG", "").stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().expect("it ran").success());
}

#[test]
fn what_nobody_reads_any_more_is_no_panic() {
    let dir = folder("nonsense = 1\n");
    for shut in ["stdout", "stderr"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("check").current_dir(dir.path()).env_remove("PORTCULLIS_CONFIG");
        let command = if shut == "stdout" { command.stdout(writer).stderr(Stdio::null()) } else { command.stderr(writer) };
        assert_eq!(command.status().expect("it ran").code(), Some(1), "{shut}");
    }
}

mod init {
    use super::*;

    #[test]
    fn it_writes_the_configuration_that_is_named_as_for_every_command() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(run_in(dir.path(), &["init", "-c", "one/gate.toml"], "").code, 0);
        let checked = run_in(dir.path(), &["check", "--strict", "-c", "one/gate.toml"], "");
        assert_eq!(checked.code, 0, "{}", checked.err);
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let command = command.arg("init").current_dir(dir.path()).env("PORTCULLIS_CONFIG", dir.path().join("two/gateway.toml"));
        assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it ran").success());
        assert!(dir.path().join("two/gateway.toml").is_file() && !dir.path().join("gateway.toml").exists());
        assert_eq!(run_in(dir.path(), &["init", "-c", "one/gate.toml"], "").code, 1, "it never overwrites");
        assert_eq!(run_in(dir.path(), &["init", "three", "-c", "three/gateway.toml"], "").code, 2, "one of both names the place");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn it_makes_a_folder_whose_admin_and_keys_work() {
        let dir = tempfile::tempdir().expect("a folder");
        let made = run_in(dir.path(), &["init", "gate"], "");
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(made.out.contains("Its password, shown only now: "), "{}", made.out);
        let gate = dir.path().join("gate");
        let keys: Vec<_> = fs::read_dir(gate.join("keys")).expect("keys").map(|key| key.expect("a key").path()).collect();
        assert_eq!(keys.len(), 1);
        assert_eq!((mode(&keys[0]), mode(&gate.join("keys"))), (0o600, 0o700));
        assert!(
            !fs::read_dir(&gate).expect("it is there").any(|entry| entry.expect("one").file_name() == ".init"),
            "a stage is left"
        );
        let admin = run_in(&gate, &["user", "show", "admin", "--format", "json"], "").json();
        assert_eq!(admin["roles"], serde_json::json!(["admin"]));
    }

    #[test]
    fn what_it_writes_passes_check() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(run_in(dir.path(), &["init"], "").code, 0);
        let checked = run_in(dir.path(), &["check"], "");
        assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    }

    #[test]
    fn it_takes_the_password_from_stdin_and_prints_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let made = run_in(dir.path(), &["init", "--password-stdin"], &format!("{PASSWORD}\n"));
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(!made.out.contains("password"), "{}", made.out);
    }

    #[test]
    fn it_never_overwrites() {
        for target in ["gateway.toml", "routes/app.toml", "keys/a.pem", "data/portcullis.db"] {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join(target);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(&file, "mine").expect("written");
            let ran = run_in(dir.path(), &["init"], "");
            assert_eq!(ran.code, 1, "{target}: {}", ran.err);
            assert!(ran.err.contains(target.split('/').next().expect("a part")), "{}", ran.err);
            assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
            let entries = fs::read_dir(dir.path()).expect("a folder").count();
            assert_eq!(entries, 1, "{target}: something else was written");
        }
    }

    #[test]
    fn a_weak_password_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let ran = run_in(dir.path(), &["init", "gate", "--password-stdin"], "short\n");
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn it_leaves_what_else_is_in_the_folder_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("routes")).expect("made");
        fs::write(dir.path().join("routes/mine.toml"), "version = 1\n").expect("written");
        fs::write(dir.path().join("README"), "mine").expect("written");
        let ran = run_in(dir.path(), &["init"], "");
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(dir.path().join("routes/app.toml").is_file());
        assert_eq!(fs::read_to_string(dir.path().join("routes/mine.toml")).expect("kept"), "version = 1\n");
    }
}

#[test]
fn a_rotation_says_when_the_key_before_may_go() {
    let dir = folder("[tokens]\naccess_ttl = \"10m\"\nleeway = \"20s\"");
    let rotate = || run_in(dir.path(), &["signing-key", "rotate", "--format", "json"], "").json();
    assert_eq!(rotate()["older"], serde_json::json!([]));
    let made = rotate();
    let at = |text: &Value| {
        time::OffsetDateTime::parse(text.as_str().expect("a time"), &time::format_description::well_known::Rfc3339)
            .expect("a time")
    };
    let ended = at(&made["older"][0]["deletable_from"]) - at(&made["signs_from"]);
    assert_eq!(ended, time::Duration::seconds(620), "the last token that it signs has ended, leeway and all");
}

/// Routes with tests that fail in each way.
const TESTED: &str = r#"version = 1
[defaults]
backend = "http://127.0.0.1:9001"

[[route]]
name = "orders-read"
path = "/api/tenants/{tenant}/orders/**"
methods = ["GET"]
scopes = ["orders:read"]

[[route]]
name = "orders-write"
hosts = ["shop.example.com"]
path = "/api/tenants/{tenant}/orders/**"
methods = ["POST", "DELETE"]
any_scopes = ["orders:write", "orders:admin"]
roles = ["user"]
where = { "attributes.tenant" = "{tenant}" }

[[route]]
name = "rest"
path = "/**"
credentials = ["api_key"]

[[test]]
request = "POST https://shop.example.com/api/tenants/a1/orders"
as = { scopes = ["orders:write"], roles = ["user"], attributes = { tenant = "a1" } }
expect = "allow"
route = "orders-write"

[[test]]
name = "no other tenant's"
request = "POST https://shop.example.com/api/tenants/a1/orders"
as = { scopes = ["orders"], roles = ["user"], attributes = { tenant = "a2" } }
expect = "allow"

[[test]]
request = "PUT https://shop.example.com/api/tenants/a1/orders"
expect = 401

[[test]]
request = "GET https://other.example.com/api/tenants/a1/orders"
as = { scopes = ["orders:read"] }
expect = "allow"
route = "rest"

[[test]]
request = "GET /else"
as = { username = "ann" }
expect = 403

[[test]]
request = "GET /a/%2e%2e/b"
expect = 404

[[test]]
request = "GET /auth/me"
expect = 401
"#;

fn tested() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("routes")).expect("a folder");
    fs::write(dir.path().join("gateway.toml"), "version = 1\n").expect("written");
    fs::write(dir.path().join("routes/shop.toml"), TESTED).expect("written");
    dir
}

/// What came out, with the exit code.
fn shown(ran: &Ran) -> String {
    let id = |line: &str| {
        line.contains("x-request-id: ")
            .then(|| line.split("x-request-id: ").next().unwrap_or_default().to_owned() + "x-request-id: …")
    };
    let out: Vec<String> = ran.out.lines().map(|line| id(line).unwrap_or_else(|| without_id(line))).collect();
    format!("exit code {}\n--- stdout\n{}\n--- stderr\n{}", ran.code, out.join("\n"), ran.err)
}

/// A problem document without its id.
fn without_id(line: &str) -> String {
    match line.split_once("\"request_id\":") {
        Some((before, _)) => format!("{before}\"request_id\":…}}"),
        None => line.to_owned(),
    }
}

#[test]
fn failing_policy_tests_are_pictured() {
    let dir = tested();
    insta::assert_snapshot!("test", shown(&run_in(dir.path(), &["test"], "")));
    insta::assert_snapshot!("test_filtered", shown(&run_in(dir.path(), &["test", "orders-write"], "")));
    insta::assert_snapshot!("check_tests", shown(&run_in(dir.path(), &["check"], "")));
    let json = run_in(dir.path(), &["test", "--format", "json"], "");
    let told: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((json.code, told["passed"].as_u64(), told["failed"].as_u64()), (1, Some(1), Some(6)));
    assert_eq!(told["tests"][1]["checks"][2]["met"], false);
}

#[test]
fn no_policy_test_is_said_and_no_failure_and_a_filter_that_finds_none_is_one() {
    let dir = folder("");
    let ran = run_in(dir.path(), &["test"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("there are no policy tests"), "{}", ran.out);
    let ran = run_in(tested().path(), &["test", "nothing like it"], "");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("none of the 7 policy tests has `nothing like it`"), "{}", ran.err);
}

#[test]
fn a_request_is_explained_step_by_step() {
    let dir = tested();
    let cases: &[(&str, &[&str])] = &[
        (
            "allowed",
            &[
                "POST",
                "https://shop.example.com/api/tenants/a1/orders?x=1",
                "--scopes",
                "orders",
                "--roles",
                "admin",
                "--username",
                "ann",
                "--attribute",
                "tenant=a1",
                "-H",
                "X-Auth-User: root",
                "-H",
                "Accept: */*",
            ],
        ),
        (
            "forbidden",
            &["DELETE", "https://shop.example.com/api/tenants/a1/orders", "--scopes", "orders:write", "--attribute", "tenant=a2"],
        ),
        ("anonymous", &["GET", "/api/tenants/a1/orders", "--anonymous"]),
        ("method", &["PUT", "https://shop.example.com/api/tenants/a1/orders"]),
        ("target", &["GET", "https://shop.example.com/api/%2e%2e/x?y"]),
        ("oddity", &["GET", "/files/a;v=1/b"]),
        ("kind", &["GET", "/else", "--roles", "user"]),
        ("own", &["POST", "/auth/login"]),
    ];
    let mut all = String::new();
    for (name, args) in cases {
        let ran = run_in(dir.path(), &[&["explain"], *args].concat(), "");
        all.extend(["## ", name, "\n", &shown(&ran), "\n"]);
    }
    insta::assert_snapshot!("explain", all);
    let ran = run_in(dir.path(), &["explain", "GET", "/else", "--token", "x", "--scopes", "a"], "");
    assert_eq!(ran.code, 2, "{}", ran.err);
    let ran = run_in(dir.path(), &["explain", "GET", "shop.example.com/x"], "");
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(!dir.path().join("data").exists(), "asking makes no store");
}

#[test]
fn what_judges_a_policy_ends_with_the_code_that_is_promised() {
    let dir = tested();
    let codes: &[(i32, &[&str])] = &[
        (0, &["explain", "GET", "/api/tenants/a/orders", "--scopes", "orders:read"]),
        (0, &["explain", "POST", "/auth/login"]),
        (1, &["explain", "GET", "/api/tenants/a/orders"]),
        (1, &["explain", "GET", "/api/%2e%2e"]),
        (1, &["explain", "GET", "/else", "-c", "nowhere.toml"]),
        (2, &["explain", "GET"]),
        (2, &["explain", " ", "/else"]),
        (2, &["explain", "GET", "/else", "--scopes", "::"]),
        (2, &["explain", "GET", "/else", "--roles", "nobody"]),
        (2, &["explain", "GET", "/else", "--header", "no colon"]),
        (2, &["explain", "GET", "/else", "--client", "here"]),
        (2, &["explain", "GET", "/else", "--listener", "192.0.2.1:1"]),
        (1, &["test"]),
        (0, &["test", "orders-write"]),
        (1, &["test", "nothing like it"]),
        (1, &["test", "-c", "nowhere.toml"]),
        (2, &["test", "one", "two"]),
        (1, &["check"]),
        (1, &["check", "--format", "json"]),
        (2, &["check", "--format", "xml"]),
        (0, &["routes"]),
        (1, &["routes", "-c", "nowhere.toml"]),
    ];
    for (code, args) in codes {
        let ran = run_in(dir.path(), args, "");
        assert_eq!(ran.code, *code, "{args:?}: {}{}", ran.out, ran.err);
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "colours where no terminal is: {args:?}");
        assert!(*code != 2 || (ran.err.starts_with("error:") && ran.out.is_empty()), "{args:?}: {}", ran.err);
    }
    let unread: &[&[&str]] = &[&["check"], &["routes"], &["test"], &["explain", "GET", "/else"]];
    for args in unread {
        let ran = run_in(dir.path(), &[args, &["-c", "nowhere.toml", "--format", "json"][..]].concat(), "");
        let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", ran.out));
        assert_eq!((ran.code, &told["ok"], &told["errors"][0]["line"]), (1, &false.into(), &1.into()), "{args:?}");
    }
    let token = run_in(dir.path(), &["explain", "GET", "/else", "--token", "-"], "");
    assert_eq!(token.err, "error: there was no token on stdin: send it as the first line\n");
    let json: Value = serde_json::from_str(&run_in(dir.path(), &["check", "--format", "json"], "").out).expect("JSON");
    let failed = json["errors"].as_array().expect("errors").iter().find(|error| error["line"] == 35);
    let failed = failed.expect("the failing policy test has its place");
    assert_eq!((&failed["file"], &failed["column"]), (&"routes/shop.toml".into(), &10.into()));
}
