use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::domain::secret::ExposeSecret;

/// What `tests/clients/password_hashes.py` made with bcrypt, argon2-cffi, Django, passlib, Werkzeug and htpasswd.
const VECTORS: &str = include_str!("../../../tests/vectors/password-hashes.jsonl");

#[derive(Deserialize)]
struct Vector {
    made_by: String,
    password: String,
    hash: String,
}

fn vectors() -> Vec<Vector> {
    VECTORS.lines().map(|line| serde_json::from_str(line).expect("a vector")).collect()
}

fn matches(stored: &str, password: &str) -> bool {
    Foreign::read(stored).expect("readable").matches(password.as_bytes(), &mut Memory::new()).expect("memory")
}

#[test]
fn hashes_of_every_tool_are_taken_and_verify_the_password_as_it_was_typed() {
    for Vector { made_by, password, hash } in vectors() {
        let taken = import(&hash, USUAL).unwrap_or_else(|error| panic!("{made_by}: {error}"));
        let stored = taken.hash.expose_secret();
        assert!(matches(stored, &password), "{made_by}: {hash}");
        assert!(!stored.starts_with("$argon2id$"), "{made_by} would be taken for ours: {hash}");
    }
}

#[test]
fn another_password_is_wrong_for_every_format() {
    let mut kinds = Vec::new();
    for Vector { made_by, password, hash } in vectors().into_iter().rev() {
        if !kinds.contains(&made_by) {
            let stored = import(&hash, USUAL).expect("taken").hash;
            for wrong in [String::new(), format!("x{password}"), password.to_uppercase()] {
                assert!(!matches(stored.expose_secret(), &wrong), "{made_by}: {wrong}");
            }
            kinds.push(made_by);
        }
    }
    assert!(kinds.len() > 30, "{kinds:?}");
}

#[test]
fn bcrypt_looks_at_72_bytes_as_it_did_when_the_hash_was_made() {
    let cut = vectors().into_iter().find(|vector| vector.made_by == "bcrypt, cut off").expect("there");
    let (start, _) = cut.password.split_at(72);
    assert!(matches(&cut.hash, start) && matches(&cut.hash, &format!("{start}more")));
    assert!(!matches(&cut.hash, start.split_at(71).0));
}

#[test]
fn what_was_cut_off_or_is_unknown_is_not_taken_and_not_shown() {
    for Vector { made_by, hash, .. } in vectors() {
        for end in [hash.len() - 12, hash.len() / 2, hash.find('$').unwrap_or(0) + 5] {
            let cut = hash.split_at(end).0;
            let error = import(cut, USUAL).expect_err(&format!("{made_by}: {cut}")).to_string();
            assert!(!error.contains(cut), "{error}");
        }
    }
    for unknown in
        ["", "hunter2 hunter2", "correct-horse-battery-staple", "$", "$$", "a$b", "$9$x$y", "{PLAIN}x", "plain$x", "\u{e4}$2b$"]
    {
        assert_eq!(import(unknown, USUAL).err(), Some(Unusable::Unknown), "{unknown}");
    }
    for known in ["abJnggxhB/yWI", "$y$j9T$x$y", "sha1$salt$0123", "md5$a$b", "$2x$12$aaaa"] {
        assert!(matches!(import(known, USUAL), Err(Unusable::NotSupported(_))), "{known}");
    }
}

#[test]
fn what_costs_more_than_twice_the_usual_is_not_taken() {
    let salt = "dHEGZzWtG3u4rmV8ljQvfuKB/SmLwtIZYCAwhLqDRsF6WubkTYVJ.";
    let digest = "Pr1oUgeikchBp7ONpgYgs6EWivwC8SBR3YPNf9qgEbc=";
    let bare = digest.trim_end_matches('=');
    let sixteen = "c2FsdCBvZiAxNiBieXRlcw";
    for (good, bad) in [
        (format!("$2b$13${salt}"), format!("$2b$14${salt}")),
        (format!("bcrypt$$2b$13${salt}"), format!("bcrypt$$2b$31${salt}")),
        (format!("pbkdf2_sha256$2000000$salt${digest}"), format!("pbkdf2_sha256$2000001$salt${digest}")),
        (format!("$pbkdf2-sha256$1$c2FsdA${bare}"), format!("$pbkdf2-sha256$4294967295$c2FsdA${bare}")),
        (format!("$scrypt$ln=17,r=8,p=1$c2FsdA${bare}"), format!("$scrypt$ln=18,r=8,p=1$c2FsdA${bare}")),
        (format!("$scrypt$ln=16,r=8,p=2$c2FsdA${bare}"), format!("$scrypt$ln=16,r=8,p=3$c2FsdA${bare}")),
        (format!("$scrypt$ln=10,r=8,p=1$c2FsdA${bare}"), format!("$scrypt$ln=40,r=65536,p=65536$c2FsdA${bare}")),
        (
            format!("$argon2id$v=19$m=131072,t=3,p=4${sixteen}${bare}"),
            format!("$argon2id$v=19$m=131072,t=4,p=4${sixteen}${bare}"),
        ),
        (format!("$argon2i$v=19$m=8,t=1,p=1${sixteen}${bare}"), format!("$argon2i$v=19$m=131080,t=1,p=1${sixteen}${bare}")),
    ] {
        assert!(import(&good, USUAL).is_ok(), "{good}: {:?}", import(&good, USUAL));
        assert!(matches!(import(&bad, USUAL), Err(Unusable::TooCostly(..))), "{bad}: {:?}", import(&bad, USUAL));
    }
    let rounds = |rounds: u64| format!("$6$rounds={rounds}$salt${}", "a".repeat(86));
    assert!(import(&rounds(2_000_000), USUAL).is_ok());
    assert!(matches!(import(&rounds(2_000_001), USUAL), Err(Unusable::TooCostly(..))));

    // A lower cost of ours lowers what argon2 may cost, not what the others may; a higher one raises all.
    let low = Argon2Cost { memory_kib: 1024, iterations: 1, parallelism: 1 };
    let high = Argon2Cost { iterations: 6, ..USUAL };
    assert!(import(&format!("$2b$13${salt}"), low).is_ok());
    assert!(import(&format!("$argon2id$v=19$m=4096,t=1,p=1${sixteen}${bare}"), low).is_err());
    assert!(import(&format!("$2b$14${salt}"), high).is_ok());
}

proptest! {
    #[test]
    fn whatever_stands_in_a_file_is_judged_without_a_fault(
        vector in 0usize..70,
        at in 0usize..120,
        with in "[$0-9a-z,:=.{}/]{0,24}",
        cut in 0usize..4,
    ) {
        let hash = vectors().swap_remove(vector).hash;
        let (start, rest) = hash.split_at(at.min(hash.len()));
        let rest = rest.split_at(cut.min(rest.len())).1;
        // Refused, or of a cost that a check may have.
        if let Ok(taken) = import(&format!("{start}{with}{rest}"), USUAL) {
            let foreign = Foreign::read(taken.hash.expose_secret()).expect("what was taken can be read again");
            prop_assert!(foreign.is_affordable(USUAL));
        }
    }
}
