//! Hostile bearer tokens against the scheme that judges them (RFC 8725).

#![expect(clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use portcullis::config::{Algorithm, Tokens};
use portcullis::credential::{ACCESS_TOKEN, Accepted, AccessClaims, BearerScheme, KeyRing, Outcome, Presented, Scheme};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{CredentialKind, Issuer, SessionId, SystemEntropy, Timestamp, TokenId, UserId};
use portcullis::problem::Refusal;
use serde_json::{Value, json};

const NOW: i64 = 1_795_360_500;
const SECRET: &str = "nobody will ever guess this one: 0123456789";
const ISSUER: &str = "https://gateway.example";
const AUDIENCE: &str = "portcullis";
const LEEWAY: u64 = 30;
const LIFETIME: u64 = 900;

struct World {
    scheme: BearerScheme,
    keys: Arc<KeyRing>,
    clock: Arc<ManualClock>,
    /// For ES256: where the keys are.
    folder: tempfile::TempDir,
}

fn settings(algorithm: Algorithm, folder: &Path) -> Tokens {
    Tokens {
        algorithm,
        keys: folder.join("keys"),
        secret: Some(SECRET.into()),
        activate_after: Duration::from_mins(1),
        audience: AUDIENCE.into(),
        access_ttl: Duration::from_secs(LIFETIME),
        refresh_ttl: Duration::from_hours(24),
        refresh_grace: Duration::from_secs(10),
        leeway: Duration::from_secs(LEEWAY),
    }
}

fn world(algorithm: Algorithm) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(algorithm, folder.path());
    if algorithm != Algorithm::Hs256 {
        KeyRing::create(algorithm, &settings.keys, Timestamp::from_secs(NOW - 3600)).expect("a key");
    }
    let keys = Arc::new(KeyRing::load(&settings).expect("keys"));
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
    let scheme =
        BearerScheme::new(keys.clone(), ISSUER.into(), AUDIENCE.into(), settings.leeway, settings.access_ttl, clock.clone())
            .remembering();
    World { scheme, keys, clock, folder }
}

fn claims() -> AccessClaims {
    let at = Timestamp::from_secs(NOW);
    AccessClaims {
        iss: ISSUER.into(),
        aud: AUDIENCE.into(),
        sub: UserId::generate(at, &SystemEntropy),
        exp: NOW + 600,
        iat: NOW,
        jti: TokenId::generate(at, &SystemEntropy),
        sid: Some(SessionId::generate(at, &SystemEntropy)),
        client_id: "portcullis".into(),
        scope: "items:read orders".parse().expect("scopes"),
        roles: vec!["viewer".into()],
        r#gen: 3,
        preferred_username: Some("ann".into()),
        name: Some("Ann Example".into()),
        email: Some("ann@example.com".into()),
        email_verified: Some(true),
        attributes: json!({ "tenant": "north" }).as_object().cloned(),
        auth_time: Some(NOW),
        amr: vec!["pwd".into()],
    }
}

fn part(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The header of an honest HS256 token.
fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "HS256", "kid": "hs256" })
}

/// A token of ours by signature, whatever its header and claims are: what somebody with the secret, or a fault of ours, could make.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_with(SECRET.as_bytes(), header, claims)
}

fn signed_with(secret: &[u8], header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", part(signature))
}

/// An honest token with one claim replaced, or removed by `None`.
fn with_claim(name: &str, value: Option<Value>) -> String {
    let mut claims = serde_json::to_value(claims()).expect("claims");
    let members = claims.as_object_mut().expect("an object");
    match value {
        Some(value) => members.insert(name.into(), value),
        None => members.remove(name),
    };
    signed(header().to_string(), claims.to_string())
}

async fn present(world: &World, token: &str) -> Outcome {
    let value = format!("Bearer {token}");
    world.scheme.authenticate(&Presented { authorization: vec![value.as_bytes()], ..Presented::default() }).await
}

async fn accept(world: &World, token: &str) -> Accepted {
    match present(world, token).await {
        Outcome::Accepted(accepted) => accepted,
        other => panic!("{token} gave {other:?}"),
    }
}

/// Why the token is refused; it must be.
async fn refuse(world: &World, token: &str) -> &'static str {
    match present(world, token).await {
        Outcome::Rejected(Refusal::InvalidToken(why)) => why,
        other => panic!("{token} gave {other:?}"),
    }
}

