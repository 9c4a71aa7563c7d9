//! What only some backends read differently in a path.

/// Oddities of a path: those that a target has, or that a route takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowInPath(pub u8);

impl AllowInPath {
    /// `%2F`
    pub const ENCODED_SLASH: Self = Self(1);
    /// `;` or `%3B`
    pub const SEMICOLON: Self = Self(2);
    /// `//`
    pub const EMPTY_SEGMENT: Self = Self(4);
    /// `%252e`, `%252f`, `%255c`, `%2500`, `%253b`
    pub const DOUBLE_ENCODING: Self = Self(8);
    /// A segment that ends in a dot or a space.
    pub const TRAILING_DOT: Self = Self(16);

    /// Each with the name it has in route files.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("encoded_slash", Self::ENCODED_SLASH),
        ("semicolon", Self::SEMICOLON),
        ("empty_segment", Self::EMPTY_SEGMENT),
        ("double_encoding", Self::DOUBLE_ENCODING),
        ("trailing_dot", Self::TRAILING_DOT),
    ];

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of `self` that `allowed` does not have.
    #[must_use]
    pub const fn without(self, allowed: Self) -> Self {
        Self(self.0 & !allowed.0)
    }

    /// The first of them, by its name in route files.
    #[must_use]
    pub fn first_name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, one)| one.without(self).is_empty()).map(|(name, _)| *name)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
