//! Tokens of other issuers (`[[issuers]]`), seen from outside: where they open doors and where not, and whence keys come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::echo::echo;
use crate::forge::{Key, jwks, with};
use crate::gateway::{Gateway, Setup, free_address, portcullis_in};
use crate::issuer::{Issuer, Says, claims};
use crate::secure::{Authority, Leaf};

fn key(kid: &str) -> Key {
    Key::new(kid, Algorithm::ES256)
}

/// An entry of `[[issuers]]`.
fn entry(name: &str, iss: &str, keys: &str) -> String {
    format!(
        "[[issuers]]\nname = \"{name}\"\nissuer = \"{iss}\"\naudience = [\"api\"]\nalgorithms = [\"ES256\", \"RS256\"]\n{keys}\n\
         scopes = {{ allow = [\"items\"] }}\nroles = {{ map = {{ editor = \"user\" }} }}\n"
    )
}

fn url(name: &str, issuer: &Issuer) -> String {
    entry(name, &issuer.iss(), &format!("jwks_url = \"{}\"", issuer.url()))
}

async fn setup(issuers: &str) -> Setup {
    Setup::routes(format!(
        "[defaults]\nbackend = \"http://{}\"\n\
         [[route]]\nname = \"all\"\npath = \"/**\"\n\
         [[route]]\nname = \"items\"\npath = \"/items\"\nscopes = [\"items:read\"]\n\
         [[route]]\nname = \"others\"\npath = \"/others\"\nscopes = [\"others\"]\n\
         [[route]]\nname = \"users\"\npath = \"/users\"\nroles = [\"viewer\"]\n\
         [[route]]\nname = \"admins\"\npath = \"/admins\"\nroles = [\"admin\"]\n\
         [[route]]\nname = \"tenant\"\npath = \"/tenants/{{tenant}}\"\nwhere = {{ \"claims.tenant\" = \"{{tenant}}\" }}\n\
         identity = {{ \"X-Tenant\" = \"{{claims.tenant}}\", \"Remote-User\" = \"{{username}}\" }}\n\
         [[route]]\nname = \"hers\"\npath = \"/hers\"\nwhere = {{ subject = \"f3a9\" }}\n\
         [[route]]\nname = \"limited\"\npath = \"/limited\"\nrate_limit = \"1/1h\"\n\
         [[route]]\nname = \"optional\"\npath = \"/optional\"\nauth = \"optional\"\n",
        echo().await
    ))
    .with(issuers)
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get_as("/", token).await.status
}

#[tokio::test]
async fn a_token_opens_routes_for_somebody_of_its_issuer_and_no_endpoint_of_ours() {
    let key = key("k");
    let issuer = Issuer::start(Says::Keys(jwks(&[&key]))).await;
    let gateway = Gateway::start(setup(&url("idp", &issuer)).await).await;
    let token = key.token(&issuer.claims());
    gateway.until("the keys are there", || async { status(&gateway, &token).await == 200 }).await;

    let seen = gateway.get_as("/items", &token).await.json();
    let headers = &seen["headers"];
    for (name, expected) in [
        ("x-auth-subject", json!("idp:f3a9")),
        ("x-auth-user", json!("idp:ann@example.com")),
        ("x-auth-issuer", json!("idp")),
        ("x-auth-method", json!("bearer")),
        ("x-auth-scopes", json!("items:read")),
        ("x-auth-roles", json!("user")),
        ("x-auth-email", Value::Null),
        ("x-auth-session", Value::Null),
        ("authorization", Value::Null),
    ] {
        assert_eq!(headers[name], expected, "{name}");
    }
    for (path, expected) in
        [("/others", 403), ("/users", 200), ("/admins", 403), ("/tenants/north", 200), ("/tenants/south", 403), ("/hers", 403)]
    {
        assert_eq!(gateway.get_as(path, &token).await.status, expected, "{path}");
    }
    let tenant = gateway.get_as("/tenants/north", &token).await.json();
    assert_eq!(
        (&tenant["headers"]["x-tenant"], &tenant["headers"]["remote-user"]),
        (&json!("north"), &json!("idp:ann@example.com"))
    );

    // Each counts for itself, the same subject elsewhere too.
    gateway.user("f3a9", &[]);
    let own = gateway.login("f3a9").await;
    let own = own["access_token"].as_str().expect("a token");
    assert_eq!(gateway.get_as("/limited", &token).await.status, 200);
    assert_eq!(gateway.get_as("/limited", &token).await.status, 429);
    assert_eq!(gateway.get_as("/limited", own).await.status, 200);
    let other = key.token(&with(&issuer.claims(), json!({ "sub": "f3a8" })));
    assert_eq!(gateway.get_as("/limited", &other).await.status, 200);

    let me = gateway.get_as("/auth/me", &token).await;
    assert_eq!((me.status, me.code().as_str()), (401, "invalid_token"));
    for everywhere in [false, true] {
        let logout = gateway.request("POST", "/auth/logout").bearer_auth(&token).json(&json!({ "everywhere": everywhere }));
        let logout = gateway.send(logout).await;
        assert_eq!((logout.status, logout.code().as_str()), (403, "forbidden"));
    }
    for path in ["/auth/keys", "/auth/sessions", "/auth/password", "/auth/admin/users", "/auth/admin/audit", "/auth/introspect"] {
        for method in ["GET", "POST", "DELETE", "PATCH", "PUT"] {
            let answer = gateway.send(gateway.request(method, path).bearer_auth(&token).json(&json!({}))).await;
            assert!(answer.status >= 400, "{method} {path}: {}", answer.body);
        }
    }
    assert_eq!(gateway.get_as("/auth/me", own).await.status, 200, "whoever is called the same is not logged out");
    assert_eq!(status(&gateway, &token).await, 200);

    let bad = Key::new("k", Algorithm::ES256).token(&issuer.claims());
    let answer = gateway.get_as("/optional", &bad).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"), "never anonymous");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{}", answer.header("www-authenticate"));
    let logged = gateway.log();
    assert!(logged.contains("idp:f3a9") && !logged.contains(token.rsplit_once('.').expect("a signature").1), "{logged}");
}

