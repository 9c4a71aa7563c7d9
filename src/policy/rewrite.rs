//! From the path that was judged to the path that the backend gets (`strip_prefix`, `add_prefix`).

use crate::domain::CanonicalPath;
use crate::problem::Refusal;

use super::pattern::Pattern;
use super::route::{AllowInPath, RouteSpec};

/// What is wrong with a rewrite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// `strip_prefix` is not made of the pattern's first segments.
    #[error("strip_prefix `{0}` is no literal prefix, of whole segments, of the path")]
    Strip(String),
    /// What is put in front is no clean path.
    #[error("`{0}` can't be put before a path: it is no plain path that starts with `/`")]
    Add(String),
}

/// A route's rewrite, checked.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// How many segments are cut off.
    strip: usize,
    /// What is put in front: the backend's path and `add_prefix`, without a final slash.
    add: String,
}

impl Rewrite {
    pub(super) fn new(spec: &RouteSpec, pattern: &Pattern) -> Result<Self, RewriteError> {
        let strip = match spec.strip_prefix.trim_end_matches('/') {
            "" => 0,
            prefix => pattern.prefix_length(prefix).ok_or_else(|| RewriteError::Strip(spec.strip_prefix.clone()))?,
        };
        let base = spec.backend.as_ref().map_or("", |backend| backend.base_path.as_str());
        let mut add = String::new();
        for prefix in [base, spec.add_prefix.as_str()] {
            let plain = prefix.strip_suffix('/').unwrap_or(prefix);
            if plain.is_empty() {
                continue;
            }
            match CanonicalPath::parse(plain.as_bytes()) {
                Ok(path) if path.oddities().is_empty() && !plain.ends_with('/') => add.push_str(path.as_str()),
                _ => return Err(RewriteError::Add(prefix.to_owned())),
            }
        }
        Ok(Self { strip, add })
    }

    /// The path towards the backend. It may have no oddity that the path which was judged did not have.
    pub(super) fn apply(&self, path: &CanonicalPath, allowed: AllowInPath) -> Result<CanonicalPath, Refusal> {
        if !path.oddities().without(allowed).is_empty() {
            return Err(Refusal::AmbiguousTarget("it can be read in more than one way"));
        }
        if self.strip == 0 && self.add.is_empty() {
            return Ok(path.clone());
        }
        let mut rest = path.as_str();
        for _ in 0..self.strip {
            let tail = rest.strip_prefix('/').unwrap_or(rest);
            rest = tail.find('/').and_then(|slash| tail.get(slash..)).unwrap_or_default();
        }
        // `/api` without `/api` is the root; with something before it, it is just that.
        let rest = if rest.is_empty() && self.add.is_empty() { "/" } else { rest };
        let made = CanonicalPath::parse(format!("{}{rest}", self.add).as_bytes())
            .map_err(|fault| Refusal::AmbiguousTarget(fault.as_str()))?;
        // A path of two slashes at its start would be read as a host by some.
        if !made.oddities().without(path.oddities()).is_empty() || made.as_str().starts_with("//") {
            return Err(Refusal::AmbiguousTarget("what the gateway makes of it can be read in more than one way"));
        }
        Ok(made)
    }
}
