//! Text that either database keeps.

use std::borrow::Cow;

/// `text` as it is kept: PostgreSQL has no place for NUL, so none has.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// Whether no name that is kept can be `text`.
pub(super) fn is_nobodys(text: &str) -> bool {
    text.contains('\0')
}
