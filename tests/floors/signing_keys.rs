//! The folder of signing keys: what is made in it, and what is refused.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
};
use portcullis::config::{Algorithm, Tokens};
use portcullis::credential::keys::KeyState;
use portcullis::credential::{KeyError, KeyRing};
use portcullis::domain::Timestamp;

const NOW: i64 = 1_795_360_500;
/// A good key's text and name, made elsewhere.
fn key() -> (String, String) {
    let folder = Folder::new();
    let path = folder.create(NOW);
    (fs::read_to_string(path).expect("text"), folder.kids().pop().expect("one key"))
}

fn settings(dir: &Path, algorithm: Algorithm) -> Tokens {
    Tokens {
        algorithm,
        keys: dir.to_owned(),
        secret: None,
        activate_after: Duration::from_mins(1),
        audience: "portcullis".into(),
        access_ttl: Duration::from_mins(15),
        refresh_ttl: Duration::from_hours(24),
        refresh_grace: Duration::from_secs(10),
        leeway: Duration::from_secs(30),
    }
}

struct Folder {
    _root: tempfile::TempDir,
    dir: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let dir = root.path().join("deep/keys");
        Self { _root: root, dir }
    }

    fn create(&self, at: i64) -> PathBuf {
        KeyRing::create(Algorithm::Es256, &self.dir, Timestamp::from_secs(at)).expect("a key")
    }

    fn load(&self) -> Result<KeyRing, KeyError> {
        KeyRing::load(&settings(&self.dir, Algorithm::Es256))
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("written");
        chmod(&path, 0o600);
        path
    }

    /// The message that the folder is refused with.
    fn fault(&self) -> String {
        self.load().expect_err("refused").to_string()
    }

    fn kids(&self) -> Vec<String> {
        let jwks = self.load().expect("keys").jwks();
        let keys = jwks.get("keys").and_then(|keys| keys.as_array()).expect("a list");
        keys.iter().map(|key| key.get("kid").and_then(|kid| kid.as_str()).expect("a kid").to_owned()).collect()
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode set");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn a_new_key_is_private_whole_and_named_by_time_and_thumbprint() {
    let folder = Folder::new();
    let path = folder.create(NOW);
    assert_eq!((mode(&path), mode(&folder.dir)), (0o600, 0o700));
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let kid = folder.kids().pop().expect("one key");
    assert_eq!(name, format!("20261122T151500Z-{kid}.pem"));
    assert_eq!(kid.len(), 43);
    let files = fs::read_dir(&folder.dir).expect("there").count();
    assert_eq!(files, 1, "nothing unfinished is left");
    assert!(fs::read_to_string(&path).expect("text").starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn public_keys_are_published_without_their_private_half() {
    let folder = Folder::new();
    folder.create(NOW);
    folder.create(NOW + 1);
    let jwks = folder.load().expect("keys").jwks();
    for key in jwks["keys"].as_array().expect("a list") {
        let mut names: Vec<&str> = key.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!((&key["alg"], &key["use"]), (&"ES256".into(), &"sig".into()));
    }
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn keys_are_ordered_by_name() {
    let folder = Folder::new();
    folder.create(NOW);
    let (text, kid) = key();
    folder.put(&format!("20200101T000000Z-{kid}.pem"), &text);
    assert_eq!(folder.kids().first(), Some(&kid));
}

#[test]
fn no_folder_and_an_empty_one_have_no_key() {
    let folder = Folder::new();
    assert!(matches!(folder.load(), Err(KeyError::None(_))));
    fs::create_dir_all(&folder.dir).expect("made");
    let fault = folder.load().expect_err("refused");
    assert!(matches!(fault, KeyError::None(_)) && fault.to_string().contains("init"), "{fault}");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
    for wrong in [0o644, 0o640, 0o604, 0o660, 0o622] {
        let folder = Folder::new();
        let path = folder.create(NOW);
        chmod(&path, wrong);
        assert!(folder.fault().contains(&format!("chmod 600 '{}'", path.display())), "{wrong:o}: {}", folder.fault());
        chmod(&path, 0o400);
        folder.load().expect("private again");
    }
    let folder = Folder::new();
    folder.create(NOW);
    chmod(&folder.dir, 0o777);
    assert!(folder.fault().contains("chmod 700"), "{}", folder.fault());
}

#[test]
fn what_ends_in_pem_and_is_no_key_of_ours_is_an_error_that_names_it() {
    let [p384, p521, k256] =
        [&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P521_SHA512_FIXED_SIGNING, &ECDSA_P256K1_SHA256_FIXED_SIGNING].map(|curve| {
            let key = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).expect("a key");
            pem::encode(&pem::Pem::new("PRIVATE KEY", key.as_ref()))
        });
    let (good, kid) = key();
    let relabelled = good.replace("PRIVATE KEY", "EC PRIVATE KEY");
    let name = format!("20261122T153000Z-{kid}.pem");
    let others = [
        (name.as_str(), include_str!("../vectors/keys/rsa-1024.pem"), "less than 2048 bits"),
        (&name, include_str!("../vectors/keys/ed448.pem"), "Ed25519"),
        (&name, include_str!("../vectors/keys/x25519.pem"), "Ed25519"),
        (&name, include_str!("../vectors/keys/rsa-pss.pem"), "RSA (RS256)"),
        (&name, &p521, "P-521"),
        (&name, &k256, "secp256k1"),
        (&name, &good.replace("PRIVATE KEY", "PUBLIC KEY"), "public key only"),
    ];
    let cases: [(&str, &str, &str); 13] = [
        ("notes.pem", &good, "is not named"),
        ("20261122T153000Z.pem", &good, "is not named"),
        (&format!("2026-11-22-{kid}.pem"), &good, "is not named"),
        (&format!("20261322T153000Z-{kid}.pem"), &good, "is not named"),
        (&format!("{kid}.PEM"), &good, "is not named"),
        ("20261122T153000Z-otherkid.pem", &good, "named after another key"),
        (&name, "", "one PKCS#8 key"),
        (&name, "garbage", "one PKCS#8 key"),
        (&name, &relabelled, "one PKCS#8 key"),
        (&name, &format!("{good}{good}"), "one PKCS#8 key"),
        (&name, &p384, "P-256"),
        (&name, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "P-256"),
        (&name, &"x".repeat(70_000), "too large"),
    ];
    for (name, text, cause) in cases.into_iter().chain(others) {
        let folder = Folder::new();
        folder.create(NOW);
        let path = folder.put(name, text);
        let fault = folder.fault();
        assert!(fault.contains(cause) && fault.contains(&path.display().to_string()), "{name}: {fault}");
    }
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let folder = Folder::new();
    folder.create(NOW);
    folder.put("README", "keys live here");
    folder.put(".20261122T153000Z-abc.new", "unfinished");
    assert_eq!(folder.kids().len(), 1);
}

#[test]
fn an_hmac_secret_must_be_there_and_long_and_does_not_print() {
    let mut tokens = settings(Path::new("/nonexistent"), Algorithm::Hs256);
    assert!(matches!(KeyRing::load(&tokens), Err(KeyError::Secret)));
    tokens.secret = Some("x".repeat(31).into());
    assert!(matches!(KeyRing::load(&tokens), Err(KeyError::Secret)));
    tokens.secret = Some("0123456789abcdef0123456789abcdef".into());
    let ring = KeyRing::load(&tokens).expect("a key");
    assert!(!format!("{ring:?}").contains("0123456789abcdef"));
    assert_eq!(ring.jwks(), serde_json::json!({ "keys": [] }));
}

#[test]
fn each_kind_of_key_is_published_by_its_own_members_and_no_private_one() {
    let folder = Folder::new();
    for (age, algorithm) in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].into_iter().enumerate() {
        let made = Timestamp::from_secs(NOW + i64::try_from(age).expect("small"));
        KeyRing::create(algorithm, &folder.dir, made).expect("a key");
    }
    assert!(matches!(KeyRing::create(Algorithm::Hs256, &folder.dir, Timestamp::from_secs(NOW)), Err(KeyError::Shared)));
    let jwks = folder.load().expect("keys").jwks();
    let members: Vec<String> = jwks["keys"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| {
            let mut names: Vec<&str> = key.as_object().expect("an object").keys().map(String::as_str).collect();
            names.sort_unstable();
            format!("{} {}", key["alg"].as_str().expect("alg"), names.join(" "))
        })
        .collect();
    assert_eq!(members, ["ES256 alg crv kid kty use x y", "EdDSA alg crv kid kty use x", "RS256 alg e kid kty n use"]);
}

#[test]
fn a_key_that_others_made_is_taken_under_its_thumbprint() {
    // RFC 8037, appendix A: the key of A.1 as PKCS#8 (RFC 8410 §7), and its thumbprint of A.3.
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let folder = Folder::new();
    fs::create_dir_all(&folder.dir).expect("made");
    folder.put("20261122T153000Z-kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k.pem", text);
    let jwks = folder.load().expect("keys").jwks();
    assert_eq!(jwks["keys"][0]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[test]
fn a_rotation_makes_the_newest_key_whatever_the_clock_says() {
    let folder = Folder::new();
    let tokens = settings(&folder.dir, Algorithm::Es256);
    let at = Timestamp::from_secs;
    let lifetime = tokens.access_ttl + tokens.leeway;
    let (first, ring) = KeyRing::rotate(&tokens, at(NOW)).expect("a first key");
    assert_eq!(ring.listed(at(NOW), lifetime)[0].state, KeyState::Signs, "young, and the only one");
    // Twice in one second, and with a clock that steps back: each is the newest by its name.
    let (second, _) = KeyRing::rotate(&tokens, at(NOW)).expect("a second key");
    let (third, ring) = KeyRing::rotate(&tokens, at(NOW - 5)).expect("a third key");
    assert!(first < second && second < third);
    let states = |now| -> Vec<&str> { ring.listed(at(now), lifetime).iter().map(|key| key.state.name()).collect() };
    assert_eq!(states(NOW + 60), ["signs", "waits", "waits"]);
    assert_eq!(states(NOW + 61), ["verifies", "signs", "waits"]);
    assert_eq!(states(NOW + 62), ["verifies", "verifies", "signs"]);
    let listed = ring.listed(at(NOW + 62), lifetime);
    let deletable: Vec<_> = listed.iter().map(|key| key.deletable_from).collect();
    assert_eq!(deletable, [Some(at(NOW + 61).plus(lifetime)), Some(at(NOW + 62).plus(lifetime)), None]);
    let fault = KeyRing::rotate(&tokens, at(NOW - 200_000)).expect_err("refused").to_string();
    assert!(fault.contains(&third.display().to_string()) && fault.contains("to come"), "{fault}");
}

#[test]
fn nobody_says_when_a_key_of_another_algorithm_may_go() {
    let folder = Folder::new();
    let at = Timestamp::from_secs;
    for (age, algorithm) in [(0, Algorithm::Es256), (100, Algorithm::Es256), (200, Algorithm::EdDsa)] {
        KeyRing::rotate(&settings(&folder.dir, algorithm), at(NOW + age)).expect("a key");
    }
    let tokens = settings(&folder.dir, Algorithm::EdDsa);
    let ring = KeyRing::load(&tokens).expect("keys");
    let listed = ring.listed(at(NOW + 10_000), tokens.access_ttl + tokens.leeway);
    let told: Vec<_> = listed.iter().map(|key| (key.state.name(), key.deletable_from)).collect();
    assert_eq!(told, [("verifies", None), ("verifies", None), ("signs", None)]);
}
