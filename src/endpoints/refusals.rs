//! What the OpenAPI document says of refusals that several endpoints share.

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// A refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// `about:blank`.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// A sentence with which a developer can mend the call.
    detail: String,
    /// What programs go by.
    code: String,
    /// The request's id, as in the logs.
    request_id: String,
    /// The field or parameter that is wrong.
    field: Option<String>,
}

/// Of every endpoint that asks for an account.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ToAccounts {
    /// Two credentials, or a malformed one.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// No credential, or none that is good.
    #[response(status = 401, content_type = "application/problem+json")]
    Stranger(Problem),
    /// A scope or a role is missing, or the account may not do this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// The store, or what is revoked, can't be asked.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// Of an endpoint that takes a body of JSON.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ToBodies {
    /// The body is over 16 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is no JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// A field is missing, of another type, or not what it may be: `field` names it.
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
}

/// Of an endpoint that takes parameters in the query.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ToQueries {
    /// A parameter is not what it may be: `field` names it.
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
}

/// Of an endpoint whose path names something.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ToIds {
    /// There is no such thing, or it is somebody else's.
    #[response(status = 404, content_type = "application/problem+json")]
    Nothing(Problem),
}
