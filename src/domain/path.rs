//! One canonical path for every spelling of a target, or a refusal (RFC 3986 §6.2.2).
//!
//! The canonical path is what is matched, logged and sent. It is a valid RFC 3986 path:
//! escaped unreserved characters are decoded, other escapes are in upper case, and the few printable characters that RFC 3986
//! does not allow raw in a path (`" < > [ ] ^ { | }` and the backtick) are escaped.
//! What no backend reads the same is refused; what only some read differently is an oddity, which a route may allow.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::oddity::AllowInPath;

/// Why a path is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not start with `/`.
    NoSlash,
    /// `.` or `..`, in any encoding, with a `;parameter` or behind an encoded slash too.
    DotSegment,
    /// `\` or `%5C`.
    Backslash,
    /// A control character, raw or escaped.
    Control,
    /// A raw space.
    Space,
    /// A raw byte outside ASCII.
    NonAscii,
    /// Escapes that decode to something else than UTF-8, overlong forms among it.
    NotUtf8,
    /// `%` without two hexadecimal digits.
    Escape,
    /// `#`
    Fragment,
    /// A raw `?`, which would end the path for whoever reads it next.
    Query,
}

impl PathFault {
    /// What is odd, to follow "The request target is refused:".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSlash => "it does not start with a slash",
            Self::DotSegment => "it has a dot segment",
            Self::Backslash => "it has a backslash",
            Self::Control => "it has a control character",
            Self::Space => "it has a space",
            Self::NonAscii => "it has raw characters outside ASCII",
            Self::NotUtf8 => "its escapes are not UTF-8",
            Self::Escape => "it has a malformed escape",
            Self::Fragment => "it has a fragment",
            Self::Query => "its path has a question mark",
        }
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for PathFault {}

/// A path in its canonical form, with the oddities that it has. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    text: Arc<str>,
    oddities: AllowInPath,
}

impl CanonicalPath {
    /// Reads the bytes of a path, without its query.
    pub fn parse(raw: &[u8]) -> Result<Self, PathFault> {
        if raw.first() != Some(&b'/') {
            return Err(PathFault::NoSlash);
        }
        match ordinary(raw) {
            Some(text) => Ok(Self { text: text.into(), oddities: AllowInPath::default() }),
            None => Self::judge(raw),
        }
    }

    /// The same of any path behind its first slash.
    fn judge(raw: &[u8]) -> Result<Self, PathFault> {
        let text = canonical(raw)?;
        let escapes = text.contains('%');
        if escapes {
            check_utf8(&text)?;
        }
        let mut oddities = AllowInPath::default();
        if text.contains("//") {
            oddities = oddities.with(AllowInPath::EMPTY_SEGMENT);
        }
        if text.contains(';') || (escapes && text.contains("%3B")) {
            oddities = oddities.with(AllowInPath::SEMICOLON);
        }
        if escapes && text.contains("%2F") {
            oddities = oddities.with(AllowInPath::ENCODED_SLASH);
        }
        if escapes && hides_an_escape(&text) {
            oddities = oddities.with(AllowInPath::DOUBLE_ENCODING);
        }
        for segment in text.split('/').flat_map(|part| part.split("%2F")) {
            if judge_dots(segment)? {
                oddities = oddities.with(AllowInPath::TRAILING_DOT);
            }
        }
        Ok(Self { text: text.into(), oddities })
    }

    /// It as text: starts with `/`, all ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a route has to allow for it.
    #[must_use]
    pub const fn oddities(&self) -> AllowInPath {
        self.oddities
    }

    /// What stands between its slashes: one empty segment for `/`, an empty last one for `/a/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }

    /// The spelling that patterns are compared with: backends decode `%40` to `@`, so both are one literal.
    ///
    /// All escapes of ASCII are decoded but those of `/` and `%`; segments stay the same in number.
    #[must_use]
    pub fn match_key(&self) -> Cow<'_, str> {
        if !self.text.contains('%') {
            return Cow::Borrowed(&self.text);
        }
        let mut key = String::with_capacity(self.text.len());
        for unit in units(&self.text) {
            match unit {
                Unit::Raw(byte) => key.push(char::from(byte)),
                Unit::Escape(byte) if byte.is_ascii() && byte != b'/' && byte != b'%' => key.push(char::from(byte)),
                Unit::Escape(byte) => push_escape(&mut key, byte),
            }
        }
        Cow::Owned(key)
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Decodes the escapes of a segment of a canonical path.
#[must_use]
pub fn decode_segment(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

/// One byte of a path, raw or escaped.
enum Unit {
    Raw(u8),
    Escape(u8),
}

/// The units of a text whose escapes are well formed.
fn units(text: &str) -> impl Iterator<Item = Unit> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || match *rest {
        [b'%', high, low, ref tail @ ..] if hex(high).is_some() && hex(low).is_some() => {
            rest = tail;
            Some(Unit::Escape(hex(high)? << 4 | hex(low)?))
        }
        [byte, ref tail @ ..] => {
            rest = tail;
            Some(Unit::Raw(byte))
        }
        [] => None,
    })
}

