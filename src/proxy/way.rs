//! Who answers a request whose target is one. The gateway and `explain` ask here, so that they ask in the same order.

use http::HeaderMap;

use super::context::Ctx;
use super::cors::{self, Preflight};
use super::facts::Facts;

/// Who answers.
#[derive(Debug)]
pub(crate) enum Way {
    /// The listener, which only sends to HTTPS.
    ToHttps,
    /// The gateway's own endpoints.
    Own,
    /// A route: by its CORS rules where it is a preflight, else by what it decides of the caller.
    Route(Preflight),
}

impl Way {
    /// The first of them that is meant.
    pub(crate) fn of(headers: &HeaderMap, facts: &Facts, ctx: &Ctx) -> Self {
        // What a trusted proxy got by HTTPS is there already.
        let is_https = ctx.origin.as_ref().is_some_and(|origin| origin.https);
        if !is_https && ctx.line.as_ref().is_some_and(|line| line.peer.redirect) {
            Self::ToHttps
        } else if ctx.live.is_own(facts) {
            Self::Own
        } else {
            Self::Route(cors::preflight(headers, facts, &ctx.live))
        }
    }
}
