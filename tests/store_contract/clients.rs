//! OAuth clients.

use portcullis::domain::{ClientId, ClientRecord, Grant, Hash256, Revoked, SystemEntropy};
use portcullis::store::StoreError;

use crate::make::{NOW, Place, UNTIL, saved_user, scopes, session, what};

fn client(name: &str) -> ClientRecord {
    ClientRecord {
        id: ClientId::generate(NOW, &SystemEntropy),
        name: name.to_owned(),
        secret: Some(Hash256::of(name.as_bytes())),
        grants: vec![Grant::ClientCredentials, Grant::Password],
        scopes: scopes("orders items:read"),
        redirect_uris: vec!["https://app.example.com/callback".to_owned()],
        generation: 1,
        created_at: NOW,
    }
}

pub(crate) async fn a_client_comes_back_as_it_was_made(place: &Place) {
    let store = place.open().await;
    let public = ClientRecord { secret: None, redirect_uris: vec![], ..client("anna's app") };
    let confidential = client("Batch");
    for client in [&confidential, &public] {
        store.create_client(client).await.unwrap();
        let found = store.client(client.id).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{client:?}"));
        assert_eq!(found.secret.map(|hash| *hash.as_bytes()), client.secret.map(|hash| *hash.as_bytes()));
    }
    let names: Vec<_> = store.clients().await.unwrap().into_iter().map(|client| client.name).collect();
    assert_eq!(names, ["anna's app", "Batch"]);
    assert!(store.client(client("x").id).await.unwrap().is_none());
}

pub(crate) async fn no_two_clients_have_one_name(place: &Place) {
    let store = place.open().await;
    store.create_client(&client("Batch")).await.unwrap();
    let refused = store.create_client(&client("batch")).await;
    assert!(matches!(refused, Err(StoreError::Taken("name"))), "{refused:?}");
    assert_eq!(store.clients().await.unwrap().len(), 1);
}

pub(crate) async fn a_deleted_client_takes_its_tokens_and_sessions_along(place: &Place) {
    let store = place.open().await;
    let anna = saved_user(&*store, "anna").await;
    let (app, other) = (client("app"), client("other"));
    let mut through = session(&anna);
    through.client_id = app.id.to_string();
    let mut beside = session(&anna);
    beside.client_id = other.id.to_string();
    for (session, token) in [(&through, "1"), (&beside, "2")] {
        store.open_session(session, Hash256::of(token.as_bytes())).await.unwrap();
    }
    for client in [&app, &other] {
        store.create_client(client).await.unwrap();
    }
    let entries = store.delete_client(app.id, NOW, UNTIL).await.unwrap();
    let gone = Revoked::Generation { subject: app.id.into(), below: i64::MAX };
    assert_eq!(what(&entries), [gone, Revoked::Session { id: through.id }]);
    let live: Vec<_> = store.sessions(None, NOW).await.unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(live, [beside.id]);
    assert!(store.client(app.id).await.unwrap().is_none());
    assert!(matches!(store.delete_client(app.id, NOW, UNTIL).await, Err(StoreError::NotFound("client"))));
}
