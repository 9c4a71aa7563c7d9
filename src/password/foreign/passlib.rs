//! passlib's formats (`passlib.hash`), and those in which others write the same: PHC strings, and bcrypt as everybody has it.
//! argon2 is not among them: unmarked, it is ours.

use super::bcrypt::{Bcrypt, Before};
use super::pbkdf2::{Digest, Pbkdf2};
use super::scrypt::Scrypt;
use super::{Foreign, Unusable, base64, number};

/// `None` when it is none of these.
pub(super) fn read(text: &str) -> Option<Result<Foreign, Unusable>> {
    let (name, rest) = text.strip_prefix('$')?.split_once('$')?;
    let (scheme, read) = match name {
        "2a" | "2b" | "2y" => ("bcrypt", Bcrypt::read(text, Before::Nothing).map(Foreign::Bcrypt)),
        "bcrypt-sha256" => ("bcrypt", bcrypt_sha256(rest)),
        "pbkdf2" | "pbkdf2-sha1" => ("PBKDF2", pbkdf2(Digest::Sha1, rest)),
        "pbkdf2-sha256" => ("PBKDF2", pbkdf2(Digest::Sha256, rest)),
        "pbkdf2-sha512" => ("PBKDF2", pbkdf2(Digest::Sha512, rest)),
        "scrypt" => ("scrypt", scrypt(rest)),
        _ => return None,
    };
    Some(read.ok_or(Unusable::Broken(scheme)))
}

/// `2b,12$salt$digest`, or of version 2 `v=2,t=2b,r=12$salt$digest`.
fn bcrypt_sha256(rest: &str) -> Option<Foreign> {
    let [params, salt, digest] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    let params: Vec<_> = params.split(',').collect();
    let (kind, rounds, before) = match *params.as_slice() {
        [kind, rounds] => (kind, rounds, Before::Base64),
        ["v=2", kind, rounds] => (kind.strip_prefix("t=")?, rounds.strip_prefix("r=")?, Before::Keyed),
        _ => return None,
    };
    let rounds: u32 = number(rounds)?;
    Bcrypt::read(&format!("${kind}${rounds:02}${salt}{digest}"), before).map(Foreign::Bcrypt)
}

/// `iterations$salt$hash`; in PHC strings `i=iterations`, perhaps with the length of the output behind it.
fn pbkdf2(digest: Digest, rest: &str) -> Option<Foreign> {
    let [params, salt, hash] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    let iterations = match params.strip_prefix("i=") {
        Some(params) => params.split_once(",l=").map_or(params, |(iterations, _)| iterations),
        None => params,
    };
    Pbkdf2::new(digest, number(iterations)?, base64(salt)?, base64(hash)?).map(Foreign::Pbkdf2)
}

/// `ln=16,r=8,p=1$salt$hash`
fn scrypt(rest: &str) -> Option<Foreign> {
    let [params, salt, hash] = rest.split('$').collect::<Vec<_>>().try_into().ok()?;
    let [ln, r, p] = params.split(',').collect::<Vec<_>>().try_into().ok()?;
    let (ln, r, p) = (number(ln.strip_prefix("ln=")?)?, number(r.strip_prefix("r=")?)?, number(p.strip_prefix("p=")?)?);
    Scrypt::new(ln, r, p, base64(salt)?, base64(hash)?).map(Foreign::Scrypt)
}
