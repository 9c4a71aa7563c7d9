//! Scopes: `segment(:segment)*`, where a scope covers itself and everything below it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is wrong with a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Nothing there, or an empty segment.
    #[error("a scope is `segment` or `segment:segment`, without empty segments")]
    Empty,
    /// A character that RFC 6749 §3.3 does not allow in a scope token.
    #[error("a scope holds printable ASCII without spaces, `\"` and `\\`")]
    Character,
    /// `*` beside other characters.
    #[error("`*` stands alone: it covers everything")]
    Star,
}

/// One scope token (RFC 6749 §3.3), such as `items:read`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    /// Lets a login act on its own account.
    pub const ACCOUNT: &'static str = "portcullis:account";
    /// Lets an admin act on everybody's.
    pub const ADMIN: &'static str = "portcullis:admin";

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `*`, which covers everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0 == "*"
    }

    /// Whether holding this scope grants `asked`.
    #[must_use]
    pub fn covers(&self, asked: &Self) -> bool {
        self.is_all() || self.is_at_or_above(asked)
    }

    fn is_at_or_above(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// Whether it is one of the gateway's own, which `*` does not grant at our endpoints.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0 == "portcullis" || self.0.starts_with("portcullis:")
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        if !text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(ScopeError::Character);
        }
        if text.contains('*') {
            return Err(ScopeError::Star);
        }
        if text.split(':').any(str::is_empty) {
            return Err(ScopeError::Empty);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes; prints as RFC 6749 writes it, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Whether some scope of the set grants `asked`.
    #[must_use]
    pub fn covers(&self, asked: &Scope) -> bool {
        self.0.iter().any(|held| held.covers(asked))
    }

    /// Whether the set grants `asked` by naming it or something above it; `*` does not count.
    ///
    /// The gateway's own endpoints ask this way.
    #[must_use]
    pub fn names(&self, asked: &Scope) -> bool {
        self.0.iter().any(|held| held.is_at_or_above(asked))
    }

    /// What of `asked` a holder of this set may get: for each pair the narrower one.
    ///
    /// `portcullis:…` is given only where it is asked by name.
    #[must_use]
    pub fn narrowed_to(&self, asked: &Self) -> Self {
        let mut granted = BTreeSet::new();
        for held in &self.0 {
            for wish in &asked.0 {
                if held.covers(wish) && !(held.is_all() && wish.is_reserved()) {
                    granted.insert(wish.clone());
                } else if wish.covers(held) && !(wish.is_all() && held.is_reserved()) {
                    granted.insert(held.clone());
                }
            }
        }
        Self(granted)
    }

    /// Both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// Adds one.
    pub fn insert(&mut self, scope: Scope) {
        self.0.insert(scope);
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// Reads `"items:read orders"` (RFC 6749 §3.3); several spaces are one.
impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            scope.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().expect("a scope")
    }

    fn set(text: &str) -> ScopeSet {
        text.parse().expect("scopes")
    }

    #[test]
    fn a_scope_covers_itself_and_what_is_below_it_on_a_colon() {
        assert!(scope("items").covers(&scope("items")));
        assert!(scope("items").covers(&scope("items:read:all")));
        assert!(!scope("items").covers(&scope("itemsX")));
        assert!(!scope("items:read").covers(&scope("items")));
        assert!(scope("*").covers(&scope("anything")));
    }

    #[test]
    fn malformed_scopes_are_refused() {
        for text in ["", ":", "a:", ":a", "a::b", "a b", "a\"", "a\\", "ä", "*:a", "a*"] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_narrower_of_asked_and_held_is_given() {
        assert_eq!(set("items:read").narrowed_to(&set("items")), set("items:read"));
        assert_eq!(set("items").narrowed_to(&set("items:read")), set("items:read"));
        assert_eq!(set("items:read items:write x").narrowed_to(&set("items")), set("items:read items:write"));
        assert_eq!(set("items").narrowed_to(&set("orders")), set(""));
        assert_eq!(set("*").narrowed_to(&set("orders")), set("orders"));
        assert_eq!(set("a b").narrowed_to(&set("*")), set("a b"));
    }

    #[test]
    fn our_own_scopes_are_given_only_by_name() {
        assert_eq!(set("*").narrowed_to(&set("portcullis:admin")), set(""));
        assert_eq!(set("a portcullis:account").narrowed_to(&set("*")), set("a"));
        assert_eq!(set("portcullis:account").narrowed_to(&set("portcullis:account")), set("portcullis:account"));
        assert!(!set("*").names(&scope(Scope::ADMIN)));
        assert!(set("portcullis").names(&scope(Scope::ADMIN)));
    }
}
