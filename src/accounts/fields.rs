//! What people may call themselves, judged as fields of a body. No refusal quotes a value: it may be a password in the wrong place.

use std::borrow::Cow;

use super::admin::check;
use crate::config::Passwords;
use crate::domain::SecretString;
use crate::domain::secret::ExposeSecret as _;
use crate::mail::can_address;
use crate::password::strength;
use crate::problem::Refusal;

/// 422 for one field.
pub(super) fn wrong(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::InvalidBody { field: Cow::Borrowed(field), detail: detail.into() }
}

/// A username that somebody chooses: without `@`, so that nobody takes an address for a name.
pub(super) fn username(name: &str) -> Result<String, Refusal> {
    match check::username(name) {
        Ok(name) if !name.contains('@') => Ok(name),
        _ => Err(wrong("username", "`username` is 1 to 64 of the letters a-z, digits and . _ - +")),
    }
}

/// An address that mail can go to.
pub(super) fn email(address: &str) -> Result<String, Refusal> {
    match check::email(address) {
        Ok(address) if can_address(&address) => Ok(address),
        _ => Err(wrong("email", "`email` is no e-mail address: write it as name@example.com.")),
    }
}

/// A full name; an empty one is none.
pub(super) fn full_name(name: &str) -> Result<Option<String>, Refusal> {
    let name = check::full_name(name.trim()).map_err(|_| wrong("full_name", "`full_name` is one line of 256 bytes at most."))?;
    Ok((!name.is_empty()).then_some(name))
}

/// A new password of who logs in by one of `names`: says the first rule that it breaks.
pub(super) fn password<'a>(
    rules: &Passwords,
    field: &'static str,
    names: impl IntoIterator<Item = &'a str>,
    new: &SecretString,
) -> Result<(), Refusal> {
    strength::check(rules, names, new.expose_secret()).map_err(|weakness| wrong(field, weakness.to_string()))
}
