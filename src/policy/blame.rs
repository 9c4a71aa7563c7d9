//! Which part of a target made it refused, for people: found by asking the functions that refused it about the parts.

use std::ops::Range;

use crate::domain::{AllowInPath, CanonicalPath};

/// The part of a URL that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Where in the URL, in bytes.
    pub part: Range<usize>,
    /// What a route's `allow_in_path` would have to list for it; nothing where no route can allow it.
    pub allow: Option<&'static str>,
}

/// The first part of `url`, a path or an absolute URL, for which [`Target::read`](super::target::Target::read) or a route
/// refuses it.
#[must_use]
pub fn blame(url: &str) -> Option<Blame> {
    let authority = if url.starts_with('/') { 0 } else { url.find("://").map_or(0, |at| at + 3) };
    let rest = url.get(authority..)?;
    let start = authority + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let end = url.get(start..)?.find('?').map_or(url.len(), |at| start + at);
    let path = url.get(start..end)?;
    let mut at = start;
    for segment in path.split('/') {
        let part = at..at + segment.len();
        // The first stands before the first slash: it is empty, unless there is no slash at all.
        match CanonicalPath::parse(format!("/{segment}").as_bytes()) {
            Err(_) => return Some(Blame { part, allow: None }),
            Ok(alone) => {
                if let Some(name) = alone.oddities().first_name() {
                    return Some(Blame { part, allow: Some(name) });
                }
            }
        }
        at += segment.len() + 1;
    }
    if let Some(double) = path.find("//") {
        let name = AllowInPath::EMPTY_SEGMENT.first_name();
        return Some(Blame { part: start + double..start + double + 2, allow: name });
    }
    let query = url.get(end..)?;
    let bad = query.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#');
    if let Some((offset, c)) = bad {
        return Some(Blame { part: end + offset..end + offset + c.len_utf8(), allow: None });
    }
    (authority < start).then_some(Blame { part: authority..start, allow: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_at_fault_is_found() {
        for (url, part, allow) in [
            ("https://h/a/%2e%2e/b", "%2e%2e", None),
            ("/a/b;x=1/c", "b;x=1", Some("semicolon")),
            ("/a%2Fb", "a%2Fb", Some("encoded_slash")),
            ("/a//b", "//", Some("empty_segment")),
            ("/a/%252e/b", "%252e", Some("double_encoding")),
            ("/a./b", "a.", Some("trailing_dot")),
            ("/a\\b", "a\\b", None),
            ("/a?b#c", "#", None),
            ("https://h#x", "#x", None),
            ("https://us er@h/a", "us er@h", None),
        ] {
            let found = blame(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!((url.get(found.part.clone()), found.allow), (Some(part), allow), "{url}");
        }
    }
}
