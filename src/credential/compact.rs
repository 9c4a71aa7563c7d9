//! Signed tokens in their compact form (RFC 7515 §7.1), judged before any of it is believed (RFC 8725 §3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value};

use super::keys::{KeyRing, Verdict};
use super::strict_json;

/// Longer ones are refused unread.
pub(super) const MAX_LENGTH: usize = 16 * 1024;

/// Header parameters that name keys of the sender's choice, change what is signed, or must be understood and are not.
const FORBIDDEN: [&str; 10] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "enc", "zip"];

/// The claims of `token`, if a key of `keys` signed it as an access token; else what is wrong with it.
pub(super) fn open(token: &str, keys: &KeyRing) -> Result<Map<String, Value>, &'static str> {
    if token.len() > MAX_LENGTH {
        return Err("The token is longer than 16 KiB.");
    }
    let mut parts = token.splitn(4, '.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("The token does not have three parts.");
    };
    let (kid, alg) = judge_header(&object(header, "The token's header can't be read.")?, keys)?;
    // The signature's base64url is read as strictly as ours: another spelling of a good signature is a bad one.
    let message = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
    match keys.verify(&kid, &alg, message.as_bytes(), signature) {
        Verdict::UnknownKey => Err("The token is signed with an unknown key."),
        Verdict::OtherAlgorithm => Err("The token is signed with an algorithm that is not its key's."),
        Verdict::Bad => Err("The token's signature does not verify."),
        Verdict::Good => object(payload, "The token's claims can't be read."),
    }
}

/// The `kid` that names the key and the `alg` that it has to be one for, when nothing in the header speaks against the token.
fn judge_header(header: &Map<String, Value>, keys: &KeyRing) -> Result<(String, String), &'static str> {
    if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
        return Err("The token's header holds a parameter that is not accepted.");
    }
    let Some(alg) = header.get("alg").and_then(Value::as_str).filter(|alg| keys.accepts(alg)) else {
        return Err("The token is signed with an algorithm that is not accepted.");
    };
    // RFC 9068 §2.1, where the prefix may be left out (RFC 7515 §4.1.9).
    let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default();
    if !typ.eq_ignore_ascii_case("at+jwt") && !typ.eq_ignore_ascii_case("application/at+jwt") {
        return Err("The token is not an access token: its typ is not at+jwt.");
    }
    let kid = header.get("kid").and_then(Value::as_str).ok_or("The token does not name its key.")?;
    Ok((kid.to_owned(), alg.to_owned()))
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
