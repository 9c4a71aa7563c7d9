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
        RealEngine.derive(cost, password, salt, output, memory)
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
    assert_eq!(bench.work().into_iter().map(Argon2Cost::work).sum::<u64>(), COST.work());
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
fn a_hash_from_when_hashes_cost_more_makes_every_refusal_as_dear() {
    let mut bench = Bench::new();
    let dear = Argon2Cost { iterations: 6, ..COST };
    let (old, ours) = (bench.hash(dear, "right"), bench.hash(COST, "right"));
    bench.verify("wrong", Some(&old));
    assert_eq!(bench.work(), [dear, COST], "it costs what it costs by itself, and one of ours");
    for stored in [None, Some(&ours)] {
        bench.verify("wrong", stored);
        let work = bench.work();
        let slices = work.iter().filter(|&&cost| cost != COST).count();
        assert!(slices > 0 && work.len() == slices + 1, "{stored:?}: {slices} of {}", work.len());
    }
    assert!(matches!(bench.verify("right", Some(&old)), Verdict::Right { rehashed: None }));
    assert_eq!(bench.work(), [dear]);
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