/// A path in which nothing is odd, as most are: letters, digits and signs that stand for themselves, no segment that is empty or
/// ends in a dot.
fn ordinary(raw: &[u8]) -> Option<&str> {
    // No way out in the middle: so many bytes are looked at at once.
    let plain = raw.iter().fold(true, |all, &byte| all & is_plain(byte));
    let pairs = raw.iter().zip(raw.get(1..).unwrap_or_default());
    let odd = pairs.fold(raw.ends_with(b"."), |any, (&one, &next)| any | ((next == b'/') & matches!(one, b'.' | b'/')));
    (plain && !odd).then(|| std::str::from_utf8(raw).ok()).flatten()
}

/// What a path may hold raw (RFC 3986 §3.3), less the `;`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-'..=b'/' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b':' | b'=' | b'@')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_escape(text: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// The canonical spelling, of bytes that may stand in a path at all.
fn canonical(raw: &[u8]) -> Result<String, PathFault> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, ref tail @ ..] = *rest {
        rest = tail;
        match byte {
            b'%' => {
                let [high, low, ref tail @ ..] = *rest else { return Err(PathFault::Escape) };
                let (Some(high), Some(low)) = (hex(high), hex(low)) else { return Err(PathFault::Escape) };
                rest = tail;
                match high << 4 | low {
                    0..0x20 | 0x7f => return Err(PathFault::Control),
                    b'\\' => return Err(PathFault::Backslash),
                    plain if is_unreserved(plain) => text.push(char::from(plain)),
                    other => push_escape(&mut text, other),
                }
            }
            b'\\' => return Err(PathFault::Backslash),
            b'#' => return Err(PathFault::Fragment),
            b'?' => return Err(PathFault::Query),
            b' ' => return Err(PathFault::Space),
            0..0x20 | 0x7f => return Err(PathFault::Control),
            0x80.. => return Err(PathFault::NonAscii),
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => push_escape(&mut text, byte),
            plain => text.push(char::from(plain)),
        }
    }
    Ok(text)
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Refuses what does not decode to UTF-8, and the control characters U+0080 to U+009F.
fn check_utf8(text: &str) -> Result<(), PathFault> {
    let decoded: Vec<u8> = units(text)
        .map(|unit| match unit {
            Unit::Raw(byte) | Unit::Escape(byte) => byte,
        })
        .collect();
    let decoded = std::str::from_utf8(&decoded).map_err(|_| PathFault::NotUtf8)?;
    if decoded.chars().any(char::is_control) { Err(PathFault::Control) } else { Ok(()) }
}

/// Whether what stands between two slashes ends in a dot or a space; a dot segment is refused.
///
/// Servers cut `;parameters` off, and some trailing spaces, before they look for dots.
fn judge_dots(segment: &str) -> Result<bool, PathFault> {
    let name = segment.split(';').next().unwrap_or_default();
    let name = name.split("%3B").next().unwrap_or_default();
    if matches!(name.trim_end_matches("%20"), "." | "..") {
        return Err(PathFault::DotSegment);
    }
    let odd = |text: &str| text.ends_with('.') || text.ends_with("%20");
    Ok(odd(name) || odd(segment))
}

/// Decoding more often than this is taken for an attack, whatever comes out.
const PASSES: usize = 4;

/// Whether decoding twice or more brings out a character that steers backends.
fn hides_an_escape(text: &str) -> bool {
    if !text.contains("%25") {
        return false;
    }
    let mut layer = text.as_bytes().to_vec();
    for _ in 0..PASSES {
        layer = percent_encoding::percent_decode(&layer).collect();
        if !layer.contains(&b'%') {
            return false;
        }
        let mut more = false;
        for i in memchr::memchr_iter(b'%', &layer) {
            let behind = layer.get(i + 1..).unwrap_or_default();
            if let [b'u' | b'U', digits @ ..] = behind
                && digits.len() >= 4
                && digits.iter().take(4).all(u8::is_ascii_hexdigit)
            {
                return true;
            }
            if let [high, low, ..] = *behind
                && let (Some(high), Some(low)) = (hex(high), hex(low))
            {
                // The last two begin overlong forms of ASCII.
                if matches!(high << 4 | low, 0..0x20 | 0x7f | b'.' | b'/' | b'\\' | b';' | 0xc0 | 0xc1) {
                    return true;
                }
                more = true;
            }
        }
        if !more {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_path_that_is_taken_at_a_glance_is_judged_alike(raw in "/[a-c./;%2E~!$&'()*+,:=@_ -]{0,12}") {
            prop_assert_eq!(CanonicalPath::parse(raw.as_bytes()), CanonicalPath::judge(raw.as_bytes()));
        }

        #[test]
        fn any_bytes_are_judged_alike(mut raw in proptest::collection::vec(any::<u8>(), 0..8)) {
            raw.insert(0, b'/');
            prop_assert_eq!(CanonicalPath::parse(&raw), CanonicalPath::judge(&raw));
        }
    }

    #[test]
    fn ordinary_paths_are_taken_at_a_glance() {
        for path in ["/", "/a", "/a/", "/a.b/c-d_e~f", "/x/.y/..z", "/a:b@c=d,e"] {
            assert_eq!(ordinary(path.as_bytes()), Some(path), "{path}");
        }
        for path in ["/.", "/..", "/a./b", "//", "/a//b", "/a/..", "/a;b", "/%41", "/a b"] {
            assert_eq!(ordinary(path.as_bytes()), None, "{path}");
        }
    }
}
