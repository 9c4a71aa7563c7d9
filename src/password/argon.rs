//! Hashes of argon2 (RFC 9106) as PHC strings: read, written, and what they ask for.

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, MIN_SALT_LEN, Params, Version};
use password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use subtle::ConstantTimeEq as _;

use crate::config::Argon2Cost;

/// RFC 9106 §3.1 recommends 16 bytes of salt.
pub(super) const SALT: usize = 16;
/// Bytes of output of new hashes.
pub(super) const OUTPUT: usize = 32;
/// A shorter output would match too much.
const OUTPUT_MIN: usize = 16;

/// The memory that a hash is made in; kept by each thread for its next one.
pub(super) type Memory = Vec<Block>;

/// There was no memory for the hash.
#[derive(Debug)]
pub(super) struct OutOfMemory;

/// The kind of new hashes.
pub(super) const OURS: (Algorithm, Version) = (Algorithm::Argon2id, Version::V0x13);

/// Fills `output` with the hash of `password` and `salt`.
pub(super) fn fill(
    (algorithm, version): (Algorithm, Version),
    cost: Argon2Cost,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> Result<(), OutOfMemory> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output.len())).map_err(|_| OutOfMemory)?;
    reserve(memory, params.block_count())?;
    let argon = Argon2::new(algorithm, version, params);
    argon.hash_password_into_with_memory(password, salt, output, memory).map_err(|_| OutOfMemory)
}

/// Makes room for `blocks` KiB.
fn reserve(memory: &mut Memory, blocks: usize) -> Result<(), OutOfMemory> {
    let missing = blocks.saturating_sub(memory.len());
    memory.try_reserve_exact(missing).map_err(|_| OutOfMemory)?;
    memory.resize(memory.len() + missing, Block::new());
    Ok(())
}

/// A hash, taken apart.
pub(super) struct Argon {
    pub(super) kind: (Algorithm, Version),
    pub(super) cost: Argon2Cost,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl Argon {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash` and its sisters; without a version it is the first one. `None` for anything else.
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
        let (salt, output) = (hash.salt?.to_vec(), hash.hash?.as_bytes().to_vec());
        // An uneven one was cut off.
        if salt.len() < MIN_SALT_LEN || output.len() < OUTPUT_MIN || output.len() % 8 != 0 {
            return None;
        }
        Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output.len())).ok()?;
        Some(Self { kind: (algorithm, version), cost, salt, output })
    }

    /// Reads one of ours.
    pub(super) fn read_ours(text: &str) -> Option<Self> {
        Self::read(text).filter(|hash| hash.kind == OURS)
    }

    /// What is hashed when there is nobody to check.
    pub(super) fn nobody(cost: Argon2Cost) -> Self {
        Self { kind: OURS, cost, salt: vec![0; SALT], output: vec![0; OUTPUT] }
    }

    /// Whether `output` is its own, in a time that does not depend on where they differ.
    pub(super) fn is(&self, output: &[u8]) -> bool {
        output.ct_eq(&self.output).into()
    }
}

/// One of ours as it is stored.
pub(super) fn phc(cost: Argon2Cost, salt: &[u8], output: &[u8]) -> Option<String> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None).ok()?;
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(Output::new(output).ok()?),
    };
    Some(hash.to_string())
}

impl Argon2Cost {
    /// KiB times passes: what the time goes by.
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// Whether it asks for twice the memory and work of `configured` at most.
    pub(super) fn is_affordable(self, configured: Self) -> bool {
        self.work() <= configured.work().saturating_mul(2) && u64::from(self.memory_kib) <= u64::from(configured.memory_kib) * 2
    }

    /// Whether a hash that was made with it is to be replaced.
    pub(super) fn is_weaker_than(self, configured: Self) -> bool {
        self.work() < configured.work() || self.memory_kib < configured.memory_kib
    }

    /// What is left to do until it has cost what is configured.
    pub(super) fn short_of(self, configured: Self) -> Option<Self> {
        let missing = configured.work().saturating_sub(self.work());
        let iterations = u32::try_from(missing.div_ceil(u64::from(configured.memory_kib).max(1))).unwrap_or(u32::MAX);
        (iterations > 0).then_some(Self { iterations, ..configured })
    }
}
