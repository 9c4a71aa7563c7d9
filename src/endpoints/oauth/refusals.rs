//! What the OpenAPI document says of refusals at the endpoints of OAuth 2.

use utoipa::{IntoResponses, ToSchema};

/// RFC 6749 §5.2.
#[derive(ToSchema)]
#[expect(dead_code, reason = "refusals are written in one place, and this describes what comes out")]
pub(in crate::endpoints) struct OAuthErrorBody {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope` or
    /// `temporarily_unavailable`.
    error: String,
    /// A sentence with which a developer can mend the call.
    error_description: String,
}

/// Of each of them.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ToClients {
    /// Refused (RFC 6749 §5.2).
    #[response(status = 400)]
    Refused(OAuthErrorBody),
    /// `invalid_client`.
    #[response(status = 401)]
    Stranger(OAuthErrorBody),
    /// The body did not arrive in time.
    #[response(status = 408)]
    TooSlow(OAuthErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(OAuthErrorBody),
    /// The body is no form.
    #[response(status = 415)]
    NoForm(OAuthErrorBody),
    /// Too many attempts; `Retry-After` says when to come back.
    #[response(status = 429)]
    Limited(OAuthErrorBody),
    /// Not at the moment; `Retry-After` says when to come back.
    #[response(status = 503)]
    Unavailable(OAuthErrorBody),
}
