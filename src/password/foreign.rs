//! Hashes that other applications made. Each is checked once, with the password as it was typed: the login that it lets in
//! replaces it by an argon2id one of ours.
//!
//! [`import`] says what of them is taken; what they may cost is bounded there and again before each check.

mod bcrypt;
mod django;
mod htpasswd;
mod md5_crypt;
mod passlib;
mod pbkdf2;
mod scrypt;
mod sha_crypt;
mod werkzeug;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::argon::{self, Argon, Memory, OutOfMemory};
use super::burden::Price;
use crate::config::Argon2Cost;
use crate::domain::SecretString;

/// The most that a stored hash may take, in bytes; real ones take 200.
const MAX_TEXT: usize = 1024;
/// The longest password of crypt(3)'s formats, in bytes.
const MAX_CRYPT: usize = 128;
/// The default argon2 cost: a lower one that is configured does not lower what other formats may cost.
const USUAL: Argon2Cost = Argon2Cost { memory_kib: 64 * 1024, iterations: 3, parallelism: 4 };

/// A hash that may be kept until its account logs in.
#[derive(Clone, Debug)]
pub struct Imported {
    /// As it is stored.
    pub hash: SecretString,
    /// What made it, such as `bcrypt`.
    pub scheme: &'static str,
}

/// Why a hash is not taken. Never shows anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It may be a password in plain text, too.
    #[error(
        "this is no password hash that is known: bcrypt, argon2, scrypt, PBKDF2 and those of htpasswd are, in the forms of Django, \
         passlib and Werkzeug; passwords in plain text are not taken"
    )]
    Unknown,
    /// A format that is known, and not checked.
    #[error("hashes of {0} are not taken: let this account have a new password")]
    NotSupported(&'static str),
    /// Of a known format, and not complete.
    #[error("this {0} hash is cut off or altered: copy it whole")]
    Broken(&'static str),
    /// It would cost too much to check.
    #[error("checking this {0} hash costs more than a login may: {1}")]
    TooCostly(&'static str, &'static str),
}

/// Judges a hash that is to be kept; `configured` is what ours cost.
pub fn import(text: &str, configured: Argon2Cost) -> Result<Imported, Unusable> {
    // Marked as somebody else's, in Django's way: ours hash what NFKC makes of a password.
    let text = if text.starts_with("$argon2") { format!("argon2{text}") } else { text.to_owned() };
    let foreign = Foreign::read(&text)?;
    if foreign.is_affordable(configured) {
        Ok(Imported { scheme: foreign.scheme(), hash: text.into() })
    } else {
        Err(Unusable::TooCostly(foreign.scheme(), foreign.bound()))
    }
}

/// A hash of another application, taken apart.
pub(super) enum Foreign {
    Argon(Argon),
    Bcrypt(bcrypt::Bcrypt),
    Scrypt(scrypt::Scrypt),
    Pbkdf2(pbkdf2::Pbkdf2),
    Sha1(htpasswd::Sha1),
    Md5Crypt(md5_crypt::Md5Crypt),
    ShaCrypt(sha_crypt::ShaCrypt),
}

impl Foreign {
    /// Reads any of the formats that are taken.
    pub(super) fn read(text: &str) -> Result<Self, Unusable> {
        if text.len() > MAX_TEXT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unusable::Unknown);
        }
        let readers = [django::read, passlib::read, htpasswd::read, werkzeug::read];
        readers.iter().find_map(|read| read(text)).unwrap_or_else(|| Err(unknown(text)))
    }

    /// Whether `password` is the one that was hashed.
    pub(super) fn matches(&self, password: &[u8], memory: &mut Memory) -> Result<bool, OutOfMemory> {
        match self {
            Self::Argon(hash) => argon_matches(hash, password, memory),
            Self::Scrypt(hash) => {
                // Never the memory of two hashes at once.
                *memory = Memory::new();
                hash.matches(password)
            }
            Self::Bcrypt(hash) => Ok(hash.matches(password)),
            Self::Pbkdf2(hash) => Ok(hash.matches(password)),
            Self::Sha1(hash) => Ok(hash.matches(password)),
            Self::Md5Crypt(hash) => Ok(hash.matches(password)),
            Self::ShaCrypt(hash) => Ok(hash.matches(password)),
        }
    }

    /// Whether it asks for twice of what is configured at most, or of what is usual.
    pub(super) fn is_affordable(&self, configured: Argon2Cost) -> bool {
        let times = (configured.work() / USUAL.work()).max(1);
        match self {
            // The very thing that is configured, so compared with it alone.
            Self::Argon(hash) => hash.cost.is_affordable(configured),
            Self::Scrypt(hash) => hash.is_affordable(times, configured.memory_kib.max(USUAL.memory_kib)),
            Self::Bcrypt(hash) => hash.is_affordable(times),
            Self::Pbkdf2(hash) => hash.is_affordable(times),
            Self::ShaCrypt(hash) => hash.is_affordable(times),
            Self::Sha1(_) | Self::Md5Crypt(_) => true,
        }
    }

    /// What made it.
    fn scheme(&self) -> &'static str {
        match self {
            Self::Argon(_) => "argon2",
            Self::Bcrypt(_) => "bcrypt",
            Self::Scrypt(_) => "scrypt",
            Self::Pbkdf2(_) => "PBKDF2",
            Self::Sha1(_) => "SHA-1",
            Self::Md5Crypt(_) => "MD5-crypt",
            Self::ShaCrypt(_) => "SHA-crypt",
        }
    }

    fn bound(&self) -> &'static str {
        match self {
            Self::Argon(_) => "raise [passwords].argon2 to half of its memory and work at least, or let it have a new password",
            Self::Bcrypt(_) => "its cost may be 13 at most",
            Self::Scrypt(_) => "it may take 128 MiB, and N*r*p may be 1048576 at most",
            Self::Pbkdf2(_) | Self::ShaCrypt(_) => "it may have 2000000 rounds at most",
            Self::Sha1(_) | Self::Md5Crypt(_) => "let it have a new password",
        }
    }

    /// What costs alike has the same.
    pub(super) fn price(&self) -> Price {
        let (kind, rounds) = match self {
            Self::Argon(hash) => ("argon2", hash.cost.work()),
            Self::Bcrypt(hash) => ("bcrypt", hash.rounds()),
            Self::Scrypt(hash) => ("scrypt", hash.work()),
            Self::Pbkdf2(hash) => (hash.name(), hash.iterations()),
            Self::Sha1(_) => ("sha1", 1),
            Self::Md5Crypt(_) => ("md5-crypt", 1),
            Self::ShaCrypt(hash) => (hash.name(), hash.rounds()),
        };
        Price { kind, rounds }
    }
}

