//! The signed assertion: verifiable with the published keys by others' libraries, for one backend, and no credential.

use std::path::Path;
use std::process::Command;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

async fn gateway(sections: &str) -> Gateway {
    let backend = echo().await;
    let gateway = Gateway::start(
        Setup::routes(
            "[defaults]\nbackend = \"orders\"\n\
             [[route]]\nname = \"private\"\npath = \"/private/**\"\n\
             [[route]]\nname = \"quiet\"\npath = \"/quiet\"\nidentity = \"none\"\n\
             [[route]]\nname = \"optional\"\npath = \"/optional\"\nauth = \"optional\"\n\
             [[route]]\nname = \"public\"\npath = \"/public\"\nauth = \"none\"\n\
             [[route]]\nname = \"other\"\npath = \"/other\"\nbackend = \"portcullis\"\n",
        )
        .with(&format!(
            "[[backends]]\nname = \"orders\"\nservers = [\"{backend}\"]\n[[backends]]\nname = \"portcullis\"\nservers = [\"{backend}\"]\n{sections}"
        )),
    )
    .await;
    gateway.user("ada", &["--email", "ada@example.com", "--roles", "user", "--scopes", "b a"]);
    gateway
}

const ENABLED: &str = "[identity]\nassertion = { enabled = true, ttl = \"2m\" }\n";

/// The assertion that reached the backend, where one did; the client sends one too.
async fn assertion(gateway: &Gateway, path: &str, token: Option<&str>) -> Option<String> {
    let mut request = gateway.request("GET", path).header("X-Auth-Assertion", "forged").header("x_auth_assertion", "forged");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert!(!answer.body.contains("forged"), "{path}: {}", answer.body);
    answer.json()["headers"]["x-auth-assertion"].as_str().map(str::to_owned)
}

async fn token(gateway: &Gateway) -> String {
    gateway.login("ada").await["access_token"].as_str().expect("a token").to_owned()
}

/// Its claims, as a backend reads them that knows the gateway's keys and its own name only.
async fn verified(gateway: &Gateway, assertion: &str, audience: &str) -> Value {
    let keys: JwkSet = serde_json::from_str(&gateway.get("/.well-known/jwks.json").await.body).expect("a key set");
    let header = decode_header(assertion).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("assertion+jwt"));
    let key = keys.find(header.kid.as_deref().expect("a kid")).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&["http://gateway.test"]);
    decode::<Value>(assertion, &DecodingKey::from_jwk(key).expect("a key"), &validation).expect("it verifies").claims
}

#[tokio::test]
async fn a_backend_verifies_who_calls_with_the_published_keys_of_each_algorithm() {
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let gateway = gateway(&format!("[tokens]\nalgorithm = \"{algorithm}\"\n{ENABLED}")).await;
        let token = token(&gateway).await;
        let made = assertion(&gateway, "/private/x", Some(&token)).await.expect("an assertion");
        let claims = verified(&gateway, &made, "orders").await;
        let shown: Value = serde_json::from_str(&gateway.cli(&["user", "show", "ada", "--format", "json"], "")).expect("JSON");
        let (iat, exp) = (claims["iat"].as_i64().expect("iat"), claims["exp"].as_i64().expect("exp"));
        assert_eq!(exp - iat, 120);
        let expected = json!({
            "iss": "http://gateway.test",
            "aud": "orders",
            "sub": shown["id"],
            "username": "ada",
            "email": "ada@example.com",
            "roles": ["user"],
            "scope": "a b portcullis:account",
            "route": "private",
            "iat": iat,
            "exp": exp,
            "jti": claims["jti"],
        });
        assert_eq!(claims, expected, "{algorithm}");
        assert!(claims["jti"].is_string());
    }
}

#[tokio::test]
async fn an_assertion_is_never_a_credential_not_even_one_for_the_gateways_own_audience() {
    let gateway = gateway(ENABLED).await;
    let token = token(&gateway).await;
    let made = assertion(&gateway, "/other", Some(&token)).await.expect("an assertion");
    assert_eq!(verified(&gateway, &made, "portcullis").await["aud"], "portcullis");
    for path in ["/private/x", "/optional", "/auth/me"] {
        let answer = gateway.get_as(path, &made).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"), "{path}");
    }
}

