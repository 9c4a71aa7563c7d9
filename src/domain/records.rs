//! What the store keeps, as the rest of the house sees it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::Timestamp;
use super::ids::{ClientId, KeyId, SessionId, UserId};
use super::rate::Rate;
use super::scope::ScopeSet;
use super::secret::{Hash256, SecretString};

/// An account: a person's, or a machine's without a password.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id: the `sub` of its tokens.
    pub id: UserId,
    /// Its login name as it was given; unique without regard to case.
    pub username: String,
    /// Its e-mail address as it was given; in one namespace with usernames.
    pub email: Option<String>,
    /// Whether an admin, the CLI or a mailed link vouched for the address.
    pub email_verified: bool,
    /// For people to read.
    pub full_name: Option<String>,
    /// The roles assigned to it.
    pub roles: Vec<String>,
    /// Scopes beside those of its roles.
    pub scopes: ScopeSet,
    /// What the operator noted of it, for `where` and headers.
    pub attributes: Map<String, Value>,
    /// Whether it may do nothing any more.
    pub disabled: bool,
    /// Whether it is a machine's.
    pub service: bool,
    /// Raised by every change that must kill access tokens.
    pub generation: i64,
    /// The password's hash as a PHC string, or an imported one in its own format.
    pub password: Option<SecretString>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl User {
    /// What it logs in by: its username, and its e-mail address if it has one.
    pub fn login_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.username.as_str()).chain(self.email.as_deref())
    }
}

/// The client that logins at the gateway itself go through: `client_id` of their sessions and tokens. No registered client has
/// this id: theirs are UUIDs.
pub const LOGIN_CLIENT: &str = "portcullis";

/// One login.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// Its id: the `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The OAuth client it was opened through; `portcullis` for logins.
    pub client_id: String,
    /// What the login asked for; `None` is all that the user has at each refresh.
    pub granted: Option<ScopeSet>,
    /// The browser or program that logged in: its `User-Agent`, cut to 256 bytes.
    pub device: String,
    /// The address it logged in from.
    pub address: String,
    /// When it logged in: the `auth_time` of its tokens.
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub used_at: Timestamp,
    /// When its last refresh token ends.
    pub expires_at: Timestamp,
    /// When it was ended, by a logout or a revocation.
    pub ended_at: Option<Timestamp>,
}

/// An API key; the key itself is known to nobody.
#[derive(Clone, Debug)]
pub struct ApiKeyRecord {
    /// Its public part.
    pub id: KeyId,
    /// SHA-256 of the whole key.
    pub hash: Hash256,
    /// Whose rights bound it.
    pub owner: UserId,
    /// What people call it.
    pub name: String,
    /// What it may do, never more than its owner has at the time of the call.
    pub scopes: ScopeSet,
    /// The networks it may be used from; empty is any.
    pub allowed_cidrs: Vec<String>,
    /// How often it may be used, beside what routes allow its owner; `None` is as often as those.
    pub rate_limit: Option<Rate>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last seen, to the minute or so.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// How a client may get tokens (RFC 6749 §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// With a user's name and password (§4.3).
    Password,
    /// With a refresh token (§6).
    RefreshToken,
    /// As itself (§4.4).
    ClientCredentials,
    /// With a code that a user's browser brought (§4.1).
    AuthorizationCode,
}

impl Grant {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Password, Self::RefreshToken, Self::ClientCredentials, Self::AuthorizationCode];

    /// As `grant_type` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
        }
    }
}

/// An OAuth client (RFC 6749 §2).
#[derive(Clone, Debug)]
pub struct ClientRecord {
    /// Its `client_id`.
    pub id: ClientId,
    /// What people call it; unique without regard to case.
    pub name: String,
    /// SHA-256 of its secret; public clients have none (§2.1).
    pub secret: Option<Hash256>,
    /// How it may get tokens.
    pub grants: Vec<Grant>,
    /// What its tokens may do at most; as itself all of it.
    pub scopes: ScopeSet,
    /// Where codes may be sent (§3.1.2).
    pub redirect_uris: Vec<String>,
    /// Raised by every change that must kill its access tokens.
    pub generation: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a link in a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailPurpose {
    /// Setting a new password without the old one.
    Reset,
    /// Showing that an address is one's own.
    Email,
}

impl MailPurpose {
    /// As the store writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Email => "email",
        }
    }
}

/// A secret that was mailed; it is known to nobody but its reader, and works once.
#[derive(Clone, Debug)]
pub struct MailedToken {
    /// SHA-256 of it.
    pub hash: Hash256,
    /// Whose account it is for.
    pub user: UserId,
    /// What for.
    pub purpose: MailPurpose,
    /// The address that it was sent to.
    pub email: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it all, and logs show them as they are")]
pub enum AuditKind {
    LoginOk,
    LoginFailed,
    LoginLimited,
    RefreshReplay,
    Logout,
    SessionRevoked,
    UserCreated,
    UserChanged,
    UserDeleted,
    PasswordChanged,
    RolesChanged,
    KeyCreated,
    KeyRevoked,
    ClientCreated,
    ClientDeleted,
    EmailVerified,
    ResetAsked,
}

impl AuditKind {
    /// As the log and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginOk => "login_ok",
            Self::LoginFailed => "login_failed",
            Self::LoginLimited => "login_limited",
            Self::RefreshReplay => "refresh_replay",
            Self::Logout => "logout",
            Self::SessionRevoked => "session_revoked",
            Self::UserCreated => "user_created",
            Self::UserChanged => "user_changed",
            Self::UserDeleted => "user_deleted",
            Self::PasswordChanged => "password_changed",
            Self::RolesChanged => "roles_changed",
            Self::KeyCreated => "key_created",
            Self::KeyRevoked => "key_revoked",
            Self::ClientCreated => "client_created",
            Self::ClientDeleted => "client_deleted",
            Self::EmailVerified => "email_verified",
            Self::ResetAsked => "reset_asked",
        }
    }
}

/// One line of the audit log; never holds a secret.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: AuditKind,
    /// Who did it: a user id, `cli`, or nothing for strangers.
    pub actor: Option<String>,
    /// Whom or what it concerns.
    pub subject: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
    /// One sentence more.
    pub detail: Option<String>,
}
