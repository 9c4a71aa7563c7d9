//! What a route's `path` may look like.

use std::sync::Arc;

use crate::domain::path::{CanonicalPath, PathFault, decode_segment};

use super::route::AllowInPath;

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not start with `/`.
    #[error("a path starts with `/`")]
    NoSlash,
    /// A literal that no target can have.
    #[error("`{0}` can never match: {1}")]
    Literal(String, PathFault),
    /// A literal with an oddity that the route does not allow.
    #[error("`{0}` can never match: it needs `{1}` in allow_in_path")]
    Oddity(String, &'static str),
    /// Braces that are not around a whole segment.
    #[error("`{0}`: a parameter is a whole segment, such as `/{{id}}/`")]
    Brace(String),
    /// A name that is no name.
    #[error("`{{{0}}}`: a parameter's name is of letters, digits, `_` and `-`")]
    Name(String),
    /// The same name twice.
    #[error("the parameter `{{{0}}}` stands twice")]
    Repeated(String),
    /// A star elsewhere than in a final `**`.
    #[error("`{0}`: a star stands only in a final `/**`; write `{{name}}` for one segment, `%2A` for the character")]
    Star(String),
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// As [`CanonicalPath::match_key`] spells it.
    Literal(String),
    /// `{name}`
    Param(String),
}

/// A pattern, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Its segments, without a final `**` and without the empty one behind a final slash.
    pub(super) segments: Vec<Segment>,
    /// Whether it ends in `/**`.
    pub(super) rest: bool,
    /// Whether it is written with a final slash.
    pub(super) slash: bool,
}

impl Pattern {
    /// Reads a pattern of a route that allows `allowed`.
    pub fn parse(text: &str, allowed: AllowInPath) -> Result<Self, PatternError> {
        let mut parts: Vec<&str> = text.strip_prefix('/').ok_or(PatternError::NoSlash)?.split('/').collect();
        let rest = parts.last() == Some(&"**");
        let slash = parts.last() == Some(&"");
        if rest || slash {
            parts.pop();
        }
        let mut segments = Vec::with_capacity(parts.len());
        for part in parts {
            let segment = segment(part, allowed)?;
            if let Segment::Param(name) = &segment
                && segments.contains(&segment)
            {
                return Err(PatternError::Repeated(name.clone()));
            }
            segments.push(segment);
        }
        Ok(Self { segments, rest, slash })
    }

    /// Whether the pattern has a parameter of this name.
    #[must_use]
    pub fn has_param(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.segments.iter().position(|segment| matches!(segment, Segment::Param(own) if own == name))
    }

    /// How many segments `prefix` cuts off, if it is a literal prefix of the pattern.
    #[must_use]
    pub(super) fn prefix_length(&self, prefix: &str) -> Option<usize> {
        let prefix = CanonicalPath::parse(prefix.trim_end_matches('/').as_bytes()).ok()?;
        let key = prefix.match_key();
        let mut own = self.segments.iter();
        let mut length = 0;
        for wanted in key.split('/').skip(1) {
            if !matches!(own.next(), Some(Segment::Literal(literal)) if literal == wanted) {
                return None;
            }
            length += 1;
        }
        Some(length)
    }
}

fn segment(part: &str, allowed: AllowInPath) -> Result<Segment, PatternError> {
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        return if good { Ok(Segment::Param(name.to_owned())) } else { Err(PatternError::Name(name.to_owned())) };
    }
    if part.contains(['{', '}']) {
        return Err(PatternError::Brace(part.to_owned()));
    }
    if part.contains('*') {
        return Err(PatternError::Star(part.to_owned()));
    }
    let literal =
        CanonicalPath::parse(format!("/{part}").as_bytes()).map_err(|fault| PatternError::Literal(part.into(), fault))?;
    let mut oddities = literal.oddities();
    if part.is_empty() {
        oddities = oddities.with(AllowInPath::EMPTY_SEGMENT);
    }
    if let Some(name) = oddities.without(allowed).first_name() {
        return Err(PatternError::Oddity(part.to_owned(), name));
    }
    let key = literal.match_key();
    Ok(Segment::Literal(key.strip_prefix('/').unwrap_or_default().to_owned()))
}

/// The values of a matched route's parameters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Params {
    pub(super) path: CanonicalPath,
    pub(super) pattern: Arc<Pattern>,
}

impl Params {
    /// The path that matched.
    #[must_use]
    pub const fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// The value of `{name}`, percent-decoded.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        self.path.segments().nth(self.pattern.position(name)?).map(decode_segment)
    }
}