#[tokio::test]
async fn it_is_sent_where_somebody_is_known_to_call_and_only_then() {
    let gateway = gateway(ENABLED).await;
    let token = token(&gateway).await;
    assert_eq!(assertion(&gateway, "/optional", None).await, None);
    assert_eq!(assertion(&gateway, "/public", None).await, None);
    assert_eq!(assertion(&gateway, "/public", Some(&token)).await, None);
    assert!(assertion(&gateway, "/optional", Some(&token)).await.is_some());
    // Without identity headers it may be all that a backend is told.
    let quiet = assertion(&gateway, "/quiet", Some(&token)).await.expect("an assertion");
    assert_eq!(verified(&gateway, &quiet, "orders").await["route"], "quiet");
    let key = gateway.cli(&["key", "create", "--owner", "ada", "--name", "ci", "--scopes", "a"], "").trim().to_owned();
    let answer = gateway.send(gateway.request("GET", "/private/x").header("X-API-Key", &key)).await.json();
    let made = answer["headers"]["x-auth-assertion"].as_str().expect("an assertion");
    assert_eq!(verified(&gateway, made, "orders").await["scope"], "a");
}

#[tokio::test]
async fn one_is_sent_again_for_the_same_caller_on_the_same_route_only() {
    let gateway = gateway(ENABLED).await;
    let token = token(&gateway).await;
    let first = assertion(&gateway, "/private/x", Some(&token)).await;
    assert_eq!(assertion(&gateway, "/private/y", Some(&token)).await, first);
    assert_ne!(assertion(&gateway, "/quiet", Some(&token)).await, first);
    gateway.user("bob", &[]);
    let bob = gateway.login("bob").await["access_token"].as_str().expect("a token").to_owned();
    let other = assertion(&gateway, "/private/x", Some(&bob)).await.expect("an assertion");
    assert_eq!(verified(&gateway, &other, "orders").await["username"], "bob");
}

#[tokio::test]
async fn its_header_is_removed_from_clients_where_none_is_sent() {
    let gateway = gateway("[identity]\nassertion = { header = \"X-Own-Proof\" }\n").await;
    let token = token(&gateway).await;
    for path in ["/private/x", "/optional", "/public"] {
        let request =
            gateway.request("GET", path).bearer_auth(&token).header("X-Own-Proof", "forged").header("x_own_proof", "forged");
        let answer = gateway.send(request.header("X-Auth-Assertion", "forged")).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("forged"), "{path}: {}", answer.body);
    }
}

/// Runs the guide's Python with a library that others wrote.
#[tokio::test]
async fn the_guides_python_reads_an_assertion() {
    let gateway = gateway(ENABLED).await;
    let token = token(&gateway).await;
    let good = assertion(&gateway, "/private/x", Some(&token)).await.expect("an assertion");
    let elsewhere = assertion(&gateway, "/other", Some(&token)).await.expect("an assertion");
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/identity.md")).expect("the guide");
    let code = guide.split("\n```python\nimport jwt\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("the example");
    let code = code.replace("http://127.0.0.1:8080/.well-known", &format!("{}/.well-known", gateway.url));
    let code = code.replace("http://127.0.0.1:8080", "http://gateway.test");
    let script = format!(
        "import sys\nimport jwt\n{code}\nprint(caller(sys.argv[1])[\"username\"])\nfor other in sys.argv[2:]:\n    try:\n        \
         print(\"BELIEVED\", caller(other))\n    except jwt.InvalidTokenError as error:\n        print(\"refused:\", type(error).__name__)\n"
    );
    // Debian's own interpreter has Debian's python3-jwt.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let output = Command::new(python).args(["-c", &script, &good, &elsewhere, &token, "a.b.c"]).output().expect("Python");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}\nThe example needs PyJWT: apt-get install python3-jwt python3-cryptography");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "ada");
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[1..].iter().all(|line| line.starts_with("refused: ")), "{out}");
}
