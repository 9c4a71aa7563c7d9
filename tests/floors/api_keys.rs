//! API keys against a store that can be slow, gone or changed.

#![expect(clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test may fail")]

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::config::{Role, Roles};
use portcullis::credential::{Accepted, ApiKey, ApiKeyScheme, Outcome, Presented, Scheme};
use portcullis::domain::clock::ManualClock;
use portcullis::domain::{
    ApiKeyRecord, Concern, CredentialKind, Entry, Hash256, Issuer, KeyId, Scope, SystemEntropy, Timestamp, User, UserId,
};
use portcullis::problem::Refusal;
use portcullis::revocation::{Revocations, Standing};
use portcullis::store::{ApiKeys, StoreError, StoreResult};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const NOW: i64 = 1_795_360_500;
const TTL: Duration = Duration::from_mins(15);

/// A store of keys that tests break and hold.
struct Store {
    keys: Mutex<Vec<(ApiKeyRecord, User)>>,
    down: Mutex<bool>,
    /// What a look-up has to get before it answers.
    gate: Semaphore,
    asked: AtomicUsize,
    touched: Mutex<Vec<(KeyId, Timestamp)>>,
}

#[async_trait]
impl ApiKeys for Store {
    async fn create_key(&self, _: &ApiKeyRecord) -> StoreResult<()> {
        unreachable!("schemes make no keys")
    }

    async fn key(&self, id: &KeyId) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _pass = self.gate.acquire().await.expect("open");
        if *self.down.lock().expect("not poisoned") {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(self.keys.lock().expect("not poisoned").iter().find(|(key, _)| key.id == *id).cloned())
    }

    async fn key_by_hash(&self, hash: &Hash256) -> StoreResult<Option<(ApiKeyRecord, User)>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _pass = self.gate.acquire().await.expect("open");
        if *self.down.lock().expect("not poisoned") {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(self.keys.lock().expect("not poisoned").iter().find(|(key, _)| key.hash == *hash).cloned())
    }

    async fn keys(&self, _: Option<UserId>) -> StoreResult<Vec<ApiKeyRecord>> {
        unreachable!("schemes list no keys")
    }

    async fn revoke_key(&self, _: &KeyId, _: Timestamp, _: Timestamp) -> StoreResult<Vec<Entry>> {
        unreachable!("schemes revoke no keys")
    }

    async fn touch_keys(&self, seen: &[(KeyId, Timestamp)]) -> StoreResult<()> {
        if *self.down.lock().expect("not poisoned") {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        self.touched.lock().expect("not poisoned").extend_from_slice(seen);
        Ok(())
    }
}

/// Knows the lowest generation that lives.
#[derive(Default)]
struct List(AtomicI64);

#[async_trait]
impl Revocations for List {
    async fn standing(&self, _: &Concern) -> Standing {
        Standing::Live
    }

    fn is_outdated(&self, _: UserId, generation: i64) -> bool {
        generation < self.0.load(Ordering::SeqCst)
    }

    async fn publish(&self, _: Vec<Entry>) {}

