//! `X-Request-Id`.

use uuid::{Builder, Uuid};

use crate::domain::entropy::random;
use crate::domain::{Entropy, Timestamp};

/// The longest id that is taken over from a trusted proxy.
const LONGEST: usize = 128;

/// A new id: `UUIDv7`.
pub(crate) fn fresh(now: Timestamp, entropy: &dyn Entropy) -> String {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let id = Builder::from_unix_timestamp_millis(millis, &random(entropy)).into_uuid();
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
}

/// A client's own id, if it may keep it: a UUID, or anything printable from a trusted proxy.
pub(crate) fn kept(sent: Option<&[u8]>, trusted: bool) -> Option<String> {
    let text = std::str::from_utf8(sent?).ok()?;
    let uuid = text.len() == 36 && Uuid::try_parse(text).is_ok();
    let printable = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    (uuid || (trusted && printable)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_or_a_trusted_proxys_id_is_kept() {
        let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
        assert_eq!(kept(Some(uuid.as_bytes()), false).as_deref(), Some(uuid));
        assert_eq!(kept(Some(b"abc"), false), None);
        assert_eq!(kept(Some(b"abc"), true).as_deref(), Some("abc"));
        assert_eq!(kept(Some(b"a\"b c"), true), None);
        assert_eq!(kept(Some(b""), true), None);
        assert_eq!(kept(None, true), None);
    }
}