#[tokio::test]
async fn an_issuer_may_be_down_at_the_start_and_later_and_what_it_gave_goes_on() {
    let (old, new, never) = (key("old"), key("new"), key("never"));
    let address = free_address();
    let iss = format!("http://{address}");
    let gateway = Gateway::start(setup(&entry("idp", &iss, &format!("jwks_url = \"{iss}/keys\""))).await).await;
    let token = old.token(&claims(&iss));
    let answer = gateway.get_as("/", &token).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    assert!(gateway.log().contains("issuer `idp`: its keys can't be fetched"), "{}", gateway.log());

    let issuer = Issuer::start_at(address, Says::Keys(jwks(&[&old]))).await;
    gateway.until("the keys are learnt", || async { status(&gateway, &token).await == 200 }).await;
    let (unknown, next) = (never.token(&claims(&iss)), new.token(&claims(&iss)));
    assert_eq!(gateway.get_as("/", &unknown).await.code(), "invalid_token", "asked, and there is none");

    issuer.stop();
    assert_eq!(status(&gateway, &token).await, 200, "the last good keys go on");
    gateway.until("it is known to be down", || async { gateway.get_as("/", &next).await.status == 503 }).await;
    assert_eq!(gateway.get_as("/", &unknown).await.status, 503);
    assert_eq!(status(&gateway, &token).await, 200);

    let issuer = Issuer::start_at(address, Says::Keys(jwks(&[&new, &old]))).await;
    gateway.until("the new key is learnt", || async { status(&gateway, &next).await == 200 }).await;
    assert_eq!((status(&gateway, &token).await, status(&gateway, &unknown).await), (200, 401));
    let metrics = gateway.metrics().await;
    for line in [
        "portcullis_issuer_fetches_total{issuer=\"idp\",outcome=\"error\"}",
        "portcullis_issuer_keys_timestamp_seconds{issuer=\"idp\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    issuer.stop();
}

#[tokio::test]
async fn a_key_that_its_issuer_withdraws_opens_nothing_more_though_its_tokens_were_seen() {
    let (leaked, next) = (key("leaked"), key("next"));
    let issuer = Issuer::start(Says::Keys(jwks(&[&leaked]))).await;
    let gateway = Gateway::start(setup(&url("idp", &issuer)).await).await;
    let token = leaked.token(&issuer.claims());
    gateway.until("the keys are there", || async { status(&gateway, &token).await == 200 }).await;
    assert_eq!(status(&gateway, &token).await, 200);
    issuer.gives(&[&next]);
    let newer = next.token(&issuer.claims());
    gateway.until("the new key is learnt", || async { status(&gateway, &newer).await == 200 }).await;
    assert_eq!(status(&gateway, &token).await, 401);
}

#[tokio::test]
async fn keys_change_under_load_without_one_refused_token() {
    let first = Arc::new(key("first"));
    let issuer = Issuer::start(Says::Keys(jwks(&[&first]))).await;
    let gateway = Arc::new(Gateway::start(setup(&url("idp", &issuer)).await).await);
    let iss = issuer.iss();
    gateway.until("the keys are there", || async { status(&gateway, &first.token(&claims(&iss))).await == 200 }).await;

    let signing = Arc::new(std::sync::Mutex::new(first.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, signing, stop, iss) = (gateway.clone(), signing.clone(), stop.clone(), iss.clone());
            tokio::spawn(async move {
                let mut passed = 0;
                while !stop.load(Ordering::Relaxed) {
                    let key = signing.lock().expect("a key").clone();
                    let answer = gateway.get_as("/", &key.token(&claims(&iss))).await;
                    assert_eq!(answer.status, 200, "{} {}", key.kid, answer.body);
                    passed += 1;
                }
                passed
            })
        })
        .collect();
    let mut published = vec![first];
    for kid in ["second", "third", "fourth"] {
        // In the moment that a key is published it signs: nobody has heard of it before the first token.
        let next = Arc::new(key(kid));
        published.insert(0, next.clone());
        issuer.gives(&published.iter().map(Arc::as_ref).collect::<Vec<_>>());
        *signing.lock().expect("a key") = next.clone();
        let before = issuer.asked();
        gateway.until("the key was asked for", || async { issuer.asked() > before }).await;
        assert_eq!(status(&gateway, &next.token(&claims(&iss))).await, 200);
    }
    stop.store(true, Ordering::Relaxed);
    let mut passed = 0;
    for client in clients {
        passed += client.await.expect("no call was refused");
    }
    assert!(passed > 0);
    assert!(issuer.asked() <= 5, "one question a change, however many wait: {}", issuer.asked());
}

