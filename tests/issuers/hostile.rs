//! The attacks that RFC 8725 and the records of other gateways tell of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::Algorithm;
use portcullis::config::{IssuerAlgorithm, IssuerKeys};
use portcullis::domain::{Issuer, Timestamp};
use serde_json::{Value, json};

use crate::forge::{Key, jwks, with};
use crate::{ISS, Judge, NOW, OWN, claims, file, issuer, own_token};

const PUBLIC: [IssuerAlgorithm; 2] = [IssuerAlgorithm::Es256, IssuerAlgorithm::Rs256];

fn world() -> (Judge, Key, Key) {
    let (ec, rsa) = (Key::new("ec", Algorithm::ES256), Key::new("rsa", Algorithm::RS256));
    (Judge::of(&[issuer(&PUBLIC, file(&jwks(&[&ec, &rsa])))]), ec, rsa)
}

#[tokio::test]
async fn a_good_token_proves_somebody_of_its_issuer() {
    let (judge, ec, rsa) = world();
    for key in [&ec, &rsa] {
        let accepted = judge.judge(&key.token(&claims())).await.expect("accepted");
        let who = &accepted.principal;
        assert_eq!((&who.issuer, who.subject.as_str()), (&Issuer::External("idp".into()), "f3a9"));
        assert_eq!((who.scopes.to_string().as_str(), who.roles.as_slice()), ("items:read", ["user".to_owned()].as_slice()));
        assert_eq!(who.email.as_deref(), Some("ann@example.com"));
        assert_eq!(who.claims["preferred_username"], "ann");
        // Nothing that could stand for an account or a session of ours.
        assert_eq!((accepted.concern.account, accepted.concern.session, accepted.concern.token), (None, None, None));
        assert_eq!(accepted.expires_at.map(Timestamp::as_secs), Some(NOW + 600));
    }
}

#[tokio::test]
async fn no_algorithm_but_the_keys_own_is_taken() {
    let (judge, ec, rsa) = world();
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid, "typ": "JWT" });
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "ES384", "PS256", "RS512", "EdDSA", "es256", "ES256 "] {
        for kid in ["ec", "rsa"] {
            judge.refuses(alg, &ec.sign(&header(alg, kid), &claims()), "algorithm").await;
        }
    }
    judge.refuses("another key's algorithm", &ec.sign(&header("RS256", "ec"), &claims()), "not its key's").await;
    judge.refuses("another key's name", &rsa.sign(&header("RS256", "ec"), &claims()), "not its key's").await;
    judge.refuses("no alg", &ec.sign(&json!({ "kid": "ec", "typ": "JWT" }), &claims()), "algorithm").await;
    for alg in [json!(["ES256"]), json!(null), json!(256)] {
        judge.refuses("alg of another type", &ec.sign(&json!({ "alg": alg, "kid": "ec", "typ": "JWT" }), &claims()), "alg").await;
    }
    // The public key as an HMAC secret, in the forms in which it is published.
    let jwk = rsa.jwk();
    let modulus = BASE64.decode(jwk["n"].as_str().expect("n")).expect("base64url");
    for secret in [jwk.to_string().into_bytes(), modulus, jwk["n"].as_str().expect("n").as_bytes().to_vec()] {
        let forged = Key::secret("rsa", Algorithm::HS256, &secret);
        judge.refuses("the public key as a secret", &forged.token(&claims()), "algorithm").await;
        judge.refuses("and another name for it", &forged.sign(&rsa.header(), &claims()), "signature").await;
    }
    let good = ec.token(&claims());
    let (message, signature) = good.rsplit_once('.').expect("parts");
    judge.refuses("no signature", &format!("{message}."), "signature").await;
    judge.refuses("two parts", message, "three parts").await;
    judge.refuses("padding", &format!("{good}="), "signature").await;
    let bytes = BASE64.decode(signature).expect("base64url");
    let half = vec![0; 32];
    for forged in [vec![0; 64], [&half, &bytes[32..]].concat(), [&bytes[..32], &half].concat()] {
        judge.refuses("r or s of zero", &format!("{message}.{}", BASE64.encode(forged)), "signature").await;
    }
}

