//! The form of a message in the Redis stream.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::redis::streams::StreamId;
use ::redis::{FromRedisValue as _, Pipeline};

use crate::domain::{Entry, Timestamp};

/// Messages that Redis keeps at most, about; live entries beyond are still in every list and in the store.
pub(super) const CAP: usize = 1_000_000;
/// The field that holds the entry as JSON; a message without it only marks a place.
const ENTRY: &str = "entry";
/// The field that holds when it was published, in milliseconds since the epoch.
const AT: &str = "at";

/// The place of a message in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    millis: u64,
    counter: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.counter)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (millis, counter) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { millis: millis.parse()?, counter: counter.parse()? })
    }
}

/// What a message says.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) position: Position,
    /// `None`: a place marker, or something that this release can't read; the store will have it.
    pub(super) entry: Option<Entry>,
    /// When it was published, on the publisher's clock.
    pub(super) at: Option<Timestamp>,
}

impl Message {
    /// `None` when not even its place can be read.
    pub(super) fn read(message: &StreamId) -> Option<Self> {
        let text = |field: &str| message.map.get(field).and_then(|value| String::from_redis_value_ref(value).ok());
        let entry = text(ENTRY).and_then(|json| {
            serde_json::from_str(&json).inspect_err(|error| tracing::warn!(%error, id = message.id, "unreadable revocation")).ok()
        });
        let at = text(AT).and_then(|at| at.parse().ok()).map(Timestamp::from_millis);
        Some(Self { position: message.id.parse().ok()?, entry, at })
    }

    /// How long it took from publishing to `now`.
    pub(super) fn lag(&self, now: Timestamp) -> Option<Duration> {
        self.at.map(|at| now.since(at))
    }
}

/// Adds commands that publish `entries` at `now`.
pub(super) fn add_all(pipeline: &mut Pipeline, key: &str, entries: &[Entry], now: Timestamp) {
    for entry in entries {
        if let Ok(json) = serde_json::to_string(entry) {
            pipeline.cmd("XADD").arg(key).arg("MAXLEN").arg("~").arg(CAP).arg("*");
            pipeline.arg(ENTRY).arg(json).arg(AT).arg(now.as_millis()).ignore();
        }
    }
}

/// Adds a command that marks a place: an empty stream has none to resume from.
pub(super) fn add_marker(pipeline: &mut Pipeline, key: &str, now: Timestamp) {
    pipeline.cmd("XADD").arg(key).arg("*").arg(AT).arg(now.as_millis()).ignore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_by_time_and_then_by_number() {
        let read = |text: &str| text.parse::<Position>().expect("a place");
        assert!(read("9-1") < read("10-0"));
        assert!(read("10-2") < read("10-10"));
        assert_eq!(read("1700000000000-3").to_string(), "1700000000000-3");
        assert!("x-1".parse::<Position>().is_err());
    }
}