    fn is_ready(&self) -> bool {
        true
    }
}

struct World {
    store: Arc<Store>,
    list: Arc<List>,
    clock: Arc<ManualClock>,
    scheme: ApiKeyScheme,
    key: ApiKey,
}

fn roles() -> Arc<Roles> {
    let role = |includes: &[&str], scopes: &str| Role {
        includes: includes.iter().map(|name| (*name).to_owned()).collect(),
        scopes: scopes.parse().expect("scopes"),
    };
    Arc::new(Roles(
        [
            ("viewer".to_owned(), role(&[], "items:read")),
            ("editor".to_owned(), role(&["viewer"], "items:write")),
            ("admin".to_owned(), role(&["editor"], "*")),
        ]
        .into(),
    ))
}

fn world() -> World {
    let key = ApiKey::generate(&SystemEntropy);
    let at = Timestamp::from_secs(NOW);
    let owner = User {
        id: UserId::generate(at, &SystemEntropy),
        username: "ann".into(),
        email: Some("ann@example.com".into()),
        email_verified: true,
        full_name: Some("Ann Example".into()),
        roles: vec!["editor".into()],
        scopes: "reports".parse().expect("scopes"),
        attributes: json!({ "tenant": "north" }).as_object().cloned().expect("an object"),
        disabled: false,
        service: false,
        generation: 5,
        password: None,
        created_at: at,
    };
    let record = ApiKeyRecord {
        id: key.id().clone(),
        hash: key.hash(),
        owner: owner.id,
        name: "ci".into(),
        scopes: "items".parse().expect("scopes"),
        allowed_cidrs: Vec::new(),
        rate_limit: None,
        created_at: at,
        expires_at: None,
        used_at: None,
        revoked_at: None,
    };
    let store = Arc::new(Store {
        keys: Mutex::new(vec![(record, owner)]),
        down: Mutex::new(false),
        gate: Semaphore::new(1000),
        asked: AtomicUsize::new(0),
        touched: Mutex::default(),
    });
    let (list, clock) = (Arc::new(List::default()), Arc::new(ManualClock::at(at)));
    let scheme = ApiKeyScheme::new(store.clone(), list.clone(), roles(), TTL, clock.clone(), Handle::current());
    World { store, list, clock, scheme, key }
}

impl World {
    fn change(&self, change: impl FnOnce(&mut ApiKeyRecord, &mut User)) {
        let mut keys = self.store.keys.lock().expect("not poisoned");
        let (record, owner) = keys.first_mut().expect("one key");
        change(record, owner);
    }

    fn set_down(&self, down: bool) {
        *self.store.down.lock().expect("not poisoned") = down;
    }

    fn asked(&self) -> usize {
        self.store.asked.load(Ordering::SeqCst)
    }

    async fn present_from(&self, value: &str, client: Option<&str>) -> Outcome {
        let client = client.map(|text| text.parse::<IpAddr>().expect("an address"));
        self.scheme.authenticate(&Presented { api_keys: vec![value.as_bytes()], client, ..Presented::default() }).await
    }

    async fn present(&self) -> Outcome {
        self.present_from(self.key.expose(), None).await
    }

