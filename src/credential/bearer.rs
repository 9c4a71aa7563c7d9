//! `Authorization: Bearer` (RFC 6750 §2.1) with an access token of ours.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::keys::KeyRing;
use super::{Outcome, Presented, Scheme};
use crate::domain::{Clock, CredentialKind};
use crate::problem::Refusal;

/// Accepts access tokens of ours.
pub struct BearerScheme {
    keys: Arc<KeyRing>,
    issuer: String,
    audience: String,
    leeway: Duration,
    max_lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl BearerScheme {
    /// Tokens that `keys` signed for `audience` as `issuer` and that live for `max_lifetime` at most; clocks may differ by `leeway`.
    #[must_use]
    pub fn new(
        keys: Arc<KeyRing>,
        issuer: String,
        audience: String,
        leeway: Duration,
        max_lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { keys, issuer, audience, leeway, max_lifetime, clock }
    }
}

#[async_trait]
impl Scheme for BearerScheme {
    fn kind(&self) -> CredentialKind {
        CredentialKind::Bearer
    }

    async fn authenticate(&self, _presented: &Presented<'_>) -> Outcome {
        Outcome::Rejected(Refusal::InvalidToken("not built yet"))
    }
}

/// Whether an `Authorization` value is of the Bearer scheme, well-formed or not.
pub(super) fn is_bearer(value: &[u8]) -> bool {
    value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer"))
}
