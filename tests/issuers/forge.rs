//! Issuers that tests play: their keys, and any token that one could sign with them.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// A key that signs.
pub(crate) struct Key {
    pub(crate) kid: String,
    algorithm: Algorithm,
    signing: EncodingKey,
}

impl Key {
    /// A new one.
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        #[expect(clippy::wildcard_enum_match_arm, reason = "all others are of RSA")]
        let signing = match algorithm {
            Algorithm::ES256 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
                EncodingKey::from_ec_der(pkcs8.as_ref())
            }
            Algorithm::ES384 => {
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).expect("a key");
                EncodingKey::from_ec_der(pkcs8.as_ref())
            }
            Algorithm::EdDSA => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key").as_ref()),
            algorithm => {
                assert!(format!("{algorithm:?}").contains('S'), "a kind that is not made here");
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
                let der: Pkcs8V1Der<'_> = pair.as_der().expect("its bytes");
                let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
                EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key")
            }
        };
        Self { kid: kid.to_owned(), algorithm, signing }
    }

    /// A secret that both sides know, or that an attacker takes for one.
    pub(crate) fn secret(kid: &str, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self { kid: kid.to_owned(), algorithm, signing: EncodingKey::from_secret(secret) }
    }

    /// The same key for another algorithm of its kind, or under another name.
    pub(crate) fn also(&self, kid: &str, algorithm: Algorithm) -> Self {
        Self { kid: kid.to_owned(), algorithm, signing: self.signing.clone() }
    }

    /// Its public half.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.signing, self.algorithm).expect("a JWK")).expect("JSON");
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A header as its issuer writes it.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": "JWT" })
    }

    /// A token with this header and these claims, whatever they say.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of texts that need not be JSON.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, self.algorithm).expect("a signature");
        format!("{message}.{signature}")
    }

    /// A token as its issuer makes it.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// A JWK Set of these.
pub(crate) fn jwks(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// `claims` with some members changed; `null` takes one out.
#[expect(clippy::needless_pass_by_value, reason = "the changes stand where it is called")]
pub(crate) fn with(claims: &Value, changes: Value) -> Value {
    let mut made = claims.clone();
    for (name, value) in changes.as_object().expect("members") {
        if value.is_null() {
            made.as_object_mut().expect("claims").remove(name);
        } else {
            made[name] = value.clone();
        }
    }
    made
}
