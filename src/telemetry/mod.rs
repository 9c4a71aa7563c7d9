//! Floor 1: what an operator sees. The access log, the audit log, the operational log, and metrics.
//!
//! Three streams: `access` goes to stdout, `audit` and everything else to stderr, as users
//! of nginx and Envoy expect. Whatever came from a client is escaped, bounded and scrubbed of credentials on its way.

use crate::domain::AuditEvent;

mod access;
mod format;
mod init;
pub mod metrics;
mod redact;
mod targets;

pub use access::{AccessRecord, access};
pub use format::printable;
pub use init::{Guard, init};
pub use redact::scrub;

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
