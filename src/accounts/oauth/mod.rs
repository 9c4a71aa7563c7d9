//! What OAuth 2 clients ask: tokens (RFC 6749), their end (RFC 7009), and what is known of them (RFC 7662).

mod authenticate;
mod grant;
mod introspect;
mod revoke;

pub use authenticate::ClientCredentials;
pub(super) use authenticate::NO_CLIENT;
pub use grant::{GrantRequest, Issued, TokenRequest};
pub use introspect::Introspection;

use super::Accounts;
use crate::credential::{Accepted, BearerScheme};
use crate::problem::Refusal;

impl Accounts {
    /// An access token of ours, judged by itself.
    fn judge(&self, token: &str) -> Result<Accepted, Refusal> {
        let parts = &self.parts;
        let (server, tokens) = (&parts.config.server, &parts.config.tokens);
        let bearer = BearerScheme::new(
            parts.keys.clone(),
            server.public_url.clone(),
            tokens.audience.clone(),
            tokens.leeway,
            tokens.access_ttl,
            parts.clock.clone(),
        );
        bearer.verify(token)
    }
}
