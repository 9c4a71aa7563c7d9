//! Fields that clients write in more than one way.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::body::wrong;
use crate::domain::ScopeSet;
use crate::problem::Refusal;

/// Scopes: a list of them, or a text with spaces between (RFC 6749 §3.3).
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Scopes {
    /// `["items:read", "orders"]`
    List(Vec<String>),
    /// `items:read orders`
    Text(String),
}

impl Scopes {
    /// The scopes, each well formed.
    pub(super) fn read(self, field: &'static str) -> Result<ScopeSet, Refusal> {
        let scopes = match self {
            Self::List(list) => list.iter().map(|scope| scope.parse()).collect(),
            Self::Text(text) => text.parse(),
        };
        scopes.map_err(|error| wrong(field, format!("`{field}` holds what is no scope: {error}.")))
    }
}

/// A span of time: seconds, or a number with a unit.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Span {
    /// In seconds.
    #[schema(example = 86400)]
    Seconds(u64),
    /// Such as `30d` or `12h`.
    #[schema(example = "30d")]
    Text(String),
}

impl Span {
    /// The span.
    pub(super) fn read(self, field: &'static str) -> Result<Duration, Refusal> {
        match self {
            Self::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
            Self::Text(text) => humantime::parse_duration(&text)
                .map_err(|_| wrong(field, format!("`{field}` must be seconds, or a number and a unit such as 30d or 12h."))),
        }
    }
}

/// Tells a field that is `null` from one that is not there.
#[expect(clippy::option_option, reason = "not there, `null` and a value are three things")]
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
