//! Logging in with a password.

use std::time::Duration;

use super::oauth::NO_CLIENT;
use super::{Accounts, Origin, Tokens, busy, store_is_down, to_the_end};
use crate::domain::refresh::RefreshToken;
use crate::domain::secret::ExposeSecret;
use crate::domain::{
    AuditKind, ClientRecord, Hash256, LOGIN_CLIENT, ScopeSet, SecretString, SessionId, SessionRecord, Timestamp, User, UserId,
    folded,
};
use crate::limit::own_network;
use crate::password::Verdict;
use crate::problem::{Quota, Refusal};
use crate::store::StoreError;

/// For how long an address prefix stays an account's own after a login from it.
pub(super) const OWN_NETWORK_FOR: Duration = Duration::from_hours(30 * 24);
/// How much of a `User-Agent` a session keeps, in bytes.
const DEVICE_MAX: usize = 256;

/// What a client sends to log in.
#[derive(Debug)]
pub struct LoginRequest {
    /// A username or e-mail address as it was typed.
    pub login: SecretString,
    /// The password as it was typed.
    pub password: SecretString,
    /// The scopes that the tokens are to be narrowed to; `None` is all that the user has.
    pub scope: Option<ScopeSet>,
    /// The client that asks for tokens in the user's name, authenticated; `None` is a login at the gateway itself.
    pub client: Option<ClientRecord>,
    /// Where it comes from.
    pub origin: Origin,
}

/// The account that a login is aimed at, known or not.
pub(super) struct Target {
    pub(super) user: Option<User>,
    /// What its failures are counted under.
    pub(super) key: String,
    /// The address prefix, when the account logged in from it lately.
    pub(super) own_network: Option<String>,
}

impl Accounts {
    /// Logs in. Address limit, account limit, password, session: in this order, so that a flood is refused at the
    /// cheapest step. Unknown, disabled and service accounts cost what a wrong password costs and get its answer.
    pub async fn login(&self, request: LoginRequest) -> Result<Tokens, Refusal> {
        let this = self.clone();
        to_the_end(async move {
            let done = this.attempt(&request).await;
            this.parts.metrics.login(match &done {
                Ok(_) => "ok",
                Err(Refusal::InvalidCredentials) => "failed",
                Err(Refusal::RateLimited(_)) => "limited",
                Err(Refusal::InvalidScope) => "invalid_scope",
                Err(_) => "unavailable",
            });
            done
        })
        .await
    }

    async fn attempt(&self, request: &LoginRequest) -> Result<Tokens, Refusal> {
        let (limits, origin) = (&self.parts.limits, &request.origin);
        if let Err(quota) = limits.attempt(origin.address).await {
            return Err(self.limited(quota, origin, None, "too many attempts from this address").await);
        }
        let target = self.target(request).await?;
        let network = target.own_network.as_deref();
        self.may_try(&target, origin).await?;

        let verdict = self.check(&target, &request.password).await?;
        // The limit once more, for a failure in one step with counting it: guesses that ran side by side must not learn more
        // than guesses in a row.
        match (&target.user, verdict) {
            (Some(user), Verdict::Right { rehashed }) if !user.disabled && !user.service => {
                self.may_try(&target, origin).await?;
                let tokens = self.open(user, request).await?;
                self.keep_what_was_learned(user, rehashed, origin).await;
                Ok(tokens)
            }
            (user, _) => match limits.failed(&target.key, network).await {
                Ok(()) => Err(self.failed(user.as_ref(), origin).await),
                Err(quota) => Err(self.account_limited(quota, &target, origin).await),
            },
        }
    }

    /// Who is meant. Asks the store the same questions for accounts that do not exist.
    async fn target(&self, request: &LoginRequest) -> Result<Target, Refusal> {
        let store = &self.parts.store;
        let name = folded(request.login.expose_secret().trim());
        let user = store.user_by_login(&name).await.map_err(|error| store_is_down(&error))?;
        let id = user.as_ref().map_or(UserId(uuid::Uuid::nil()), |user| user.id);
        let network = own_network(request.origin.address);
        let since = self.parts.clock.now().minus(OWN_NETWORK_FOR);
        let known = store.knows_network(id, &network, since).await.map_err(|error| store_is_down(&error))?;
        let key = if user.is_some() { id.to_string() } else { unknown_key(&name) };
        Ok(Target { own_network: (known && user.is_some()).then_some(network), user, key })
    }

    pub(super) async fn may_try(&self, target: &Target, origin: &Origin) -> Result<(), Refusal> {
        match self.parts.limits.may_try(&target.key, target.own_network.as_deref()).await {
            Ok(()) => Ok(()),
            Err(quota) => Err(self.account_limited(quota, target, origin).await),
        }
    }

    pub(super) async fn account_limited(&self, quota: Quota, target: &Target, origin: &Origin) -> Refusal {
        self.limited(quota, origin, target.user.as_ref(), "too many failures of this account").await
    }

    /// One check in the pool, whatever is known: without a hash the pool burns the same time. `passwords.max_length` bounds new
    /// passwords, not this: one that was set, or imported, under another rule still lets in.
    pub(super) async fn check(&self, target: &Target, password: &SecretString) -> Result<Verdict, Refusal> {
        // Nor is who may not log in told that his password is right by what its check costs.
        let may = |user: &&User| !user.disabled && !user.service;
        let stored = target.user.as_ref().filter(may).and_then(|user| user.password.clone());
        self.parts.passwords.verify(password.clone(), stored).await.map_err(busy)
    }

