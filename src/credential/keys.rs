//! What own tokens are signed and verified with (RFC 7518, RFC 7517).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::claims::AccessClaims;
use super::key_files;
use crate::config::{Algorithm, Tokens};
use crate::domain::Timestamp;

/// An HMAC key has at least as many bits as its hash (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;
/// An HMAC secret has no public half that a thumbprint could be taken of, and its name must say nothing about it.
const SECRET_KID: &str = "hs256";

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder holds none yet.
    #[error("{} holds no signing key, and replicas share theirs: `portcullis init DIR` makes one in DIR/keys, to be copied here", .0.display())]
    None(PathBuf),
    /// A file or the folder can't be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner may read or replace it.
    #[error("{} {what}; run: chmod {mode} '{}'", .path.display(), .path.display())]
    Exposed {
        /// Which file or folder.
        path: PathBuf,
        /// What others may do.
        what: &'static str,
        /// The mode that it should have.
        mode: &'static str,
    },
    /// A file in the folder is no key of ours.
    #[error("{} {what}", .path.display())]
    Bad {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// `tokens.secret` is missing or short.
    #[error("tokens.secret must hold {MIN_SECRET} bytes at least for HS256")]
    Secret,
    /// A signature could not be made.
    #[error("the token could not be signed")]
    Sign,
    /// A key could not be made.
    #[error("no key could be generated")]
    Generate,
}

impl KeyError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    pub(super) fn bad(path: &Path, what: impl Into<String>) -> Self {
        Self::Bad { path: path.to_owned(), what: what.into() }
    }
}

/// One key, ready for use.
struct Key {
    kid: String,
    /// The encoded header of what it signs.
    header: String,
    /// From when on it signs.
    active: Timestamp,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// Its public half as a JWK (RFC 7517); a secret has none.
    jwk: Option<Value>,
}

/// All keys: each verifies and is published, one signs.
pub struct KeyRing {
    algorithm: Algorithm,
    /// By file name, oldest first; never empty.
    keys: Vec<Key>,
}

/// Names the keys, never shows them.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&str> = self.keys.iter().map(|key| key.kid.as_str()).collect();
        f.debug_struct("KeyRing").field("algorithm", &self.algorithm).field("keys", &kids).finish()
    }
}

impl KeyRing {
    /// One key that verifies, for tests with vectors of others.
    #[cfg(test)]
    pub(super) fn of(algorithm: Algorithm, kid: &str, signing: EncodingKey, verifying: DecodingKey) -> Self {
        let active = Timestamp::from_millis(i64::MIN);
        let key = Key { kid: kid.to_owned(), header: String::new(), active, signing, verifying, jwk: None };
        Self { algorithm, keys: vec![key] }
    }

    /// Reads the keys that `tokens` names; [`KeyError::None`] when there are none yet.
    pub fn load(tokens: &Tokens) -> Result<Self, KeyError> {
        let keys = match tokens.algorithm {
            Algorithm::Hs256 => vec![secret_key(tokens)?],
            Algorithm::Es256 => key_files::read_all(&tokens.keys)?
                .iter()
                .map(|file| file_key(file, tokens.activate_after))
                .collect::<Result<Vec<_>, _>>()?,
        };
        if keys.is_empty() { Err(KeyError::None(tokens.keys.clone())) } else { Ok(Self { algorithm: tokens.algorithm, keys }) }
    }

