//! A provider of `OpenID` that others wrote (npm's oidc-provider) issues, the gateway accepts: key rotation under load, outage,
//! restart.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, free_address};
use crate::http2::clients;

/// The folder with the provider and what else runs in Node; installed once beside what is built.
pub(crate) fn installed() -> PathBuf {
    clients("oidc-provider")
}

/// A provider that runs; killed when dropped.
struct Provider(Child);

impl Provider {
    /// Starts it at a port, with these keys, the first of which signs.
    fn start(port: u16, keys: &[&Value], folder: &Path) -> Self {
        let home = installed();
        let file = folder.join("private.json");
        std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("written");
        let mut child = Command::new("node")
            .arg("oidc_provider.mjs")
            .arg(port.to_string())
            .arg(file)
            .current_dir(home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "it did not start");
        Self(child)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A private key as a JWK, made by node.
fn private_key(name: &str, kind: &str) -> Value {
    let (make, alg) = match kind {
        "EC" => ("generateKeyPairSync('ec', { namedCurve: 'P-256' })", "ES256"),
        "RSA" => ("generateKeyPairSync('rsa', { modulusLength: 2048 })", "RS256"),
        _ => ("generateKeyPairSync('ed25519')", "EdDSA"),
    };
    let script = format!("console.log(JSON.stringify(require('crypto').{make}.privateKey.export({{ format: 'jwk' }})))");
    let output = Command::new("node").args(["-e", &script]).output().expect("node runs");
    let mut jwk: Value = serde_json::from_slice(&output.stdout).expect("a JWK");
    (jwk["kid"], jwk["alg"], jwk["use"]) = (json!(name), json!(alg), json!("sig"));
    jwk
}

/// A token for the API, by `client_credentials`.
async fn token(port: u16, scope: &str) -> String {
    let asked = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/token"))
        .basic_auth("service", Some("secret"))
        .form(&[("grant_type", "client_credentials"), ("resource", "https://api.example.com"), ("scope", scope)]);
    let answer: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

async fn gateway(port: u16, algorithms: &str) -> Gateway {
    let routes = format!(
        "[defaults]\nbackend = \"http://{}\"\n[[route]]\nname = \"items\"\npath = \"/items\"\nscopes = [\"items:read\"]\n\
         [[route]]\nname = \"write\"\npath = \"/write\"\nscopes = [\"items:write\"]\n\
         [[route]]\nname = \"editors\"\npath = \"/editors\"\nroles = [\"user\"]\n",
        echo().await
    );
    Gateway::start(Setup::routes(routes).with(&format!(
        "[[issuers]]\nname = \"op\"\nissuer = \"http://127.0.0.1:{port}\"\naudience = [\"https://api.example.com\"]\n\
         algorithms = [{algorithms}]\ndiscovery = true\nscopes = {{ allow = [\"items\"] }}\n\
         claims = {{ username = \"client_id\", roles = \"https://example.com/roles\" }}\n\
         roles = {{ map = {{ editor = \"user\" }} }}\n"
    )))
    .await
}

#[tokio::test]
async fn its_tokens_are_accepted_whatever_kind_of_key_it_has() {
    for (kind, algorithm) in [("EC", "\"ES256\""), ("RSA", "\"RS256\", \"ES256\""), ("OKP", "\"EdDSA\"")] {
        let port = free_address().port();
        let folder = tempfile::tempdir().expect("a folder");
        let _provider = Provider::start(port, &[&private_key("one", kind)], folder.path());
        let gateway = gateway(port, algorithm).await;
        let token = token(port, "items:read").await;
        gateway.until("its keys are learnt", || async { gateway.get_as("/items", &token).await.status == 200 }).await;
        let seen = gateway.get_as("/items", &token).await.json();
        let headers = &seen["headers"];
        assert_eq!(headers["x-auth-subject"], "op:service", "{kind}");
        assert_eq!((&headers["x-auth-user"], &headers["x-auth-issuer"]), (&json!("op:service"), &json!("op")));
        assert_eq!(gateway.get_as("/write", &token).await.status, 403);
        assert_eq!(gateway.get_as("/editors", &token).await.status, 200);
    }
}

#[tokio::test]
async fn it_rotates_its_keys_under_load_goes_away_and_comes_back_and_no_good_token_is_refused() {
    let (old, new) = (private_key("old", "EC"), private_key("new", "EC"));
    let port = free_address().port();
    let folder = tempfile::tempdir().expect("a folder");
    let provider = Provider::start(port, &[&old], folder.path());
    let gateway = Arc::new(gateway(port, "\"ES256\"").await);
    let first = token(port, "items:read").await;
    gateway.until("its keys are learnt", || async { gateway.get_as("/items", &first).await.status == 200 }).await;

    let (current, stop) = (Arc::new(std::sync::Mutex::new(first.clone())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, current, stop) = (gateway.clone(), current.clone(), stop.clone());
            tokio::spawn(async move {
                let mut passed = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let token = current.lock().expect("a token").clone();
                    let answer = gateway.get_as("/items", &token).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    passed += 1;
                }
                passed
            })
        })
        .collect();
    // It goes away: what it signed stays good.
    drop(provider);
    assert_eq!(gateway.get_as("/items", &first).await.status, 200);
    // It comes back, and signs with a key that nobody has heard of.
    let provider = tokio::task::spawn_blocking({
        let (folder, new, old) = (folder.path().to_owned(), new.clone(), old.clone());
        move || Provider::start(port, &[&new, &old], &folder)
    });
    let _provider = provider.await.expect("it starts");
    *current.lock().expect("a token") = token(port, "items:read").await;
    let second = current.lock().expect("a token").clone();
    for _ in 0..50 {
        assert_eq!(gateway.get_as("/items", &second).await.status, 200);
        assert_eq!(gateway.get_as("/items", &first).await.status, 200);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.expect("no call was refused") > 0);
    }
}
