//! Accounts of other applications: imported with their passwords' hashes, which work once and are replaced then.

use std::path::Path;
use std::process::Command;

use portcullis::store;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::gateway::{Answer, Gateway, Setup, portcullis_in};
use crate::http2::{clients, must};

const PASSWORD: &str = "correct horse battery staple";
/// Of that password.
const BCRYPT: &str = "$2y$04$QIRZznakbMLvv82878Qa8ePhEFmxwhpnnBfut31GEtKqM.6Q/XiIy";
const SHA: &str = "{SHA}q/eq1kOINtvlJqojGr3i0O73TUI=";
const APR1: &str = "$apr1$Gy33yXAj$5d959p/ZuLLbJl2fATMPF.";

async fn gateway() -> Gateway {
    Gateway::start(Setup::routes("").with("[login]\nrate_limit = \"10000/1m\"\naccount_rate_limit = \"10000/1m\"\n")).await
}

async fn login(gateway: &Gateway, name: &str, password: &str) -> Answer {
    gateway.post("/auth/login", &json!({ "username": name, "password": password })).await
}

/// What is stored of a password.
async fn hash(gateway: &Gateway, name: &str) -> String {
    let user = store::open(&gateway.store_url().into())
        .await
        .expect("the store")
        .user_by_login(name)
        .await
        .expect("read")
        .expect("there");
    user.password.expect("a password").expose_secret().to_owned()
}

/// Runs `user import` on `text`; gives its exit code, stdout and stderr.
fn import(folder: &Path, text: &str, format: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = format!("users.{format}");
    std::fs::write(folder.join(&file), text).expect("written");
    let output = portcullis_in(folder, &[&["user", "import", &file, "--format", format], more].concat(), "");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_that_the_tools_of_python_make_now_log_in_once_and_are_replaced() {
    let gateway = gateway().await;
    let made = tokio::task::spawn_blocking(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/password_hashes.py");
        must(Command::new(clients("password-hashes").join("venv/bin/python")).arg(script).arg("--light"))
    });
    let made = String::from_utf8(made.await.expect("it ran").stdout).expect("UTF-8");
    let made: Vec<Value> = made.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(made.len() > 50, "{}", made.len());
    let lines = made.iter().map(|line| json!({ "username": line["username"], "password_hash": line["hash"] }).to_string());
    let (code, said, wrong) = import(gateway.own_folder(), &lines.collect::<Vec<_>>().join("\n"), "jsonl", &[]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""), "{said}");

    for line in &made {
        let [by, name, password] = ["made_by", "username", "password"].map(|member| line[member].as_str().expect("text"));
        // But where it is cut off, so that what follows does not count yet.
        if by != "bcrypt, cut off" {
            assert_eq!(login(&gateway, name, &format!("{password}.")).await.status, 401, "{by}");
        }
        assert_eq!(login(&gateway, name, password).await.status, 200, "{by}: {}", line["hash"]);
        let ours = hash(&gateway, name).await;
        assert!(ours.starts_with("$argon2id$v=19$m=1024,t=1,p=1$"), "{by}: {ours}");
        assert_eq!(login(&gateway, name, password).await.status, 200, "{by}, once more");
        assert_eq!(login(&gateway, name, &format!("{password}.")).await.status, 401, "{by}, by our hash");
        assert_eq!(hash(&gateway, name).await, ours, "{by}");
    }
}

#[tokio::test]
async fn a_wrong_password_leaves_the_hash_and_looks_like_an_unknown_name() {
    let gateway = gateway().await;
    let (code, said, _) = import(gateway.own_folder(), &format!("ann:{BCRYPT}\nbob:{SHA}\ncarl:{APR1}\n"), "htpasswd", &[]);
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "users.htpasswd:1: ann: imported (bcrypt)\nusers.htpasswd:2: bob: imported (SHA-1)\n\
         users.htpasswd:3: carl: imported (MD5-crypt)\n3 imported, 0 existing, 0 refused\n"
    );
    let unknown = login(&gateway, "nobody", "wrong").await;
    let without = |answer: &Answer| {
        let mut body = answer.json();
        body.as_object_mut().expect("an object").retain(|name, _| name != "request_id" && name != "instance");
        (answer.status, body)
    };
    for (name, stored) in [("ann", BCRYPT), ("bob", SHA), ("carl", APR1)] {
        assert_eq!(without(&login(&gateway, name, "wrong").await), without(&unknown), "{name}");
        assert_eq!(hash(&gateway, name).await, stored);
    }
    // A disabled account's right password is no better than a wrong one, and changes nothing either.
    gateway.cli(&["user", "disable", "ann"], "");
    assert_eq!(login(&gateway, "ann", PASSWORD).await.status, 401);
    assert_eq!(hash(&gateway, "ann").await, BCRYPT);
    for place in ["log", "data/portcullis.db-wal", "data/portcullis.db"] {
        let bytes = std::fs::read(gateway.own_folder().join(place)).unwrap_or_default();
        assert!(!bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()), "{place}");
    }
}