#[tokio::test]
async fn floods_of_unknown_keys_ask_the_issuer_hardly_ever_and_hold_up_nobody() {
    let good = key("good");
    let issuer = Issuer::start(Says::Keys(jwks(&[&good]))).await;
    let gateway = Gateway::start(setup(&url("idp", &issuer)).await).await;
    let token = good.token(&issuer.claims());
    gateway.until("the keys are there", || async { status(&gateway, &token).await == 200 }).await;
    let began = tokio::time::Instant::now();
    for round in 0..20 {
        let calls = (0..20).map(|n| {
            let forged = good.also(&format!("x{round}-{n}"), Algorithm::ES256).token(&issuer.claims());
            let gateway = &gateway;
            async move { status(gateway, &forged).await }
        });
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
        assert_eq!(status(&gateway, &token).await, 200);
    }
    // What is refused for another reason asks nobody.
    let asked = issuer.asked();
    // The first keys, a burst, and one in five seconds.
    let bound = 4 + usize::try_from(began.elapsed().as_secs() / 5).expect("a number");
    assert!(asked <= bound, "{asked} questions, {bound} are enough");
    for change in [json!({ "exp": 1 }), json!({ "aud": "x" }), json!({ "sub": null })] {
        status(&gateway, &good.also("y", Algorithm::ES256).token(&with(&issuer.claims(), change))).await;
    }
    assert_eq!(issuer.asked(), asked);
}

