//! What a new password has to be (`[passwords]`; NIST SP 800-63B-4 §3.1.1.2).

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

use crate::config::Passwords;

/// Passwords that guessers try first, one a line, in lower case; those shorter than 8 are left to `min_length`.
const COMMON: &str = include_str!("common.txt");

static BLOCKLIST: LazyLock<HashSet<&'static str>> = LazyLock::new(|| COMMON.lines().collect());

/// Why a password is not good enough; prints as a sentence for whom chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Fewer code points than `passwords.min_length`.
    #[error("The password needs {0} characters at least.")]
    TooShort(usize),
    /// More bytes than `passwords.max_length`.
    #[error("The password may have {0} bytes at most.")]
    TooLong(usize),
    /// It is the username.
    #[error("The password must not be the username.")]
    IsUsername,
    /// Everybody's.
    #[error("The password is one of those that are guessed first.")]
    Common,
}

/// Judges a new password of `username`.
pub fn check(rules: &Passwords, username: &str, password: &str) -> Result<(), Weakness> {
    // First, so that nothing long is normalised.
    if password.len() > rules.max_length {
        return Err(Weakness::TooLong(rules.max_length));
    }
    // Counted as it is hashed, so that combining marks add nothing.
    if password.nfkc().count() < rules.min_length {
        return Err(Weakness::TooShort(rules.min_length));
    }
    let folded = fold(password);
    if folded == fold(username) {
        return Err(Weakness::IsUsername);
    }
    if BLOCKLIST.contains(folded.as_str()) || is_repetition(&folded) {
        return Err(Weakness::Common);
    }
    Ok(())
}

fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Whether it is one or two characters over and over.
fn is_repetition(text: &str) -> bool {
    let mut seen: Vec<char> = text.chars().take(2).collect();
    seen.dedup();
    text.chars().all(|c| seen.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Argon2Cost;

    fn rules(min_length: usize) -> Passwords {
        Passwords { min_length, max_length: 64, argon2: Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 } }
    }

    #[test]
    fn length_is_counted_in_characters_below_and_in_bytes_above() {
        assert_eq!(check(&rules(15), "ann", "fourteen-chars"), Err(Weakness::TooShort(15)));
        assert_eq!(check(&rules(15), "ann", "fifteen-charact"), Ok(()));
        assert_eq!(check(&rules(4), "ann", "äöüß"), Ok(()));
        assert_eq!(check(&rules(4), "ann", "a\u{308}o\u{308}u\u{308}"), Err(Weakness::TooShort(4)));
        assert_eq!(check(&rules(4), "ann", &"äb".repeat(22)), Err(Weakness::TooLong(64)));
    }

    #[test]
    fn the_username_is_no_password_in_any_case_or_form() {
        assert_eq!(check(&rules(3), "Jörg.Example", "jo\u{308}rg.EXAMPLE"), Err(Weakness::IsUsername));
    }

    #[test]
    fn common_and_repeated_ones_are_refused() {
        for password in ["Password123", "correcthorsebatterystaple", "qwertyuiop123456", "aaaaaaaaaaaaaaaa", "abababababababab"] {
            assert_eq!(check(&rules(8), "ann", password), Err(Weakness::Common), "{password}");
        }
        assert_eq!(check(&rules(8), "ann", "plenty of unrelated words"), Ok(()));
    }

    #[test]
    fn the_blocklist_is_written_as_it_is_compared() {
        for line in COMMON.lines() {
            assert!(!line.is_empty() && line == fold(line), "{line:?}");
        }
    }
}
