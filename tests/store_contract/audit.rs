//! The audit log.

use portcullis::domain::{AuditEvent, AuditKind};

use crate::make::{GRACE, NOW, Place, after};

pub(crate) async fn the_latest_event_comes_first(place: &Place) {
    let store = place.open().await;
    let bare = AuditEvent {
        at: after(5),
        kind: AuditKind::LoginFailed,
        actor: None,
        subject: None,
        address: None,
        request_id: None,
        detail: None,
    };
    let some = |text: &str| Some(text.to_owned());
    let full = AuditEvent {
        at: NOW,
        kind: AuditKind::KeyRevoked,
        actor: some("cli"),
        subject: some("a key"),
        address: some("192.0.2.1"),
        request_id: some("r1"),
        detail: some("lost"),
    };
    for event in [&bare, &full, &bare] {
        store.record(event).await.unwrap();
    }
    let events = store.events(0, 2).await.unwrap();
    assert_eq!(format!("{events:?}"), format!("{:?}", [&bare, &full]), "by the order in which they were written");
    assert_eq!(store.events(2, 10).await.unwrap().len(), 1);
    store.prune(after(1_000_000_000), GRACE).await.unwrap();
    assert_eq!(store.events(0, 10).await.unwrap().len(), 3, "it is kept");
}