#[tokio::test]
async fn answers_that_are_huge_slow_broken_or_elsewhere_give_no_keys_and_spoil_none() {
    let good = key("good");
    let set = jwks(&[&good]);
    let elsewhere = Issuer::start(Says::Keys(set.clone())).await;
    let huge = format!("{}{}", " ".repeat(600 * 1024), set);
    let answers = [
        ("huge", Says::Text(huge), "more than 512 KiB"),
        ("drips", Says::Drips, "no whole answer within"),
        ("late", Says::Late(set.clone(), Duration::from_secs(30)), "no whole answer within"),
        ("broken", Says::Broken, "500"),
        ("redirect", Says::Elsewhere(elsewhere.url()), "redirects are not followed"),
        ("text", Says::Text("<html>".into()), "JSON"),
        ("twice", Says::Text(set.to_string().replacen('{', "{\"keys\":[],", 1)), "names a member twice"),
        ("empty", Says::Keys(json!({ "keys": [] })), "no public key"),
        (
            "secret",
            Says::Keys(json!({ "keys": [{ "kty": "oct", "kid": "good", "alg": "HS256", "k": "AAAA" }] })),
            "no public key",
        ),
    ];
    let mut issuers = Vec::new();
    for (name, says, _) in &answers {
        issuers.push((*name, Issuer::start(says.clone()).await));
    }
    let entries: String = issuers.iter().map(|(name, issuer)| url(name, issuer)).collect();
    let gateway = Gateway::start(setup(&entries).await).await;
    for ((name, issuer), (_, _, why)) in issuers.iter().zip(&answers) {
        let answer = gateway.get_as("/", &good.token(&issuer.claims())).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{name}");
        gateway
            .until("it is told why", || async {
                gateway.log().lines().any(|line| line.contains(&format!("issuer `{name}`")) && line.contains(why))
            })
            .await;
    }
    assert_eq!(elsewhere.asked(), 0);

    // One that had good keys before: they go on.
    let (_, issuer) = &issuers[3];
    issuer.says(Says::Keys(set));
    let token = good.token(&issuer.claims());
    gateway.until("it is well", || async { status(&gateway, &token).await == 200 }).await;
    issuer.says(Says::Keys(json!({ "keys": [] })));
    let unknown = good.also("unknown", Algorithm::ES256).token(&issuer.claims());
    gateway.until("it is asked, and answers nonsense", || async { status(&gateway, &unknown).await == 503 }).await;
    assert_eq!(status(&gateway, &token).await, 200);
}

#[tokio::test]
async fn metadata_says_where_the_keys_are_for_its_own_issuer_only() {
    let good = key("good");
    let issuer = Issuer::start(Says::Keys(jwks(&[&good]))).await;
    let (liar, sender) = (Issuer::start(Says::Keys(jwks(&[&good]))).await, Issuer::start(Says::Keys(jwks(&[&good]))).await);
    liar.metadata(json!({ "issuer": "https://somebody.example" }));
    sender.metadata(json!({ "jwks_uri": "http://somebody.example/keys" }));
    let entries: String = [("good", &issuer), ("liar", &liar), ("sender", &sender)]
        .map(|(name, issuer)| entry(name, &issuer.iss(), "discovery = true"))
        .concat();
    let gateway = Gateway::start(setup(&entries).await).await;
    gateway.until("the keys are there", || async { status(&gateway, &good.token(&issuer.claims())).await == 200 }).await;
    for (name, issuer, why) in [("liar", &liar, "not of"), ("sender", &sender, "plain HTTP to another machine")] {
        assert_eq!(status(&gateway, &good.token(&issuer.claims())).await, 503, "{name}");
        assert_eq!(issuer.asked(), 0, "{name}");
        gateway.until(why, || async { gateway.log().contains(why) }).await;
    }
}

/// A server over TLS that answers every request with `set`.
async fn over_tls(leaf: &Leaf, set: &Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let acceptor = TlsAcceptor::from(leaf.server(&["http/1.1"], None));
    let text = set.to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust the certificate leaves.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn over_https_an_issuer_is_believed_that_an_authority_vouches_for() {
    let good = key("good");
    let (known, stranger) = (Authority::new(), Authority::new());
    let addresses = [
        ("known", over_tls(&known.leaf(&["127.0.0.1"]), &jwks(&[&good])).await),
        ("stranger", over_tls(&stranger.leaf(&["127.0.0.1"]), &jwks(&[&good])).await),
        ("misnamed", over_tls(&known.leaf(&["idp.example"]), &jwks(&[&good])).await),
    ];
    let (iss, folder) = (|name: &str| format!("https://{name}.example"), tempfile::tempdir().expect("a folder"));
    let entries = addresses.map(|(name, address)| entry(name, &iss(name), &format!("jwks_url = \"https://{address}/keys\"")));
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, &known.pem).expect("written");
    let there = authorities.to_str().expect("a path").to_owned();
    let gateway = Gateway::start(setup(&entries.concat()).await.env("SSL_CERT_FILE", &there)).await;
    gateway.until("its keys are there", || async { status(&gateway, &good.token(&claims(&iss("known")))).await == 200 }).await;
    for name in ["stranger", "misnamed"] {
        assert_eq!(status(&gateway, &good.token(&claims(&iss(name)))).await, 503, "{name}");
    }
}

