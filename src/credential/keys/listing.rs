//! What is to be said of the keys, and a new one beside them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Key, KeyError, KeyRing};
use crate::config::{Algorithm, Tokens};
use crate::domain::Timestamp;

/// A file that is named after a later time than this from now was named by a clock that was wrong.
const CLOCK_FAULT: Duration = Duration::from_hours(24);

/// What a key does. All keys verify and are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Tokens are signed with it.
    Signs,
    /// It is going to sign.
    Waits,
    /// It signs no more: the tokens that it signed go on.
    Verifies,
}

impl KeyState {
    /// It in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signs => "signs",
            Self::Waits => "waits",
            Self::Verifies => "verifies",
        }
    }
}

/// A key as it is listed.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// Its name: the `kid` of its tokens.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where it is; a secret has no file.
    pub file: Option<PathBuf>,
    /// When it was made, by the name of its file.
    pub created_at: Option<Timestamp>,
    /// What it does.
    pub state: KeyState,
    /// When it is going to sign, if it waits.
    pub signs_from: Option<Timestamp>,
    /// When the last token that it can have signed has ended. `None` while it signs or waits, and for a key of another algorithm
    /// than the wanted one: it signed until the replicas read the new `tokens.algorithm`, and when that was is not known here.
    pub deletable_from: Option<Timestamp>,
}

impl KeyRing {
    /// The keys, oldest first, as things are at `now` for tokens that are accepted for `lifetime` (leeway included).
    #[must_use]
    pub fn listed(&self, now: Timestamp, lifetime: Duration) -> Vec<ListedKey> {
        let signing = self.signing_key(now).map(|key| key.kid.as_str());
        let will_sign = |key: &Key| key.active > now && (key.algorithm == self.algorithm || self.lacks_the_wanted());
        let listed = |(place, key): (usize, &Key)| {
            let state = match key {
                key if signing == Some(&key.kid) => KeyState::Signs,
                key if will_sign(key) => KeyState::Waits,
                _ => KeyState::Verifies,
            };
            let newer = self.keys.iter().skip(place + 1).filter(|other| other.algorithm == key.algorithm);
            let replaced_at = newer.map(|other| other.active).min();
            let is_over = state == KeyState::Verifies && key.algorithm == self.algorithm;
            ListedKey {
                kid: key.kid.clone(),
                algorithm: key.algorithm,
                file: key.file.as_ref().map(|(path, _)| path.clone()),
                created_at: key.file.as_ref().map(|(_, made)| *made),
                state,
                signs_from: (state == KeyState::Waits).then_some(key.active),
                deletable_from: replaced_at.filter(|_| is_over).map(|at| at.plus(lifetime)),
            }
        };
        self.keys.iter().enumerate().map(listed).collect()
    }

    /// Makes the key that follows those of `tokens`, named so that it is the newest; gives its file and all keys with it.
    pub fn rotate(tokens: &Tokens, now: Timestamp) -> Result<(PathBuf, Self), KeyError> {
        let newest = match Self::load(tokens) {
            Ok(ring) => ring.keys.into_iter().rev().find_map(|key| key.file),
            Err(KeyError::None(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some((path, made)) = &newest
            && made.since(now) > CLOCK_FAULT
        {
            let what =
                "is named after a time that is to come, and no newer key would ever sign: name it after the time it was made";
            return Err(KeyError::bad(Path::new(path), what));
        }
        let at = newest.map_or(now, |(_, made)| now.max(made.plus(Duration::from_secs(1))));
        let file = Self::create(tokens.algorithm, &tokens.keys, at)?;
        Ok((file, Self::load(tokens)?))
    }
}
