//! What tells an access token from the other tokens of the same issuer, which are signed with the same keys (RFC 8725 §3.12).
//!
//! The one sure mark is `typ: at+jwt` (RFC 9068 §2.1), and few issuers set it. So whatever marks another kind refuses a token:
//! - `at_hash`, `c_hash`, `s_hash`: they bind an ID token to what it came with (`OpenID` Connect Core §3.3.2.11, FAPI)
//! - `nonce`, which answers an authentication request: an ID token's, unless the token says that it is an access token
//!   (Keycloak before version 25 put it there as well)
//! - the claim `typ` that is no word for an access token: Keycloak's (`ID`, `Refresh`, `Offline`, `Logout`); Cognito's `token_use`
//!   other than `access`
//! - a `type` or `token_type` that says `refresh` or `id`, as Django's, Flask's and hand-made issuers do
//! - `events`: a logout or another security event token (RFC 8417 §2.2)
//! - `cnf`: it is bound to a key that the sender would have to prove (RFC 7800, RFC 9449, RFC 8705), which a bearer does not
//!
//! An ID token is for its client too, not for an API: `audience` refuses it where the two have names of their own.

use serde_json::{Map, Value};

use super::super::compact::Token;
use super::super::judging::text;
use crate::config::bare_typ;

/// Whether nothing marks `token` as one of another kind.
pub(super) fn is_access_token(token: &Token<'_>, claims: &Map<String, Value>) -> Result<(), &'static str> {
    let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
    let says = |name: &str, word: &str| claims.get(name).map(|value| value.as_str() == Some(word));
    let (keycloak, cognito) = (says("typ", "Bearer"), says("token_use", "access"));
    let other_typ = keycloak == Some(false) && !["access", "at+jwt", "JWT"].iter().any(|word| says("typ", word) == Some(true));
    let is_said = token.typ().is_some_and(|typ| bare_typ(typ) == "at+jwt") || keycloak == Some(true) || cognito == Some(true);
    if has(&["at_hash", "c_hash", "s_hash"]) || (has(&["nonce"]) && !is_said) {
        return Err("The token is an ID token, not an access token.");
    }
    let other_kind = ["type", "token_type"].iter().filter_map(|name| text(claims, name)).any(is_other);
    if other_typ || cognito == Some(false) || other_kind || has(&["events"]) {
        return Err("The token is not an access token.");
    }
    if has(&["cnf"]) {
        return Err("The token is bound to a key, and is no bearer token.");
    }
    Ok(())
}

/// Whether `kind` is what some issuers call a refresh or an ID token. What else they call tokens is their own business.
fn is_other(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.contains("refresh") || matches!(kind.as_str(), "id" | "id_token" | "id-token")
}
