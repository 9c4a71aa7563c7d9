//! Django's formats (`django.contrib.auth.hashers`): a name, and behind `$` what the hasher makes of it.

use super::super::argon::Argon;
use super::bcrypt::{Bcrypt, Before};
use super::pbkdf2::{Digest, Pbkdf2};
use super::scrypt::Scrypt;
use super::{Foreign, Unusable, base64, number};

/// `None` when it is none of Django's.
pub(super) fn read(text: &str) -> Option<Result<Foreign, Unusable>> {
    let (name, rest) = text.split_once('$')?;
    let (scheme, read) = match name {
        "argon2" => ("argon2", Argon::read(&format!("${rest}")).map(Foreign::Argon)),
        "bcrypt" => ("bcrypt", Bcrypt::read(rest, Before::Nothing).map(Foreign::Bcrypt)),
        "bcrypt_sha256" => ("bcrypt", Bcrypt::read(rest, Before::Hexadecimal).map(Foreign::Bcrypt)),
        "pbkdf2_sha256" => ("PBKDF2", pbkdf2(Digest::Sha256, rest)),
        "pbkdf2_sha1" => ("PBKDF2", pbkdf2(Digest::Sha1, rest)),
        "scrypt" => ("scrypt", scrypt(rest)),
        _ => return None,
    };
    Some(read.ok_or(Unusable::Broken(scheme)))
}

/// `iterations$salt$hash`, the salt as text.
fn pbkdf2(digest: Digest, rest: &str) -> Option<Foreign> {
    let [iterations, salt, hash] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    Pbkdf2::new(digest, number(iterations)?, salt.as_bytes().to_vec(), base64(hash)?).map(Foreign::Pbkdf2)
}

/// `N$salt$r$p$hash`, the salt as text.
fn scrypt(rest: &str) -> Option<Foreign> {
    let [n, salt, r, p, hash] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    Scrypt::of_n(number(n)?, number(r)?, number(p)?, salt.as_bytes().to_vec(), base64(hash)?).map(Foreign::Scrypt)
}
