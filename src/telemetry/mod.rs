//! Floor 1: what an operator sees. The access log, the audit log, the operational log, and metrics.
//!
//! Three streams, told apart by tracing target: `access` goes to stdout, `audit` and everything else to stderr, as users
//! of nginx and Envoy expect. Whatever came from a client is escaped, bounded and scrubbed of credentials on its way.

use std::net::IpAddr;
use std::time::Duration;

use crate::domain::{AuditEvent, CredentialKind};

mod format;
mod init;
pub mod metrics;
mod redact;
mod targets;

pub use format::printable;
pub use init::{Guard, init};
pub use redact::scrub;

/// One request, as the access log tells it.
#[derive(Clone, Debug)]
pub struct AccessRecord<'a> {
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// Who connected, by the rules of `trusted_proxies`.
    pub client: Option<IpAddr>,
    /// The method as it came.
    pub method: &'a str,
    /// The canonical path, without the query.
    pub path: &'a str,
    /// The route that matched.
    pub route: Option<&'a str>,
    /// What was answered.
    pub status: u16,
    /// `allow`, `would_deny`, `deny`, `own`, `redirect` or `error`.
    pub decision: &'static str,
    /// [`Refusal::code`](crate::problem::Refusal::code).
    pub reason: Option<&'static str>,
    /// The scopes that the caller lacks.
    pub missing_scopes: Option<&'a str>,
    /// The sentence that an observing route would have refused with.
    pub detail: Option<&'a str>,
    /// [`Principal::id`](crate::domain::Principal::id).
    pub principal: Option<&'a str>,
    /// The kind of credential that was accepted, or refused.
    pub credential: Option<CredentialKind>,
    /// The backend's name.
    pub backend: Option<&'a str>,
    /// The request body.
    pub bytes_in: u64,
    /// The response body.
    pub bytes_out: u64,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// Of it, what the backend took until its response headers.
    pub upstream: Option<Duration>,
}

/// Writes one line of the access log; costs next to nothing when it is off.
pub fn access(record: &AccessRecord<'_>) {
    let client = record.client.map(|client| client.to_string());
    tracing::info!(
        target: targets::ACCESS,
        request_id = record.request_id,
        client = client.as_deref(),
        method = record.method,
        path = record.path,
        route = record.route,
        status = record.status,
        decision = record.decision,
        reason = record.reason,
        missing_scopes = record.missing_scopes,
        detail = record.detail,
        principal = record.principal,
        credential = record.credential.map(CredentialKind::as_str),
        backend = record.backend,
        bytes_in = record.bytes_in,
        bytes_out = record.bytes_out,
        duration_ms = millis(record.duration),
        upstream_ms = record.upstream.map(millis),
    );
}

/// Writes one line of the audit log. The store keeps its own copy.
pub fn audit(event: &AuditEvent) {
    tracing::info!(
        target: targets::AUDIT,
        event = event.kind.as_str(),
        at = %event.at,
        actor = event.actor.as_deref(),
        subject = event.subject.as_deref(),
        client = event.address.as_deref(),
        request_id = event.request_id.as_deref(),
        detail = event.detail.as_deref(),
    );
}

/// Milliseconds with three decimals.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