#[tokio::test]
async fn a_reload_keeps_what_was_fetched_and_reads_files_anew() {
    let (fetched, first, second) = (key("fetched"), key("first"), key("second"));
    let issuer = Issuer::start(Says::Keys(jwks(&[&fetched]))).await;
    let in_file = entry("filed", "https://filed.example", "jwks_file = \"filed.json\"");
    let setup = setup(&format!("{}{in_file}", url("idp", &issuer))).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("filed.json"), jwks(&[&first]).to_string()).expect("written");
    let gateway = Gateway::start_with_keys(setup, folder).await;
    let (token, other) = (fetched.token(&issuer.claims()), |key: &Key| key.token(&claims("https://filed.example")));
    gateway.until("the keys are there", || async { status(&gateway, &token).await == 200 }).await;
    assert_eq!((status(&gateway, &other(&first)).await, status(&gateway, &other(&second)).await), (200, 401));

    let asked = issuer.asked();
    issuer.says(Says::Broken);
    let file = gateway.own_folder().join("filed.json");
    std::fs::write(&file, jwks(&[&second]).to_string()).expect("written");
    gateway.signal("HUP");
    gateway.until("the file was read", || async { status(&gateway, &other(&second)).await == 200 }).await;
    assert_eq!((status(&gateway, &other(&first)).await, status(&gateway, &token).await), (401, 200));
    assert_eq!(issuer.asked(), asked, "nothing was fetched again");

    std::fs::write(&file, "{\"keys\": []}").expect("written");
    gateway.signal("HUP");
    gateway.until("it is refused", || async { gateway.log().contains("the reload is refused") }).await;
    assert_eq!(status(&gateway, &other(&second)).await, 200);
}

#[tokio::test]
async fn a_reload_that_says_what_is_at_a_url_reads_it_as_that() {
    let key = key("k");
    let issuer = Issuer::start(Says::Keys(jwks(&[&key]))).await;
    // The metadata's URL where that of the keys belongs: an easy mistake.
    let wrong = format!("jwks_url = \"{}/.well-known/openid-configuration\"", issuer.iss());
    let gateway = Gateway::start(setup(&entry("idp", &issuer.iss(), &wrong)).await).await;
    let token = key.token(&issuer.claims());
    gateway.until("it holds no keys", || async { gateway.log().contains("it has no `keys`") }).await;
    assert_eq!(status(&gateway, &token).await, 503);
    let file = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&file).expect("gateway.toml");
    std::fs::write(&file, text.replace(&wrong, "discovery = true")).expect("written");
    gateway.signal("HUP");
    gateway.until("it is read as metadata", || async { status(&gateway, &token).await == 200 }).await;
}

#[tokio::test]
async fn an_issuer_that_is_taken_out_of_the_configuration_opens_nothing_more() {
    let key = key("k");
    let issuer = Issuer::start(Says::Keys(jwks(&[&key]))).await;
    let entry = url("idp", &issuer);
    let gateway = Gateway::start(setup(&entry).await).await;
    let token = key.token(&issuer.claims());
    gateway.until("the keys are there", || async { status(&gateway, &token).await == 200 }).await;
    let file = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&file).expect("gateway.toml");
    std::fs::write(&file, text.replace(&entry, "")).expect("written");
    gateway.signal("HUP");
    gateway.until("it is nobody's", || async { status(&gateway, &token).await == 401 }).await;
}

#[tokio::test]
async fn explain_judges_such_a_token_where_the_keys_are_at_hand_and_says_where_not() {
    let key = key("k");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("filed.json"), jwks(&[&key]).to_string()).expect("written");
    let far = entry("far", "https://far.example", "jwks_url = \"https://far.example/keys\"");
    let near = entry("near", "https://near.example", "jwks_file = \"filed.json\"");
    let gateway = Gateway::start_with_keys(setup(&format!("{near}{far}")).await, folder).await;
    let explained = |token: &str| {
        let output = portcullis_in(gateway.own_folder(), &["explain", "GET", "/items", "--token", token], "");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let near = explained(&key.token(&claims("https://near.example")));
    assert!(near.contains("near:f3a9") && near.contains("items:read"), "{near}");
    let far = explained(&key.token(&claims("https://far.example")));
    assert!(far.contains("not at hand"), "{far}");
    let forged = explained(&Key::new("k", Algorithm::ES256).token(&claims("https://near.example")));
    assert!(forged.contains("signature does not verify"), "{forged}");
}

