//! The audit log: each event goes to the log and into the store. No event holds what a stranger typed:
//! passwords end up in name fields.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::Origin;
use crate::domain::{AuditEvent, AuditKind, Clock};
use crate::store::Store;
use crate::telemetry;

/// Limits that are hit are written to the store at most this often: a flood must not become a flood of disk writes.
const LIMITED_ROWS_EVERY_MILLIS: i64 = 1000;

/// Writes events down.
pub(super) struct AuditLog {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// When a limit was last written to the store, in milliseconds.
    limited_at: AtomicI64,
    /// How many were not since.
    left_out: AtomicU64,
}

impl AuditLog {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, limited_at: AtomicI64::new(i64::MIN), left_out: AtomicU64::new(0) }
    }

    /// Writes `kind` down. The request goes on when the store does not take it: the log has it.
    pub(super) async fn note(&self, kind: AuditKind, origin: &Origin, subject: Option<String>, detail: Option<String>) {
        let mut event = AuditEvent {
            at: self.clock.now(),
            kind,
            // A failure proves nobody: whom it was aimed at is its subject.
            actor: is_by_its_subject(kind).then(|| subject.clone()).flatten(),
            subject,
            address: Some(origin.address.to_canonical().to_string()),
            request_id: Some(origin.request_id.clone()),
            detail,
        };
        telemetry::audit(&event);
        if kind == AuditKind::LoginLimited {
            let Some(left_out) = self.turn_of_limited(&event) else { return };
            if left_out > 0 {
                event.detail = Some(format!("{}; {left_out} more since the last", event.detail.unwrap_or_default()));
            }
        }
        if let Err(error) = self.store.record(&event).await {
            tracing::warn!(%error, kind = kind.as_str(), "an audit event is in this log only");
        }
    }

    /// Whether a limit goes to the store now, and how many did not since the last that did.
    fn turn_of_limited(&self, event: &AuditEvent) -> Option<u64> {
        let (now, last) = (event.at.as_millis(), self.limited_at.load(Ordering::Relaxed));
        let due = now.saturating_sub(last) >= LIMITED_ROWS_EVERY_MILLIS;
        if due && self.limited_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Whether who an event is about has shown to be the one who did it.
const fn is_by_its_subject(kind: AuditKind) -> bool {
    matches!(
        kind,
        AuditKind::LoginOk
            | AuditKind::Logout
            | AuditKind::UserCreated
            | AuditKind::UserChanged
            | AuditKind::PasswordChanged
            | AuditKind::EmailVerified
    )
}