#[tokio::test]
async fn a_file_is_imported_whole_or_not_at_all_and_says_by_line_what_is_wrong() {
    let gateway = gateway().await;
    let folder = gateway.own_folder();
    gateway.user("dora", &["--email", "dora@example.org"]);
    let csv = format!(
        "username,email,full_name,password_hash,roles,scopes,attributes.tenant,is_active\n\
         ann,ann@example.org,Ann,{BCRYPT},\"user,viewer\",items:read,a1,true\n\
         bob,,,hunter2 hunter2,,,,\n\
         carl,dora@EXAMPLE.org,,{SHA},,,,\n\
         {BCRYPT},,,emil,,,,\n\
         fred,,,{SHA},amdin,,,\n\
         gina,,,$2b$31$dHEGZzWtG3u4rmV8ljQvfuKB/SmLwtIZYCAwhLqDRsF6WubkTYVJ.,,,,\n\
         Ann,,,{SHA},,,,\n\
         hugo,,,$2b$12$cut,,,,\n\
         dora@example.org,,,{SHA},,,,\n\
         ina,,,,,,,\n\
         jan,,,{SHA},,,,no\n\
         DORA,,,{SHA},,,,\n"
    );
    let (code, said, wrong) = import(folder, &csv, "csv", &[]);
    assert_eq!((code, said.as_str()), (Some(1), ""), "{wrong}");
    let lines: Vec<&str> = wrong.lines().filter_map(|line| line.strip_prefix("users.csv:")).collect();
    let starts = [
        "3: bob: this is no password hash",
        "4: carl: the e-mail address is taken",
        "5: the username is none",
        "6: fred: there is no role `amdin` (did you mean `admin`?)",
        "7: gina: checking this bcrypt hash costs more",
        "8: Ann: its username or e-mail address is on line 2",
        "9: hugo: this bcrypt hash is cut off",
        "10: dora@example.org: the username is taken",
        "11: ina: there is no password hash",
    ];
    assert_eq!(lines.len(), starts.len(), "{wrong}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    for secret in ["hunter2", "$2y$", "$2b$", "{SHA}"] {
        assert!(!wrong.contains(secret), "{wrong}");
    }
    assert!(wrong.contains("nothing was imported: 9 of 12"), "{wrong}");
    assert_eq!(gateway.cli(&["user", "list"], "").lines().count(), 2);

    let (code, said, _) = import(folder, &csv, "csv", &["--skip-invalid", "--dry-run"]);
    assert_eq!((code, said.lines().last()), (Some(0), Some("2 would be imported, 1 existing, 9 refused")));
    assert_eq!(gateway.cli(&["user", "list"], "").lines().count(), 2);
    let (code, said, wrong) = import(folder, &csv, "csv", &["--skip-invalid"]);
    assert_eq!((code, wrong.lines().count()), (Some(0), 9));
    assert_eq!(
        said,
        "users.csv:2: ann: imported (bcrypt)\nusers.csv:12: jan: imported (SHA-1)\nusers.csv:13: DORA: exists already, left as it is\n\
         2 imported, 1 existing, 9 refused\n"
    );

    let ann: Value =
        serde_json::from_str(&gateway.cli(&["user", "show", "ann@example.org", "--format", "json"], "")).expect("JSON");
    for (member, value) in [
        ("username", json!("ann")),
        ("email_verified", json!(true)),
        ("full_name", json!("Ann")),
        ("roles", json!(["user", "viewer"])),
        ("scopes", json!(["items:read"])),
        ("attributes", json!({ "tenant": "a1" })),
        ("disabled", json!(false)),
    ] {
        assert_eq!(ann[member], value, "{member}");
    }
    assert_eq!(login(&gateway, "ANN@example.org", PASSWORD).await.status, 200);
    assert_eq!(login(&gateway, "jan", PASSWORD).await.status, 401, "who was disabled there is disabled here");
    assert_eq!(login(&gateway, "dora", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_hash_is_found_under_the_name_that_its_application_has_for_it() {
    let gateway = gateway().await;
    let folder = gateway.own_folder();
    for (number, column) in ["password_hash", "password", "hashed_password", "encrypted_password"].into_iter().enumerate() {
        let (csv, jsonl) = (format!("csv{number}"), format!("jsonl{number}"));
        let (code, _, wrong) = import(folder, &format!("username,{column}\n{csv},{BCRYPT}\n"), "csv", &[]);
        assert_eq!(code, Some(0), "{column}: {wrong}");
        let (code, _, wrong) = import(folder, &json!({"username": jsonl, column: APR1}).to_string(), "jsonl", &[]);
        assert_eq!(code, Some(0), "{column}: {wrong}");
        for name in [csv, jsonl] {
            assert_eq!(login(&gateway, &name, PASSWORD).await.status, 200, "{name} {column}");
        }
    }
    let two = format!("username,password,password_hash\nann,{BCRYPT},{BCRYPT}\n");
    let (code, _, wrong) = import(folder, &two, "csv", &[]);
    assert!(code == Some(1) && wrong.contains("users.csv:2: the password's hash is there under two names"), "{wrong}");
}

#[tokio::test]
async fn importing_again_changes_nothing_and_says_so() {
    let gateway = gateway().await;
    let folder = gateway.own_folder();
    let lines = format!("{{\"username\":\"ann\",\"email\":\"ann@example.org\",\"password_hash\":\"{BCRYPT}\"}}\n");
    assert_eq!(import(folder, &lines, "jsonl", &[]).0, Some(0));
    assert_eq!(login(&gateway, "ann", PASSWORD).await.status, 200);
    let ours = hash(&gateway, "ann").await;
    let (code, said, wrong) = import(folder, &lines, "jsonl", &[]);
    assert_eq!(
        (code, said.as_str(), wrong.as_str()),
        (Some(0), "users.jsonl:1: ann: exists already, left as it is\n0 imported, 1 existing, 0 refused\n", "")
    );
    assert_eq!(hash(&gateway, "ann").await, ours);
    // The same name with another address is somebody else.
    let (code, _, wrong) = import(folder, &lines.replace("ann@", "anna@"), "jsonl", &[]);
    assert!(code == Some(1) && wrong.contains("users.jsonl:1: ann: the username is taken by another account"), "{wrong}");
}

#[test]
fn what_cannot_be_read_ends_with_1_and_a_wrong_call_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = portcullis_in(folder.path(), &["init", "--password-stdin"], PASSWORD);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let code = |args: &[&str], stdin: &str| {
        let output = portcullis_in(folder.path(), &[&["user", "import"], args].concat(), stdin);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (missing, why) = code(&["nowhere.csv", "--format", "csv"], "");
    assert!(missing == Some(1) && why.contains("nowhere.csv can't be read"), "{why}");
    assert_eq!(code(&["-", "--format", "json"], "").0, Some(2));
    assert_eq!(code(&["-"], "").0, Some(2));
    let (empty, why) = code(&["-", "--format", "htpasswd"], "# nobody\n");
    assert!(empty == Some(1) && why.contains("no accounts in stdin"), "{why}");
    let (plain, why) = code(&["-", "--format", "csv"], "username,password\nann,hunter2\n");
    assert!(
        plain == Some(1) && why.contains("stdin:2: ann: this is no password hash that is known") && !why.contains("hunter2"),
        "{why}"
    );
    let (named, why) = code(&["-", "--format", "csv"], "username,plaintext\nann,hunter2\n");
    assert!(named == Some(1) && why.contains("stdin:1: column 2: passwords in plain text are not taken"), "{why}");
    assert_eq!(code(&["-", "--format", "htpasswd"], &format!("ann:{SHA}\n")), (Some(0), String::new()));

    std::fs::remove_dir_all(folder.path().join("data")).expect("removed");
    std::fs::write(folder.path().join("data"), "").expect("a file in the way");
    let (unreachable, why) = code(&["-", "--format", "htpasswd"], &format!("bob:{SHA}\n"));
    assert_eq!(unreachable, Some(3), "{why}");
}