#[tokio::test]
async fn a_token_of_ours_proves_what_it_says() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
        let world = world(algorithm);
        let claims = claims();
        let token = world.keys.sign(ACCESS_TOKEN, &claims, Timestamp::from_secs(NOW)).expect("signed");
        let Accepted { principal, concern, expires_at, rate_limit: _ } = accept(&world, &token).await;
        let principal = Arc::unwrap_or_clone(principal);
        assert_eq!((principal.issuer, principal.subject), (Issuer::Own, claims.sub.to_string()));
        assert_eq!(principal.username.as_deref(), Some("ann"));
        assert_eq!(principal.full_name.as_deref(), Some("Ann Example"));
        assert_eq!(principal.email.as_deref(), Some("ann@example.com"));
        assert_eq!((principal.roles, principal.scopes), (claims.roles.clone(), claims.scope.clone()));
        assert_eq!((principal.method, principal.session, principal.key), (CredentialKind::Bearer, claims.sid, None));
        assert_eq!(principal.attributes.get("tenant"), Some(&json!("north")));
        assert_eq!(Value::Object(principal.claims), serde_json::to_value(&claims).expect("claims"));
        assert_eq!((concern.token, concern.session), (Some(claims.jti), claims.sid));
        assert_eq!((concern.account, concern.key), (Some((claims.sub, 3)), None));
        assert_eq!(expires_at, Some(Timestamp::from_secs(claims.exp)));
    }
}

#[tokio::test]
async fn a_token_that_was_seen_is_judged_as_one_that_was_not() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
        let world = world(algorithm);
        let sign = |claims: &AccessClaims| world.keys.sign(ACCESS_TOKEN, claims, Timestamp::from_secs(NOW)).expect("signed");
        let token = sign(&claims());
        let (first, again) = (accept(&world, &token).await, accept(&world, &token).await);
        assert!(Arc::ptr_eq(&first.principal, &again.principal), "its signature is checked once");
        assert_eq!((&first.concern, first.expires_at), (&again.concern, again.expires_at));

        let (body, signature) = token.rsplit_once('.').expect("three parts");
        let other = sign(&AccessClaims { scope: "*".parse().expect("scopes"), ..claims() });
        let other = other.rsplit_once('.').expect("three parts").0;
        for forged in [format!("{other}.{signature}"), format!("{body}."), format!("{token}A"), format!("{token}=")] {
            refuse(&world, &forged).await;
        }
        world.scheme.retire();
        let fresh = accept(&world, &token).await;
        assert!(!Arc::ptr_eq(&first.principal, &fresh.principal), "who serves nobody new keeps nothing");
        world.clock.advance(Duration::from_hours(24));
        assert!(refuse(&world, &token).await.contains("expired"));
    }
}

#[tokio::test]
async fn another_library_reads_our_tokens_by_our_published_keys() {
    let world = world(Algorithm::Es256);
    let token = world.keys.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(world.keys.jwks()).expect("a JWK Set");
    let header = jsonwebtoken::decode_header(&token).expect("a header");
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let jwk = set.find(header.kid.as_deref().expect("a kid")).expect("the key");
    assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).expect("a thumbprint"), header.kid.expect("a kid"));
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    // Its clock is not ours.
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a key");
    let read = jsonwebtoken::decode::<AccessClaims>(&token, &key, &validation).expect("verified");
    assert_eq!(read.claims.preferred_username.as_deref(), Some("ann"));
}

#[tokio::test]
async fn an_address_that_nobody_vouched_for_is_not_told_on() {
    let world = world(Algorithm::Hs256);
    for verified in [Some(json!(false)), None] {
        assert_eq!(accept(&world, &with_claim("email_verified", verified)).await.principal.email, None);
    }
}

