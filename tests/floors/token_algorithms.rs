//! Tokens of every algorithm against a gateway that has keys of all of them (RFC 8725 §3.1).

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use portcullis::config::{Algorithm, Tokens};
use portcullis::credential::{ACCESS_TOKEN, BearerScheme, KeyRing};
use portcullis::domain::Timestamp;
use portcullis::domain::clock::ManualClock;
use serde_json::{Value, json};

const NOW: i64 = 1_795_360_500;
const ISSUER: &str = "https://gateway.example";
const SECRET: &str = "nobody will ever guess this one: 0123456789";
const OWN: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
const ALGS: [&str; 20] = [
    "none", "None", "", "HS256", "HS384", "HS512", "ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "RS256",
    "RS384", "RS512", "PS256", "PS384", "PS512", "RSA-OAEP",
];

fn settings(algorithm: Algorithm, folder: &Path) -> Tokens {
    Tokens {
        algorithm,
        keys: folder.to_owned(),
        secret: Some(SECRET.into()),
        activate_after: Duration::from_mins(1),
        audience: "portcullis".into(),
        access_ttl: Duration::from_mins(15),
        refresh_ttl: Duration::from_hours(24),
        refresh_grace: Duration::from_secs(10),
        leeway: Duration::from_secs(30),
    }
}

/// A gateway with one active key of each kind in files and a secret.
struct World {
    scheme: BearerScheme,
    ring: Arc<KeyRing>,
    /// The PKCS#8 of each of [`OWN`], and its JWK.
    keys: Vec<(Algorithm, Vec<u8>, Value)>,
    folder: tempfile::TempDir,
}

fn scheme(ring: &Arc<KeyRing>) -> BearerScheme {
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
    BearerScheme::new(ring.clone(), ISSUER.into(), "portcullis".into(), Duration::ZERO, Duration::from_mins(15), clock)
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (age, algorithm) in OWN.into_iter().enumerate() {
        let made = Timestamp::from_secs(NOW - 3600 + i64::try_from(age).expect("small"));
        files.push(KeyRing::create(algorithm, folder.path(), made).expect("a key"));
    }
    let ring = Arc::new(KeyRing::load(&settings(Algorithm::Hs256, folder.path())).expect("keys"));
    let jwks = ring.jwks();
    let jwks = jwks["keys"].as_array().expect("keys");
    let keys = OWN.into_iter().zip(files).zip(jwks).map(|((algorithm, file), jwk)| {
        let text = std::fs::read(file).expect("a key file");
        (algorithm, pem::parse(text).expect("PEM").into_contents(), jwk.clone())
    });
    World { scheme: scheme(&ring), keys: keys.collect(), ring, folder }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "portcullis", "sub": "01890a5d-ac96-774b-bcce-b302099a8057", "exp": NOW + 600, "iat": NOW,
        "jti": "01890a5d-ac96-774b-bcce-b302099a8058", "client_id": "portcullis", "scope": "items:read", "roles": [], "gen": 3,
        "preferred_username": "ann",
    })
}

fn message(alg: &str, kid: &Value) -> String {
    let header = json!({ "typ": "at+jwt", "alg": alg, "kid": kid });
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims().to_string()))
}

fn rsa(pkcs8: &[u8], padding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let pair = RsaKeyPair::from_pkcs8(pkcs8).expect("RSA");
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signature).expect("signed");
    signature
}

/// All that the holder of the private key could make of `message`; the first is what the key is for.
fn signatures(algorithm: Algorithm, pkcs8: &[u8], message: &[u8]) -> Vec<Vec<u8>> {
    match algorithm {
        Algorithm::Es256 => {
            let of = |how| {
                let pair = EcdsaKeyPair::from_pkcs8(how, pkcs8).expect("P-256");
                pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec()
            };
            vec![of(&ECDSA_P256_SHA256_FIXED_SIGNING), of(&ECDSA_P256_SHA256_ASN1_SIGNING)]
        }
        Algorithm::EdDsa => vec![Ed25519KeyPair::from_pkcs8(pkcs8).expect("Ed25519").sign(message).as_ref().to_vec()],
        Algorithm::Rs256 => [&RSA_PKCS1_SHA256 as &'static dyn RsaEncoding, &RSA_PKCS1_SHA384, &RSA_PSS_SHA256]
            .map(|how| rsa(pkcs8, how, message))
            .into(),
        Algorithm::Hs256 => vec![hmac_of(hmac::HMAC_SHA256, SECRET.as_bytes(), message)],
    }
}

fn hmac_of(with: hmac::Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(with, secret), message).as_ref().to_vec()
}