    async fn accept(&self) -> Accepted {
        accepted(self.present().await)
    }
}

fn accepted(outcome: Outcome) -> Accepted {
    match outcome {
        Outcome::Accepted(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

fn is_invalid(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(Refusal::InvalidApiKey))
}

fn is_unavailable(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(Refusal::Unavailable { .. }))
}

#[tokio::test]
async fn a_key_proves_its_owner_with_the_narrower_of_both_rights() {
    let world = world();
    let Accepted { principal, concern, expires_at, rate_limit } = world.accept().await;
    let principal = Arc::unwrap_or_clone(principal);
    let (record, owner) = world.store.keys.lock().expect("not poisoned").first().cloned().expect("one key");
    assert_eq!((principal.issuer, principal.subject), (Issuer::Own, owner.id.to_string()));
    assert_eq!((principal.username, principal.full_name), (Some(owner.username), owner.full_name));
    assert_eq!((principal.email, principal.roles), (owner.email, owner.roles));
    assert_eq!(principal.scopes.to_string(), "items:read items:write");
    assert_eq!((principal.method, principal.session), (CredentialKind::ApiKey, None));
    assert_eq!((principal.key, principal.attributes), (Some(record.id.clone()), owner.attributes));
    assert!(principal.claims.is_empty());
    let expected = Concern { token: None, session: None, account: Some((owner.id, 5)), key: Some(record.id) };
    assert_eq!((concern, expires_at, rate_limit), (expected, None, None));
}

#[tokio::test]
async fn how_often_a_key_may_be_used_comes_with_it() {
    let world = world();
    let rate = "100/1m".parse().expect("a rate");
    world.change(|record, _| record.rate_limit = Some(rate));
    assert_eq!(world.accept().await.rate_limit, Some(rate));
}

#[tokio::test]
async fn our_own_scopes_come_only_by_name_and_only_to_who_has_them() {
    for (named, roles, given) in [
        ("*", "admin", "items:read items:write reports"),
        ("portcullis:account", "viewer", "portcullis:account"),
        ("portcullis:admin", "viewer", ""),
        ("portcullis:admin items:read", "admin", "items:read portcullis:admin"),
        ("portcullis", "admin", "portcullis:account portcullis:admin"),
    ] {
        let world = world();
        world.change(|record, owner| {
            record.scopes = named.parse().expect("scopes");
            owner.roles = vec![roles.into()];
        });
        let scopes = world.accept().await.principal.scopes.clone();
        let held: Vec<&str> = scopes.iter().map(Scope::as_str).filter(|scope| *scope != "*").collect();
        assert_eq!(held.join(" "), given, "{named} of {roles}");
    }
}

type Change = fn(&mut ApiKeyRecord, &mut User);

#[tokio::test]
async fn every_way_to_be_wrong_gives_one_answer() {
    let stranger = ApiKey::generate(&SystemEntropy);
    let world = world();
    assert!(is_invalid(&world.present_from(stranger.expose(), None).await), "unknown id");
    world.change(|record, _| record.hash = stranger.hash());
    assert!(is_invalid(&world.present().await), "wrong secret");
    let changes: [(&str, Change); 4] = [
        ("expired", |record, _| record.expires_at = Some(Timestamp::from_secs(NOW))),
        ("revoked", |record, _| record.revoked_at = Some(Timestamp::from_secs(NOW - 1))),
        ("disabled", |_, owner| owner.disabled = true),
        ("elsewhere", |record, _| record.allowed_cidrs = vec!["10.0.0.0/8".into()]),
    ];
    for (what, change) in changes {
        let world = self::world();
        world.change(change);
        assert!(is_invalid(&world.present().await), "{what}");
    }
}

#[tokio::test]
async fn what_has_not_the_form_of_a_key_never_reaches_the_store() {
    let world = world();
    let key = world.key.expose();
    for value in [
        "",
        " ",
        "x",
        key.get(..79).expect("ASCII"),
        &format!("{key}x"),
        &key.replace("ptc_", "ptr_"),
        &key.to_uppercase(),
        &format!(" {key}"),
    ] {
        assert!(is_invalid(&world.present_from(value, None).await), "{value:?}");
    }
    assert_eq!(world.asked(), 0);
    let none = world.scheme.authenticate(&Presented::default()).await;
    assert!(matches!(none, Outcome::NotPresented));
    let two = Presented { api_keys: vec![key.as_bytes(), key.as_bytes()], ..Presented::default() };
    assert!(matches!(world.scheme.authenticate(&two).await, Outcome::Rejected(Refusal::InvalidRequest(_))));
}

#[tokio::test]
async fn a_key_with_networks_is_good_from_inside_them_only() {
    let world = world();
    world.change(|record, _| {
        record.allowed_cidrs =
            ["10.1.0.0/16", "2001:db8::/32", "::ffff:192.0.2.0/120", "198.51.100.7", "nonsense"].map(String::from).into();
    });
    for (client, inside) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("10.2.0.1", false),
        ("2001:db8:1::1", true),
        ("2001:db9::1", false),
        ("192.0.2.9", true),
        ("::ffff:192.0.2.9", true),
        ("192.0.3.9", false),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
    ] {
        let outcome = world.present_from(world.key.expose(), Some(client)).await;
        assert_eq!(matches!(outcome, Outcome::Accepted(_)), inside, "{client}");
    }
    assert!(is_invalid(&world.present().await), "no address at all");
    world.clock.advance(Duration::from_secs(6));
    world.change(|record, _| record.allowed_cidrs = vec!["nonsense".into()]);
    assert!(is_invalid(&world.present_from(world.key.expose(), Some("10.1.2.3")).await), "networks that can't be read");
}

#[tokio::test]
async fn a_known_key_costs_no_question_for_five_seconds() {
    let world = world();
    for _ in 0..10 {
        world.accept().await;
    }
    assert_eq!(world.asked(), 1);
    world.change(|_, owner| owner.disabled = true);
    world.clock.advance(Duration::from_millis(4_999));
    world.accept().await;
    world.clock.advance(Duration::from_millis(1));
    assert!(is_invalid(&world.present().await));
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_raised_generation_ends_what_was_known_at_once() {
    let world = world();
    world.accept().await;
    world.change(|_, owner| {
        owner.roles = vec!["viewer".into()];
        owner.generation = 6;
    });
    world.list.0.store(6, Ordering::SeqCst);
    let accepted = world.accept().await;
    assert_eq!(accepted.principal.scopes.to_string(), "items:read");
    assert_eq!(accepted.concern.account.map(|(_, generation)| generation), Some(6));
    world.list.0.store(7, Ordering::SeqCst);
    world.set_down(true);
    assert!(is_unavailable(&world.present().await), "an old generation is not used for want of a new one");
}

#[tokio::test]
async fn a_known_key_outlives_the_store_for_the_cache_ttl_and_an_unknown_one_is_not_decided() {
    let world = world();
    world.accept().await;
    world.set_down(true);
    world.clock.advance(TTL.saturating_sub(Duration::from_millis(1)));
    world.accept().await;
    let asked = world.asked();
    world.accept().await;
    assert_eq!(world.asked(), asked, "a store that failed just now is not asked on each call");
    world.clock.advance(Duration::from_millis(1));
    assert!(is_unavailable(&world.present().await));
    let stranger = ApiKey::generate(&SystemEntropy);
    assert!(is_unavailable(&world.present_from(stranger.expose(), None).await));
    world.set_down(false);
    world.accept().await;
    assert!(is_invalid(&world.present_from(stranger.expose(), None).await));
}

#[tokio::test]
async fn a_wrong_secret_is_wrong_in_an_outage_too() {
    let world = world();
    world.accept().await;
    world.change(|record, _| record.hash = ApiKey::generate(&SystemEntropy).hash());
    world.clock.advance(Duration::from_secs(6));
    assert!(is_invalid(&world.present().await));
    world.set_down(true);
    world.clock.advance(Duration::from_secs(6));
    assert!(is_invalid(&world.present().await));
}

#[tokio::test]
async fn an_expired_key_does_not_outlive_its_end_in_the_cache() {
    let world = world();
    world.change(|record, _| record.expires_at = Some(Timestamp::from_secs(NOW + 2)));
    assert_eq!(world.accept().await.expires_at, Some(Timestamp::from_secs(NOW + 2)));
    world.clock.advance(Duration::from_secs(2));
    assert!(is_invalid(&world.present().await));
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn many_who_ask_for_one_key_are_one_question() {
    let world = Arc::new(world());
    world.store.gate.forget_permits(1000);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { accepted(world.present().await) })
        })
        .collect();
    while world.asked() == 0 {
        tokio::task::yield_now().await;
    }
    // One that goes away does not take the answer from the others.
    callers[0].abort();
    world.store.gate.add_permits(1);
    for caller in callers.into_iter().skip(1) {
        caller.await.expect("accepted");
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_not_waited_for_for_ever() {
    let world = world();
    world.accept().await;
    world.store.gate.forget_permits(1000);
    world.clock.advance(Duration::from_secs(6));
    world.accept().await;
    let stranger = ApiKey::generate(&SystemEntropy);
    assert!(is_unavailable(&world.present_from(stranger.expose(), None).await));
}

/// Presents `keys` at once, each as a client of its own.
fn present_all(world: &Arc<World>, keys: impl Iterator<Item = String>) -> Vec<JoinHandle<Outcome>> {
    let present = |key: String| {
        let world = world.clone();
        tokio::spawn(async move { world.present_from(&key, None).await })
    };
    keys.map(present).collect()
}

/// Lets all that can go on go on.
async fn settle() {
    for _ in 0..5000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn made_up_keys_ask_the_store_so_many_questions_at_once_and_wait_for_the_rest() {
    let world = Arc::new(world());
    world.accept().await;
    world.store.gate.forget_permits(1000);
    let strangers = present_all(&world, (0..300).map(|_| ApiKey::generate(&SystemEntropy).expose().to_owned()));
    settle().await;
    assert_eq!(world.asked(), 1 + 256);
    world.accept().await;
    world.store.gate.add_permits(1);
    for stranger in strangers {
        assert!(is_invalid(&stranger.await.expect("answered")));
    }
}

#[tokio::test]
async fn the_last_use_is_told_once_and_kept_while_the_store_is_gone() {
    let world = world();
    for _ in 0..3 {
        world.accept().await;
    }
    world.set_down(true);
    assert!(world.scheme.flush_last_used().await.is_err());
    world.set_down(false);
    world.scheme.flush_last_used().await.expect("told");
    world.scheme.flush_last_used().await.expect("nothing to tell");
    let told = std::mem::take(&mut *world.store.touched.lock().expect("not poisoned"));
    assert_eq!(told, [(world.key.id().clone(), Timestamp::from_secs(NOW))]);
    world.clock.advance(Duration::from_secs(31));
    world.accept().await;
    world.scheme.flush_last_used().await.expect("told");
    assert_eq!(world.store.touched.lock().expect("not poisoned").len(), 1);
}

#[tokio::test]
async fn a_refused_key_counts_as_no_use() {
    let world = world();
    world.change(|record, _| record.revoked_at = Some(Timestamp::from_secs(NOW)));
    world.present().await;
    world.scheme.flush_last_used().await.expect("nothing to tell");
    assert!(world.store.touched.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn a_reload_keeps_what_is_known_and_applies_new_roles() {
    let mut world = world();
    world.accept().await;
    world.set_down(true);
    let mut roles = Roles::clone(&roles());
    roles.0.insert("editor".into(), Role { includes: Vec::new(), scopes: "items:list".parse().expect("scopes") });
    world.scheme = world.scheme.reloaded(Arc::new(roles), TTL);
    assert_eq!(world.accept().await.principal.scopes.to_string(), "items:list");
}

const LEGACY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

/// What a client that was never imported sends.
fn made_up(number: usize) -> String {
    format!("d41d8cd98f00b204e9800998-{number:08}")
}

#[tokio::test]
async fn an_imported_key_is_known_by_its_hash_and_goes_on_without_the_store() {
    let world = world();
    assert!(is_invalid(&world.present_from(LEGACY, None).await));
    world.change(|record, _| record.hash = Hash256::of(LEGACY.as_bytes()));
    assert!(is_invalid(&world.present_from(LEGACY, None).await), "asked a moment ago");
    world.clock.advance(Duration::from_millis(500));
    let first = accepted(world.present_from(LEGACY, None).await);
    assert_eq!(first.principal.scopes.to_string(), "items:read items:write");
    assert_eq!(first.concern.key.as_ref(), first.principal.key.as_ref());
    let asked = world.asked();
    accepted(world.present_from(LEGACY, None).await);
    assert_eq!(world.asked(), asked, "known");
    world.set_down(true);
    world.clock.advance(Duration::from_secs(899));
    accepted(world.present_from(LEGACY, None).await);
    assert!(is_unavailable(&world.present_from(&made_up(1), None).await), "unknown, and nobody to ask");
    assert!(is_invalid(&world.present_from("too-short", None).await), "no key in any case");
    world.clock.advance(Duration::from_secs(1));
    assert!(is_unavailable(&world.present_from(LEGACY, None).await));
}

#[tokio::test]
async fn a_client_that_repeats_a_wrong_key_asks_twice_a_second_at_most() {
    let world = world();
    for _ in 0..50 {
        assert!(is_invalid(&world.present_from(&made_up(1), None).await));
    }
    assert_eq!(world.asked(), 1);
    world.clock.advance(Duration::from_millis(500));
    assert!(is_invalid(&world.present_from(&made_up(1), None).await));
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn made_up_strings_leave_room_for_keys_and_are_answered_in_turn() {
    let world = Arc::new(world());
    world.store.gate.forget_permits(1000);
    let strangers = present_all(&world, (0..300).map(made_up));
    settle().await;
    assert_eq!(world.asked(), 32);
    let key = tokio::spawn({
        let world = world.clone();
        async move { world.accept().await }
    });
    while world.asked() < 33 {
        tokio::task::yield_now().await;
    }
    world.store.gate.add_permits(1000);
    key.await.expect("accepted");
    for stranger in strangers {
        assert!(is_invalid(&stranger.await.expect("answered")), "a wrong key is wrong, however many there are");
    }
}

#[tokio::test]
async fn who_waits_to_ask_is_bounded_too() {
    let world = Arc::new(world());
    world.store.gate.forget_permits(1000);
    let _strangers = present_all(&world, (0..32 + 1024).map(made_up));
    settle().await;
    assert_eq!(world.asked(), 32);
    assert!(is_unavailable(&world.present_from(&made_up(9999), None).await));
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_ask_does_not_wait_for_ever() {
    let world = Arc::new(world());
    world.store.gate.forget_permits(1000);
    for stranger in present_all(&world, (0..40).map(made_up)) {
        assert!(is_unavailable(&stranger.await.expect("answered")));
    }
}
