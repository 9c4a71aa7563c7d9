//! What is known of a token (RFC 7662).

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::accounts::{Accounts, ClientCredentials, Origin, store_is_down, try_again};
use crate::credential::Accepted;
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{ClientId, SecretString, UserId};
use crate::problem::Refusal;
use crate::revocation::Standing;

/// What a client that asks is told (§2.2). Of a token that is not good, nothing but that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether the token is good now.
    pub active: bool,
    /// What it may do, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client that it was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user's login name; a client's own token has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// When it ends, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// When it was issued, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Whom it proves: the id of a user, or of a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// The gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl Accounts {
    /// Tells a client with a secret what `token` is good for: an access token of ours. Store and revocation list are both
    /// asked, so that neither's lag shows.
    pub async fn introspect(
        &self,
        client: Option<ClientCredentials>,
        token: SecretString,
        origin: Origin,
    ) -> Result<Introspection, Refusal> {
        self.confidential_client(client.as_ref(), &origin).await?;
        let Ok(accepted) = self.judge(token.expose_secret()) else { return Ok(Introspection::default()) };
        let lives = match self.parts.revocations.standing(&accepted.concern).await {
            Standing::Live => self.is_in_force(&accepted).await?,
            Standing::Revoked => false,
            Standing::Unknown => return Err(try_again("Whether the token was revoked can't be told at the moment. Try again.")),
        };
        Ok(if lives { told(&accepted) } else { Introspection::default() })
    }

    /// Whether account, generation and session are, in the store, what the token says.
    async fn is_in_force(&self, accepted: &Accepted) -> Result<bool, Refusal> {
        let store = &self.parts.store;
        let Some((UserId(subject), generation)) = accepted.concern.account else { return Ok(false) };
        if accepted.principal.is_client() {
            let client = store.client(ClientId(subject)).await.map_err(|error| store_is_down(&error))?;
            return Ok(client.is_some_and(|client| client.generation <= generation));
        }
        let user = store.user(UserId(subject)).await.map_err(|error| store_is_down(&error))?;
        if !user.is_some_and(|user| !user.disabled && user.generation <= generation) {
            return Ok(false);
        }
        let Some(session) = accepted.concern.session else { return Ok(true) };
        let session = store.session(session).await.map_err(|error| store_is_down(&error))?;
        Ok(session.is_some_and(|session| session.ended_at.is_none()))
    }
}

fn told(accepted: &Accepted) -> Introspection {
    let claims = &accepted.principal.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    Introspection {
        active: true,
        scope: Some(accepted.principal.scopes.to_string()),
        client_id: text("client_id"),
        username: accepted.principal.username.clone(),
        token_type: Some("Bearer".to_owned()),
        exp: time("exp"),
        iat: time("iat"),
        sub: text("sub"),
        aud: text("aud"),
        iss: text("iss"),
        jti: text("jti"),
    }
}
