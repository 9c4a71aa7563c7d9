//! argon2 of any kind and version (RFC 9106), in PHC strings.

use argon2::{Algorithm, Argon2, Params, Version};
use password_hash::phc::PasswordHash;
use zeroize::Zeroizing;

use super::super::argon::{Memory, OutOfMemory, reserve};
use super::same;
use crate::config::Argon2Cost;

/// An argon2 hash of another application.
pub(in super::super) struct Argon {
    pub(super) cost: Argon2Cost,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Argon {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; without a version it is the first one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?;
        // A key id or data beside them would go into the hash.
        if hash.params.iter().count() != 3 {
            return None;
        }
        let cost = Argon2Cost {
            memory_kib: hash.params.get_decimal("m")?,
            iterations: hash.params.get_decimal("t")?,
            parallelism: hash.params.get_decimal("p")?,
        };
        let output = hash.hash?.as_bytes().to_vec();
        // A shorter one would match too much, an uneven one was cut off.
        if output.len() < 16 || output.len() % 8 != 0 {
            return None;
        }
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output.len())).ok()?;
        Some(Self { cost, algorithm, version, params, salt: hash.salt?.to_vec(), output })
    }

    pub(super) fn matches(&self, password: &[u8], memory: &mut Memory) -> Result<bool, OutOfMemory> {
        reserve(memory, self.params.block_count())?;
        let argon = Argon2::new(self.algorithm, self.version, self.params.clone());
        let mut made = Zeroizing::new(vec![0; self.output.len()]);
        let done = argon.hash_password_into_with_memory(password, &self.salt, &mut made, memory);
        Ok(done.is_ok() && same(&made, &self.output))
    }
}
