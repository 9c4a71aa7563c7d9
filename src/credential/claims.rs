//! The claims of our access tokens (RFC 9068 §2.2).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::domain::{ScopeSet, SessionId, TokenId, UserId};

/// What an access token of ours says. Members that are `None` are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The gateway: `server.public_url`.
    pub iss: String,
    /// Whom it is for: `tokens.audience`.
    pub aud: String,
    /// Whom it proves.
    pub sub: UserId,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// Its own id.
    pub jti: TokenId,
    /// The login behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The OAuth client it was issued to; `portcullis` for logins.
    pub client_id: String,
    /// What it may do, separated by spaces (RFC 6749 §3.3).
    #[serde(with = "spaced")]
    pub scope: ScopeSet,
    /// The roles assigned to the user.
    pub roles: Vec<String>,
    /// The generation of the account that it was issued in.
    pub r#gen: i64,
    /// The login name; a client's own token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether somebody vouched for the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// What the operator noted of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Map<String, Value>>,
    /// When the user logged in, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How the user proved himself (RFC 8176): `pwd`.
    #[serde(default)]
    pub amr: Vec<String>,
}

mod spaced {
    use super::{Deserialize, Deserializer, ScopeSet, Serializer};

    pub(super) fn serialize<S: Serializer>(scopes: &ScopeSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(scopes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ScopeSet, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
