//! Makes and checks password hashes, judged so that every way to be wrong costs the same.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::Verdict;
use super::argon::{self, Argon, Memory, OURS, OUTPUT, OutOfMemory, SALT, phc};
use super::burden::{Burden, Price, Spent};
use super::foreign::Foreign;
use crate::config::Argon2Cost;
use crate::domain::Entropy;
use crate::domain::entropy::random;

/// Nobody's password; callers refuse earlier (`passwords.max_length`), this bounds the normalisation.
const MAX_PASSWORD: usize = 16 * 1024;
/// NFKC makes at most eleven times as many bytes (U+FDFA).
const NFKC_GROWTH: usize = 11;
/// What is worked at a time for nothing: about half a millisecond.
const SLICE_KIB: u32 = 1024;

/// What makes a hash; a seam, so that tests can count and hold the work.
pub(super) trait Engine: Send + Sync {
    /// Fills `output` with argon2id of `password` and `salt`; `false` when there is no memory for it.
    fn derive(&self, cost: Argon2Cost, password: &[u8], salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool;
}

/// The real one.
pub(super) struct RealEngine;

impl Engine for RealEngine {
    fn derive(&self, cost: Argon2Cost, password: &[u8], salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool {
        argon::fill(OURS, cost, password, salt, output, memory).is_ok()
    }
}

/// Makes and checks hashes, on the thread that calls.
pub(super) struct Hasher {
    engine: Box<dyn Engine>,
    entropy: Arc<dyn Entropy>,
    burden: Burden,
}

impl Hasher {
    pub(super) fn new(engine: Box<dyn Engine>, entropy: Arc<dyn Entropy>) -> Self {
        Self { engine, entropy, burden: Burden::default() }
    }

    /// Forgets what hashes of other applications, and dear ones of ours, cost: those that are left will tell again.
    pub(super) fn forget(&self) {
        self.burden.forget();
    }

    /// Checks `password`; without a hash that may be checked, the same work is done for nothing.
    ///
    /// Of what costs the same whoever is asked for: one argon2 of the configured cost, and where hashes of other applications, or
    /// of ours from a time of a higher cost, are about what the dearest of those costs.
    pub(super) fn verify(
        &self,
        cost: Argon2Cost,
        password: &SecretString,
        stored: Option<&SecretString>,
        memory: &mut Memory,
    ) -> Result<Verdict, OutOfMemory> {
        if let Some(foreign) = stored.and_then(|text| Foreign::read(text.expose_secret()).ok())
            && foreign.is_affordable(cost)
        {
            return self.verify_foreign(cost, password, &foreign, memory);
        }
        let normal = normalise(password);
        let checkable = stored
            .and_then(|text| Argon::read_ours(text.expose_secret()))
            .filter(|stored| normal.is_some() && stored.cost.is_affordable(cost));
        let is_real = checkable.is_some();
        let stored = checkable.unwrap_or_else(|| Argon::nobody(cost));
        let text = normal.as_ref().map_or("", |text| text.as_str());
        let mut output = Zeroizing::new(vec![0; stored.output.len()]);
        let begun = Spent::now();
        self.derive(stored.cost, text, &stored.salt, &mut output, memory)?;
        if stored.is(&output) && is_real {
            let rehashed = stored.cost.is_weaker_than(cost).then(|| self.hash(cost, password, memory)).transpose()?;
            return Ok(Verdict::Right { rehashed });
        }
        if stored.cost.work() > cost.work() {
            self.burden.note(Price::of_ours(stored.cost), begun);
            self.bear(begun, cost, memory)?;
            self.derive(cost, text, &stored.salt, &mut output, memory)?;
            return Ok(Verdict::Wrong);
        }
        // A hash of an older, lower cost must not tell by its time that it is there.
        if let Some(rest) = stored.cost.short_of(cost) {
            self.derive(rest, text, &stored.salt, &mut output, memory)?;
        }
        self.bear(Spent::now(), cost, memory)?;
        Ok(Verdict::Wrong)
    }

    /// Checks it as it was typed, and makes a hash of it: to be kept if it is right, for nothing if it is wrong.
    fn verify_foreign(
        &self,
        cost: Argon2Cost,
        password: &SecretString,
        foreign: &Foreign,
        memory: &mut Memory,
    ) -> Result<Verdict, OutOfMemory> {
        let nothing = SecretString::default();
        let fits = password.expose_secret().len() <= MAX_PASSWORD;
        let password = if fits { password } else { &nothing };
        let begun = Spent::now();
        let is_right = foreign.matches(password.expose_secret().as_bytes(), memory)? && fits;
        self.burden.note(foreign.price(), begun);
        self.bear(begun, cost, memory)?;
        let rehashed = Some(self.hash(cost, password, memory)?);
        Ok(if is_right { Verdict::Right { rehashed } } else { Verdict::Wrong })
    }

    /// Works for nothing until this thread has worked since `begun` for as long as the dearest check takes beside one of the
    /// configured cost.
    fn bear(&self, begun: Spent, cost: Argon2Cost, memory: &mut Memory) -> Result<(), OutOfMemory> {
        let slice = Argon2Cost { memory_kib: cost.memory_kib.min(SLICE_KIB), iterations: 1, parallelism: 1 };
        let mut output = [0; OUTPUT];
        self.burden.bear(begun, || self.derive(slice, "", &[0; SALT], &mut output, memory))
    }

    /// The PHC string of a new password. Too long ones are cut off by the rules for new passwords, before they come here.
    pub(super) fn hash(
        &self,
        cost: Argon2Cost,
        password: &SecretString,
        memory: &mut Memory,
    ) -> Result<SecretString, OutOfMemory> {
        let normal = normalise(password).ok_or(OutOfMemory)?;
        let salt: [u8; SALT] = random(&*self.entropy);
        let mut output = [0; OUTPUT];
        self.derive(cost, &normal, &salt, &mut output, memory)?;
        phc(cost, &salt, &output).map(SecretString::from).ok_or(OutOfMemory)
    }

    fn derive(
        &self,
        cost: Argon2Cost,
        password: &str,
        salt: &[u8],
        output: &mut [u8],
        memory: &mut Memory,
    ) -> Result<(), OutOfMemory> {
        if self.engine.derive(cost, password.as_bytes(), salt, output, memory) { Ok(()) } else { Err(OutOfMemory) }
    }
}

/// NFKC, so that a password is the same from every keyboard; `None` when it is too long to be one.
fn normalise(password: &SecretString) -> Option<Zeroizing<String>> {
    let raw = password.expose_secret();
    if raw.len() > MAX_PASSWORD {
        return None;
    }
    // Reserved whole: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(raw.len() * NFKC_GROWTH));
    text.extend(raw.nfkc());
    Some(text)
}

#[cfg(test)]
mod tests;
