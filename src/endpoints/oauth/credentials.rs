//! Which client calls, as its request says: by `Authorization: Basic` or in the form, and never in both ways (RFC 6749 §2.3).

use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::body::decoded;
use crate::accounts::ClientCredentials;
use crate::domain::SecretString;
use crate::domain::secret::ExposeSecret as _;
use crate::problem::{OAuthError, Refusal};

const fn malformed(why: &'static str) -> Refusal {
    Refusal::OAuth(OAuthError::InvalidRequest, why)
}

/// The client of a request, if it names one.
///
/// A `client_id` beside the same one in `Authorization` is no second way to authenticate: libraries send it.
pub(super) fn presented(
    headers: &HeaderMap,
    id: Option<String>,
    secret: Option<SecretString>,
) -> Result<Option<ClientCredentials>, Refusal> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let basic = match (fields.next(), fields.next()) {
        (None, _) => None,
        (Some(field), None) => basic(field)?,
        (Some(_), Some(_)) => return Err(malformed("Send one Authorization field only.")),
    };
    match (basic, id, secret) {
        (Some(_), _, Some(_)) => Err(malformed("Send client_secret by Authorization: Basic or in the form, not both.")),
        (Some(basic), Some(id), None) if id != basic.id => Err(malformed("Authorization and the form name two clients.")),
        (Some(basic), _, None) => Ok(Some(basic)),
        (None, None, Some(_)) => Err(malformed("client_secret comes without client_id.")),
        (None, Some(id), secret) => Ok(Some(ClientCredentials { id, secret })),
        (None, None, None) => Ok(None),
    }
}

/// `Basic base64(id ":" secret)`, both as in a form (§2.3.1). Nothing on both sides of the colon is nobody: that is what
/// programs send whose user has left the fields empty.
fn basic(field: &HeaderValue) -> Result<Option<ClientCredentials>, Refusal> {
    let no_basic =
        Refusal::OAuth(OAuthError::InvalidClient, "Clients authenticate by Authorization: Basic here, or in the form.");
    let (scheme, rest) = field.as_bytes().split_at_checked("Basic ".len()).ok_or(no_basic.clone())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return Err(no_basic);
    }
    let broken = malformed("Authorization is not of the form: Basic base64(client_id:client_secret).");
    let pair = STANDARD.decode(rest.trim_ascii()).map_err(|_| broken.clone())?;
    let colon = pair.iter().position(|&byte| byte == b':').ok_or(broken.clone())?;
    let (id, secret) = pair.split_at(colon);
    let id = decoded(id).ok_or(broken.clone())?;
    let secret = decoded(secret.get(1..).unwrap_or_default()).ok_or(broken)?;
    let secret = Some(SecretString::from(secret)).filter(|secret| !secret.expose_secret().is_empty());
    Ok((!id.is_empty() || secret.is_some()).then_some(ClientCredentials { id, secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: &[&str], id: Option<&str>, secret: Option<&str>) -> Result<Option<(String, String)>, &'static str> {
        let headers = authorization.iter().map(|value| (AUTHORIZATION, value.parse().expect("a value"))).collect();
        match presented(&headers, id.map(str::to_owned), secret.map(SecretString::from)) {
            Ok(client) => Ok(client.map(|ClientCredentials { id, secret }| {
                (id, secret.map_or_else(|| "-".to_owned(), |secret| secret.expose_secret().to_owned()))
            })),
            Err(refusal) => Err(refusal.code()),
        }
    }

    fn encoded(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_client_says_who_it_is_in_one_way() {
        let is = |id: &str, secret: &str| Ok(Some((id.to_owned(), secret.to_owned())));
        let basic = encoded("a:s");
        assert_eq!(read(&[&basic], None, None), is("a", "s"));
        assert_eq!(read(&[&basic.replace("Basic", "bAsIc")], Some("a"), None), is("a", "s"));
        assert_eq!(read(&[], Some("a"), Some("s")), is("a", "s"));
        assert_eq!(read(&[], Some("a"), None), is("a", "-"));
        assert_eq!(read(&[&encoded("a:")], None, None), is("a", "-"));
        assert_eq!(read(&[], None, None), Ok(None));
        assert_eq!(read(&[&encoded(":")], None, None), Ok(None));
        assert_eq!(read(&[&encoded(":")], Some("a"), Some("s")), is("a", "s"));
        for (authorization, id, secret) in [
            (vec![basic.as_str()], Some("a"), Some("s")),
            (vec![basic.as_str()], Some("b"), None),
            (vec![basic.as_str(), basic.as_str()], None, None),
            (vec!["Basic !"], None, None),
            (vec!["Basic YWI="], None, None),
            (vec![], None, Some("s")),
        ] {
            assert_eq!(read(&authorization, id, secret), Err("invalid_request"), "{authorization:?} {id:?} {secret:?}");
        }
        for other in ["Bearer a", "Basic", "Digest x", ""] {
            assert_eq!(read(&[other], None, None), Err("invalid_client"), "{other:?}");
        }
    }

    #[test]
    fn both_parts_are_decoded_as_in_a_form() {
        assert_eq!(read(&[&encoded("a%3Ab:s%20t+%2B:x")], None, None), Ok(Some(("a:b".to_owned(), "s t +:x".to_owned()))));
        assert_eq!(read(&[&encoded("%ff:s")], None, None), Err("invalid_request"));
    }
}
