//! What own tokens are signed and verified with (RFC 7518, RFC 7517).

mod listing;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::DecodingKey;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::key_files;
use super::key_pair::{KeyPair, Signer};
use crate::config::{Algorithm, Tokens};
use crate::domain::Timestamp;

pub use listing::{KeyState, ListedKey};

/// The `typ` of access tokens (RFC 9068 §2.1).
pub const ACCESS_TOKEN: &str = "at+jwt";
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
    /// What is to be made is no file.
    #[error(
        "HS256 signs with tokens.secret, not with a key file. To replace it, give every replica the new secret and restart or \
         reload it: access tokens of before are refused from then on, and clients get new ones with their refresh tokens. A \
         change without a refused token needs algorithm = \"ES256\""
    )]
    Shared,
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
    algorithm: Algorithm,
    /// From when on it signs.
    active: Timestamp,
    /// Its file and when that was made; a secret has none.
    file: Option<(PathBuf, Timestamp)>,
    signer: Signer,
    verifying: DecodingKey,
    /// Its public half as a JWK (RFC 7517); a secret has none.
    jwk: Option<Value>,
}

/// All keys: each verifies and is published, one signs.
///
/// A token's `alg` is that of the key that it names: what is accepted are the algorithms of the keys that are there.
pub struct KeyRing {
    /// What the operator wants tokens to be signed with.
    algorithm: Algorithm,
    /// By file name, oldest first, a secret last; never empty.
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
    pub(super) fn of(algorithm: Algorithm, kid: &str, verifying: DecodingKey) -> Self {
        let active = Timestamp::from_millis(i64::MIN);
        let signer = Signer::Nothing;
        Self { algorithm, keys: vec![Key { kid: kid.to_owned(), algorithm, active, file: None, signer, verifying, jwk: None }] }
    }

    /// Reads the keys that `tokens` names; [`KeyError::None`] when there are none yet.
    pub fn load(tokens: &Tokens) -> Result<Self, KeyError> {
        let mut keys = key_files::read_all(&tokens.keys)?
            .into_iter()
            .map(|file| file_key(file, tokens.activate_after))
            .collect::<Result<Vec<_>, _>>()?;
        if tokens.algorithm == Algorithm::Hs256 {
            keys.push(secret_key(tokens)?);
        }
        if keys.is_empty() { Err(KeyError::None(tokens.keys.clone())) } else { Ok(Self { algorithm: tokens.algorithm, keys }) }
    }

    /// Makes a key for `algorithm` in `dir` (made too, where it is not there), and says in which file.
    pub fn create(algorithm: Algorithm, dir: &Path, now: Timestamp) -> Result<PathBuf, KeyError> {
        if algorithm == Algorithm::Hs256 {
            return Err(KeyError::Shared);
        }
        let pkcs8 = KeyPair::generate(algorithm).ok_or(KeyError::Generate)?;
        let kid = KeyPair::read(&pkcs8).map_err(|_| KeyError::Generate)?.thumbprint();
        key_files::write(dir, now, &kid, &pkcs8)
    }

    /// Signs `claims` as a token of the type `typ` (RFC 7515 §4.1.9) with the key that signs at `now`.
    pub fn sign(&self, typ: &str, claims: &impl Serialize, now: Timestamp) -> Result<String, KeyError> {
        let key = self.signing_key(now).ok_or(KeyError::Sign)?;
        let header = json!({ "typ": typ, "alg": key.algorithm.name(), "kid": key.kid });
        let mut token = BASE64.encode(header.to_string());
        token.push('.');
        BASE64.encode_string(serde_json::to_vec(claims).map_err(|_| KeyError::Sign)?, &mut token);
        let signature = key.signer.sign(token.as_bytes()).ok_or(KeyError::Sign)?;
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Whether all keys are of other algorithms than the one that is wanted; one of them signs meanwhile.
    #[must_use]
    pub fn lacks_the_wanted(&self) -> bool {
        self.keys.iter().all(|key| key.algorithm != self.algorithm)
    }

    /// The public keys as a JWK Set (RFC 7517 §5); empty for a secret.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let keys: Vec<&Value> = self.keys.iter().filter_map(|key| key.jwk.as_ref()).collect();
        json!({ "keys": keys })
    }

    /// Whether there is a key that tokens with this `alg` may be of.
    pub(super) fn accepts(&self, alg: &str) -> bool {
        self.keys.iter().any(|key| key.algorithm.name() == alg)
    }

    /// Judges `signature` (base64url) over `message` by the key that `kid` names, which has to be one for `alg`.
    pub(super) fn verify(&self, kid: &str, alg: &str, message: &[u8], signature: &str) -> Verdict {
        let Some(key) = self.keys.iter().find(|key| key.kid == kid) else { return Verdict::UnknownKey };
        if key.algorithm.name() != alg {
            return Verdict::OtherAlgorithm;
        }
        match jsonwebtoken::crypto::verify(signature, message, &key.verifying, jose(key.algorithm)) {
            Ok(true) => Verdict::Good,
            Ok(false) | Err(_) => Verdict::Bad,
        }
    }

    /// The newest of the wanted algorithm that every replica had the time to learn of; else, after a change of algorithm, the
    /// newest such of any; the oldest while all are new.
    fn signing_key(&self, now: Timestamp) -> Option<&Key> {
        let active = || self.keys.iter().rev().filter(|key| key.active <= now);
        active().find(|key| key.algorithm == self.algorithm).or_else(|| active().next()).or_else(|| self.keys.first())
    }
}

/// What is to be said of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key made it.
    Good,
    /// The key did not make it.
    Bad,
    /// There is no key of that name.
    UnknownKey,
    /// The key is one for another algorithm.
    OtherAlgorithm,
}

const fn jose(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    }
}

fn secret_key(tokens: &Tokens) -> Result<Key, KeyError> {
    let secret = tokens.secret.as_ref().ok_or(KeyError::Secret)?.expose_secret().as_bytes();
    if secret.len() < MIN_SECRET {
        return Err(KeyError::Secret);
    }
    Ok(Key {
        kid: SECRET_KID.to_owned(),
        algorithm: Algorithm::Hs256,
        active: Timestamp::from_millis(i64::MIN),
        file: None,
        signer: Signer::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))),
        verifying: DecodingKey::from_secret(secret),
        jwk: None,
    })
}

fn file_key(file: key_files::KeyFile, activate_after: Duration) -> Result<Key, KeyError> {
    let pair = KeyPair::read(&file.pkcs8).map_err(|what| KeyError::bad(&file.path, what))?;
    let kid = pair.thumbprint();
    if kid != file.kid {
        return Err(KeyError::bad(&file.path, format!("is named after another key: its thumbprint (RFC 7638) is {kid}")));
    }
    let verifying = pair.verifying().ok_or_else(|| KeyError::bad(&file.path, "is broken"))?;
    Ok(Key {
        algorithm: pair.algorithm,
        active: file.made.plus(activate_after),
        jwk: Some(pair.jwk(&kid)),
        signer: pair.signer,
        file: Some((file.path, file.made)),
        verifying,
        kid,
    })
}
