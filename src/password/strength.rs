//! What a new password has to be (`[passwords]`; NIST SP 800-63B-4 §3.1.1.2).

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::config::{Blocklist, Kind, Passwords};
use crate::domain::folded;

/// Passwords that guessers try first, one a line, in lower case.
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
    /// It is the username or the e-mail address.
    #[error("The password must not be the username or the e-mail address.")]
    IsLoginName,
    /// No character of a kind in `passwords.require`.
    #[error("The password needs {} too.", called(*.0))]
    Missing(Kind),
    /// Everybody's.
    #[error("The password is one of those that are guessed first.")]
    Common,
}

const fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Uppercase => "an upper-case letter",
        Kind::Lowercase => "a lower-case letter",
        Kind::Digit => "a digit",
        Kind::Symbol => "a space, or a sign that is neither a letter nor a digit,",
    }
}

/// Judges a new password of who logs in by one of `names`: says the first rule that it breaks. Every rule but the greatest length
/// looks at what NFKC makes of it, as that is what is hashed.
pub fn check<'a>(rules: &Passwords, names: impl IntoIterator<Item = &'a str>, password: &str) -> Result<(), Weakness> {
    // First, so that nothing long is normalised.
    if password.len() > rules.max_length {
        return Err(Weakness::TooLong(rules.max_length));
    }
    // Counted as it is hashed, so that combining marks add nothing.
    if password.nfkc().count() < rules.min_length {
        return Err(Weakness::TooShort(rules.min_length));
    }
    if let Some(missing) = rules.require.iter().find(|kind| !password.nfkc().any(|c| is_of(**kind, c))) {
        return Err(Weakness::Missing(*missing));
    }
    let normal = folded(password);
    if names.into_iter().any(|name| normal == folded(name)) {
        return Err(Weakness::IsLoginName);
    }
    let is_common = match &rules.blocklist {
        Blocklist::Builtin => BLOCKLIST.contains(normal.as_str()) || is_repetition(&normal),
        Blocklist::File(list) => list.contains(normal.as_str()) || is_repetition(&normal),
        Blocklist::Off => false,
    };
    if is_common { Err(Weakness::Common) } else { Ok(()) }
}

fn is_of(kind: Kind, c: char) -> bool {
    match kind {
        Kind::Uppercase => c.is_uppercase(),
        Kind::Lowercase => c.is_lowercase(),
        Kind::Digit => c.is_numeric(),
        // A mark belongs to the letter before it.
        Kind::Symbol => !c.is_alphanumeric() && !c.is_control() && !is_combining_mark(c),
    }
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
        Passwords {
            min_length,
            max_length: 64,
            require: Vec::new(),
            blocklist: Blocklist::Builtin,
            argon2: Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 },
        }
    }

    #[test]
    fn length_is_counted_in_characters_below_and_in_bytes_above() {
        assert_eq!(check(&rules(15), ["ann"], "fourteen-chars"), Err(Weakness::TooShort(15)));
        assert_eq!(check(&rules(15), ["ann"], "fifteen-charact"), Ok(()));
        assert_eq!(check(&rules(4), ["ann"], "äöüß"), Ok(()));
        assert_eq!(check(&rules(4), ["ann"], "a\u{308}o\u{308}u\u{308}"), Err(Weakness::TooShort(4)));
        assert_eq!(check(&rules(4), ["ann"], &"äb".repeat(22)), Err(Weakness::TooLong(64)));
    }

    #[test]
    fn what_one_logs_in_by_is_no_password_in_any_case_or_form() {
        let names = ["Jörg.Example", "joerg@Example.com"];
        for password in ["jo\u{308}rg.EXAMPLE", "JOERG@example.com", "\u{ff4a}oerg@example.com"] {
            assert_eq!(check(&rules(3), names, password), Err(Weakness::IsLoginName), "{password}");
        }
        assert_eq!(check(&rules(3), names, "joerg@example.org"), Ok(()));
    }

    #[test]
    fn common_and_repeated_ones_are_refused() {
        for password in ["Password123", "correcthorsebatterystaple", "qwertyuiop123456", "aaaaaaaaaaaaaaaa", "abababababababab"] {
            assert_eq!(check(&rules(8), ["ann"], password), Err(Weakness::Common), "{password}");
        }
        assert_eq!(check(&rules(8), ["ann"], "plenty of unrelated words"), Ok(()));
    }

    #[test]
    fn every_kind_that_is_asked_for_has_to_be_there() {
        let all = vec![Kind::Uppercase, Kind::Lowercase, Kind::Digit, Kind::Symbol];
        let rules = Passwords { require: all, ..rules(4) };
        for (password, missing) in [
            ("abc1!", Kind::Uppercase),
            ("ABC1!", Kind::Lowercase),
            ("ABc!!", Kind::Digit),
            ("ABc11", Kind::Symbol),
            ("ABc1e\u{308}\u{320}", Kind::Symbol),
        ] {
            assert_eq!(check(&rules, ["ann"], password), Err(Weakness::Missing(missing)), "{password}");
        }
        for password in ["AbCdEf 1", "\u{c4}\u{f6}3 x", "\u{ff21}b\u{2460}-", "\u{416}\u{436} 7"] {
            assert_eq!(check(&rules, ["ann"], password), Ok(()), "{password}");
        }
        assert_eq!(Weakness::Missing(Kind::Digit).to_string(), "The password needs a digit too.");
    }

    #[test]
    fn a_list_of_ones_own_takes_the_place_of_the_built_in_one() {
        let list = ["our company 2026", "stra\u{df}e und \u{e4}pfel"].map(|line| folded(line).into());
        let own = Passwords { blocklist: Blocklist::File(std::sync::Arc::new(list.into())), ..rules(8) };
        for password in ["Our Company 2026", "STRA\u{df}E und A\u{308}pfel", "\u{ff4f}ur company 2026", "aaaaaaaaaaaaaaaa"] {
            assert_eq!(check(&own, ["ann"], password), Err(Weakness::Common), "{password}");
        }
        assert_eq!(check(&own, ["ann"], "Password123"), Ok(()));
        let off = Passwords { blocklist: Blocklist::Off, ..rules(8) };
        assert_eq!(check(&off, ["ann"], "aaaaaaaaaaaaaaaa"), Ok(()));
        assert_eq!(check(&off, ["ann"], "our company 2026"), Ok(()));
    }

    #[test]
    fn the_blocklist_is_written_as_it_is_compared() {
        for line in COMMON.lines() {
            assert!(!line.is_empty() && line == folded(line), "{line:?}");
        }
    }
}
