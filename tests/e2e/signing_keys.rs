//! Signing keys, replaced under load on two replicas.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};
use crate::redis::RedisServer;

fn routes(backend: std::net::SocketAddr) -> String {
    format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n")
}

/// The header of a token.
fn header(token: &str) -> Value {
    let header = BASE64.decode(token.split('.').next().expect("a header")).expect("base64url");
    serde_json::from_slice(&header).expect("JSON")
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}

async fn login(gateway: &Gateway) -> String {
    text(&gateway.login("alice").await, "access_token")
}

async fn published(gateway: &Gateway) -> BTreeSet<String> {
    gateway.published_keys().await.iter().map(|key| text(key, "kid")).collect()
}

/// Makes the next key at `gateway`; gives its file.
fn rotate(gateway: &Gateway) -> PathBuf {
    let made: Value = serde_json::from_str(&gateway.cli(&["signing-key", "rotate", "--format", "json"], "")).expect("JSON");
    PathBuf::from(text(&made, "file"))
}

fn copy(file: &Path, folder: &Path) {
    // With its mode, and whole or not at all.
    let unfinished = folder.join(".copy");
    std::fs::copy(file, &unfinished).expect("copied");
    std::fs::rename(unfinished, folder.join(file.file_name().expect("a name"))).expect("renamed");
}

fn set_algorithm(gateway: &Gateway, from: &str, to: &str) {
    let file = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&file).expect("gateway.toml");
    std::fs::write(&file, text.replace(&format!("algorithm = \"{from}\""), &format!("algorithm = \"{to}\""))).expect("written");
}

#[tokio::test]
async fn keys_are_replaced_under_load_without_one_refused_token() {
    let (redis, backend) = (RedisServer::start(), echo().await);
    let setup = || {
        Setup::routes(routes(backend))
            .with("[login]\nrate_limit = \"100000/1s\"\n[tokens]\nalgorithm = \"ES256\"\nactivate_after = \"4s\"\n")
            .with(&format!("[redis]\nurl = \"{}\"\n", redis.url()))
    };
    let one = Gateway::start_with_keys(setup(), tempfile::tempdir().expect("a folder")).await;
    // The other has a folder of its own, as on another machine.
    let folder = tempfile::tempdir().expect("a folder");
    for key in std::fs::read_dir(one.folder().join("keys")).expect("keys").flatten() {
        copy(&key.path(), folder.path());
    }
    let place = folder.path().display().to_string();
    let two = Gateway::start(setup().beside(&one).env("PORTCULLIS__TOKENS__KEYS", &place)).await;
    one.user("alice", &[]);

    let replicas = Arc::new([one, two]);
    let (going, judged) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let callers: Vec<_> = (0..2)
        .map(|number| {
            let (replicas, going, judged) = (replicas.clone(), going.clone(), judged.clone());
            tokio::spawn(async move {
                let mut tokens: Vec<String> = Vec::new();
                while going.load(Ordering::Relaxed) {
                    // From one, to both at once; and an older one again.
                    tokens.push(login(&replicas[(number + tokens.len()) % 2]).await);
                    let older = &tokens[tokens.len() / 2];
                    for (gateway, token) in
                        replicas.iter().flat_map(|gateway| [(gateway, &tokens[tokens.len() - 1]), (gateway, older)])
                    {
                        let answer = gateway.get_as("/x", token).await;
                        assert_eq!(answer.status, 200, "{}: {}", header(token), answer.body);
                        judged.fetch_add(1, Ordering::Relaxed);
                    }
                }
                tokens
            })
        })
        .collect();

    let mut algorithm = "ES256";
    for (round, next) in ["ES256", "EdDSA", "RS256"].into_iter().enumerate() {
        let [one, two] = &*replicas;
        set_algorithm(one, algorithm, next);
        set_algorithm(two, algorithm, next);
        algorithm = next;
        let file = rotate(one);
        let kid =
            file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('-')).expect("a kid").1.to_owned();
        if round % 2 == 0 {
            one.signal("HUP");
            copy(&file, folder.path());
            two.signal("HUP");
        } else {
            copy(&file, folder.path());
            two.signal("HUP");
            one.signal("HUP");
        }
        for gateway in &*replicas {
            gateway.until("the new key is published", || async { published(gateway).await.contains(&kid) }).await;
        }
        // It signs after a while, and nobody tells it to.
        for gateway in &*replicas {
            gateway.until("the new key signs", || async { text(&header(&login(gateway).await), "kid") == kid }).await;
        }
    }
    going.store(false, Ordering::Relaxed);
    let mut tokens = Vec::new();
    for caller in callers {
        tokens.extend(caller.await.expect("no token was refused"));
    }
    let seen: BTreeSet<String> = tokens.iter().map(|token| text(&header(token), "alg")).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["ES256", "EdDSA", "RS256"]);
    let kids: BTreeSet<String> = tokens.iter().map(|token| text(&header(token), "kid")).collect();
    assert_eq!(kids.len(), 4, "tokens of each key");
    eprintln!("{} logins, {} proxied calls, none refused", tokens.len(), judged.load(Ordering::Relaxed));

    // What is deleted verifies no more.
    let [one, _] = &*replicas;
    let oldest = text(&header(&tokens[0]), "kid");
    let keys = one.folder().join("keys");
    let file =
        std::fs::read_dir(&keys).expect("keys").flatten().find(|file| file.file_name().to_string_lossy().contains(&oldest));
    std::fs::remove_file(file.expect("the oldest key").path()).expect("removed");
    one.signal("HUP");
    one.until("its tokens are refused", || async { one.get_as("/x", &tokens[0]).await.status == 401 }).await;
    assert!(!published(one).await.contains(&oldest));
    assert_eq!(one.get_as("/x", &login(one).await).await.status, 200);
}

