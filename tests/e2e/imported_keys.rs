//! API keys that clients had before there was a gateway.

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};

const KEY: &str = "sk_live+4eC39HqLyjWDarjtT1zdp7dc/2Qv==";

async fn gateway() -> Gateway {
    let routes = "[[route]]\nname = \"all\"\npath = \"/**\"\n\
        [[route]]\nname = \"items\"\npath = \"/items\"\nscopes = [\"items:read\"]\n\
        [[route]]\nname = \"orders\"\npath = \"/orders\"\nscopes = [\"orders\"]\n";
    let setup = Setup::routes(format!("[defaults]\nbackend = \"http://{}\"\n{routes}", echo().await))
        .with("[api_keys]\nquery_parameter = \"api_key\"\n");
    let gateway = Gateway::start(setup).await;
    gateway.user("alice", &["--roles", "user", "--scopes", "items:read orders"]);
    gateway
}

async fn call(gateway: &Gateway, path: &str, key: &str) -> (u16, String) {
    let answer = gateway.send(gateway.request("GET", path).header("X-API-Key", key)).await;
    (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
}

const IMPORT: [&str; 6] = ["key", "import", "--owner", "alice", "--name", "old app"];

#[tokio::test]
pub(crate) async fn an_imported_key_works_like_any_other_until_it_is_revoked() {
    let gateway = gateway().await;
    let refused = (401, "invalid_api_key".to_owned());
    assert_eq!(call(&gateway, "/items", KEY).await, refused, "before");
    let id = gateway.cli(&[&IMPORT[..], &["--scopes", "items:read"]].concat(), &format!("{KEY}\n"));
    let id = id.trim();
    assert_eq!(id.len(), 26, "{id}");
    gateway.until("it works", || async { call(&gateway, "/items", KEY).await.0 == 200 }).await;
    assert_eq!(call(&gateway, "/orders", KEY).await, (403, "insufficient_scope".to_owned()), "what it may do is bounded");
    let in_query = gateway.get("/items?a=1&api_key=sk_live%2B4eC39HqLyjWDarjtT1zdp7dc%2F2Qv%3D%3D").await;
    assert_eq!((in_query.status, in_query.json()["target"].as_str()), (200, Some("/items?a=1")));
    for other in [&KEY[..KEY.len() - 1], &format!("{KEY}="), &KEY.to_lowercase(), "d41d8cd98f00b204e9800998ecf8427e"] {
        assert_eq!(call(&gateway, "/items", other).await, refused, "{other}");
    }
    let listed = gateway.cli(&["key", "list"], "");
    assert!(listed.contains(id) && listed.contains("old app") && !listed.contains("sk_live"), "{listed}");
    gateway.cli(&["key", "revoke", id], "");
    gateway.until("it is dead", || async { call(&gateway, "/items", KEY).await == refused }).await;
    for place in ["log", "data/portcullis.db", "data/portcullis.db-wal"] {
        let bytes = std::fs::read(gateway.own_folder().join(place)).unwrap_or_default();
        assert!(!bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()), "{place} holds the key");
    }
}

#[tokio::test]
async fn a_key_is_imported_once_and_only_if_it_cannot_be_guessed() {
    let gateway = gateway().await;
    let import = |key: &str| {
        let output = portcullis_in(gateway.own_folder(), &IMPORT, key);
        (output.status.code(), output.stdout.len(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let id = gateway.cli(&IMPORT, KEY);
    let (code, said, why) = import(KEY);
    assert!(code == Some(1) && said == 0 && why.contains(id.trim()) && why.contains("there already"), "{why}");
    gateway.cli(&["key", "revoke", id.trim()], "");
    assert!(import(KEY).2.contains("revoked"), "{}", import(KEY).2);
    let own = gateway.cli(&["key", "create", "--owner", "alice", "--name", "k"], "");
    for (key, cause) in [
        ("", "no key on stdin"),
        ("too-short-1234", "20 characters"),
        ("with spaces in between the words", "visible ASCII"),
        ("schlüssel-0123456789abcdef", "visible ASCII"),
        ("d41d8cd98f00b204e9800998\u{7}ecf8427e", "visible ASCII"),
        ("abababababababababababababab", "8 different"),
        (own.trim(), "ptc_"),
    ] {
        let (code, said, why) = import(key);
        assert!(code == Some(1) && said == 0 && why.contains(cause), "{key:?}: {code:?} {why}");
        assert!(key.is_empty() || !why.contains(key), "the key is not repeated: {why}");
    }
    let weak = import("my-service-key-2024!");
    assert!(weak.0 == Some(0) && weak.2.starts_with("warning: "), "{}", weak.2);
}