#[tokio::test]
async fn keys_are_those_of_the_issuer_that_the_token_names_and_no_others() {
    let (one, other) = (Key::new("same", Algorithm::ES256), Key::new("same", Algorithm::ES256));
    let second = {
        let mut second = issuer(&PUBLIC, file(&jwks(&[&other])));
        (second.name, second.issuer) = ("second".into(), "https://second.example".into());
        second
    };
    let judge = Judge::of(&[issuer(&PUBLIC, file(&jwks(&[&one]))), second]);
    assert!(judge.judge(&one.token(&claims())).await.is_ok());
    judge.refuses("the other's key, of the same name", &other.token(&claims()), "signature").await;
    let theirs = with(&claims(), json!({ "iss": "https://second.example" }));
    judge.refuses("and the other way round", &one.token(&theirs), "signature").await;
    assert!(judge.judge(&other.token(&theirs)).await.is_ok());
    judge.refuses("a key of nobody's", &Key::new("x", Algorithm::ES256).token(&claims()), "unknown key").await;
    for kid in ["../../etc/passwd", "same' OR 1=1", "", "SAME", "same\u{0}"] {
        let header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" });
        judge.refuses(kid, &one.sign(&header, &claims()), "unknown key").await;
    }
    for kid in [json!(1), json!(["same"]), json!(null), json!({})] {
        judge
            .refuses("no text", &one.sign(&json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }), &claims()), "name its key")
            .await;
    }
    judge.refuses("no kid", &one.sign(&json!({ "alg": "ES256", "typ": "JWT" }), &claims()), "name its key").await;
}

#[tokio::test]
async fn nobody_else_speaks_for_us_and_we_for_nobody_else() {
    let (judge, ec, _) = world();
    let ours = with(
        &claims(),
        json!({ "iss": OWN, "aud": "portcullis", "jti": "01890a5d-ac96-774b-bcce-b302099a8057", "gen": 1,
        "sub": "01890a5d-ac96-774b-bcce-b302099a8057" }),
    );
    let typed = json!({ "alg": "ES256", "kid": "ec", "typ": "at+jwt" });
    judge.refuses("our iss, their key", &ec.sign(&typed, &ours), "unknown key").await;
    assert_eq!(judge.judge(&own_token(&judge, &ours)).await.expect("ours").principal.issuer, Issuer::Own);
    judge.refuses("their iss, our key", &own_token(&judge, &claims()), "unknown key").await;
    for iss in [
        json!([ISS]),
        json!([ISS, OWN]),
        json!({ "iss": ISS }),
        json!(1),
        json!(format!("{ISS}/")),
        json!(ISS.to_uppercase()),
        json!(format!(" {ISS}")),
        json!("https://elsewhere.example"),
    ] {
        judge.refuses("an iss of nobody", &ec.sign(&typed, &with(&claims(), json!({ "iss": iss }))), "another issuer").await;
    }
    judge.refuses("no iss", &ec.token(&with(&claims(), json!({ "iss": null }))), "another issuer").await;
}

