//! argon2id (RFC 9106) in PHC strings, judged so that every way to be wrong costs the same.

use std::sync::Arc;

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::Verdict;
use super::burden::{Burden, Spent};
use super::foreign::{Foreign, work};
use crate::config::Argon2Cost;
use crate::domain::Entropy;
use crate::domain::entropy::random;

/// Nobody's password; callers refuse earlier (`passwords.max_length`), this bounds the normalisation.
const MAX_PASSWORD: usize = 16 * 1024;
/// NFKC makes at most eleven times as many bytes (U+FDFA).
const NFKC_GROWTH: usize = 11;
/// RFC 9106 §3.1 recommends 16 bytes of salt.
const SALT: usize = 16;
/// Bytes of output of new hashes.
const OUTPUT: usize = 32;

/// What is worked at a time for nothing: about half a millisecond.
const SLICE_KIB: u32 = 1024;
/// Where the time of a thread can't be measured it ends here.
const MAX_SLICES: u32 = 20_000;

/// The memory that a hash is made in; kept by each thread for its next one.
pub(super) type Memory = Vec<Block>;

/// What makes a hash; a seam, so that tests can count and hold the work.
pub(super) trait Engine: Send + Sync {
    /// Fills `output` with argon2id of `password` and `salt`; `false` when there is no memory for it.
    fn derive(&self, cost: Argon2Cost, password: &[u8], salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool;
}

/// The real one.
pub(super) struct Argon;

impl Engine for Argon {
    fn derive(&self, cost: Argon2Cost, password: &[u8], salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool {
        let Ok(params) = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output.len())) else {
            return false;
        };
        if reserve(memory, params.block_count()).is_err() {
            return false;
        }
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into_with_memory(password, salt, output, memory).is_ok()
    }
}

/// Makes room for `blocks` KiB.
pub(super) fn reserve(memory: &mut Memory, blocks: usize) -> Result<(), OutOfMemory> {
    let missing = blocks.saturating_sub(memory.len());
    memory.try_reserve_exact(missing).map_err(|_| OutOfMemory)?;
    memory.resize(memory.len() + missing, Block::new());
    Ok(())
}

/// Makes and checks hashes, on the thread that calls.
pub(super) struct Hasher {
    engine: Box<dyn Engine>,
    entropy: Arc<dyn Entropy>,
    burden: Burden,
}

/// There was no memory for the hash.
#[derive(Debug)]
pub(super) struct OutOfMemory;

impl Hasher {
    pub(super) fn new(engine: Box<dyn Engine>, entropy: Arc<dyn Entropy>) -> Self {
        Self { engine, entropy, burden: Burden::default() }
    }

    /// Forgets what hashes of other applications cost: those that are left will tell again.
    pub(super) fn forget(&self) {
        self.burden.forget();
    }

    /// Checks `password`; without a hash that may be checked, the same work is done for nothing.
    ///
    /// Of what costs the same whoever is asked for: one argon2 of the configured cost, and where hashes of other applications are
    /// about what the dearest of those costs.
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
            .and_then(|text| Stored::read(text.expose_secret()))
            .filter(|stored| normal.is_some() && stored.is_affordable(cost));
        let is_real = checkable.is_some();
        let stored = checkable.unwrap_or_else(|| Stored::nobody(cost));
        let text = normal.as_ref().map_or("", |text| text.as_str());
        let mut output = Zeroizing::new(vec![0; stored.output.len()]);
        self.derive(stored.cost, text, &stored.salt, &mut output, memory)?;
        let is_right = bool::from(output.ct_eq(&stored.output)) && is_real;
        if is_right {
            let rehashed = stored.is_weaker_than(cost).then(|| self.hash(cost, password, memory)).transpose()?;
            Ok(Verdict::Right { rehashed })
        } else {
            // A hash of an older, lower cost must not tell by its time that it is there.
            if let Some(rest) = stored.short_of(cost) {
                self.derive(rest, text, &stored.salt, &mut output, memory)?;
            }
            self.bear(Spent::now(), cost, memory)?;
            Ok(Verdict::Wrong)
        }
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

