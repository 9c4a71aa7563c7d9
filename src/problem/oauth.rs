//! Refusals as the endpoints of OAuth 2 say them (RFC 6749 §5.2): a JSON object of `error` and `error_description`.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use serde::Serialize;

use super::{Answer, Context, Refusal, quoted};

/// The errors of RFC 6749 §5.2 that no other refusal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// A parameter is missing, there twice or malformed; or a client authenticates in two ways.
    InvalidRequest,
    /// The client is unknown, or does not prove who it is.
    InvalidClient,
    /// The password, refresh token or code is good for nothing, or was given to another client.
    InvalidGrant,
    /// The client may not do this.
    UnauthorizedClient,
    /// No client may.
    UnsupportedGrantType,
}

impl OAuthError {
    /// As `error` names it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest | Self::InvalidGrant | Self::UnauthorizedClient | Self::UnsupportedGrantType => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

#[derive(Serialize)]
struct Body {
    error: &'static str,
    error_description: String,
}

impl Refusal {
    /// The refusal as an endpoint of OAuth 2 answers it. What the RFC has no name for keeps its status: 413, 415, 429, 503.
    #[must_use]
    pub fn oauth_answer(&self, context: &Context<'_>) -> Answer {
        let (status, error) = self.oauth_error();
        let body = Body { error, error_description: self.detail().chars().map(described).collect() };
        let mut headers: Vec<(HeaderName, HeaderValue)> = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (PRAGMA, HeaderValue::from_static("no-cache")),
        ];
        if status == StatusCode::UNAUTHORIZED {
            // In the words of the only scheme that clients may use here (RFC 9110 §15.5.2 wants one in every 401).
            let challenge = format!("Basic realm={}, charset=\"UTF-8\"", quoted(context.realm));
            headers.extend(HeaderValue::try_from(challenge).ok().map(|value| (WWW_AUTHENTICATE, value)));
        }
        let replaced = [CONTENT_TYPE, CACHE_CONTROL, WWW_AUTHENTICATE];
        headers.extend(self.answer(context).headers.into_iter().filter(|(name, _)| !replaced.contains(name)));
        // Two strings always have a JSON form.
        Answer { status, headers, body: serde_json::to_vec(&body).unwrap_or_default() }
    }

    fn oauth_error(&self) -> (StatusCode, &'static str) {
        let named = |error: OAuthError| (error.status(), error.code());
        match self {
            Self::OAuth(error, _) => named(*error),
            Self::InvalidCredentials | Self::InvalidToken(_) => named(OAuthError::InvalidGrant),
            Self::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Self::InvalidBody { .. } => named(OAuthError::InvalidRequest),
            // Of §4.1.2.1, for want of one in §5.2.
            Self::RateLimited(_) | Self::Unavailable { .. } => (self.status(), "temporarily_unavailable"),
            other => (other.status(), "invalid_request"),
        }
    }
}

/// What `error_description` may hold (RFC 6749 §5.2).
const fn described(c: char) -> char {
    match c {
        '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e' => c,
        '"' | '\\' => '\'',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(refusal: &Refusal) -> (u16, serde_json::Value, http::HeaderMap) {
        let context = Context { realm: "r", api_key_header: "X-API-Key", request_id: "id" };
        let answer = refusal.oauth_answer(&context);
        let body = serde_json::from_slice(&answer.body).unwrap();
        (answer.status.as_u16(), body, answer.headers.into_iter().collect())
    }

    #[test]
    fn every_refusal_has_its_error_and_no_more_than_two_members() {
        let unavailable = Refusal::Unavailable { detail: "", retry_after: Duration::from_secs(3) };
        for (refusal, status, error) in [
            (Refusal::OAuth(OAuthError::InvalidClient, ""), 401, "invalid_client"),
            (Refusal::OAuth(OAuthError::UnsupportedGrantType, ""), 400, "unsupported_grant_type"),
            (Refusal::InvalidCredentials, 400, "invalid_grant"),
            (Refusal::InvalidToken(""), 400, "invalid_grant"),
            (Refusal::InvalidScope, 400, "invalid_scope"),
            (Refusal::InvalidBody { field: "".into(), detail: "".into() }, 400, "invalid_request"),
            (Refusal::BodyTooLarge(1), 413, "invalid_request"),
            (Refusal::UnsupportedMediaType(""), 415, "invalid_request"),
            (unavailable, 503, "temporarily_unavailable"),
        ] {
            let (is, body, headers) = answer(&refusal);
            assert_eq!((is, body["error"].as_str()), (status, Some(error)), "{refusal:?}");
            assert_eq!(body.as_object().map(serde_json::Map::len), Some(2));
            assert!(headers["content-type"] == "application/json" && headers["pragma"] == "no-cache", "{headers:?}");
            assert_eq!(headers.get_all("cache-control").iter().count(), 1);
            assert_eq!(headers.contains_key("retry-after"), status == 503);
            assert_eq!(headers.get("www-authenticate").is_some_and(|it| it.as_bytes().starts_with(b"Basic ")), status == 401);
        }
    }

    #[test]
    fn a_description_holds_only_what_the_rfc_allows() {
        let refusal = Refusal::InvalidBody { field: "".into(), detail: "a \"b\" \\ ä\n".into() };
        assert_eq!(answer(&refusal).1["error_description"], "a 'b' ' ??");
    }
}
