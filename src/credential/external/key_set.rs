//! The keys of another issuer: a JWK Set (RFC 7517 §5), or a secret. Only public keys that can verify are taken from a set, each
//! for its own algorithms only (RFC 8725 §3.1).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::super::strict_json;
use crate::config::IssuerAlgorithm;
use crate::domain::SecretString;

/// Keys of one set that are looked at.
const MAX_KEYS: usize = 100;
/// RSA keys with fewer bits can be broken (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;
/// What only private keys and secrets have (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why there are no keys of an issuer.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// `jwks_file` is no good.
    #[error("`issuers.jwks_file`: {} {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
        /// Where it is named: file, line and column.
        place: (Arc<str>, u32, u32),
    },
}

/// The keys of one issuer; never empty.
pub(super) struct KeySet {
    keys: Vec<IssuerKey>,
    /// Why others were left out.
    pub(super) left_out: Vec<String>,
}

/// Names the keys, never shows them.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.names()).finish()
    }
}

/// One key.
pub(super) struct IssuerKey {
    kid: Option<String>,
    kind: Kind,
    /// Its `alg`, where it says one: it is for no other then.
    algorithm: Option<KeyAlgorithm>,
    verifying: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// What there is for a token.
pub(super) enum Found<'k> {
    /// The key that has to have signed it.
    Key(&'k IssuerKey),
    /// The key of that name is not one for the algorithm.
    OtherAlgorithm,
    /// The token names no key, and it could be several.
    Unnamed,
    /// There is no key of that name.
    Unknown,
}

impl KeySet {
    /// The one key of an issuer that shares a secret with us, whatever tokens call it.
    pub(super) fn of_secret(secret: &SecretString) -> Self {
        let verifying = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self { keys: vec![IssuerKey { kid: None, kind: Kind::Secret, algorithm: None, verifying }], left_out: Vec::new() }
    }

    /// Reads a JWK Set; else what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let set = strict_json::object(bytes.trim_ascii_start()).ok_or("is no JSON object, or names a member twice")?;
        let entries = set.get("keys").and_then(Value::as_array).ok_or("is no JWK Set: it has no `keys`")?;
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for entry in entries.iter().take(MAX_KEYS) {
            match IssuerKey::read(entry) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    let kid = entry.get("kid").and_then(Value::as_str).unwrap_or("without kid");
                    left_out.push(format!("{kid:.64?}: {why}"));
                }
            }
        }
        if entries.len() > MAX_KEYS {
            left_out.push(format!("all after the first {MAX_KEYS}"));
        }
        if keys.is_empty() {
            let why = left_out.first().map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!("holds no public key that could verify a signature{why}"));
        }
        Ok(Self { keys, left_out })
    }

    /// The key that a token with this `kid` and `alg` has to be signed with.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: IssuerAlgorithm) -> Found<'_> {
        let fits = |key: &&IssuerKey| key.fits(algorithm);
        let Some(kid) = kid else {
            // Where there is but one key, and it has no name either, it is that one.
            return match self.keys.as_slice() {
                [only] if only.kid.is_none() => Some(only).filter(fits).map_or(Found::OtherAlgorithm, Found::Key),
                _ => Found::Unnamed,
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kind == Kind::Secret || key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Found::Unknown;
        }
        // Keys of two kinds may share a name (RFC 7517 §4.5).
        named.find(fits).map_or(Found::OtherAlgorithm, Found::Key)
    }

    /// Their names, for the log.
    pub(super) fn names(&self) -> String {
        self.keys.iter().map(|key| key.kid.as_deref().unwrap_or("(no kid)")).collect::<Vec<_>>().join(", ")
    }
}

