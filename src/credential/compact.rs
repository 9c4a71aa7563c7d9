//! Signed tokens in their compact form (RFC 7515 §7.1), judged before any of it is believed (RFC 8725 §3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};

use super::keys::{KeyRing, Verdict};
use super::strict_json;

/// Longer ones are refused unread.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

/// Header parameters that bring keys of the sender's choice, change what is signed, or must be understood and are not.
const FORBIDDEN: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip"];
/// Names of certificates, which ours have none of. Other issuers put them beside the `kid`.
const THUMBPRINTS: [&str; 2] = ["x5t", "x5t#S256"];

/// What is told where a token names no key.
pub(super) const NO_KID: &str = "The token does not name its key.";
/// What is told where there is no key of the name that a token says.
pub(super) const UNKNOWN_KEY: &str = "The token is signed with an unknown key.";
/// What is told where a token's key is one for another algorithm.
pub(super) const OTHER_ALGORITHM: &str = "The token is signed with an algorithm that is not its key's.";
/// What is told where a key did not make the signature.
pub(super) const BAD_SIGNATURE: &str = "The token's signature does not verify.";
/// What is told where an `alg` is not accepted.
pub(super) const NO_SUCH_ALGORITHM: &str = "The token is signed with an algorithm that is not accepted.";

/// A token, taken apart. Nothing of it is verified.
pub(super) struct Token<'a> {
    header: Map<String, Value>,
    /// What is signed: header and claims as they came.
    pub(super) message: &'a [u8],
    payload: &'a str,
    /// Base64url, not decoded yet.
    pub(super) signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes `token` apart, when nothing in its header speaks against it whoever issued it; else what is wrong with it.
    pub(super) fn read(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > MAX_LENGTH {
            return Err("The token is longer than 16 KiB.");
        }
        let mut parts = token.splitn(4, '.');
        let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("The token does not have three parts.");
        };
        let message = token.get(..header.len() + 1 + payload.len()).unwrap_or_default().as_bytes();
        let header = object(header, "The token's header can't be read.")?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err("The token's header holds a parameter that is not accepted.");
        }
        Ok(Self { header, message, payload, signature })
    }

    /// What it says of itself.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, &'static str> {
        object(self.payload, "The token's claims can't be read.")
    }

    /// Its `alg`.
    pub(super) fn alg(&self) -> Option<&str> {
        self.header.get("alg").and_then(Value::as_str)
    }

    /// Its `typ`; `None` where there is none, or it is no text.
    pub(super) fn typ(&self) -> Option<&str> {
        self.header.get("typ").and_then(Value::as_str)
    }

    /// Whether it says a `typ` at all.
    pub(super) fn has_typ(&self) -> bool {
        self.header.contains_key("typ")
    }

    /// The name of its key, when it says one.
    pub(super) fn kid(&self) -> Result<Option<&str>, &'static str> {
        self.header.get("kid").map(|kid| kid.as_str().ok_or(NO_KID)).transpose()
    }
}

/// Whether a key of `keys` signed `token` as an access token; else what is wrong with it.
pub(super) fn open(token: &Token<'_>, keys: &KeyRing) -> Result<(), &'static str> {
    if THUMBPRINTS.iter().any(|name| token.header.contains_key(*name)) {
        return Err("The token's header holds a parameter that is not accepted.");
    }
    let alg = token.alg().filter(|alg| keys.accepts(alg)).ok_or(NO_SUCH_ALGORITHM)?;
    // RFC 9068 §2.1, where the prefix may be left out (RFC 7515 §4.1.9).
    let typ = token.typ().unwrap_or_default();
    if !typ.eq_ignore_ascii_case("at+jwt") && !typ.eq_ignore_ascii_case("application/at+jwt") {
        return Err("The token is not an access token: its typ is not at+jwt.");
    }
    // The signature's base64url is read as strictly as ours: another spelling of a good signature is a bad one.
    match keys.verify(token.kid()?.ok_or(NO_KID)?, alg, token.message, token.signature) {
        Verdict::UnknownKey => Err(UNKNOWN_KEY),
        Verdict::OtherAlgorithm => Err(OTHER_ALGORITHM),
        Verdict::Bad => Err(BAD_SIGNATURE),
        Verdict::Good => Ok(()),
    }
}

/// Reads one part: canonical base64url without padding, and JSON that can be read in one way only.
pub(super) fn object(part: &str, fault: &'static str) -> Result<Map<String, Value>, &'static str> {
    BASE64.decode(part).ok().and_then(|bytes| strict_json::object(&bytes)).ok_or(fault)
}

/// Header and claims of a token as they stand in it, believed by nobody: for people who want to know why it is refused.
#[must_use]
pub fn peek(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.').filter(|_| token.len() <= MAX_LENGTH);
    let (header, payload) = (parts.next()?, parts.next()?);
    Some((object(header, "").ok()?, object(payload, "").ok()?))
}
