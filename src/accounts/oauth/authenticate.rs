//! Who a client is (RFC 6749 §2.3).

use crate::accounts::{Accounts, Origin, store_is_down};
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{AuditKind, ClientId, ClientRecord, Hash256, LOGIN_CLIENT, SecretString};
use crate::problem::{OAuthError, Refusal};

/// One answer for all the ways not to be a client.
pub(in crate::accounts) const NO_CLIENT: Refusal =
    Refusal::OAuth(OAuthError::InvalidClient, "The client is unknown, or its secret is wrong or missing.");
const NEEDS_CLIENT: Refusal =
    Refusal::OAuth(OAuthError::InvalidClient, "Send client_id and client_secret, by Authorization: Basic or in the form.");

/// What a client says it is, and what it proves that with. A public client has a `client_id` only.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// `client_id`
    pub id: String,
    /// `client_secret`
    pub secret: Option<SecretString>,
}

impl Accounts {
    /// The client that presents itself; `None` is the gateway's own login client, which needs not be named.
    pub(super) async fn client(
        &self,
        presented: Option<&ClientCredentials>,
        origin: &Origin,
    ) -> Result<Option<ClientRecord>, Refusal> {
        match presented {
            None => Ok(None),
            Some(presented) if presented.id == LOGIN_CLIENT && presented.secret.is_none() => Ok(None),
            Some(presented) => self.authenticated(presented, origin).await.map(Some),
        }
    }

    /// The same where a client has to be named; the name `portcullis` is enough for that.
    pub(super) async fn named_client(
        &self,
        presented: Option<&ClientCredentials>,
        origin: &Origin,
    ) -> Result<Option<ClientRecord>, Refusal> {
        if presented.is_none() {
            return Err(NEEDS_CLIENT);
        }
        self.client(presented, origin).await
    }

    /// The same where only a client with a secret will do.
    pub(super) async fn confidential_client(
        &self,
        presented: Option<&ClientCredentials>,
        origin: &Origin,
    ) -> Result<ClientRecord, Refusal> {
        let client = self.named_client(presented, origin).await?;
        client.filter(|client| client.secret.is_some()).ok_or(NEEDS_CLIENT)
    }

    async fn authenticated(&self, presented: &ClientCredentials, origin: &Origin) -> Result<ClientRecord, Refusal> {
        let (parts, id) = (&self.parts, presented.id.as_str());
        if let Err(quota) = parts.limits.may_authenticate(origin.address, id).await {
            parts.metrics.auth("client", "limited");
            let why = "too many failures of this address to authenticate as a client";
            self.audit.note(AuditKind::LoginLimited, origin, None, Some(why.to_owned())).await;
            return Err(Refusal::RateLimited(quota));
        }
        // What is no id at all costs a look-up too.
        let parsed = id.parse().unwrap_or(ClientId(uuid::Uuid::nil()));
        let found = parts.store.client(parsed).await.map_err(|error| {
            parts.metrics.auth("client", "unavailable");
            store_is_down(&error)
        })?;
        if let Some(client) = &found
            && proves(client, presented.secret.as_ref())
        {
            parts.metrics.auth("client", "accepted");
            return Ok(client.clone());
        }
        parts.metrics.auth("client", "rejected");
        let subject = found.as_ref().map(|client| client.id.to_string());
        let why = if found.is_some() { "wrong client secret" } else { "unknown client" };
        self.audit.note(AuditKind::LoginFailed, origin, subject, Some(why.to_owned())).await;
        match parts.limits.not_authenticated(origin.address, id).await {
            Ok(()) => Err(NO_CLIENT),
            Err(quota) => Err(Refusal::RateLimited(quota)),
        }
    }
}

/// Whether `presented` is what `client` proves itself with: its secret, or, where it is a public one, nothing.
fn proves(client: &ClientRecord, presented: Option<&SecretString>) -> bool {
    match (client.secret, presented) {
        (Some(kept), Some(presented)) => kept.matches(&Hash256::of(presented.expose_secret().as_bytes())),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
