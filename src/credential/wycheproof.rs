//! The JWS vectors of Wycheproof for our algorithms, against what reads and verifies our tokens.
//!
//! Their payloads are no claims and their headers say no `typ`, so they are judged below [`super::compact::open`]: by the same
//! decoding, the same JSON reader and the same verification.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::compact::object;
use super::keys::{KeyRing, Verdict};
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
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "oct")]
    Secret { k: String },
    #[serde(rename = "EC")]
    Ec { x: String, y: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: u32,
    comment: String,
    jws: String,
    result: String,
}

/// The key, and the `alg` that it is for.
fn ring(key: &Jwk) -> (KeyRing, &'static str) {
    let (algorithm, verifying) = match key {
        Jwk::Secret { k } => (Algorithm::Hs256, DecodingKey::from_secret(&BASE64.decode(k).expect("base64url"))),
        Jwk::Ec { x, y } => (Algorithm::Es256, DecodingKey::from_ec_components(x, y).expect("a point")),
        Jwk::Rsa { n, e } => (Algorithm::Rs256, DecodingKey::from_rsa_components(n, e).expect("numbers")),
    };
    (KeyRing::of(algorithm, "k", verifying), algorithm.name())
}

fn is_good((keys, alg): &(KeyRing, &str), jws: &str) -> bool {
    let parts: Vec<&str> = jws.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { return false };
    let message = format!("{header}.{payload}");
    object(header, "").is_ok_and(|header| header.get("alg").and_then(|alg| alg.as_str()) == Some(alg))
        && BASE64.decode(payload).is_ok()
        && keys.verify("k", alg, message.as_bytes(), signature) == Verdict::Good
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
    assert_eq!(judged, 312);
}
