//! API keys.

use portcullis::domain::{KeyId, Revoked, SystemEntropy};
use portcullis::store::{StoreError, UserChange};

use crate::make::{NOW, Place, UNTIL, after, key, saved_user, user, what, whole_log};

pub(crate) async fn a_key_comes_back_with_its_owner(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    let (mut old, new, berts) = (key(&anna), key(&anna), key(&bert));
    old.created_at = NOW.minus(std::time::Duration::from_secs(1));
    (old.expires_at, old.allowed_cidrs, old.rate_limit) = (None, vec![], None);
    for key in [&old, &new] {
        store.create_key(key).await.unwrap();
    }
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    let (disabled, _) = store.change_user(anna.id, change, NOW, UNTIL).await.unwrap();
    let (found, owner) = store.key(&old.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{old:?}"));
    assert!(found.hash.matches(&old.hash));
    assert_eq!(format!("{owner:?}"), format!("{disabled:?}"), "the owner as he is now");

    let (found, _) = store.key(&new.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{new:?}"));

    store.create_key(&berts).await.unwrap();
    let ids = async |owner| store.keys(owner).await.unwrap().into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(Some(anna.id)).await, [new.id.clone(), old.id.clone()]);
    assert_eq!(ids(None).await.len(), 3);
    assert_eq!(ids(None).await[2], old.id);
    assert!(store.key(&KeyId::generate(&SystemEntropy)).await.unwrap().is_none());
}

pub(crate) async fn a_key_needs_an_owner_and_an_id_of_its_own(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let orphan = store.create_key(&key(&user("nobody"))).await;
    assert!(matches!(orphan, Err(StoreError::NotFound("user"))), "{orphan:?}");
    let key = key(&anna);
    store.create_key(&key).await.unwrap();
    let twin = store.create_key(&key).await;
    assert!(matches!(twin, Err(StoreError::Taken("id"))), "{twin:?}");
}

pub(crate) async fn a_key_is_found_by_its_hash_and_no_hash_is_there_twice(place: &Place) {
    let store = place.open().await;
    let (anna, bert) = (saved_user(&*store, "anna").await, saved_user(&*store, "bert").await);
    let one = key(&anna);
    store.create_key(&one).await.unwrap();
    let (found, owner) = store.key_by_hash(&one.hash).await.unwrap().unwrap();
    assert_eq!((found.id, owner.id), (one.id.clone(), anna.id));
    let mut twin = key(&bert);
    assert!(store.key_by_hash(&twin.hash).await.unwrap().is_none());
    twin.hash = one.hash;
    let refused = store.create_key(&twin).await;
    assert!(matches!(refused, Err(StoreError::Taken(_))), "{refused:?}");
    assert!(store.key(&twin.id).await.unwrap().is_none());
}

pub(crate) async fn a_revoked_key_is_in_the_log(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let key = key(&anna);
    store.create_key(&key).await.unwrap();
    let once = store.revoke_key(&key.id, NOW, UNTIL).await.unwrap();
    assert_eq!(what(&once), [Revoked::ApiKey { id: key.id.clone() }]);
    let twice = store.revoke_key(&key.id, after(9), UNTIL).await.unwrap();
    assert_eq!(whole_log(&*store).await, [once, twice].concat());
    assert_eq!(store.key(&key.id).await.unwrap().unwrap().0.revoked_at, Some(NOW));
    let unknown = store.revoke_key(&KeyId::generate(&SystemEntropy), NOW, UNTIL).await;
    assert!(matches!(unknown, Err(StoreError::NotFound("API key"))), "{unknown:?}");
}

pub(crate) async fn the_time_of_last_use_never_moves_back(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (one, other) = (key(&anna), key(&anna));
    for key in [&one, &other] {
        store.create_key(key).await.unwrap();
    }
    let unknown = KeyId::generate(&SystemEntropy);
    store.touch_keys(&[(one.id.clone(), after(9)), (unknown, NOW), (other.id.clone(), NOW)]).await.unwrap();
    store.touch_keys(&[(one.id.clone(), after(3)), (other.id.clone(), after(3))]).await.unwrap();
    store.touch_keys(&[]).await.unwrap();
    assert_eq!(store.key(&one.id).await.unwrap().unwrap().0.used_at, Some(after(9)));
    assert_eq!(store.key(&other.id).await.unwrap().unwrap().0.used_at, Some(after(3)));
}
