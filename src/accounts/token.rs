//! What a login or a refresh hands out (contract §9, §10).

use std::time::Duration;

use super::{Accounts, try_again};
use crate::config::Roles;
use crate::credential::AccessClaims;
use crate::domain::refresh::RefreshToken;
use crate::domain::{Scope, ScopeSet, SessionRecord, Timestamp, TokenId, User};
use crate::problem::Refusal;

/// A token response (RFC 6749 §5.1), before it is written as JSON.
#[derive(Debug)]
pub struct Tokens {
    /// The access token.
    pub access: crate::domain::SecretString,
    /// How long it lives.
    pub expires_in: Duration,
    /// The refresh token that replaces the one presented.
    pub refresh: RefreshToken,
    /// What the access token may do.
    pub scope: ScopeSet,
}

/// All that a login of `user` may do now: the user's own scopes, those of the roles and what they include,
/// `portcullis:account`, and for admins `portcullis:admin` (contract §9).
#[must_use]
pub fn scopes_held(user: &User, roles: &Roles) -> ScopeSet {
    let own = [Some(Scope::ACCOUNT), roles.grants(&user.roles, "admin").then_some(Scope::ADMIN)];
    let own: ScopeSet = own.into_iter().flatten().filter_map(|name| name.parse().ok()).collect();
    user.scopes.union(&roles.scopes_of(&user.roles)).union(&own)
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
        let held = scopes_held(user, &config.roles);
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
            preferred_username: user.username.clone(),
            name: user.full_name.clone(),
            email: user.email.clone(),
            email_verified: user.email.is_some().then_some(user.email_verified),
            attributes: (!user.attributes.is_empty()).then(|| user.attributes.clone()),
            auth_time: Some(session.created_at.as_secs()),
            amr: vec!["pwd".to_owned()],
        };
        let access = self.parts.keys.sign(&claims, now).map_err(|error| {
            tracing::error!(%error, "no access token could be signed");
            try_again("The gateway can't sign tokens at the moment. Try again.")
        })?;
        Ok(Tokens { access: access.into(), expires_in: config.tokens.access_ttl, refresh, scope })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Role;
    use crate::domain::UserId;

    fn roles() -> Roles {
        let role = |includes: &[&str], scopes: &str| Role {
            includes: includes.iter().map(ToString::to_string).collect(),
            scopes: scopes.parse().expect("scopes"),
        };
        Roles(BTreeMap::from([
            ("root".to_owned(), role(&["admin"], "")),
            ("admin".to_owned(), role(&["user"], "*")),
            ("user".to_owned(), role(&[], "items:read")),
        ]))
    }

    fn held(roles_held: &[&str], scopes: &str) -> String {
        let user = User {
            id: UserId(uuid::Uuid::nil()),
            username: "alice".to_owned(),
            email: None,
            email_verified: false,
            full_name: None,
            roles: roles_held.iter().map(ToString::to_string).collect(),
            scopes: scopes.parse().expect("scopes"),
            attributes: serde_json::Map::new(),
            disabled: false,
            service: false,
            generation: 1,
            password: None,
            created_at: Timestamp::from_secs(0),
        };
        scopes_held(&user, &roles()).to_string()
    }

    #[test]
    fn a_login_holds_the_users_scopes_those_of_the_roles_and_its_account() {
        assert_eq!(held(&["user"], "orders"), "items:read orders portcullis:account");
        assert_eq!(held(&[], ""), "portcullis:account");
        assert_eq!(held(&["gone"], ""), "portcullis:account", "a role that was removed gives nothing");
    }

    #[test]
    fn an_admin_by_inclusion_holds_the_admin_scope() {
        assert_eq!(held(&["root"], ""), "* items:read portcullis:account portcullis:admin");
        assert_eq!(held(&[], "*"), "* portcullis:account", "all scopes do not make an admin");
    }
}