#[tokio::test]
async fn keys_are_listed_with_what_each_does() {
    let gateway = Gateway::start(Setup::routes(routes(echo().await)).with("[tokens]\nactivate_after = \"1h\"\n")).await;
    let listed = || -> Vec<Value> {
        serde_json::from_str(&gateway.cli(&["signing-key", "list", "--format", "json"], "")).expect("a list")
    };
    let first = listed();
    assert_eq!((first.len(), text(&first[0], "state").as_str()), (1, "signs"), "the only key signs, young as it is");
    rotate(&gateway);
    let both = listed();
    let states: Vec<String> = both.iter().map(|key| text(key, "state")).collect();
    assert_eq!(states, ["signs", "waits"]);
    assert!(both[1]["signs_from"].is_string() && both[0]["signs_from"].is_null());
    let table = gateway.cli(&["signing-key", "list"], "");
    assert!(table.starts_with("KID") && table.contains("ES256") && table.contains("waits"), "{table}");
}

#[tokio::test]
async fn a_secret_is_not_rotated_by_a_file() {
    let gateway = Gateway::start(
        Setup::routes(routes(echo().await))
            .with("[tokens]\nalgorithm = \"HS256\"\nsecret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"\n"),
    )
    .await;
    let output = portcullis_in(gateway.own_folder(), &["signing-key", "rotate"], "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{told}");
    assert!(told.contains("tokens.secret") && told.contains("every replica"), "{told}");
    let listed = gateway.cli(&["signing-key", "list"], "");
    assert!(listed.contains("hs256") && listed.contains("signs"), "{listed}");
}

#[tokio::test]
async fn each_algorithm_is_made_at_the_first_start_and_published() {
    for (algorithm, kind) in [("EdDSA", "OKP"), ("RS256", "RSA")] {
        let gateway =
            Gateway::start(Setup::routes(routes(echo().await)).with(&format!("[tokens]\nalgorithm = \"{algorithm}\"\n"))).await;
        gateway.user("alice", &[]);
        let token = login(&gateway).await;
        assert_eq!(text(&header(&token), "alg"), algorithm);
        assert_eq!(gateway.get_as("/x", &token).await.status, 200);
        let set = gateway.published_keys().await;
        assert_eq!((text(&set[0], "kty").as_str(), text(&set[0], "alg").as_str()), (kind, algorithm));
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(set[0].get(private).is_none(), "{private}");
        }
    }
}
