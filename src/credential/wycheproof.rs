//! The JWS vectors of Wycheproof for our algorithms, against what reads and verifies our tokens.
//!
//! Their payloads are no claims and their headers say no `typ`, so they are judged below [`super::compact::open`]: by the same
//! decoding, the same JSON reader and the same verification.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Deserialize;

use super::compact::object;
use super::keys::KeyRing;
use crate::config::Algorithm;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    key: Jwk,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    k: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: u32,
    comment: String,
    jws: String,
    result: String,
}

fn ring(key: &Jwk) -> KeyRing {
    let nothing = EncodingKey::from_secret(b"signs nothing");
    if key.kty == "EC" {
        let verifying = DecodingKey::from_ec_components(&key.x, &key.y).expect("a point");
        return KeyRing::of(Algorithm::Es256, "k", nothing, verifying);
    }
    let secret = BASE64.decode(&key.k).expect("base64url");
    KeyRing::of(Algorithm::Hs256, "k", nothing, DecodingKey::from_secret(&secret))
}

fn is_good(keys: &KeyRing, jws: &str) -> bool {
    let parts: Vec<&str> = jws.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { return false };
    let message = format!("{header}.{payload}");
    object(header, "").is_ok_and(|header| header.get("alg").and_then(|alg| alg.as_str()) == Some(keys.alg()))
        && BASE64.decode(payload).is_ok()
        && keys.verify("k", message.as_bytes(), signature) == Some(true)
}

/// Vectors whose result does not fit their bytes, and what it has to be: 367 and 370 are 357, which is valid, byte for byte; in
/// 372 and 373 stands a character that is none of base64url.
const MISLABELLED: [(u32, bool); 4] = [(367, true), (370, true), (372, false), (373, false)];

#[test]
fn signatures_are_judged_as_wycheproof_says() {
    let file: File = serde_json::from_str(include_str!("../../tests/vectors/wycheproof-jws.json")).expect("vectors");
    let mut judged = 0;
    for Group { key, tests } in &file.test_groups {
        let keys = ring(key);
        for Vector { tc_id, comment, jws, result } in tests {
            let mended = MISLABELLED.iter().find(|(id, _)| id == tc_id);
            let expected = mended.map_or(result == "valid", |(_, good)| *good);
            assert_eq!(is_good(&keys, jws), expected, "{tc_id} {comment}: {jws}");
            judged += 1;
        }
    }
    assert_eq!(judged, 79);
}
