//! One signing key: made, read from PKCS#8, and what it signs, verifies and publishes (RFC 7517, RFC 7518, RFC 8037).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::Algorithm;

/// What signs. Kept parsed: reading an RSA key costs more than signing with it.
pub(super) enum Signer {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Secret(Box<hmac::Key>),
    /// For rings that only verify.
    #[cfg(test)]
    Nothing,
}

impl Signer {
    /// The signature of `message` as JWS has it (RFC 7518 §3).
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ec(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Self::Ed(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            #[cfg(test)]
            Self::Nothing => None,
        }
    }
}

/// A key pair that was read.
pub(super) struct KeyPair {
    pub(super) algorithm: Algorithm,
    pub(super) signer: Signer,
    public: Public,
}

/// The public half, base64url as in a JWK.
enum Public {
    /// A point on P-256 (RFC 7518 §6.2.1).
    Ec { x: String, y: String },
    /// RFC 8037 §2.
    Ed { x: String },
    /// Modulus and exponent (RFC 7518 §6.3.1).
    Rsa { n: String, e: String },
}

impl KeyPair {
    /// A new key for `algorithm`, as PKCS#8; an HMAC secret is none.
    pub(super) fn generate(algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok()?.as_ref().to_vec(),
            // In version 1 of the form, which every OpenSSL reads.
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random).ok()?.as_ref().to_vec(),
            // The size that everything reads. NIST SP 800-57 has it good until 2030, and keys here are replaced by then.
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
                let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
                der.as_ref().to_vec()
            }
            Algorithm::Hs256 => return None,
        };
        Some(Zeroizing::new(pkcs8))
    }

    /// Reads a key of any of our algorithms; else what is wrong with it.
    pub(super) fn read(pkcs8: &[u8]) -> Result<Self, &'static str> {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8) {
            // SEC 1 §2.3.3, uncompressed: 04, x, y.
            let halves = pair.public_key().as_ref().strip_prefix(&[4]).and_then(|point| point.split_at_checked(32));
            let (x, y) = halves.ok_or("is broken")?;
            let public = Public::Ec { x: BASE64.encode(x), y: BASE64.encode(y) };
            return Ok(Self { algorithm: Algorithm::Es256, signer: Signer::Ec(pair), public });
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(pkcs8) {
            let public = Public::Ed { x: BASE64.encode(pair.public_key()) };
            return Ok(Self { algorithm: Algorithm::EdDsa, signer: Signer::Ed(pair), public });
        }
        match RsaKeyPair::from_pkcs8(pkcs8) {
            Ok(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let [n, e] = [n, e].map(|number| BASE64.encode(number.big_endian_without_leading_zero()));
                Ok(Self { algorithm: Algorithm::Rs256, signer: Signer::Rsa(pair), public: Public::Rsa { n, e } })
            }
            Err(refused) => Err(match refused.description_() {
                "TooSmall" => "holds an RSA key of less than 2048 bits: RS256 takes 2048 at least",
                "TooLarge" => "holds an RSA key of more than 8192 bits",
                _ => other_kind(pkcs8),
            }),
        }
    }

    /// Its name: RFC 7638 §3, the hash of the required members in order, without white space.
    pub(super) fn thumbprint(&self) -> String {
        let members = match &self.public {
            Public::Ec { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Public::Ed { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Public::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        BASE64.encode(digest(&SHA256, members.as_bytes()))
    }

    /// Its public half as a JWK (RFC 7517) named `kid`.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let alg = self.algorithm.name();
        match &self.public {
            Public::Ec { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": alg, "kid": kid }),
            Public::Ed { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": alg, "kid": kid }),
            Public::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e, "use": "sig", "alg": alg, "kid": kid }),
        }
    }

    /// What verifies its signatures.
    pub(super) fn verifying(&self) -> Option<DecodingKey> {
        match &self.public {
            Public::Ec { x, y } => DecodingKey::from_ec_components(x, y).ok(),
            Public::Ed { x } => DecodingKey::from_ed_components(x).ok(),
            Public::Rsa { n, e } => DecodingKey::from_rsa_components(n, e).ok(),
        }
    }
}

/// What a key is that is none of ours.
fn other_kind(pkcs8: &[u8]) -> &'static str {
    let is_on = |curve| EcdsaKeyPair::from_pkcs8(curve, pkcs8).is_ok();
    if is_on(&ECDSA_P384_SHA384_FIXED_SIGNING) {
        "holds a key on the curve P-384: ES256 takes one on P-256"
    } else if is_on(&ECDSA_P521_SHA512_FIXED_SIGNING) {
        "holds a key on the curve P-521: ES256 takes one on P-256"
    } else if is_on(&ECDSA_P256K1_SHA256_FIXED_SIGNING) {
        "holds a key on the curve secp256k1: ES256 takes one on P-256"
    } else {
        "holds no PKCS#8 key on the curve P-256 (ES256), of Ed25519 (EdDSA) or of RSA (RS256)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        // RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                 tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08q\
                 NLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let pair = KeyPair {
            algorithm: Algorithm::Rs256,
            signer: Signer::Nothing,
            public: Public::Rsa { n: n.into(), e: "AQAB".into() },
        };
        assert_eq!(pair.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
