//! Floor 1: every refusal, and the one place where each becomes an answer (RFC 9457, RFC 6750 §3).

#![expect(clippy::wildcard_enum_match_arm, reason = "most refusals have no challenge and no field of their own")]

mod oauth;

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

pub use oauth::OAuthError;

/// A reason to refuse a request. What it holds may be shown to the client; what is for the log only goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A target that backends could read differently; says what is odd.
    AmbiguousTarget(&'static str),
    /// No route matches.
    NoRoute,
    /// The path's routes do not take the method; what they take.
    MethodNotAllowed(String),
    /// No credential on a route that requires one; the scopes that it asks.
    MissingCredential(Option<String>),
    /// A bearer token that does not verify, is revoked or is not a token; a sentence for its developer.
    InvalidToken(&'static str),
    /// An API key that does not verify.
    InvalidApiKey,
    /// A stale session cookie on a route that requires a credential.
    InvalidSession,
    /// A wrong user name or password: one answer for all the ways to be wrong.
    InvalidCredentials,
    /// Two credentials, or a malformed one; says which.
    InvalidRequest(&'static str),
    /// Scopes are missing; those that the route asks.
    InsufficientScope(String),
    /// A role or a condition is not met, or an account may not do this; a sentence.
    Forbidden(&'static str),
    /// Too many requests.
    RateLimited(Quota),
    /// A body over its limit, in bytes.
    BodyTooLarge(u64),
    /// Headers over their limit.
    HeadersTooLarge,
    /// A body in a format that the endpoint does not take; those that it does.
    UnsupportedMediaType(&'static str),
    /// A body whose fields are wrong; the field and what is wrong with it.
    InvalidBody {
        /// The member's name, empty for the whole.
        field: Cow<'static, str>,
        /// What is wrong with it.
        detail: Cow<'static, str>,
    },
    /// There is no such thing at this endpoint; what.
    NotFound(&'static str),
    /// The name is taken; the field.
    Conflict(&'static str),
    /// Asked scopes leave nothing (RFC 6749 §5.2 `invalid_scope`).
    InvalidScope,
    /// What the endpoints of OAuth 2 refuse in their own words; a sentence for the client's developer.
    OAuth(OAuthError, &'static str),
    /// What is needed to decide can't be reached: try again.
    Unavailable {
        /// What is missing, without internals.
        detail: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The backend refuses connections or breaks.
    BadGateway,
    /// The backend is silent.
    GatewayTimeout,
    /// The client took too long to send its body.
    RequestTimeout,
    /// `Expect` asks for something else than `100-continue` (RFC 9110 §10.1.1).
    ExpectationFailed,
    /// An upgrade that is not passed on.
    UpgradeRefused,
}

/// What a limiter says beside "no" (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The policy's name, such as `login`.
    pub policy: &'static str,
    /// How many a window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// When the next one passes.
    pub retry_after: Duration,
}

/// What a limiter says beside "yes".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The policy's name.
    pub policy: &'static str,
    /// How many a window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// How many are left.
    pub remaining: u32,
    /// When all of them are there again.
    pub full_in: Duration,
}

impl Allowance {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    #[must_use]
    pub fn fields(&self) -> [(HeaderName, String); 2] {
        let Self { policy, limit, window, remaining, full_in } = self;
        [
            (HeaderName::from_static("ratelimit"), format!("\"{policy}\";r={remaining};t={}", ceil_secs(*full_in))),
            (HeaderName::from_static("ratelimit-policy"), format!("\"{policy}\";q={limit};w={}", ceil_secs(*window))),
        ]
    }
}

/// What an answer needs to know of the configuration and the request.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// `[auth].realm`.
    pub realm: &'a str,
    /// `[api_keys].header`.
    pub api_key_header: &'a str,
    /// The request's id.
    pub request_id: &'a str,
}

/// An answer that refuses.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Its header fields, `Content-Type` included, `Content-Length` and `X-Request-Id` not.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The problem+json document.
    pub body: Vec<u8>,
}

/// Why a request was refused (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Document<'a> {
    /// Always `about:blank`: the status and `code` say what it is.
    r#type: &'static str,
    /// What it is, for people; the same for all of a `code`.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence with which a developer can mend the call.
    #[schema(value_type = String)]
    detail: Cow<'a, str>,
    /// What it is, for programs.
    #[schema(pattern = "^[a-z_]+$")]
    code: &'static str,
    /// The request's id, as in `X-Request-Id` and in the logs.
    request_id: &'a str,
    /// The field or parameter that is wrong, where it is about one.
    #[schema(value_type = String, nullable = false, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Refusal {
    /// The machine-readable `code` of the document, for logs and metrics too.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.row().1
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.row().0
    }

    /// Whether it is about who calls and how often: what a route decides, and may only observe. All else is about the
    /// request itself, or is no decision.
    #[must_use]
    pub const fn is_about_the_caller(&self) -> bool {
        matches!(
            self,
            Self::MissingCredential(_)
                | Self::InvalidToken(_)
                | Self::InvalidApiKey
                | Self::InvalidSession
                | Self::InvalidRequest(_)
                | Self::InsufficientScope(_)
                | Self::Forbidden(_)
                | Self::RateLimited(_)
                | Self::Unavailable { .. }
        )
    }

    /// The table: status, code, title.
    const fn row(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::AmbiguousTarget(_) => (StatusCode::BAD_REQUEST, "ambiguous_target", "Ambiguous request target"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no_route", "No such route"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::MissingCredential(_) => (StatusCode::UNAUTHORIZED, "missing_credential", "Authentication required"),
            Self::InvalidToken(_) => (StatusCode::UNAUTHORIZED, "invalid_token", "Invalid token"),
            Self::InvalidApiKey => (StatusCode::UNAUTHORIZED, "invalid_api_key", "Invalid API key"),
            Self::InvalidSession => (StatusCode::UNAUTHORIZED, "invalid_session", "Session ended"),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials", "Wrong username or password"),
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request", "Invalid request"),
            Self::InsufficientScope(_) => (StatusCode::FORBIDDEN, "insufficient_scope", "Insufficient scope"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "Headers too large"),
            Self::UnsupportedMediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::InvalidBody { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", "Invalid body"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Already taken"),
            Self::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope", "Invalid scope"),
            Self::OAuth(error, _) => (error.status(), error.code(), "Refused by OAuth 2"),
            Self::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable"),
            Self::BadGateway => (StatusCode::BAD_GATEWAY, "bad_gateway", "Bad gateway"),
            Self::GatewayTimeout => (StatusCode::GATEWAY_TIMEOUT, "gateway_timeout", "Gateway timeout"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request timeout"),
            Self::ExpectationFailed => (StatusCode::EXPECTATION_FAILED, "expectation_failed", "Expectation failed"),
            Self::UpgradeRefused => (StatusCode::NOT_IMPLEMENTED, "upgrade_refused", "Upgrade refused"),
        }
    }

    /// A sentence with which a developer can mend the call.
    #[must_use]
    pub fn detail(&self) -> Cow<'_, str> {
        match self {
            Self::AmbiguousTarget(what) => format!("The request target is refused: {what}.").into(),
            Self::NoRoute => "No route of the gateway matches this host and path.".into(),
            Self::MethodNotAllowed(allow) => format!("This path takes {allow}.").into(),
            Self::MissingCredential(_) => "Send a bearer token or an API key.".into(),
            Self::InvalidToken(why) | Self::InvalidRequest(why) | Self::Forbidden(why) | Self::OAuth(_, why) => (*why).into(),
            Self::InvalidApiKey => "The API key is unknown, expired, revoked or not allowed from this address.".into(),
            Self::InvalidSession => "The session has ended. Log in again.".into(),
            Self::InvalidCredentials => "The username or password is wrong.".into(),
            Self::InsufficientScope(scope) => format!("This call needs the scopes: {scope}.").into(),
            Self::RateLimited(quota) => format!("Try again in {} s.", ceil_secs(quota.retry_after)).into(),
            Self::BodyTooLarge(limit) => format!("The body may have at most {limit} bytes.").into(),
            Self::HeadersTooLarge => "The header fields are too large or too many.".into(),
            Self::UnsupportedMediaType(takes) => format!("Send the body as {takes}.").into(),
            Self::InvalidBody { detail, .. } => Cow::Borrowed(detail),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::Conflict(field) => format!("The {field} is already taken.").into(),
            Self::InvalidScope => "None of the asked scopes can be granted.".into(),
            Self::Unavailable { detail, .. } => (*detail).into(),
            Self::BadGateway => "The service behind the gateway can't be reached.".into(),
            Self::GatewayTimeout => "The service behind the gateway did not answer in time.".into(),
            Self::RequestTimeout => "The body did not arrive in time.".into(),
            Self::ExpectationFailed => "The only expectation that can be met is 100-continue.".into(),
            Self::UpgradeRefused => "This gateway does not pass upgrades on.".into(),
        }
    }

    /// The challenges of a 401, 403 or 400 (RFC 6750 §3, RFC 9110 §11.6.1).
    #[must_use]
    pub fn challenges(&self, context: &Context<'_>) -> Vec<String> {
        let realm = quoted(context.realm);
        let plain = format!("Bearer realm={realm}");
        match self {
            Self::MissingCredential(None) | Self::InvalidSession | Self::InvalidCredentials => vec![plain],
            Self::MissingCredential(Some(scope)) => vec![format!("{plain}, scope={}", quoted(scope))],
            Self::InvalidToken(why) => {
                vec![format!("{plain}, error=\"invalid_token\", error_description={}", quoted(why.trim_end_matches('.')))]
            }
            Self::InvalidApiKey => vec![format!("ApiKey realm={realm}, header={}", quoted(context.api_key_header)), plain],
            Self::InsufficientScope(scope) => {
                vec![format!("{plain}, error=\"insufficient_scope\", scope={}", quoted(scope))]
            }
            Self::InvalidRequest(why) => {
                vec![format!("{plain}, error=\"invalid_request\", error_description={}", quoted(why.trim_end_matches('.')))]
            }
            _ => Vec::new(),
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn answer(&self, context: &Context<'_>) -> Answer {
        let (status, code, title) = self.row();
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let mut add = |name: HeaderName, value: String| {
            // A value that is no header value came out of a configuration that was checked; leave it out rather than fail.
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        };
        for challenge in self.challenges(context) {
            add(WWW_AUTHENTICATE, challenge);
        }
        match self {
            Self::MethodNotAllowed(allow) => add(ALLOW, allow.clone()),
            Self::Unavailable { retry_after, .. } => add(RETRY_AFTER, ceil_secs(*retry_after).to_string()),
            Self::RateLimited(quota) => {
                add(RETRY_AFTER, ceil_secs(quota.retry_after).to_string());
                let Quota { policy, limit, window, retry_after } = *quota;
                for (name, value) in (Allowance { policy, limit, window, remaining: 0, full_in: retry_after }).fields() {
                    add(name, value);
                }
            }
            _ => {}
        }
        let document = Document {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: self.detail(),
            code,
            request_id: context.request_id,
            field: match self {
                Self::InvalidBody { field, .. } if !field.is_empty() => Some(field),
                _ => None,
            },
        };
        // A document of strings and a number always has a JSON form.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        Answer { status, headers, body }
    }
}

/// Whole seconds, rounded up, and never 0: `Retry-After: 0` invites a storm.
fn ceil_secs(span: Duration) -> u64 {
    let whole = span.as_secs();
    (if span.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole }).max(1)
}

/// A quoted-string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