#[tokio::test]
async fn headers_that_name_other_rules_or_keys_are_refused() {
    let world = world(Algorithm::Hs256);
    let claims = serde_json::to_string(&claims()).expect("claims");
    accept(&world, &signed(header().to_string(), &claims)).await;
    accept(&world, &signed(r#"{"kid":"hs256","alg":"HS256","typ":"application/AT+JWT","note":1}"#, &claims)).await;
    let cases: Vec<(&str, Value, &str)> = vec![
        ("alg", json!("none"), "algorithm"),
        ("alg", json!("None"), "algorithm"),
        ("alg", json!("NONE"), "algorithm"),
        ("alg", json!("nOnE"), "algorithm"),
        ("alg", json!(""), "algorithm"),
        ("alg", json!("hs256"), "algorithm"),
        ("alg", json!("HS256 "), "algorithm"),
        ("alg", json!("HS384"), "algorithm"),
        ("alg", json!("HS512"), "algorithm"),
        ("alg", json!("ES256"), "algorithm"),
        ("alg", json!("RS256"), "algorithm"),
        ("alg", json!("PS256"), "algorithm"),
        ("alg", json!("EdDSA"), "algorithm"),
        ("alg", json!(null), "algorithm"),
        ("alg", json!(["HS256"]), "algorithm"),
        ("typ", json!("JWT"), "typ"),
        ("typ", json!("jwt"), "typ"),
        ("typ", json!("logout+jwt"), "typ"),
        ("typ", json!("at+jwt "), "typ"),
        ("typ", json!("application/application/at+jwt"), "typ"),
        ("typ", json!(null), "typ"),
        ("typ", json!(["at+jwt"]), "typ"),
        ("kid", json!("HS256"), "unknown key"),
        ("kid", json!(""), "unknown key"),
        ("kid", json!("../../../../dev/null"), "unknown key"),
        ("kid", json!("hs256' OR '1'='1"), "unknown key"),
        ("kid", json!("hs256\u{0}"), "unknown key"),
        ("kid", json!(null), "name its key"),
        ("kid", json!(["hs256"]), "name its key"),
        ("kid", json!(0), "name its key"),
        ("jku", json!("http://127.0.0.1:9/jwks.json"), "parameter"),
        ("x5u", json!("http://127.0.0.1:9/cert.pem"), "parameter"),
        ("x5c", json!(["MIIB"]), "parameter"),
        ("x5t", json!("AAAA"), "parameter"),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" }), "parameter"),
        ("jwk", json!(null), "parameter"),
        ("crit", json!(["b64"]), "parameter"),
        ("crit", json!(["exp"]), "parameter"),
        ("crit", json!([]), "parameter"),
        ("crit", json!(null), "parameter"),
        ("b64", json!(false), "parameter"),
        ("b64", json!(true), "parameter"),
        ("zip", json!("DEF"), "parameter"),
    ];
    for (name, value, cause) in cases {
        let mut changed = header();
        changed[name] = value;
        let why = refuse(&world, &signed(changed.to_string(), &claims)).await;
        assert!(why.contains(cause), "{changed}: {why}");
    }
    for name in ["alg", "typ", "kid"] {
        let mut changed = header();
        changed.as_object_mut().expect("an object").remove(name);
        refuse(&world, &signed(changed.to_string(), &claims)).await;
    }
}

#[tokio::test]
async fn json_that_two_readers_read_differently_is_refused() {
    let world = world(Algorithm::Hs256);
    let good = serde_json::to_string(&claims()).expect("claims");
    let body = good.trim_start_matches('{');
    for header in [
        r#"{"alg":"none","alg":"HS256","typ":"at+jwt","kid":"hs256"}"#,
        r#"{"alg":"HS256","alg":"HS256","typ":"at+jwt","kid":"hs256"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"hs256","\u006bid":"hs256"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"hs256","a":{"b":1,"b":2}}"#,
        r#"["HS256"]"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"hs256"} {}"#,
        "null",
        "",
    ] {
        assert!(refuse(&world, &signed(header, &good)).await.contains("header"), "{header}");
    }
    let deep = format!(r#"{{"deep":{}{},{body}"#, "[".repeat(4000), "]".repeat(4000));
    for claims in [
        format!(r#"{{"sub":"x",{body}"#),
        format!(r#"{{"\u0073ub":"x",{body}"#),
        format!(r#"{{"tenant":1,"tenant":1,{body}"#),
        format!(r#"{{"nested":{{"a":1,"a":2}},{body}"#),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        "null".into(),
        String::new(),
        deep,
    ] {
        assert!(refuse(&world, &signed(header().to_string(), &claims)).await.contains("claims"), "{claims}");
    }
    let latin = [good.trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat();
    refuse(&world, &signed(header().to_string(), latin)).await;
}

#[tokio::test]
async fn claims_of_wrong_value_or_type_are_refused() {
    let world = world(Algorithm::Hs256);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    accept(&world, &with_claim("aud", Some(json!(["other", AUDIENCE])))).await;
    accept(&world, &with_claim("sid", None)).await;
    accept(&world, &with_claim("sub", Some(json!(id)))).await;
    let absent: Vec<(&str, Option<Value>, &str)> =
        ["iss", "aud", "exp", "iat", "sub", "jti", "gen"].into_iter().map(|name| (name, None, "")).collect();
    let present = [
        ("iss", json!("https://gateway.example/"), "issuer"),
        ("iss", json!("https://GATEWAY.example"), "issuer"),
        ("iss", json!([ISSUER]), "issuer"),
        ("iss", json!(null), "issuer"),
        ("aud", json!("other"), "audience"),
        ("aud", json!([]), "audience"),
        ("aud", json!(["other"]), "audience"),
        ("aud", json!([AUDIENCE, 1]), "audience"),
        ("aud", json!([[AUDIENCE]]), "audience"),
        ("aud", json!({ "aud": AUDIENCE }), "audience"),
        ("aud", json!(null), "audience"),
        ("exp", json!((NOW + 600).to_string()), "exp"),
        ("exp", json!(1_795_361_100.5), "exp"),
        ("exp", json!(1_795_361_100.0), "exp"),
        ("exp", json!(-1), "exp"),
        ("exp", json!(-NOW), "exp"),
        ("exp", json!(null), "exp"),
        ("exp", json!(true), "exp"),
        ("exp", json!([NOW + 600]), "exp"),
        ("exp", json!(0), "expired"),
        ("exp", json!(u64::MAX), "exp"),
        ("exp", json!(i64::MAX), "longer"),
        ("exp", json!(253_402_300_799_i64), "longer"),
        ("exp", json!(NOW + 901), "longer"),
        ("iat", json!(NOW.to_string()), "iat"),
        ("iat", json!(1_795_360_500.0), "iat"),
        ("iat", json!(null), "iat"),
        ("iat", json!(-1), "iat"),
        ("iat", json!(0), "longer"),
        ("iat", json!(NOW + 31), "future"),
        ("nbf", json!(NOW + 31), "not valid yet"),
        ("nbf", json!(i64::MAX), "not valid yet"),
        ("nbf", json!("0"), "nbf"),
        ("nbf", json!(0.5), "nbf"),
        ("nbf", json!(null), "nbf"),
        ("nbf", json!(u64::MAX), "nbf"),
        ("sub", json!("ann"), "sub"),
        ("sub", json!(""), "sub"),
        ("sub", json!(id.to_uppercase()), "sub"),
        ("sub", json!(id.replace('-', "")), "sub"),
        ("sub", json!(format!("{{{id}}}")), "sub"),
        ("sub", json!(format!("urn:uuid:{id}")), "sub"),
        ("sub", json!(null), "sub"),
        ("sub", json!([id]), "sub"),
        ("jti", json!(id.to_uppercase()), "jti"),
        ("jti", json!(null), "jti"),
        ("sid", json!(id.to_uppercase()), "sid"),
        ("sid", json!(null), "sid"),
        ("sid", json!(""), "sid"),
        ("gen", json!("3"), "gen"),
        ("gen", json!(3.0), "gen"),
        ("gen", json!(-1), "gen"),
        ("gen", json!(u64::MAX), "gen"),
        ("gen", json!(null), "gen"),
        ("scope", json!(["items"]), "type"),
        ("scope", json!("items::read"), "type"),
        ("scope", json!("items\u{0}"), "type"),
        ("scope", json!(null), "type"),
        ("roles", json!("admin"), "type"),
        ("roles", json!([1]), "type"),
        ("roles", json!({ "admin": true }), "type"),
        ("preferred_username", json!(["ann"]), "type"),
        ("email_verified", json!("true"), "type"),
        ("attributes", json!([]), "type"),
    ];
    for (name, value, cause) in absent.into_iter().chain(present.map(|(name, value, cause)| (name, Some(value), cause))) {
        let why = refuse(&world, &with_claim(name, value.clone())).await;
        assert!(why.contains(cause), "{name} {value:?}: {why}");
    }
    // Numbers that other readers round or wrap.
    let text = serde_json::to_string(&claims()).expect("claims");
    for exp in ["1e10", "1.7954e9", "99999999999999999999999", "1795360501.0", "1e999"] {
        let changed = text.replace(&format!("\"exp\":{}", NOW + 600), &format!("\"exp\":{exp}"));
        assert_ne!(changed, text);
        refuse(&world, &signed(header().to_string(), changed)).await;
    }
}

#[tokio::test]
async fn time_is_judged_to_the_second_on_our_own_clock() {
    let world = world(Algorithm::Hs256);
    let token = signed(header().to_string(), serde_json::to_string(&claims()).expect("claims"));
    accept(&world, &with_claim("iat", Some(json!(NOW + 30)))).await;
    accept(&world, &with_claim("nbf", Some(json!(NOW + 30)))).await;
    accept(&world, &with_claim("exp", Some(json!(NOW + 900)))).await;
    world.clock.advance(Duration::from_millis(629_999));
    accept(&world, &token).await;
    world.clock.advance(Duration::from_millis(1));
    assert!(refuse(&world, &token).await.contains("expired"));
}

#[tokio::test]
async fn only_three_parts_in_canonical_base64url_are_read() {
    let world = world(Algorithm::Hs256);
    let good = signed(header().to_string(), serde_json::to_string(&claims()).expect("claims"));
    accept(&world, &good).await;
    let [head, body, tail] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let stretched = |text: &str| {
        // The last character with bits set that the bytes do not need.
        let last = text.bytes().last().expect("not empty");
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet.iter().position(|&c| c == last).expect("base64url");
        format!("{}{}", text.get(..text.len() - 1).expect("ASCII"), char::from(alphabet[place | 1]))
    };
    assert!(stretched(tail) != tail && stretched(head) != head);
    for token in [
        String::new() + head,
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!(".{body}.{tail}"),
        format!("{head}..{tail}"),
        "..".into(),
        "...".into(),
        format!("{good}."),
        format!("{good}.{tail}"),
        format!(".{good}"),
        format!("{head}.{body}.{tail}="),
        format!("{head}.{body}.{}", stretched(tail)),
        format!("{head}.{body}.{}", tail.get(..tail.len() - 1).expect("ASCII")),
        format!("{head}.{body}.{tail}AAAA"),
        format!("{head}.{body}.{}", STANDARD.encode(URL_SAFE_NO_PAD.decode(tail).expect("a signature"))),
        format!("{head}.{body}.{}", URL_SAFE.encode(URL_SAFE_NO_PAD.decode(tail).expect("a signature"))),
        ".".repeat(15_000),
        "A".repeat(15_000),
        format!("{head}.{body}.{}", "A".repeat(15_000)),
    ] {
        refuse(&world, &token).await;
    }
    // Signed over the odd spelling itself, so that only its form speaks against it.
    let resigned = |head: &str, body: &str| {
        let message = format!("{head}.{body}");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
        format!("{message}.{}", part(signature))
    };
    accept(&world, &resigned(head, body)).await;
    let padded = |text: &str| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    for (head, body) in
        [(padded(head), body.to_owned()), (stretched(head), body.to_owned()), (head.to_owned(), format!("{body}="))]
    {
        let token = resigned(&head, &body);
        assert!(world.scheme.verify(&token).is_err(), "{token}");
    }
}

#[tokio::test]
async fn no_single_character_of_a_token_can_be_changed_dropped_or_doubled() {
    for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let world = world(algorithm);
        let good = world.keys.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
        world.scheme.verify(&good).expect("verified");
        for place in 0..good.len() {
            let (before, rest) = good.split_at(place);
            let (one, after) = rest.split_at(1);
            let other = if one == "A" { "B" } else { "A" };
            for changed in [format!("{before}{other}{after}"), format!("{before}{after}"), format!("{before}{one}{one}{after}")] {
                assert!(changed == good || world.scheme.verify(&changed).is_err(), "{changed}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_over_16_kib_is_refused_unread() {
    let world = world(Algorithm::Hs256);
    let sized = |length: usize| with_claim("attributes", Some(json!({ "pad": "x".repeat(length) })));
    let (small, large) = (sized(11_000), sized(12_500));
    assert!(small.len() < 16_384 && large.len() > 16_384);
    accept(&world, &small).await;
    assert!(refuse(&world, &large).await.contains("16 KiB"));
}

#[tokio::test]
async fn signatures_that_are_not_ours_are_refused() {
    let world = world(Algorithm::Es256);
    let good = world.keys.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
    accept(&world, &good).await;
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let raw = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    assert_eq!(raw.len(), 64);
    let (r, s) = raw.split_at(32);
    let der = |number: &[u8]| [&[2, 33, 0][..], number].concat();
    let der = [&[0x30, 70][..], &der(r), &der(s)].concat();
    let zero = [0; 32];
    // The order of P-256: r and s must be less (FIPS 186-5 §6.4.2).
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
        0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let flipped = |place: usize| {
        let mut bytes = raw.clone();
        bytes[place] ^= 1;
        bytes
    };
    for bytes in [
        vec![],
        vec![0; 64],
        [&zero[..], s].concat(),
        [r, &zero[..]].concat(),
        [&order[..], s].concat(),
        [r, &order[..]].concat(),
        [&order[..], &zero[..]].concat(),
        [s, r].concat(),
        der,
        raw[..63].to_vec(),
        [&raw[..], &[0]].concat(),
        [&[0], &raw[..]].concat(),
        flipped(0),
        flipped(31),
        flipped(63),
    ] {
        let why = refuse(&world, &format!("{message}.{}", part(&bytes))).await;
        assert!(why.contains("signature"), "{bytes:02x?}: {why}");
    }
    // Another token's signature, and another gateway's key under our key's name.
    let other = world.keys.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
    refuse(&world, &format!("{message}.{}", other.rsplit_once('.').expect("parts").1)).await;
    let stranger = self::world(Algorithm::Es256);
    let theirs = stranger.keys.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
    assert!(refuse(&world, &theirs).await.contains("unknown key"));
    let head = good.split_once('.').expect("parts").0;
    let (_, rest) = theirs.split_once('.').expect("parts");
    assert!(refuse(&world, &format!("{head}.{rest}")).await.contains("signature"));
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    let world = world(Algorithm::Es256);
    let jwks = world.keys.jwks();
    let key = &jwks["keys"][0];
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect("text")).expect("base64url");
    let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
    let spki = [
        &[0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d]
            [..],
        &[0x03, 0x01, 0x07, 0x03, 0x42, 0x00],
        &point,
    ]
    .concat();
    let lines = STANDARD.encode(&spki).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n").collect::<String>();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{lines}-----END PUBLIC KEY-----\n");
    let claims = serde_json::to_string(&claims()).expect("claims");
    for secret in [&point[..], &spki, pem.as_bytes(), pem.trim_end().as_bytes(), key.to_string().as_bytes(), b""] {
        for alg in ["HS256", "ES256"] {
            let header = json!({ "typ": "at+jwt", "alg": alg, "kid": key["kid"] });
            refuse(&world, &signed_with(secret, header.to_string(), &claims)).await;
        }
    }
    assert_eq!(self::world(Algorithm::Hs256).keys.jwks(), json!({ "keys": [] }));
}

#[tokio::test]
async fn every_key_verifies_and_only_one_that_is_known_everywhere_signs() {
    let World { folder, .. } = world(Algorithm::Es256);
    let settings = settings(Algorithm::Es256, folder.path());
    let first = kid(&KeyRing::load(&settings).expect("keys"), NOW);
    KeyRing::create(Algorithm::Es256, &settings.keys, Timestamp::from_secs(NOW)).expect("a second key");
    let ring = KeyRing::load(&settings).expect("keys");
    assert_eq!(ring.jwks()["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(kid(&ring, NOW + 59), first);
    let second = kid(&ring, NOW + 60);
    assert_ne!(second, first);
    let tokens = [NOW, NOW + 60].map(|at| ring.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(at)).expect("signed"));
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
    let scheme =
        BearerScheme::new(Arc::new(ring), ISSUER.into(), AUDIENCE.into(), Duration::ZERO, Duration::from_secs(LIFETIME), clock);
    for token in tokens {
        scheme.verify(&token).expect("verified");
    }
    // While all are new, the oldest signs: it is the one that most replicas have.
    let fresh = tempfile::tempdir().expect("a folder");
    let settings = self::settings(Algorithm::Es256, fresh.path());
    KeyRing::create(Algorithm::Es256, &settings.keys, Timestamp::from_secs(NOW)).expect("a key");
    let oldest = kid(&KeyRing::load(&settings).expect("keys"), NOW);
    KeyRing::create(Algorithm::Es256, &settings.keys, Timestamp::from_secs(NOW + 1)).expect("a key");
    assert_eq!(kid(&KeyRing::load(&settings).expect("keys"), NOW + 2), oldest);
}

fn kid(ring: &KeyRing, at: i64) -> String {
    let token = ring.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(at)).expect("signed");
    jsonwebtoken::decode_header(&token).expect("a header").kid.expect("a kid")
}

#[tokio::test]
async fn what_is_not_one_bearer_token_is_a_malformed_request() {
    let world = world(Algorithm::Hs256);
    for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b"] {
        let presented = Presented { authorization: vec![value.as_bytes()], ..Presented::default() };
        let outcome = world.scheme.authenticate(&presented).await;
        assert!(matches!(outcome, Outcome::Rejected(Refusal::InvalidRequest(_))), "{value:?}: {outcome:?}");
    }
    for token in ["ptr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ptc_x", "null", "undefined"] {
        refuse(&world, token).await;
    }
}
