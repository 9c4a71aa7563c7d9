//! How login names compare: one spelling for all that a person would call the same.

use unicode_normalization::UnicodeNormalization;

/// The spelling under which a username or an e-mail address is unique and is looked up, and under
/// which failed logins are counted.
#[must_use]
pub fn folded(name: &str) -> String {
    // Lower case may decompose what NFKC composed, so it is normalised once more.
    name.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_form_make_no_other_name() {
        for (one, other) in [("Anna", "aNNA"), ("ﬁnn", "FINN"), ("Ａdmin", "admin"), ("José", "JOSE\u{301}"), ("İ", "i\u{307}")]
        {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("anna"), folded("anne"));
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for name in ["Straße", "ΌΣΟΣ", "K", "ǅ", "ﷺ"] {
            assert_eq!(folded(&folded(name)), folded(name), "{name}");
        }
    }
}