    async fn open(&self, user: &User, request: &LoginRequest) -> Result<Tokens, Refusal> {
        let (parts, origin) = (&self.parts, &request.origin);
        let granted = match (&request.scope, &request.client) {
            (None, client) => client.as_ref().map(|client| client.scopes.clone()),
            (Some(asked), client) => {
                let granted = parts.config.roles.held_by(user).narrowed_to(asked);
                let granted = client.as_ref().map_or_else(|| granted.clone(), |client| granted.narrowed_to(&client.scopes));
                if granted.is_empty() {
                    self.note_failure(Some(user.id), "none of the asked scopes is held", origin).await;
                    return Err(Refusal::InvalidScope);
                }
                Some(granted)
            }
        };
        let now = parts.clock.now();
        let refresh = RefreshToken::generate(&*parts.entropy);
        let session = SessionRecord {
            id: SessionId::generate(now, &*parts.entropy),
            user: user.id,
            client_id: request.client.as_ref().map_or_else(|| LOGIN_CLIENT.to_owned(), |client| client.id.to_string()),
            granted,
            device: cut(&origin.device, DEVICE_MAX).to_owned(),
            address: origin.address.to_canonical().to_string(),
            created_at: now,
            used_at: now,
            expires_at: now.plus(parts.config.tokens.refresh_ttl),
            ended_at: None,
        };
        // The user comes back as he is in the transaction: his generation, roles and scopes go into the token.
        let fresh = match parts.store.open_session(&session, refresh.hash()).await {
            Ok(user) => user,
            Err(StoreError::NotFound(_)) => {
                self.note_failure(Some(user.id), "disabled or deleted during the check", origin).await;
                return Err(Refusal::InvalidCredentials);
            }
            Err(error) => return Err(store_is_down(&error)),
        };
        if let Some(client) = &request.client {
            self.end_if_deleted(client, session.id, now).await?;
        }
        if fresh.generation != user.generation && !same(fresh.password.as_ref(), user.password.as_ref()) {
            // The password was changed since the check, which ended all sessions but this one.
            let ended = parts.store.end_session(session.id, now, self.revoke_until(now)).await;
            parts.revocations.publish(ended.map_err(|error| store_is_down(&error))?).await;
            self.note_failure(Some(user.id), "the password was changed during the check", origin).await;
            return Err(Refusal::InvalidCredentials);
        }
        let tokens = self.tokens(&session, &fresh, refresh, now)?;
        let (subject, detail) = (fresh.id.to_string(), format!("{} opened session {}", fresh.username, session.id));
        self.audit.note(AuditKind::LoginOk, origin, Some(subject), Some(detail)).await;
        Ok(tokens)
    }

    /// Ends a session whose client was deleted since it authenticated: whichever came first, the session does not live.
    async fn end_if_deleted(&self, client: &ClientRecord, session: SessionId, now: Timestamp) -> Result<(), Refusal> {
        let parts = &self.parts;
        if parts.store.client(client.id).await.map_err(|error| store_is_down(&error))?.is_some() {
            return Ok(());
        }
        let ended = parts.store.end_session(session, now, self.revoke_until(now)).await;
        parts.revocations.publish(ended.map_err(|error| store_is_down(&error))?).await;
        Err(NO_CLIENT)
    }

    /// A better hash and the network. The login stands without them.
    async fn keep_what_was_learned(&self, user: &User, rehashed: Option<SecretString>, origin: &Origin) {
        let store = &self.parts.store;
        if let (Some(old), Some(new)) = (&user.password, rehashed)
            && let Err(error) = store.rehash_password(user.id, old, &new).await
        {
            tracing::warn!(%error, user = %user.id, "a better password hash was not kept");
        }
        let network = own_network(origin.address);
        if let Err(error) = store.remember_network(user.id, &network, self.parts.clock.now()).await {
            tracing::warn!(%error, user = %user.id, "the network of a login was not noted");
        }
    }

    async fn failed(&self, user: Option<&User>, origin: &Origin) -> Refusal {
        let why = match user {
            None => "unknown account",
            Some(user) if user.disabled => "disabled account",
            Some(user) if user.service => "service account",
            Some(_) => "wrong password",
        };
        self.note_failure(user.map(|user| user.id), why, origin).await;
        Refusal::InvalidCredentials
    }

    pub(super) async fn note_failure(&self, user: Option<UserId>, why: &str, origin: &Origin) {
        self.audit.note(AuditKind::LoginFailed, origin, user.map(|id| id.to_string()), Some(why.to_owned())).await;
    }

    pub(super) async fn limited(&self, quota: Quota, origin: &Origin, user: Option<&User>, why: &str) -> Refusal {
        let subject = user.map(|user| user.id.to_string());
        self.audit.note(AuditKind::LoginLimited, origin, subject, Some(why.to_owned())).await;
        Refusal::RateLimited(quota)
    }
}

/// Whether two stored hashes are the same.
fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}

/// What failures of an unknown name are counted under. A hash: passwords that were typed into the name field must not
/// stand in a limiter's memory or in Redis.
fn unknown_key(folded: &str) -> String {
    use std::fmt::Write as _;
    Hash256::of(folded.as_bytes()).as_bytes().iter().fold("name:".to_owned(), |mut key, byte| {
        // Writing to a String can't fail.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// At most `max` bytes of `text`, whole characters.
fn cut(text: &str, max: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= max).last().unwrap_or(0);
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_counted_without_being_kept() {
        let key = unknown_key("hunter2 hunter2");
        assert!(!key.contains("hunter2"), "{key}");
        assert_ne!(key, unknown_key("hunter3"));
    }

    #[test]
    fn a_device_is_cut_between_characters() {
        assert_eq!(cut("aää", 4), "aä");
        assert_eq!(cut("abc", 256), "abc");
    }
}
