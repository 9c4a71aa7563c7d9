//! The last net under the log: what looks like a credential is cut out of every value, wherever it came from.

use std::borrow::Cow;

/// What each kind of credential begins with.
const PREFIXES: [&str; 5] = ["ptr_", "ptc_", "pts_", "ptm_", "eyJ"];
/// Fewer characters than this behind the prefix are no credential.
const SHORTEST: usize = 20;

/// One of these stands in all that is cut out: in every prefix, or behind the user of a URL.
const MARKS: [u8; 3] = [b'_', b'J', b'@'];

/// Whether there is a reason to look closer.
pub(super) fn may_hold_credential(text: &str) -> bool {
    let [one, two, three] = MARKS;
    memchr::memchr3(one, two, three, text.as_bytes()).is_some()
}

/// `text` without credentials: refresh tokens, API keys, client secrets, JWTs, and passwords in URLs are replaced by `***`.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    if !may_hold_credential(text) {
        return Cow::Borrowed(text);
    }
    if !text.contains("://") && !PREFIXES.iter().any(|prefix| text.contains(prefix)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let cut = credential(rest).or_else(|| user_info(rest));
        let (kept, length) = cut.map_or_else(|| (None, first.len_utf8()), |(kept, length)| (Some(kept), length));
        let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match kept {
            Some(kept) => {
                clean.push_str(kept);
                clean.push_str("***");
            }
            None => clean.push_str(head),
        }
        rest = tail;
    }
    Cow::Owned(clean)
}

/// What to keep of the credential that `text` begins with, and how long that is.
fn credential(text: &str) -> Option<(&'static str, usize)> {
    let prefix = PREFIXES.into_iter().find(|prefix| text.starts_with(prefix))?;
    let secret = text.strip_prefix(prefix)?.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)).count();
    (secret >= SHORTEST).then_some((prefix, prefix.len() + secret))
}

/// The same for the user and password of a URL, `text` being at its `://`.
fn user_info(text: &str) -> Option<(&'static str, usize)> {
    let authority = text.strip_prefix("://")?;
    let end = authority.find(|c: char| c == '/' || c == '"' || c.is_whitespace()).unwrap_or(authority.len());
    let at = authority.get(..end)?.rfind('@')?;
    Some(("://", "://".len() + at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_cut_out_wherever_they_stand() {
        let key = format!("ptc_{}_{}", "a1".repeat(13), "Z".repeat(49));
        assert_eq!(scrub(&format!("/x/{key}/y")), "/x/ptc_***/y");
        assert_eq!(scrub(&format!("got ptr_{} twice", "x-_".repeat(15))), "got ptr_*** twice");
        assert_eq!(scrub(&format!("pts_{}", "Ab3".repeat(15))), "pts_***");
        assert_eq!(scrub("a eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.sig b"), "a eyJ*** b");
    }

    #[test]
    fn passwords_in_urls_are_cut_out() {
        assert_eq!(scrub("redis://user:p@ss@host:6379/0 is gone"), "redis://***@host:6379/0 is gone");
        assert_eq!(scrub("http://host/a@b"), "http://host/a@b");
    }

    #[test]
    fn all_that_is_cut_out_has_a_mark() {
        for start in PREFIXES {
            assert!(may_hold_credential(start), "{start}");
        }
        assert_eq!(user_info("://user:password/"), None, "without an @ there is none");
        assert!(!may_hold_credential("http://10.0.0.7:9000/orders/7?x=y"));
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "/orders/eyJ", "ptc_label", "keys of ptr_ kind", "größe 😀", "https://example.com"] {
            assert_eq!(scrub(text), text);
        }
    }
}