#[tokio::test]
async fn headers_that_bring_keys_or_change_what_is_signed_are_refused() {
    let (judge, ec, _) = world();
    for (name, value) in [
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("jwk", Key::new("ec", Algorithm::ES256).jwk()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
    ] {
        judge.refuses(name, &ec.sign(&with(&ec.header(), json!({ name: value })), &claims()), "not accepted").await;
    }
    // A thumbprint names a certificate and brings none: Microsoft's issuers say it of every key.
    let named = with(&ec.header(), json!({ "x5t": "dGh1bWI", "x5t#S256": "dGh1bWI" }));
    assert!(judge.judge(&ec.sign(&named, &claims())).await.is_ok());
}

#[tokio::test]
async fn what_two_readers_could_read_differently_is_refused() {
    let (judge, ec, _) = world();
    let (header, body) = (ec.header().to_string(), claims().to_string());
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    for (header, body) in [
        (twice(&header, r#""alg":"ES256""#), body.clone()),
        (header.clone(), twice(&body, r#""sub":"root""#)),
        (header.clone(), twice(&body, r#""\u0073ub":"root""#)),
        (header.clone(), twice(&body, r#""realm_access":{"roles":["editor"],"roles":[]}"#)),
        (header.clone(), body.replace("\"roles\":[", "\"roles\":[],\"roles\":[")),
        (header.clone(), format!("{body}{{}}")),
        (header.clone(), format!("[{body}]")),
        (header.clone(), format!("{}{}", "[".repeat(100), "]".repeat(100))),
    ] {
        judge.refuses(&body, &ec.sign_text(&header, &body), "can't be read").await;
    }
    let long = with(&claims(), json!({ "x": "a".repeat(16 * 1024) }));
    judge.refuses("too long", &ec.token(&long), "16 KiB").await;
    judge.refuses("dots", &".".repeat(10_000), "three parts").await;
}

#[tokio::test]
async fn times_are_judged_and_a_life_is_bounded() {
    let (judge, ec, _) = world();
    let good = [
        json!({ "exp": NOW + 24 * 3600 }),
        json!({ "exp": NOW - 29 }),
        json!({ "iat": NOW + 30 }),
        json!({ "nbf": NOW + 30 }),
        json!({ "iat": null, "exp": NOW + 24 * 3600 }),
        json!({ "iat": NOW - 3600, "exp": NOW + 60 }),
    ];
    for change in good {
        assert!(judge.judge(&ec.token(&with(&claims(), change.clone()))).await.is_ok(), "{change}");
    }
    for (change, why) in [
        (json!({ "exp": null }), "exp"),
        (json!({ "exp": NOW - 30 }), "expired"),
        (json!({ "exp": (NOW + 600).to_string() }), "exp"),
        (json!({ "exp": 1_795_361_100.5 }), "exp"),
        (json!({ "exp": -1 }), "exp"),
        (json!({ "exp": NOW + 24 * 3600 + 1 }), "longer"),
        (json!({ "iat": null, "exp": NOW + 24 * 3600 + 1 }), "longer"),
        (json!({ "iat": NOW - 24 * 3600, "exp": NOW + 1 }), "longer"),
        (json!({ "exp": i64::MAX }), "longer"),
        (json!({ "iat": NOW + 31 }), "future"),
        (json!({ "iat": "now" }), "iat"),
        (json!({ "nbf": NOW + 31 }), "not valid yet"),
        (json!({ "nbf": "0" }), "nbf"),
    ] {
        judge.refuses(&change.to_string(), &ec.token(&with(&claims(), change.clone())), why).await;
    }
    judge.clock.advance(std::time::Duration::from_secs(631));
    judge.refuses("later", &ec.token(&claims()), "expired").await;
}

#[tokio::test]
async fn it_has_to_be_for_us_and_about_somebody() {
    let (judge, ec, _) = world();
    for aud in [json!("api"), json!("api-2"), json!(["x", "api"]), json!(["api"])] {
        assert!(judge.judge(&ec.token(&with(&claims(), json!({ "aud": aud })))).await.is_ok(), "{aud}");
    }
    for aud in [
        json!(null),
        json!(""),
        json!("portcullis"),
        json!("API"),
        json!("api api"),
        json!([]),
        json!(["x"]),
        json!(["api", 1]),
        json!([["api"]]),
        json!({ "api": 1 }),
    ] {
        judge.refuses("aud", &ec.token(&with(&claims(), json!({ "aud": aud }))), "audience").await;
    }
    for sub in [json!(null), json!(""), json!(7), json!(["f3a9"]), json!("a\nb"), json!("a\u{0}"), json!("a".repeat(513))] {
        judge.refuses("sub", &ec.token(&with(&claims(), json!({ "sub": sub }))), "sub").await;
    }
}

#[tokio::test]
async fn only_access_tokens_are_access_tokens() {
    let (judge, ec, _) = world();
    let typed = |typ: Value| with(&ec.header(), json!({ "typ": typ }));
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"] {
        assert!(judge.judge(&ec.sign(&typed(json!(typ)), &claims())).await.is_ok(), "{typ}");
    }
    for typ in [
        json!(null),
        json!(""),
        json!("refresh+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("at+jwt "),
        json!(["JWT"]),
        json!("application/application/jwt"),
    ] {
        judge.refuses(&typ.to_string(), &ec.sign(&typed(typ.clone()), &claims()), "typ").await;
    }
    for (marks, why) in [
        (json!({ "nonce": "n-0S6_WzA2Mj" }), "ID token"),
        (json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }), "ID token"),
        (json!({ "c_hash": "LDktKdoQak3Pk0cnXxCltA" }), "ID token"),
        (json!({ "s_hash": "x" }), "ID token"),
        (json!({ "typ": "ID" }), "not an access token"),
        (json!({ "typ": "Refresh" }), "not an access token"),
        (json!({ "typ": "Bearer", "at_hash": "x" }), "ID token"),
        (json!({ "typ": "Offline" }), "not an access token"),
        (json!({ "typ": ["Bearer"] }), "not an access token"),
        (json!({ "token_use": "id" }), "not an access token"),
        (json!({ "token_use": "refresh" }), "not an access token"),
        (json!({ "type": "refresh" }), "not an access token"),
        (json!({ "token_type": "refresh" }), "not an access token"),
        (json!({ "token_type": "Refresh_Token" }), "not an access token"),
        (json!({ "token_type": "id_token" }), "not an access token"),
        (json!({ "type": "ID" }), "not an access token"),
        (json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }), "not an access token"),
        (json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }), "bound"),
    ] {
        judge.refuses(&marks.to_string(), &ec.token(&with(&claims(), marks.clone())), why).await;
    }
    // What issuers call their access tokens, or somebody in them, is no mark of another kind.
    for marks in [
        json!({ "typ": "Bearer" }),
        json!({ "typ": "access" }),
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "JWT" }),
        json!({ "token_use": "access" }),
        json!({ "type": "access" }),
        json!({ "token_type": "Bearer" }),
        json!({ "type": "user", "token_type": 1 }),
        json!({ "azp": "api", "sid": "s", "acr": "1", "amr": ["pwd"], "auth_time": NOW, "session_state": "s" }),
    ] {
        assert!(judge.judge(&ec.token(&with(&claims(), marks.clone()))).await.is_ok(), "{marks}");
    }
    // None of these words makes an ID token an access token.
    judge.refuses("a nonce", &ec.token(&with(&claims(), json!({ "typ": "JWT", "nonce": "n" }))), "ID token").await;
    // A nonce in what says that it is an access token: Keycloak before version 25.
    let old_keycloak = with(&claims(), json!({ "typ": "Bearer", "nonce": "n" }));
    assert!(judge.judge(&ec.token(&old_keycloak)).await.is_ok());
    assert!(judge.judge(&ec.sign(&typed(json!("at+jwt")), &with(&claims(), json!({ "nonce": "n" })))).await.is_ok());
}

#[tokio::test]
async fn a_secret_verifies_whatever_name_a_token_gives_it_and_nothing_but_hmac() {
    const SECRET: &str = "kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a";
    let judge = Judge::of(&[issuer(&[IssuerAlgorithm::Hs256], IssuerKeys::Secret(SECRET.into()))]);
    let key = Key::secret("whatever", Algorithm::HS256, SECRET.as_bytes());
    assert!(judge.judge(&key.token(&claims())).await.is_ok());
    assert!(judge.judge(&key.sign(&json!({ "alg": "HS256", "typ": "JWT" }), &claims())).await.is_ok());
    judge.refuses("another secret", &Key::secret("k", Algorithm::HS256, b"x").token(&claims()), "signature").await;
    judge.refuses("another hash", &Key::secret("k", Algorithm::HS512, SECRET.as_bytes()).token(&claims()), "algorithm").await;
    judge.refuses("a key pair", &Key::new("k", Algorithm::ES256).token(&claims()), "algorithm").await;
}

#[tokio::test]
async fn an_issuer_that_goes_from_a_secret_to_key_pairs_has_both_meanwhile_and_neither_stands_for_the_other() {
    const SECRET: &str = "kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a";
    let (legacy, ec) = (Key::secret("k", Algorithm::HS256, SECRET.as_bytes()), Key::new("k", Algorithm::ES256));
    let mut entries =
        [issuer(&[IssuerAlgorithm::Hs256], IssuerKeys::Secret(SECRET.into())), issuer(&PUBLIC, file(&jwks(&[&ec])))];
    for _ in 0..2 {
        let judge = Judge::of(&entries);
        for key in [&legacy, &ec] {
            let who = judge.judge(&key.token(&claims())).await.expect("accepted").principal;
            assert_eq!((&who.issuer, who.subject.as_str()), (&Issuer::External("idp".into()), "f3a9"));
        }
        let published = Key::secret("k", Algorithm::HS256, ec.jwk().to_string().as_bytes());
        judge.refuses("the public key as a secret", &published.token(&claims()), "signature").await;
        judge.refuses("the secret for a key pair", &legacy.sign(&ec.header(), &claims()), "signature").await;
        judge.refuses("neither's", &ec.sign(&json!({ "alg": "none", "kid": "k", "typ": "JWT" }), &claims()), "algorithm").await;
        entries.reverse();
    }
}
