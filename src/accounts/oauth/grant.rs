//! Tokens for clients (RFC 6749 §4.3, §4.4, §6).

use std::time::Duration;

use crate::accounts::{Accounts, ClientCredentials, LoginRequest, Origin, Tokens};
use crate::config::PasswordGrant;
use crate::credential::AccessClaims;
use crate::domain::refresh::RefreshToken;
use crate::domain::{AuditKind, ClientRecord, Grant, LOGIN_CLIENT, ScopeSet, SecretString, TokenId};
use crate::problem::{OAuthError, Refusal};

const NOT_THIS_GRANT: Refusal = Refusal::OAuth(OAuthError::UnauthorizedClient, "This client may not use this grant type.");

/// What is given for tokens.
#[derive(Debug)]
pub enum GrantRequest {
    /// A user's name and password (§4.3).
    Password {
        /// A username or e-mail address as it was typed.
        login: SecretString,
        /// The password as it was typed.
        password: SecretString,
    },
    /// A refresh token (§6).
    RefreshToken(SecretString),
    /// That it is the client who asks (§4.4).
    ClientCredentials,
}

/// What a client sends for tokens.
#[derive(Debug)]
pub struct TokenRequest {
    /// Who it is.
    pub client: Option<ClientCredentials>,
    /// What it gives.
    pub grant: GrantRequest,
    /// The scopes that the token is narrowed to.
    pub scope: Option<ScopeSet>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A token response (§5.1), before it is written as JSON.
#[derive(Debug)]
pub struct Issued {
    /// The access token.
    pub access: SecretString,
    /// How long it lives.
    pub expires_in: Duration,
    /// The refresh token, where there is a session to go on and the client may go on with it.
    pub refresh: Option<RefreshToken>,
    /// What the access token may do.
    pub scope: ScopeSet,
}

impl From<Tokens> for Issued {
    fn from(tokens: Tokens) -> Self {
        let Tokens { access, expires_in, refresh, scope } = tokens;
        Self { access, expires_in, refresh: Some(refresh), scope }
    }
}

impl Accounts {
    /// Gives out tokens: the client first, then whether it may, then what it gives.
    pub async fn grant(&self, request: TokenRequest) -> Result<Issued, Refusal> {
        let TokenRequest { client, grant, scope, origin } = request;
        let client = self.client(client.as_ref(), &origin).await?;
        match grant {
            GrantRequest::Password { login, password } => {
                self.may_use_passwords(client.as_ref())?;
                let goes_on = client.as_ref().is_none_or(|client| client.grants.contains(&Grant::RefreshToken));
                let issued = Issued::from(self.login(LoginRequest { login, password, scope, client, origin }).await?);
                Ok(Issued { refresh: issued.refresh.filter(|_| goes_on), ..issued })
            }
            GrantRequest::RefreshToken(presented) => {
                if client.as_ref().is_some_and(|client| !client.grants.contains(&Grant::RefreshToken)) {
                    return Err(NOT_THIS_GRANT);
                }
                let client = client.map_or_else(|| LOGIN_CLIENT.to_owned(), |client| client.id.to_string());
                Ok(self.refresh_of(client, presented, scope, origin).await?.into())
            }
            GrantRequest::ClientCredentials => match client {
                Some(client) => self.as_itself(&client, scope, &origin).await,
                None => Err(Refusal::OAuth(OAuthError::InvalidClient, "This grant type needs a client with its secret.")),
            },
        }
    }

    /// Whether the token endpoint takes passwords at all.
    pub fn takes_passwords(&self) -> Result<(), Refusal> {
        if self.parts.config.auth.password_grant == PasswordGrant::Off {
            return Err(Refusal::OAuth(OAuthError::UnsupportedGrantType, "Passwords are not taken at this endpoint."));
        }
        Ok(())
    }

    fn may_use_passwords(&self, client: Option<&ClientRecord>) -> Result<(), Refusal> {
        self.takes_passwords()?;
        match client {
            None if self.parts.config.auth.password_grant == PasswordGrant::Clients => {
                Err(Refusal::OAuth(OAuthError::InvalidClient, "This grant type needs a registered client."))
            }
            Some(client) if !client.grants.contains(&Grant::Password) => Err(NOT_THIS_GRANT),
            _ => Ok(()),
        }
    }

    /// A token that proves the client itself: no user, no session, nothing to refresh.
    async fn as_itself(&self, client: &ClientRecord, asked: Option<ScopeSet>, origin: &Origin) -> Result<Issued, Refusal> {
        if client.secret.is_none() || !client.grants.contains(&Grant::ClientCredentials) {
            return Err(NOT_THIS_GRANT);
        }
        let scope = match asked {
            None => client.scopes.clone(),
            Some(asked) => {
                Some(client.scopes.narrowed_to(&asked)).filter(|left| !left.is_empty()).ok_or(Refusal::InvalidScope)?
            }
        };
        let (config, now) = (&self.parts.config, self.parts.clock.now());
        let claims = AccessClaims {
            iss: config.server.public_url.clone(),
            aud: config.tokens.audience.clone(),
            sub: client.id.into(),
            exp: now.plus(config.tokens.access_ttl).as_secs(),
            iat: now.as_secs(),
            jti: TokenId::generate(now, &*self.parts.entropy),
            sid: None,
            client_id: client.id.to_string(),
            scope: scope.clone(),
            roles: Vec::new(),
            r#gen: client.generation,
            preferred_username: None,
            name: None,
            email: None,
            email_verified: None,
            attributes: None,
            auth_time: None,
            amr: Vec::new(),
        };
        let access = self.signed(&claims, now)?;
        let detail = format!("client {} took a token of its own", client.name);
        self.audit.note(AuditKind::LoginOk, origin, Some(client.id.to_string()), Some(detail)).await;
        Ok(Issued { access, expires_in: config.tokens.access_ttl, refresh: None, scope })
    }
}