impl IssuerKey {
    fn read(entry: &Value) -> Result<Self, &'static str> {
        if PRIVATE.iter().any(|name| entry.get(name).is_some()) {
            return Err("it is a private key or a secret, and whoever can read it can sign");
        }
        let jwk: Jwk = serde_json::from_value(entry.clone()).map_err(|_| "it is of a kind that is not known here")?;
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err("it is not for signatures");
        }
        if common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return Err("it is not for verifying");
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "the library's list may grow: what is not known here is left out")]
        let kind = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Kind::P256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Kind::P384,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
            AlgorithmParameters::RSA(key) if rsa_bits(&key.n) < MIN_RSA_BITS => {
                return Err("it is an RSA key of less than 2048 bits");
            }
            AlgorithmParameters::RSA(_) => Kind::Rsa,
            _ => return Err("it is of a kind that is not known here"),
        };
        let verifying = DecodingKey::from_jwk(&jwk).ok().filter(|key| is_sound(kind, key)).ok_or("it is broken")?;
        Ok(Self { kid: common.key_id.clone(), kind, algorithm: common.key_algorithm, verifying })
    }

    /// Whether it may have made a signature of `algorithm`.
    fn fits(&self, algorithm: IssuerAlgorithm) -> bool {
        kind(algorithm) == self.kind && self.algorithm.is_none_or(|own| own == jose(algorithm).into())
    }

    /// Whether it made `signature` (base64url) over `message`.
    pub(super) fn signed(&self, message: &[u8], signature: &str, algorithm: IssuerAlgorithm) -> bool {
        matches!(jsonwebtoken::crypto::verify(signature, message, &self.verifying, jose(algorithm)), Ok(true))
    }
}

/// Whether a key is one: a point on its curve, an exponent that can be.
fn is_sound(kind: Kind, key: &DecodingKey) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match (kind, key.kind()) {
        (Kind::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            return RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).is_ok();
        }
        (Kind::P256, _) => &ECDSA_P256_SHA256_FIXED,
        (Kind::P384, _) => &ECDSA_P384_SHA384_FIXED,
        (Kind::Ed25519, _) => &ED25519,
        (Kind::Rsa | Kind::Secret, _) => return false,
    };
    key.try_get_as_bytes().is_ok_and(|bytes| ParsedPublicKey::new(algorithm, bytes).is_ok())
}

fn rsa_bits(modulus: &str) -> usize {
    let bytes = BASE64.decode(modulus).unwrap_or_default();
    let number = bytes.iter().position(|&byte| byte != 0).and_then(|first| bytes.get(first..)).unwrap_or_default();
    number.len() * 8 - number.first().map_or(0, |first| first.leading_zeros() as usize)
}

const fn kind(algorithm: IssuerAlgorithm) -> Kind {
    match algorithm {
        IssuerAlgorithm::Hs256 | IssuerAlgorithm::Hs384 | IssuerAlgorithm::Hs512 => Kind::Secret,
        IssuerAlgorithm::Es256 => Kind::P256,
        IssuerAlgorithm::Es384 => Kind::P384,
        IssuerAlgorithm::EdDsa => Kind::Ed25519,
        IssuerAlgorithm::Rs256
        | IssuerAlgorithm::Rs384
        | IssuerAlgorithm::Rs512
        | IssuerAlgorithm::Ps256
        | IssuerAlgorithm::Ps384
        | IssuerAlgorithm::Ps512 => Kind::Rsa,
    }
}

const fn jose(algorithm: IssuerAlgorithm) -> Algorithm {
    match algorithm {
        IssuerAlgorithm::Hs256 => Algorithm::HS256,
        IssuerAlgorithm::Hs384 => Algorithm::HS384,
        IssuerAlgorithm::Hs512 => Algorithm::HS512,
        IssuerAlgorithm::Es256 => Algorithm::ES256,
        IssuerAlgorithm::Es384 => Algorithm::ES384,
        IssuerAlgorithm::EdDsa => Algorithm::EdDSA,
        IssuerAlgorithm::Rs256 => Algorithm::RS256,
        IssuerAlgorithm::Rs384 => Algorithm::RS384,
        IssuerAlgorithm::Rs512 => Algorithm::RS512,
        IssuerAlgorithm::Ps256 => Algorithm::PS256,
        IssuerAlgorithm::Ps384 => Algorithm::PS384,
        IssuerAlgorithm::Ps512 => Algorithm::PS512,
    }
}