#[tokio::test]
async fn supabase_keycloak_and_auth0_side_by_side() {
    const SECRET: &str = "kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a";
    let (supabase, keycloak, auth0) = (
        Key::secret("s", Algorithm::HS256, SECRET.as_bytes()),
        Key::new("kc", Algorithm::RS256),
        Key::new("a0", Algorithm::RS256),
    );
    let folder = tempfile::tempdir().expect("a folder");
    for (name, key) in [("keycloak.json", &keycloak), ("auth0.json", &auth0)] {
        std::fs::write(folder.path().join(name), jwks(&[key]).to_string()).expect("written");
    }
    let entries = "[[issuers]]\nname = \"supabase\"\nissuer = \"https://xyz.supabase.co/auth/v1\"\naudience = [\"authenticated\"]\n\
         algorithms = [\"HS256\"]\nsecret = \"${SUPABASE_JWT_SECRET}\"\nclaims = { username = \"email\", roles = \"app_metadata.roles\" }\n\
         roles = { map = { editor = \"user\" } }\n\
         [[issuers]]\nname = \"keycloak\"\nissuer = \"https://kc.example/realms/main\"\naudience = [\"api\"]\nalgorithms = [\"RS256\"]\n\
         jwks_file = \"keycloak.json\"\nclaims = { username = \"preferred_username\", roles = \"realm_access.roles\" }\n\
         scopes = { allow = [\"items\"] }\nroles = { map = { editor = \"user\" } }\n\
         [[issuers]]\nname = \"auth0\"\nissuer = \"https://t.eu.auth0.com/\"\naudience = [\"https://api.example.com\"]\n\
         algorithms = [\"RS256\"]\njwks_file = \"auth0.json\"\nscopes = { allow = [\"read\"], prefix = \"a0:\" }\n\
         claims = { username = \"https://example.com/email\", scopes = \"permissions\", roles = \"https://example.com/roles\" }\n\
         roles = { map = { editor = \"user\" } }\n";
    let gateway = Gateway::start_with_keys(setup(entries).await.env("SUPABASE_JWT_SECRET", SECRET), folder).await;
    let made = |key: &Key, iss: &str, changes: Value| {
        key.token(&with(
            &with(&claims(iss), json!({ "scope": null, "app_metadata": null, "email": null, "tenant": null })),
            changes,
        ))
    };
    let tokens = [
        made(
            &supabase,
            "https://xyz.supabase.co/auth/v1",
            json!({
                "aud": "authenticated", "role": "authenticated", "email": "ann@example.com", "app_metadata": { "roles": ["editor"] },
                "user_metadata": { "roles": ["admin"] },
            }),
        ),
        made(
            &keycloak,
            "https://kc.example/realms/main",
            json!({
                "aud": ["api", "account"], "typ": "Bearer", "azp": "spa", "scope": "openid items:read profile",
                "preferred_username": "ann", "realm_access": { "roles": ["editor", "offline_access"] },
            }),
        ),
        made(
            &auth0,
            "https://t.eu.auth0.com/",
            json!({
                "aud": ["https://api.example.com", "https://t.eu.auth0.com/userinfo"], "permissions": ["read:items", "delete:items"],
                "https://example.com/roles": ["editor"], "https://example.com/email": "ann@example.com",
            }),
        ),
    ];
    let expected = [
        ("supabase:f3a9", "supabase:ann@example.com", Value::Null, 403),
        ("keycloak:f3a9", "keycloak:ann", json!("items:read"), 200),
        ("auth0:f3a9", "auth0:ann@example.com", json!("a0:read:items"), 403),
    ];
    for (token, (subject, username, scopes, items)) in tokens.iter().zip(expected) {
        let seen = gateway.get_as("/users", token).await;
        assert_eq!(seen.status, 200, "{subject}: {}", seen.body);
        let headers = &seen.json()["headers"];
        assert_eq!((&headers["x-auth-subject"], &headers["x-auth-user"]), (&json!(subject), &json!(username)));
        assert_eq!((&headers["x-auth-scopes"], &headers["x-auth-roles"]), (&scopes, &json!("user")));
        assert_eq!(gateway.get_as("/items", token).await.status, items, "{subject}");
        assert_eq!(gateway.get_as("/admins", token).await.status, 403, "{subject}");
    }
    assert!(!gateway.log().contains(SECRET));
}
