//! Searching among login names.

use crate::domain::folded;

/// A `LIKE` pattern, with `\` as its escape, for folded names that hold `query`.
pub(super) fn holding(query: &str) -> String {
    holding_exactly(&folded(query))
}

/// The same for texts that are compared as they are.
pub(super) fn holding_exactly(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_a_query_are_letters() {
        assert_eq!(holding("a_%\\B"), "%a\\_\\%\\\\b%");
    }
}