    /// Makes a key for ES256 in `dir` (made too, where it is not there), and says in which file.
    pub fn create(dir: &Path, now: Timestamp) -> Result<PathBuf, KeyError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError::Generate)?;
        let (_, public) = public_half(pkcs8.as_ref()).ok_or(KeyError::Generate)?;
        key_files::write(dir, now, &public.thumbprint(), pkcs8.as_ref())
    }

    /// Signs `claims` with the key that signs at `now`.
    pub fn sign(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, KeyError> {
        let key = self.signing_key(now).ok_or(KeyError::Sign)?;
        self.seal(key, key.header.clone(), claims)
    }

    /// Signs claims that are no access token's: their `typ` says so, and no scheme of ours takes them.
    pub fn sign_as(&self, typ: &str, claims: &impl Serialize, now: Timestamp) -> Result<String, KeyError> {
        let key = self.signing_key(now).ok_or(KeyError::Sign)?;
        self.seal(key, header(typ, self.alg(), &key.kid), claims)
    }

    fn seal(&self, key: &Key, header: String, claims: &impl Serialize) -> Result<String, KeyError> {
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?;
        let mut token = header;
        token.push('.');
        BASE64.encode_string(claims, &mut token);
        let signature = jsonwebtoken::crypto::sign(token.as_bytes(), &key.signing, self.jose()).map_err(|_| KeyError::Sign)?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// The public keys as a JWK Set (RFC 7517 §5); empty for a secret.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let keys: Vec<&Value> = self.keys.iter().filter_map(|key| key.jwk.as_ref()).collect();
        json!({ "keys": keys })
    }

    /// The only `alg` that tokens of ours have.
    pub(super) fn alg(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Es256 => "ES256",
            Algorithm::Hs256 => "HS256",
        }
    }

    /// Whether there is a key of that name, and if so whether `signature` (base64url) is its over `message`.
    pub(super) fn verify(&self, kid: &str, message: &[u8], signature: &str) -> Option<bool> {
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        Some(jsonwebtoken::crypto::verify(signature, message, &key.verifying, self.jose()).unwrap_or(false))
    }

    const fn jose(&self) -> jsonwebtoken::Algorithm {
        match self.algorithm {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }

    /// The newest that every replica had the time to learn of; the oldest while all are new.
    fn signing_key(&self, now: Timestamp) -> Option<&Key> {
        self.keys.iter().rev().find(|key| key.active <= now).or_else(|| self.keys.first())
    }
}

fn secret_key(tokens: &Tokens) -> Result<Key, KeyError> {
    let secret = tokens.secret.as_ref().ok_or(KeyError::Secret)?.expose_secret().as_bytes();
    if secret.len() < MIN_SECRET {
        return Err(KeyError::Secret);
    }
    Ok(Key {
        kid: SECRET_KID.to_owned(),
        header: header(ACCESS_TOKEN, "HS256", SECRET_KID),
        active: Timestamp::from_millis(i64::MIN),
        signing: EncodingKey::from_secret(secret),
        verifying: DecodingKey::from_secret(secret),
        jwk: None,
    })
}

fn file_key(file: &key_files::KeyFile, activate_after: Duration) -> Result<Key, KeyError> {
    let Some((signing, public)) = public_half(&file.pkcs8) else {
        return Err(KeyError::bad(&file.path, "holds no PKCS#8 key on the curve P-256, which ES256 needs"));
    };
    let kid = public.thumbprint();
    if kid != file.kid {
        return Err(KeyError::bad(&file.path, format!("is named after another key: its thumbprint (RFC 7638) is {kid}")));
    }
    Ok(Key {
        header: header(ACCESS_TOKEN, "ES256", &kid),
        active: file.made.plus(activate_after),
        signing,
        verifying: DecodingKey::from_ec_components(&public.x, &public.y).map_err(|_| KeyError::bad(&file.path, "is broken"))?,
        jwk: Some(json!({
            "kty": "EC", "crv": "P-256", "x": public.x, "y": public.y, "use": "sig", "alg": "ES256", "kid": kid,
        })),
        kid,
    })
}

/// The `typ` of access tokens (RFC 9068 §2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// The JOSE header of what a key signs, encoded.
fn header(typ: &str, alg: &str, kid: &str) -> String {
    BASE64.encode(json!({ "typ": typ, "alg": alg, "kid": kid }).to_string())
}

/// A point on P-256, base64url as in a JWK (RFC 7518 §6.2.1).
struct Point {
    x: String,
    y: String,
}

impl Point {
    /// RFC 7638 §3: the hash of the required members in order, without white space.
    fn thumbprint(&self) -> String {
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, self.x, self.y);
        BASE64.encode(digest(&SHA256, members.as_bytes()))
    }
}

fn public_half(pkcs8: &[u8]) -> Option<(EncodingKey, Point)> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
    // SEC 1 §2.3.3, uncompressed: 04, x, y.
    let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
    Some((EncodingKey::from_ec_der(pkcs8), Point { x: BASE64.encode(x), y: BASE64.encode(y) }))
}
