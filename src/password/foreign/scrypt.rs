//! scrypt (RFC 7914).

use ::scrypt::Params;
use zeroize::Zeroizing;

use super::super::argon::OutOfMemory;
use super::same;

/// The most of N·r·p where argon2 costs what is usual: twice of what passlib chooses by itself.
const MAX_WORK: u64 = 1 << 20;

/// An scrypt hash.
pub(in super::super) struct Scrypt {
    log_n: u8,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Scrypt {
    pub(super) fn new(log_n: u8, r: u32, p: u32, salt: Vec<u8>, output: Vec<u8>) -> Option<Self> {
        // Nothing below can overflow then; what is too costly is told apart from what is broken.
        let sound = (1..=40).contains(&log_n) && (1..=1 << 16).contains(&r) && (1..=1 << 16).contains(&p);
        // Others were cut off.
        let is_whole = [32, 64].contains(&output.len());
        (sound && is_whole).then_some(Self { log_n, r, p, salt, output })
    }

    /// Takes N itself, which has to be a power of two.
    pub(super) fn of_n(n: u64, r: u32, p: u32, salt: Vec<u8>, output: Vec<u8>) -> Option<Self> {
        let log_n = n.is_power_of_two().then(|| n.trailing_zeros())?;
        Self::new(u8::try_from(log_n).ok()?, r, p, salt, output)
    }

    pub(super) fn work(&self) -> u64 {
        (u64::from(self.r) * u64::from(self.p)).saturating_mul(1 << self.log_n)
    }

    pub(super) fn is_affordable(&self, times: u64, memory_kib: u32) -> bool {
        let memory = (u64::from(self.r) << self.log_n).saturating_mul(128);
        self.work() <= times.saturating_mul(MAX_WORK) && memory <= u64::from(memory_kib) * 2 * 1024
    }

    pub(super) fn matches(&self, password: &[u8]) -> Result<bool, OutOfMemory> {
        let params = Params::new(self.log_n, self.r, self.p).map_err(|_| OutOfMemory)?;
        let mut made = Zeroizing::new(vec![0; self.output.len()]);
        let done = ::scrypt::scrypt(password, &self.salt, &params, &mut made);
        Ok(done.is_ok() && same(&made, &self.output))
    }
}
