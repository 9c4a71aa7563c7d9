//! The access log: a line a request, put together and queued without a detour, since every request pays for it.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_appender::non_blocking::NonBlocking;

use super::format::Entry;
use crate::domain::{Clock, CredentialKind, Timestamp};

/// Where lines go; nowhere until logging has started.
static LOG: OnceLock<AccessLog> = OnceLock::new();

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

/// Writes one line of the access log; none before [`init`](super::init).
pub fn access(record: &AccessRecord<'_>) {
    if let Some(log) = LOG.get() {
        // It never fails: what has no place in the queue is dropped and counted.
        let _ = log.queue.clone().write_all(line(record, log.clock.now(), log.json).as_bytes());
    }
}

struct AccessLog {
    json: bool,
    clock: Arc<dyn Clock>,
    queue: NonBlocking,
}

/// Has lines go to `queue` from now on; a second call changes nothing.
pub(super) fn start(json: bool, clock: Arc<dyn Clock>, queue: NonBlocking) {
    let _ = LOG.set(AccessLog { json, clock, queue });
}

/// A request's line.
pub(super) fn line(record: &AccessRecord<'_>, now: Timestamp, json: bool) -> String {
    let mut entry = Entry::new(json, now, "INFO", "access");
    let client = record.client.map(|client| client.to_string());
    entry.text("request_id", record.request_id);
    entry.some("client", client.as_deref());
    entry.text("method", record.method);
    entry.text("path", record.path);
    entry.some("route", record.route);
    entry.number("status", record.status);
    entry.text("decision", record.decision);
    entry.some("reason", record.reason);
    entry.some("missing_scopes", record.missing_scopes);
    entry.some("detail", record.detail);
    entry.some("principal", record.principal);
    entry.some("credential", record.credential.map(CredentialKind::as_str));
    entry.some("backend", record.backend);
    entry.number("bytes_in", record.bytes_in);
    entry.number("bytes_out", record.bytes_out);
    entry.millis("duration_ms", record.duration);
    if let Some(upstream) = record.upstream {
        entry.millis("upstream_ms", upstream);
    }
    entry.end()
}
