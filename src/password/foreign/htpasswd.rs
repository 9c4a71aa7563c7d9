//! What htpasswd, openssl and LDAP directories write beside bcrypt: `{SHA}`, `{SSHA}`, and crypt(3) with MD5, SHA-256, SHA-512.

use aws_lc_rs::digest;

use super::md5_crypt::Md5Crypt;
use super::sha_crypt::ShaCrypt;
use super::{Foreign, Unusable, base64, same};

/// Bytes of a SHA-1 digest.
const SHA1: usize = 20;

/// `None` when it is none of these.
pub(super) fn read(text: &str) -> Option<Result<Foreign, Unusable>> {
    let (scheme, read) = if let Some(rest) = text.strip_prefix("{SHA}").or_else(|| text.strip_prefix("{SSHA}")) {
        ("SHA-1", Sha1::read(rest, text.starts_with("{SSHA}")).map(Foreign::Sha1))
    } else if text.starts_with("$apr1$") || text.starts_with("$1$") {
        ("MD5-crypt", Md5Crypt::read(text).map(Foreign::Md5Crypt))
    } else if text.starts_with("$5$") || text.starts_with("$6$") {
        ("SHA-crypt", ShaCrypt::read(text).map(Foreign::ShaCrypt))
    } else {
        return None;
    };
    Some(read.ok_or(Unusable::Broken(scheme)))
}

/// One SHA-1 of the password, with a salt behind it or without.
pub(in super::super) struct Sha1 {
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Sha1 {
    fn read(rest: &str, is_salted: bool) -> Option<Self> {
        let mut output = base64(rest)?;
        if output.len() < SHA1 || (output.len() > SHA1) != is_salted {
            return None;
        }
        let salt = output.split_off(SHA1);
        Some(Self { salt, output })
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(password);
        context.update(&self.salt);
        same(context.finish().as_ref(), &self.output)
    }
}
