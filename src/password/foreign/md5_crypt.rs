//! crypt(3) with MD5, and Apache's apr1, which is the same with another name in it: a thousand rounds over the md-5 crate.

use md5::{Digest as _, Md5};

use super::{cut, same};

const ROUNDS: u32 = 1000;
/// More of the salt is not looked at.
const SALT: usize = 8;
/// Which bytes of the digest become four characters together.
const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An MD5-crypt hash.
pub(in super::super) struct Md5Crypt {
    magic: &'static [u8],
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Md5Crypt {
    /// Reads `$apr1$salt$hash` and `$1$salt$hash`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (magic, rest) = match text.strip_prefix("$apr1$") {
            Some(rest) => (&b"$apr1$"[..], rest),
            None => (&b"$1$"[..], text.strip_prefix("$1$")?),
        };
        let (salt, output) = rest.split_once('$')?;
        let is_whole = output.len() == 22 && output.bytes().all(|byte| ALPHABET.contains(&byte));
        let salt = salt.bytes().take(SALT).collect();
        is_whole.then(|| Self { magic, salt, output: output.as_bytes().to_vec() })
    }

    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let (password, is_whole) = cut(password);
        same(&self.encoded(&self.digest(password)), &self.output) && is_whole
    }

    fn digest(&self, password: &[u8]) -> [u8; 16] {
        let both: [u8; 16] = Md5::new().chain_update(password).chain_update(&self.salt).chain_update(password).finalize().into();
        let mut start = Md5::new().chain_update(password).chain_update(self.magic).chain_update(&self.salt);
        start.update(both.iter().copied().cycle().take(password.len()).collect::<Vec<_>>());
        let mut length = password.len();
        while length > 0 {
            start.update(if length & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
            length >>= 1;
        }
        let mut digest: [u8; 16] = start.finalize().into();
        for round in 0..ROUNDS {
            let is_odd = round & 1 == 1;
            let mut next = Md5::new().chain_update(if is_odd { password } else { &digest });
            if round % 3 != 0 {
                next.update(&self.salt);
            }
            if round % 7 != 0 {
                next.update(password);
            }
            next.update(if is_odd { &digest } else { password });
            digest = next.finalize().into();
        }
        digest
    }

    fn encoded(&self, digest: &[u8; 16]) -> Vec<u8> {
        let byte = |at: usize| u32::from(digest.get(at).copied().unwrap_or_default());
        let mut text = Vec::with_capacity(self.output.len());
        for [high, middle, low] in ORDER {
            push(&mut text, byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
        }
        push(&mut text, byte(11), 2);
        text
    }
}

/// Six bits a character, the lowest first.
fn push(text: &mut Vec<u8>, mut bits: u32, characters: usize) {
    for _ in 0..characters {
        text.extend(ALPHABET.get((bits & 63) as usize));
        bits >>= 6;
    }
}
