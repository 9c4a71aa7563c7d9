//! What was mailed to users.

use portcullis::domain::{Hash256, MailPurpose, MailedToken, User};
use portcullis::store::{NewPassword, StoreError, UserChange};

use crate::make::{NOW, Place, UNTIL, after, saved_user, whole_log};

fn token(user: &User, secret: &str, purpose: MailPurpose) -> MailedToken {
    MailedToken {
        hash: Hash256::of(secret.as_bytes()),
        user: user.id,
        purpose,
        email: "anna@example.com".to_owned(),
        created_at: NOW,
        expires_at: after(60),
    }
}

fn new_password(hash: &str) -> UserChange {
    UserChange { password: Some(NewPassword { hash: hash.into(), keep: None }), ..UserChange::default() }
}

pub(crate) async fn a_mailed_token_is_found_for_its_purpose_until_it_expires(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let mailed = token(&anna, "a", MailPurpose::Email);
    store.mail(&mailed, None).await.unwrap();
    let found = store.mailed(&mailed.hash, MailPurpose::Email, after(59)).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{mailed:?}"));
    assert!(store.mailed(&mailed.hash, MailPurpose::Reset, NOW).await.unwrap().is_none());
    assert!(store.mailed(&mailed.hash, MailPurpose::Email, after(60)).await.unwrap().is_none());
    let late = store.redeem(&mailed.hash, MailPurpose::Email, UserChange::default(), after(60), UNTIL).await;
    assert!(matches!(late, Err(StoreError::NotFound("token"))), "{late:?}");
    assert_eq!(store.prune(after(61), std::time::Duration::ZERO).await.unwrap(), 1);
}

pub(crate) async fn of_two_who_redeem_a_token_one_does(place: &Place) {
    let (store, other) = (place.open().await, place.open().await);
    let anna = saved_user(&*store, "anna").await;
    let mailed = token(&anna, "a", MailPurpose::Reset);
    store.mail(&mailed, None).await.unwrap();
    let (one, two) = tokio::join!(
        store.redeem(&mailed.hash, MailPurpose::Reset, new_password("one"), NOW, UNTIL),
        other.redeem(&mailed.hash, MailPurpose::Reset, new_password("two"), NOW, UNTIL),
    );
    let lost = if one.is_ok() { &two } else { &one };
    assert!(matches!(lost, Err(StoreError::NotFound("token"))), "{lost:?}");
    let (changed, entries) = one.or(two).unwrap();
    assert_eq!(changed.generation, anna.generation + 1);
    assert_eq!(whole_log(&*store).await, entries);
}

pub(crate) async fn a_later_mail_of_the_same_kind_replaces_the_earlier(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let bert = saved_user(&*store, "bert").await;
    let (first, second) = (token(&anna, "1", MailPurpose::Reset), token(&anna, "2", MailPurpose::Reset));
    let (other_kind, berts) = (token(&anna, "3", MailPurpose::Email), token(&bert, "4", MailPurpose::Reset));
    for token in [&first, &other_kind, &berts, &second] {
        store.mail(token, None).await.unwrap();
    }
    assert!(store.mailed(&first.hash, first.purpose, NOW).await.unwrap().is_none());
    for token in [&second, &other_kind, &berts] {
        assert!(store.mailed(&token.hash, token.purpose, NOW).await.unwrap().is_some());
    }
}

pub(crate) async fn a_token_for_a_generation_is_kept_only_while_its_user_is_of_it(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (first, second) = (token(&anna, "1", MailPurpose::Email), token(&anna, "2", MailPurpose::Email));
    store.mail(&first, Some(anna.generation)).await.unwrap();
    let other = store.mail(&second, Some(anna.generation + 1)).await;
    assert!(matches!(other, Err(StoreError::Changed)), "{other:?}");
    assert!(store.mailed(&first.hash, MailPurpose::Email, NOW).await.unwrap().is_some());
    assert!(store.mailed(&second.hash, MailPurpose::Email, NOW).await.unwrap().is_none());
}

pub(crate) async fn a_refused_change_leaves_the_token(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    saved_user(&*store, "taken@example.com").await;
    let mailed = token(&anna, "a", MailPurpose::Email);
    store.mail(&mailed, None).await.unwrap();
    let change = UserChange { email: Some(Some(("Taken@example.com".to_owned(), true))), ..UserChange::default() };
    let refused = store.redeem(&mailed.hash, MailPurpose::Email, change, NOW, UNTIL).await;
    assert!(matches!(refused, Err(StoreError::Taken("email"))), "{refused:?}");
    assert!(store.mailed(&mailed.hash, MailPurpose::Email, NOW).await.unwrap().is_some());
}

pub(crate) async fn a_new_password_forgets_what_was_mailed_to_that_user(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let bert = saved_user(&*store, "bert").await;
    let (reset, email) = (token(&anna, "1", MailPurpose::Reset), token(&anna, "2", MailPurpose::Email));
    let berts = token(&bert, "3", MailPurpose::Reset);
    for token in [&reset, &email, &berts] {
        store.mail(token, None).await.unwrap();
    }
    store.change_user(anna.id, new_password("new"), NOW, UNTIL).await.unwrap();
    for (token, left) in [(&reset, false), (&email, false), (&berts, true)] {
        assert_eq!(store.mailed(&token.hash, token.purpose, NOW).await.unwrap().is_some(), left);
    }
}