/// What else is recognised, to say so.
fn unknown(text: &str) -> Unusable {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    let is_crypt = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    if starts(&["$2$", "$2x$"]) {
        Unusable::NotSupported("bcrypt of the kinds $2$ and $2x$, which a known fault made,")
    } else if starts(&["$y$", "$gy$", "$7$"]) {
        Unusable::NotSupported("yescrypt and of crypt(3)'s scrypt ($7$)")
    } else if starts(&["md5$", "sha1$", "unsalted_"]) {
        Unusable::NotSupported("Django's single MD5 and SHA-1")
    } else if text.len() == 13 && text.chars().all(is_crypt) {
        Unusable::NotSupported("crypt(3) DES, of which this may be one, and passwords in plain text")
    } else {
        Unusable::Unknown
    }
}

fn argon_matches(hash: &Argon, password: &[u8], memory: &mut Memory) -> Result<bool, OutOfMemory> {
    let mut made = Zeroizing::new(vec![0; hash.output.len()]);
    argon::fill(hash.kind, hash.cost, password, &hash.salt, &mut made, memory)?;
    Ok(hash.is(&made))
}

/// Base64 with or without padding; `.` stands for `+` as in passlib's own alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    // Other tools are not strict about the bits behind the end, and nothing hangs on them here.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(text.replace('.', "+")).ok()
}

/// What of `password` crypt(3)'s formats are checked with, whose time grows with its length: longer ones are wrong, at the same
/// cost.
fn cut(password: &[u8]) -> (&[u8], bool) {
    password.split_at_checked(MAX_CRYPT).map_or((password, true), |(start, rest)| (start, rest.is_empty()))
}

/// Whether two outputs are the same, in a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// A number in plain decimal digits.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
