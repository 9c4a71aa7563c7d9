//! Which keys of a set are taken, and for what.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::Algorithm;
use portcullis::config::IssuerAlgorithm;
use portcullis::credential::Issuers;
use portcullis::domain::{Clock, SystemClock};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use crate::forge::{Key, jwks, with};
use crate::{Judge, claims, file, issuer};

const ALL: [(Algorithm, IssuerAlgorithm); 9] = [
    (Algorithm::ES256, IssuerAlgorithm::Es256),
    (Algorithm::ES384, IssuerAlgorithm::Es384),
    (Algorithm::EdDSA, IssuerAlgorithm::EdDsa),
    (Algorithm::RS256, IssuerAlgorithm::Rs256),
    (Algorithm::RS384, IssuerAlgorithm::Rs384),
    (Algorithm::RS512, IssuerAlgorithm::Rs512),
    (Algorithm::PS256, IssuerAlgorithm::Ps256),
    (Algorithm::PS384, IssuerAlgorithm::Ps384),
    (Algorithm::PS512, IssuerAlgorithm::Ps512),
];

fn without_alg(key: &Key) -> Value {
    with(&key.jwk(), json!({ "alg": null }))
}

#[tokio::test]
async fn every_algorithm_of_public_keys_is_verified_by_a_key_of_its_kind_and_by_no_other() {
    let rsa = Key::new("rsa", Algorithm::RS256);
    let keys = [Key::new("p256", Algorithm::ES256), Key::new("p384", Algorithm::ES384), Key::new("ed", Algorithm::EdDSA)];
    let set: Vec<Value> = keys.iter().chain([&rsa]).map(without_alg).collect();
    let listed: Vec<IssuerAlgorithm> = ALL.iter().map(|(_, ours)| *ours).collect();
    let judge = Judge::of(&[issuer(&listed, file(&json!({ "keys": set })))]);
    for (algorithm, _) in ALL {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are of RSA")]
        let own = match algorithm {
            Algorithm::ES256 => keys[0].also("p256", algorithm),
            Algorithm::ES384 => keys[1].also("p384", algorithm),
            Algorithm::EdDSA => keys[2].also("ed", algorithm),
            _ => rsa.also("rsa", algorithm),
        };
        assert!(judge.judge(&own.token(&claims())).await.is_ok(), "{algorithm:?}");
        for name in ["p256", "p384", "ed", "rsa"].into_iter().filter(|name| *name != own.kid) {
            judge.refuses(name, &own.also(name, algorithm).token(&claims()), "not its key's").await;
        }
    }
}

#[tokio::test]
async fn a_key_is_for_what_it_says_that_it_is_for() {
    let rsa = Key::new("rsa", Algorithm::RS256);
    let listed = [IssuerAlgorithm::Rs256, IssuerAlgorithm::Ps256];
    let judge = Judge::of(&[issuer(&listed, file(&json!({ "keys": [rsa.jwk()] })))]);
    assert!(judge.judge(&rsa.token(&claims())).await.is_ok());
    judge.refuses("PS256 by a key for RS256", &rsa.also("rsa", Algorithm::PS256).token(&claims()), "not its key's").await;

    let good = Key::new("good", Algorithm::RS256);
    for change in [
        json!({ "use": "enc" }),
        json!({ "use": null, "key_ops": ["encrypt"] }),
        json!({ "d": "AQAB" }),
        json!({ "p": "AQAB" }),
        json!({ "crv": 1, "kty": "XX" }),
    ] {
        let judge = Judge::of(&[issuer(&listed, file(&json!({ "keys": [with(&rsa.jwk(), change.clone()), good.jwk()] })))]);
        judge.refuses(&change.to_string(), &rsa.token(&claims()), "unknown key").await;
        assert!(judge.judge(&good.token(&claims())).await.is_ok(), "others go on: {change}");
    }
}

#[tokio::test]
async fn a_point_that_is_not_on_its_curve_is_no_key() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384] {
        let (key, good) = (Key::new("k", algorithm), Key::new("good", algorithm));
        let mut y = BASE64.decode(key.jwk()["y"].as_str().expect("y")).expect("base64url");
        *y.last_mut().expect("a byte") ^= 1;
        let off = with(&key.jwk(), json!({ "y": BASE64.encode(y) }));
        let rules = issuer(&[IssuerAlgorithm::Es256, IssuerAlgorithm::Es384], file(&json!({ "keys": [off, good.jwk()] })));
        let judge = Judge::of(&[rules]);
        judge.refuses("off its curve", &key.token(&claims()), "unknown key").await;
        assert!(judge.judge(&good.token(&claims())).await.is_ok());
    }
}

#[tokio::test]
async fn two_keys_of_one_name_are_told_apart_by_their_kind() {
    let (ec, rsa) = (Key::new("k", Algorithm::ES256), Key::new("k", Algorithm::RS256));
    let judge = Judge::of(&[issuer(&[IssuerAlgorithm::Es256, IssuerAlgorithm::Rs256], file(&jwks(&[&rsa, &ec])))]);
    for key in [&ec, &rsa] {
        assert!(judge.judge(&key.token(&claims())).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_without_a_kid_is_of_the_one_key_that_has_none_either() {
    let key = Key::new("k", Algorithm::ES256);
    let nameless = json!({ "alg": "ES256", "typ": "JWT" });
    let bare = with(&key.jwk(), json!({ "kid": null }));
    let judge = Judge::of(&[issuer(&[IssuerAlgorithm::Es256], file(&json!({ "keys": [bare] })))]);
    assert!(judge.judge(&key.sign(&nameless, &claims())).await.is_ok());
    judge.refuses("a name that no key has", &key.token(&claims()), "unknown key").await;
    for keys in [json!([key.jwk()]), json!([bare, bare])] {
        let judge = Judge::of(&[issuer(&[IssuerAlgorithm::Es256], file(&json!({ "keys": keys })))]);
        judge.refuses("which key?", &key.sign(&nameless, &claims()), "name its key").await;
    }
}

#[test]
fn a_set_without_a_key_that_verifies_is_an_error() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    // 1024 bits, by OpenSSL.
    let short = json!({ "kty": "RSA", "e": "AQAB", "kid": "s", "n": "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nM" });
    for (text, why) in [
        ("not JSON".to_owned(), "no JSON object"),
        ("[]".to_owned(), "no JSON object"),
        ("{}".to_owned(), "no `keys`"),
        (json!({ "keys": [] }).to_string(), "no public key"),
        (json!({ "keys": {} }).to_string(), "no `keys`"),
        (json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "s" }] }).to_string(), "\"s\": it is a private key or a secret"),
        (json!({ "keys": [short] }).to_string(), "\"s\": it is an RSA key of less than 2048 bits"),
        (json!({ "keys": [{ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }] }).to_string(), "a kind that is not known"),
        (json!({ "keys": vec![json!(1); 101] }).to_string(), "no public key"),
        (format!("{{\"keys\":[],\"keys\":[{}]}}", Key::new("k", Algorithm::ES256).jwk()), "names a member twice"),
    ] {
        let keys = portcullis::config::IssuerKeys::File {
            path: "jwks.json".into(),
            text: text.clone(),
            place: ("gateway.toml".into(), 1, 1),
        };
        let all = [Arc::new(issuer(&[IssuerAlgorithm::Es256], keys))];
        let error = Issuers::at_hand(&all, Duration::ZERO, &clock).expect_err(&text).to_string();
        assert!(error.starts_with("`issuers.jwks_file`: jwks.json ") && error.contains(why), "{text}: {error}");
    }
}
