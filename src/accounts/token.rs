//! What a login or a refresh hands out.

use std::time::Duration;

use super::{Accounts, try_again};
use crate::credential::{ACCESS_TOKEN, AccessClaims};
use crate::domain::refresh::RefreshToken;
use crate::domain::{ScopeSet, SecretString, SessionRecord, Timestamp, TokenId, User};
use crate::problem::Refusal;

/// A token response (RFC 6749 §5.1), before it is written as JSON.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// How long it lives.
    pub expires_in: Duration,
    /// The refresh token that replaces the one presented.
    pub refresh: RefreshToken,
    /// What the access token may do.
    pub scope: ScopeSet,
}

impl Accounts {
    /// An access token for `session` beside `refresh`. `now` is the time from before the store's transaction: a session
    /// that is ended meanwhile is then revoked for longer than this token lives.
    ///
    /// A narrowed session whose scopes were all taken from the user gets a token with an empty scope: it proves who is
    /// calling and nothing else, and a scope that is given back works at the next refresh, without a login.
    pub(super) fn tokens(
        &self,
        session: &SessionRecord,
        user: &User,
        refresh: RefreshToken,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let config = &self.parts.config;
        let held = config.roles.held_by(user);
        let scope = match &session.granted {
            None => held,
            Some(granted) => held.narrowed_to(granted),
        };
        let claims = AccessClaims {
            iss: config.server.public_url.clone(),
            aud: config.tokens.audience.clone(),
            sub: user.id,
            exp: now.plus(config.tokens.access_ttl).as_secs(),
            iat: now.as_secs(),
            jti: TokenId::generate(now, &*self.parts.entropy),
            sid: Some(session.id),
            client_id: session.client_id.clone(),
            scope: scope.clone(),
            roles: user.roles.clone(),
            r#gen: user.generation,
            preferred_username: Some(user.username.clone()),
            name: user.full_name.clone(),
            email: user.email.clone(),
            email_verified: user.email.is_some().then_some(user.email_verified),
            attributes: (!user.attributes.is_empty()).then(|| user.attributes.clone()),
            auth_time: Some(session.created_at.as_secs()),
            amr: vec!["pwd".to_owned()],
        };
        Ok(Tokens { access: self.signed(&claims, now)?, expires_in: config.tokens.access_ttl, refresh, scope })
    }

    /// The token that says `claims`.
    pub(super) fn signed(&self, claims: &AccessClaims, now: Timestamp) -> Result<SecretString, Refusal> {
        let access = self.parts.keys.sign(ACCESS_TOKEN, claims, now).map_err(|error| {
            tracing::error!(%error, "no access token could be signed");
            try_again("The gateway can't sign tokens at the moment. Try again.")
        })?;
        Ok(access.into())
    }
}
