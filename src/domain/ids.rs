//! Names of things, each a type of its own so that they can't be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock::Timestamp;
use super::entropy::{Entropy, random, random_text};

/// What was given is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct IdError;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one (UUIDv7, RFC 9562 §5.7: ordered by the time it was made).
            #[must_use]
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let millis = u64::try_from(now.as_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random(entropy)).into_uuid())
            }

            /// Its 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the canonical spelling: two spellings of one id would be two cache keys.
                let id = Uuid::try_parse(text).map_err(|_| IdError)?;
                if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) { Ok(Self(id)) } else { Err(IdError) }
            }
        }
    };
}

uuid_id!(
    /// A user or a machine account: the `sub` of its tokens.
    UserId
);
uuid_id!(
    /// An OAuth client: its `client_id`, and the `sub` of tokens that are its own. Of the same space as user ids, so that a
    /// generation is asked about alike.
    ClientId
);
uuid_id!(
    /// One login, alive through its refresh tokens: the `sid` of its tokens.
    SessionId
);
uuid_id!(
    /// One access token: its `jti`.
    TokenId
);

impl From<ClientId> for UserId {
    fn from(client: ClientId) -> Self {
        Self(client.0)
    }
}

/// The public part of an API key: 26 of `[0-9a-z]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// How long one is.
    pub const LENGTH: usize = 26;
    const ALPHABET: &'static [u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// A new one.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(random_text(entropy, Self::ALPHABET, Self::LENGTH))
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == Self::LENGTH && text.bytes().all(|b| Self::ALPHABET.contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SystemEntropy;

    #[test]
    fn an_id_has_one_spelling_only() {
        let id = UserId::generate(Timestamp::from_secs(1_700_000_000), &SystemEntropy);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<UserId>(), Err(IdError));
        assert_eq!(id.0.simple().to_string().parse::<UserId>(), Err(IdError));
    }

    #[test]
    fn a_key_id_is_26_lower_case_letters_and_digits() {
        let id = KeyId::generate(&SystemEntropy);
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert!("ABC".parse::<KeyId>().is_err());
    }
}
