//! Werkzeug's formats, which Flask's applications have (`werkzeug.security`): `method:parameters$salt$hexadecimal`.

use super::pbkdf2::{Digest, Pbkdf2};
use super::scrypt::Scrypt;
use super::{Foreign, Unusable, number};

/// `None` when it is none of Werkzeug's.
pub(super) fn read(text: &str) -> Option<Result<Foreign, Unusable>> {
    if let Some(rest) = text.strip_prefix("scrypt:") {
        Some(scrypt(rest).ok_or(Unusable::Broken("scrypt")))
    } else {
        text.strip_prefix("pbkdf2:").map(|rest| pbkdf2(rest).ok_or(Unusable::Broken("PBKDF2")))
    }
}

/// `N:r:p$salt$hash`
fn scrypt(rest: &str) -> Option<Foreign> {
    let (params, salt, hash) = parts(rest)?;
    let [n, r, p] = params.split(':').collect::<Vec<_>>().try_into().ok()?;
    Scrypt::of_n(number(n)?, number(r)?, number(p)?, salt, hash).map(Foreign::Scrypt)
}

/// `sha256:iterations$salt$hash`
fn pbkdf2(rest: &str) -> Option<Foreign> {
    let (params, salt, hash) = parts(rest)?;
    let (digest, iterations) = params.split_once(':')?;
    Pbkdf2::new(Digest::named(digest)?, number(iterations)?, salt, hash).map(Foreign::Pbkdf2)
}

fn parts(rest: &str) -> Option<(&str, Vec<u8>, Vec<u8>)> {
    let [params, salt, hash] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    Some((params, salt.as_bytes().to_vec(), hexadecimal(hash)?))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect())?
}