    /// Works for nothing until this thread has worked since `begun` for as long as the dearest hash of another application
    /// takes.
    fn bear(&self, begun: Spent, cost: Argon2Cost, memory: &mut Memory) -> Result<(), OutOfMemory> {
        let slice = Argon2Cost { memory_kib: cost.memory_kib.min(SLICE_KIB), iterations: 1, parallelism: 1 };
        let mut output = [0; OUTPUT];
        for _ in 0..MAX_SLICES {
            if self.burden.is_borne(begun) {
                break;
            }
            self.derive(slice, "", &[0; SALT], &mut output, memory)?;
        }
        Ok(())
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

fn phc(cost: Argon2Cost, salt: &[u8], output: &[u8]) -> Option<String> {
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

/// A hash that was stored, taken apart.
struct Stored {
    cost: Argon2Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; `None` for anything else.
    fn read(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        if hash.algorithm != ARGON2ID_IDENT || hash.version != Some(Version::V0x13.into()) || hash.params.iter().count() != 3 {
            return None;
        }
        let cost = Argon2Cost {
            memory_kib: hash.params.get_decimal("m")?,
            iterations: hash.params.get_decimal("t")?,
            parallelism: hash.params.get_decimal("p")?,
        };
        let output = hash.hash?.as_bytes().to_vec();
        // A shorter output would match too much.
        if output.len() < SALT || Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(output.len())).is_err() {
            return None;
        }
        Some(Self { cost, salt: hash.salt?.to_vec(), output })
    }

    /// What is hashed when there is nobody to check.
    fn nobody(cost: Argon2Cost) -> Self {
        Self { cost, salt: vec![0; SALT], output: vec![0; OUTPUT] }
    }

    /// Whether it asks for twice the configured memory and work at most.
    fn is_affordable(&self, configured: Argon2Cost) -> bool {
        self.cost.is_affordable(configured)
    }

    fn is_weaker_than(&self, configured: Argon2Cost) -> bool {
        work(self.cost) < work(configured) || self.cost.memory_kib < configured.memory_kib
    }

    /// What is left to do until it has cost what is configured.
    fn short_of(&self, configured: Argon2Cost) -> Option<Argon2Cost> {
        let missing = work(configured).saturating_sub(work(self.cost));
        let iterations = u32::try_from(missing.div_ceil(u64::from(configured.memory_kib).max(1))).unwrap_or(u32::MAX);
        (iterations > 0).then_some(Argon2Cost { iterations, ..configured })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::SystemEntropy;

    const COST: Argon2Cost = Argon2Cost { memory_kib: 64, iterations: 3, parallelism: 2 };

    /// Does the real work and notes what was asked.
    #[derive(Clone, Default)]
    struct Counting(Arc<Mutex<Vec<Argon2Cost>>>);

    impl Engine for Counting {
        fn derive(&self, cost: Argon2Cost, password: &[u8], salt: &[u8], output: &mut [u8], memory: &mut Memory) -> bool {
            self.0.lock().expect("not poisoned").push(cost);
            Argon.derive(cost, password, salt, output, memory)
        }
    }

    struct Bench {
        hasher: Hasher,
        done: Counting,
        memory: Memory,
    }

    impl Bench {
        fn new() -> Self {
            let done = Counting::default();
            Self { hasher: Hasher::new(Box::new(done.clone()), Arc::new(SystemEntropy)), done, memory: Memory::new() }
        }

        fn hash(&mut self, cost: Argon2Cost, password: &str) -> SecretString {
            let hash = self.hasher.hash(cost, &password.into(), &mut self.memory).expect("hashed");
            self.work();
            hash
        }

        fn verify(&mut self, password: &str, stored: Option<&SecretString>) -> Verdict {
            self.hasher.verify(COST, &password.into(), stored, &mut self.memory).expect("checked")
        }

        /// What was hashed since last asked.
        fn work(&self) -> Vec<Argon2Cost> {
            std::mem::take(&mut *self.done.0.lock().expect("not poisoned"))
        }
    }

    #[test]
    fn a_password_is_right_for_its_own_hash_only() {
        let mut bench = Bench::new();
        let hash = bench.hash(COST, "correct horse");
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=64,t=3,p=2$"), "{}", hash.expose_secret());
        assert!(matches!(bench.verify("correct horse", Some(&hash)), Verdict::Right { rehashed: None }));
        assert!(matches!(bench.verify("correct horsf", Some(&hash)), Verdict::Wrong));
        assert!(matches!(bench.verify("", Some(&hash)), Verdict::Wrong));
    }

    #[test]
    fn a_hash_made_elsewhere_verifies() {
        // echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 (the reference implementation's own test vector)
        let stored = SecretString::from("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
        let generous = Argon2Cost { memory_kib: 65_536, iterations: 3, parallelism: 1 };
        let mut bench = Bench::new();
        let verdict = bench.hasher.verify(generous, &"password".into(), Some(&stored), &mut bench.memory).expect("checked");
        assert!(matches!(verdict, Verdict::Right { rehashed: Some(_) }), "{verdict:?}");
    }

    #[test]
    fn an_unknown_user_costs_exactly_what_a_wrong_password_does() {
        let mut bench = Bench::new();
        let hash = bench.hash(COST, "right");
        bench.verify("wrong", Some(&hash));
        let known = bench.work();
        bench.verify("wrong", None);
        assert_eq!((known, bench.work()), (vec![COST], vec![COST]));
    }

    #[test]
    fn a_weaker_hash_is_replaced_when_right_and_made_up_for_when_wrong() {
        let mut bench = Bench::new();
        let weak = Argon2Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        let hash = bench.hash(weak, "right");
        let Verdict::Right { rehashed: Some(better) } = bench.verify("right", Some(&hash)) else { panic!("not rehashed") };
        assert_eq!(bench.work(), [weak, COST]);
        assert!(matches!(bench.verify("right", Some(&better)), Verdict::Right { rehashed: None }));
        bench.work();
        assert!(matches!(bench.verify("wrong", Some(&hash)), Verdict::Wrong));
        assert_eq!(bench.work().into_iter().map(work).sum::<u64>(), work(COST));
    }

    #[test]
    fn stored_parameters_up_to_twice_the_configured_cost_are_done_and_beyond_it_refused_unhashed() {
        let mut bench = Bench::new();
        let twice = Argon2Cost { iterations: 6, ..COST };
        let hash = bench.hash(twice, "right");
        assert!(matches!(bench.verify("right", Some(&hash)), Verdict::Right { rehashed: None }));
        bench.work();
        for cost in [
            Argon2Cost { iterations: 7, ..COST },
            Argon2Cost { memory_kib: 136, iterations: 1, ..COST },
            Argon2Cost { memory_kib: 4_000_000_000, iterations: 1, parallelism: 1 },
            Argon2Cost { memory_kib: 64, iterations: u32::MAX, parallelism: 1 },
        ] {
            let stored = SecretString::from(phc(cost, &[1; 16], &[2; 32]).expect("a PHC string"));
            assert!(matches!(bench.verify("right", Some(&stored)), Verdict::Wrong), "{cost:?}");
            assert_eq!(bench.work(), [COST], "{cost:?}");
        }
    }

    #[test]
    fn what_is_no_argon2id_string_is_wrong_and_costs_the_same() {
        let mut bench = Bench::new();
        for stored in [
            "",
            "x",
            "$",
            "$2b$31$abcdefghijklmnopqrstuuKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK",
            "$argon2id$",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9",
            "$argon2id$v=19$m=64,t=3,p=2",
            "$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHQ",
            "$argon2id$v=19$m=64,t=3,p=0$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            "$argon2id$v=19$m=0,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            "$argon2id$v=19$m=64,t=3,p=99999999$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
            "$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHQ$CTFhFdU",
            "$argon2id$v=19$m=64,t=3,p=2$AAAA$CTFhFdXPJO1aFaMaO6Mm5Q",
            "$argon2id$m=64,t=3,p=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
        ] {
            let verdict = bench.hasher.verify(COST, &"right".into(), Some(&stored.into()), &mut bench.memory);
            assert!(matches!(verdict, Ok(Verdict::Wrong)), "{stored}: {verdict:?}");
            assert_eq!(bench.work(), [COST], "{stored}");
        }
    }

    #[test]
    fn an_imported_hash_verifies_once_and_becomes_one_of_ours() {
        let mut bench = Bench::new();
        let imported = SecretString::from("$2y$04$QIRZznakbMLvv82878Qa8ePhEFmxwhpnnBfut31GEtKqM.6Q/XiIy");
        let password = "correct horse battery staple";
        let Verdict::Right { rehashed: Some(ours) } = bench.verify(password, Some(&imported)) else { panic!("not rehashed") };
        assert!(ours.expose_secret().starts_with("$argon2id$v=19$m=64,t=3,p=2$"), "{}", ours.expose_secret());
        assert!(matches!(bench.verify(password, Some(&ours)), Verdict::Right { rehashed: None }));
        assert!(matches!(bench.verify("Correct horse battery staple", Some(&imported)), Verdict::Wrong));
        assert!(matches!(bench.verify(&password.repeat(1000), Some(&imported)), Verdict::Wrong));
    }

    #[test]
    fn right_or_wrong_imported_or_unknown_everything_costs_one_hash_of_ours_and_one_imported() {
        let mut bench = Bench::new();
        // {SHA}, as good as free, of `correct horse battery staple`.
        let cheap = SecretString::from("{SHA}q/eq1kOINtvlJqojGr3i0O73TUI=");
        for password in ["correct horse battery staple", "wrong"] {
            bench.verify(password, Some(&cheap));
            assert_eq!(bench.work().last(), Some(&COST), "{password}");
        }
        bench.hasher.forget();
        bench.verify("wrong", None);
        assert_eq!(bench.work(), [COST]);

        // Once a dear one was seen, everybody's check costs as much; the slices are what that is made of.
        let dear = SecretString::from("$2y$08$QIRZznakbMLvv82878Qa8ePhEFmxwhpnnBfut31GEtKqM.6Q/XiIy");
        bench.verify("wrong", Some(&dear));
        assert_eq!(bench.work(), [COST], "it costs what it costs by itself");
        let ours = bench.hash(COST, "right");
        for stored in [None, Some(&ours), Some(&cheap)] {
            bench.verify("wrong", stored);
            let work = bench.work();
            let slices = work.iter().filter(|&&cost| cost != COST).count();
            assert!(slices > 10 && work.len() == slices + 1, "{stored:?}: {slices} of {}", work.len());
        }
        bench.hasher.forget();
        bench.verify("wrong", None);
        assert_eq!(bench.work(), [COST]);
    }

    #[test]
    fn a_password_is_the_same_however_it_was_typed() {
        let mut bench = Bench::new();
        let hash = bench.hash(COST, "Ångström ﬁle ①");
        for typed in ["A\u{30a}ngstro\u{308}m ﬁle ①", "Ångström file 1"] {
            assert!(matches!(bench.verify(typed, Some(&hash)), Verdict::Right { .. }), "{typed}");
        }
    }

    #[test]
    fn every_byte_of_a_long_password_counts_and_nul_does_not_end_one() {
        let mut bench = Bench::new();
        let long = "x".repeat(255);
        let hash = bench.hash(COST, &format!("{long}a"));
        assert!(matches!(bench.verify(&format!("{long}a"), Some(&hash)), Verdict::Right { .. }));
        assert!(matches!(bench.verify(&format!("{long}b"), Some(&hash)), Verdict::Wrong));
        let hash = bench.hash(COST, "a\0b");
        assert!(matches!(bench.verify("a\0c", Some(&hash)), Verdict::Wrong));
        assert!(matches!(bench.verify("a", Some(&hash)), Verdict::Wrong));
        bench.work();
        assert!(matches!(bench.verify(&"\u{fdfa}".repeat(1_000_000), Some(&hash)), Verdict::Wrong));
        assert_eq!(bench.work(), [COST]);
    }

    #[test]
    fn normalising_never_outgrows_what_was_reserved() {
        for password in ["\u{fdfa}".repeat(1365), "ﬃ".repeat(1000), "\u{1d160}".repeat(1000), "a".repeat(4096)] {
            let reserved = password.len() * NFKC_GROWTH;
            let text = normalise(&password.into()).expect("normalised");
            assert!(text.len() <= reserved);
        }
    }
}