#[test]
fn a_token_is_accepted_with_the_algorithm_of_its_own_key_and_no_other() {
    let world = world();
    let mut keys: Vec<(Algorithm, &[u8], Value)> =
        world.keys.iter().map(|(algorithm, pkcs8, jwk)| (*algorithm, &**pkcs8, jwk["kid"].clone())).collect();
    keys.push((Algorithm::Hs256, b"", "hs256".into()));
    let mut accepted = 0;
    for (_, _, kid) in &keys {
        for alg in ALGS {
            let message = message(alg, kid);
            // Signed with each key in each way: of another kid, of another alg, or both.
            for (algorithm, pkcs8, of) in &keys {
                for (way, signature) in signatures(*algorithm, pkcs8, message.as_bytes()).into_iter().enumerate() {
                    let token = format!("{message}.{}", BASE64.encode(signature));
                    let is_honest = kid == of && alg == algorithm.name() && way == 0;
                    assert_eq!(
                        world.scheme.verify(&token).is_ok(),
                        is_honest,
                        "{alg} {kid}, signed with {algorithm:?} in way {way}"
                    );
                    accepted += u32::from(is_honest);
                }
            }
            assert!(world.scheme.verify(&format!("{message}.")).is_err(), "{alg} {kid} unsigned");
        }
    }
    assert_eq!(accepted, 4, "each key in its own way");
}

#[test]
fn no_public_key_in_any_form_is_an_hmac_secret() {
    let world = world();
    for (algorithm, pkcs8, jwk) in &world.keys {
        let raw: Vec<Vec<u8>> = ["x", "y", "n", "e"]
            .iter()
            .filter_map(|name| jwk[name].as_str())
            .map(|text| BASE64.decode(text).expect("base64url"))
            .collect();
        let point = [&[4][..], &raw.concat()].concat();
        let spki = spki(*algorithm, pkcs8);
        let lines = STANDARD.encode(&spki);
        let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        let kid = jwk["kid"].as_str().expect("a kid");
        let jwk_text = jwk.to_string();
        let mut secrets: Vec<&[u8]> =
            vec![&point, &spki, pem.as_bytes(), pem.trim_end().as_bytes(), jwk_text.as_bytes(), b"", kid.as_bytes()];
        secrets.extend(raw.iter().map(Vec::as_slice));
        for secret in secrets {
            for (alg, with) in [
                ("HS256", hmac::HMAC_SHA256),
                ("HS384", hmac::HMAC_SHA384),
                ("HS512", hmac::HMAC_SHA512),
                (algorithm.name(), hmac::HMAC_SHA256),
            ] {
                for kid in [&jwk["kid"], &json!("hs256")] {
                    let message = message(alg, kid);
                    let token = format!("{message}.{}", BASE64.encode(hmac_of(with, secret, message.as_bytes())));
                    assert!(world.scheme.verify(&token).is_err(), "{alg} {kid}");
                }
            }
        }
    }
}

/// `SubjectPublicKeyInfo`, as `openssl pkey -pubout` writes it.
fn spki(algorithm: Algorithm, pkcs8: &[u8]) -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::signature::KeyPair as _;
    fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> PublicKeyX509Der<'static> {
        key.as_der().expect("DER")
    }
    match algorithm {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).expect("P-256");
            der(pair.public_key()).as_ref().to_vec()
        }
        Algorithm::EdDsa => der(Ed25519KeyPair::from_pkcs8(pkcs8).expect("Ed25519").public_key()).as_ref().to_vec(),
        Algorithm::Rs256 => der(RsaKeyPair::from_pkcs8(pkcs8).expect("RSA").public_key()).as_ref().to_vec(),
        Algorithm::Hs256 => Vec::new(),
    }
}

/// `number` + `summand`, both of the same length, little-endian; the carry is lost.
fn sum(number: &[u8], summand: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let add = |(a, b): (&u8, &u8)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        u8::try_from(sum & 0xff).expect("a byte")
    };
    number.iter().zip(summand).map(add).collect()
}

#[test]
fn other_forms_of_an_ed25519_signature_are_refused() {
    let world = world();
    let (_, pkcs8, jwk) = &world.keys[1];
    let message = message("EdDSA", &jwk["kid"]);
    let good = signatures(Algorithm::EdDsa, pkcs8, message.as_bytes()).remove(0);
    let verify = |signature: &[u8]| world.scheme.verify(&format!("{message}.{}", BASE64.encode(signature))).is_ok();
    assert!(verify(&good));
    let (r, s) = good.split_at(32);
    // The group's order: S has to be less (RFC 8032 §5.1.7).
    let order: Vec<u8> = [
        &[0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14][..],
        &[0; 15],
        &[0x10],
    ]
    .concat();
    let identity = [&[1][..], &[0; 31]].concat();
    for bad in [
        [r, &sum(s, &order)].concat(),
        [&identity[..], s].concat(),
        [&identity[..], &[0; 32]].concat(),
        [r, &[0; 32]].concat(),
        [s, r].concat(),
        vec![0; 64],
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        Vec::new(),
    ] {
        assert!(!verify(&bad), "{bad:02x?}");
    }
}

#[test]
fn other_forms_of_an_rsa_signature_are_refused() {
    let world = world();
    let (_, pkcs8, jwk) = &world.keys[2];
    let message = message("RS256", &jwk["kid"]);
    let good = signatures(Algorithm::Rs256, pkcs8, message.as_bytes()).remove(0);
    let verify = |signature: &[u8]| world.scheme.verify(&format!("{message}.{}", BASE64.encode(signature))).is_ok();
    assert!(verify(&good));
    let modulus = BASE64.decode(jwk["n"].as_str().expect("n")).expect("base64url");
    assert_eq!(modulus.len(), 256);
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let plus_modulus = reversed(&sum(&reversed(&good), &reversed(&modulus)));
    let one = [&[0; 255][..], &[1]].concat();
    for bad in [
        [&[0][..], &good].concat(),
        [&good[..], &[0]].concat(),
        good[1..].to_vec(),
        good[..255].to_vec(),
        plus_modulus,
        modulus,
        vec![0; 256],
        one,
        vec![0xff; 256],
        Vec::new(),
    ] {
        assert!(!verify(&bad), "{bad:02x?}");
    }
}

#[test]
fn another_library_reads_every_kind_of_token_by_its_published_key() {
    for algorithm in OWN {
        let folder = tempfile::tempdir().expect("a folder");
        KeyRing::create(algorithm, folder.path(), Timestamp::from_secs(NOW)).expect("a key");
        let mut settings = settings(algorithm, folder.path());
        settings.secret = None;
        let ring = KeyRing::load(&settings).expect("keys");
        let token = ring.sign(ACCESS_TOKEN, &claims(), Timestamp::from_secs(NOW)).expect("signed");
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(ring.jwks()).expect("a JWK Set");
        let kid = header.kid.expect("a kid");
        let jwk = set.find(&kid).expect("the key");
        assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).expect("a thumbprint"), kid);
        let mut validation = jsonwebtoken::Validation::new(algorithm.name().parse().expect("an algorithm"));
        validation.set_audience(&["portcullis"]);
        validation.validate_exp = false;
        let key = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a key");
        let read = jsonwebtoken::decode::<Value>(&token, &key, &validation).expect("verified");
        assert_eq!(read.claims, claims());
        assert!(scheme(&Arc::new(ring)).verify(&token).is_ok());
    }
}

#[test]
fn tokens_of_any_type_are_signed_and_only_access_tokens_are_accepted() {
    let world = world();
    let now = Timestamp::from_secs(NOW);
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
        let ring = Arc::new(KeyRing::load(&settings(algorithm, world.folder.path())).expect("keys"));
        let header = |token: &str| jsonwebtoken::decode_header(token).expect("a header");
        let other = ring.sign("assertion+jwt", &json!({ "sub": "x" }), now).expect("signed");
        assert_eq!(header(&other).typ.as_deref(), Some("assertion+jwt"));
        assert_eq!(header(&other).alg, algorithm.name().parse().expect("an algorithm"), "the configured one signs");
        assert!(scheme(&ring).verify(&ring.sign("assertion+jwt", &claims(), now).expect("signed")).is_err());
        assert!(scheme(&ring).verify(&ring.sign(ACCESS_TOKEN, &claims(), now).expect("signed")).is_ok());
    }
}

#[test]
fn after_a_change_of_algorithm_the_old_key_signs_until_the_new_one_is_active() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = Timestamp::from_secs;
    KeyRing::create(Algorithm::Es256, folder.path(), at(NOW - 3600)).expect("a key");
    let alg = |ring: &KeyRing, now: i64| {
        let token = ring.sign(ACCESS_TOKEN, &claims(), at(now)).expect("signed");
        jsonwebtoken::decode_header(&token).expect("a header").alg
    };
    let load = |algorithm| KeyRing::load(&settings(algorithm, folder.path())).expect("keys");
    let ring = load(Algorithm::EdDsa);
    assert!(ring.lacks_the_wanted());
    assert_eq!(alg(&ring, NOW), jsonwebtoken::Algorithm::ES256);
    KeyRing::create(Algorithm::EdDsa, folder.path(), at(NOW)).expect("a key");
    let ring = load(Algorithm::EdDsa);
    assert_eq!(alg(&ring, NOW + 59), jsonwebtoken::Algorithm::ES256);
    assert_eq!(alg(&ring, NOW + 60), jsonwebtoken::Algorithm::EdDSA, "by itself");
    assert_eq!(alg(&load(Algorithm::Es256), NOW + 60), jsonwebtoken::Algorithm::ES256, "and back");
    let old = ring.sign(ACCESS_TOKEN, &claims(), at(NOW)).expect("signed");
    assert!(scheme(&Arc::new(load(Algorithm::Rs256))).verify(&old).is_ok(), "its tokens go on");
    assert_eq!(world().ring.jwks()["keys"].as_array().map(Vec::len), Some(3));
}
