//! What lasts longer than an upgrade: HTTP/2 connections, `WebSockets`, streams of events.

use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use h2::client::SendRequest;
use http::{Request, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::echo::{echo, serve};
use crate::gateway::{Gateway, Setup};
use crate::sockets::{echoes, echoing, open};

fn route(name: &str, backend: SocketAddr) -> String {
    format!("[[route]]\nname = \"{name}\"\npath = \"/{name}/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n")
}

async fn ends(mut old: Child) {
    let waited = tokio::task::spawn_blocking(move || old.wait()).await.expect("waited");
    assert_eq!(waited.expect("it ends").code(), Some(0));
}

async fn connected(address: SocketAddr) -> SendRequest<bytes::Bytes> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    client
}

/// Calls on one connection after the other, as long as each is taken; gives what failed, and how many connections there were.
async fn calls(address: SocketAddr, going: Arc<AtomicBool>, made: Arc<AtomicU32>) -> (Vec<String>, u32) {
    let (mut failed, mut connections) = (Vec::new(), 0);
    let mut kept = None;
    while going.load(Ordering::Relaxed) {
        let client = if let Some(client) = kept.take() {
            client
        } else {
            connections += 1;
            connected(address).await
        };
        // An end that was announced is none that fails a call: the next goes by another connection.
        let Ok(mut client) = client.ready().await else { continue };
        let request = Request::get(format!("http://gateway.test/a/{}", made.load(Ordering::Relaxed))).body(()).expect("one");
        let Ok((answer, _)) = client.send_request(request, true) else { continue };
        match answer.await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                let mut body = answer.into_body();
                while let Some(bytes) = body.data().await {
                    match bytes {
                        Ok(bytes) => drop(body.flow_control().release_capacity(bytes.len())),
                        Err(error) => failed.push(format!("in a body: {error}")),
                    }
                }
                made.fetch_add(1, Ordering::Relaxed);
            }
            other => failed.push(format!("{other:?}")),
        }
        kept = Some(client);
    }
    (failed, connections)
}

#[tokio::test]
async fn calls_of_http_2_fail_in_no_upgrade_and_hold_up_none() {
    let mut gateway = Gateway::start(Setup::routes(route("a", echo().await)).server("drain_timeout = \"10m\"")).await;
    let (going, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(calls(gateway.address, going.clone(), made.clone()))).collect();
    for round in 1..=3 {
        let so_far = made.load(Ordering::Relaxed);
        gateway.until("it is called", || async { made.load(Ordering::Relaxed) > so_far + 20 }).await;
        gateway.signal("HUP");
        let old = gateway.upgrade();
        gateway.until("it took over", || async { gateway.log().matches("took the listeners over").count() == round }).await;
        timeout(Duration::from_mins(1), ends(old)).await.expect("it does not wait for its time to be up");
    }
    going.store(false, Ordering::Relaxed);
    for client in clients {
        let (failed, connections) = client.await.expect("a client");
        assert!(failed.is_empty(), "{} of {made:?} failed: {:?}", failed.len(), failed.first());
        assert!((4..=8).contains(&connections), "one for each gateway, and not one for each call: {connections}");
    }
}

#[tokio::test]
async fn websockets_and_streams_outlive_the_upgrade_and_the_old_process_ends_with_them() {
    let (go, events) = (Arc::new(tokio::sync::Notify::new()), axum::Router::new());
    let events = events.fallback({
        let go = go.clone();
        move || async move {
            let rest = futures_util::stream::once(async move {
                go.notified().await;
                Ok::<_, std::io::Error>("data: last\n\n")
            });
            let all = futures_util::StreamExt::chain(futures_util::stream::iter([Ok("data: first\n\n")]), rest);
            ([("content-type", "text/event-stream")], axum::body::Body::from_stream(all))
        }
    });
    let routes = route("ws", echoing().await) + &route("events", serve(events).await);
    let mut gateway = Gateway::start(Setup::routes(routes).server("drain_timeout = \"60s\"")).await;
    let (mut socket, _) = open(&gateway, "/ws/x", &[]).await.expect("a WebSocket");
    // Without a pool: a connection that stays open without a word would be waited for.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let mut stream = http.get(format!("{}/events/x", gateway.url)).send().await.expect("a stream");
    assert_eq!(stream.chunk().await.expect("an event").as_deref(), Some(&b"data: first\n\n"[..]));
    let mut old = gateway.upgrade();
    gateway.until("it took over", || async { gateway.log().contains("serves from now on") }).await;
    assert!(echoes(&mut socket, "still here").await);
    let (mut second, _) = open(&gateway, "/ws/y", &[]).await.expect("a WebSocket of the new one");
    // A third process comes while the first still waits.
    let between = gateway.upgrade();
    gateway.until("and again", || async { gateway.log().matches("serves from now on").count() == 2 }).await;
    assert!(echoes(&mut socket, "here too").await && echoes(&mut second, "and here").await);
    go.notify_one();
    assert_eq!(stream.chunk().await.expect("an event").as_deref(), Some(&b"data: last\n\n"[..]));
    assert_eq!(stream.chunk().await.expect("a good end"), None);
    assert!(old.try_wait().expect("its state").is_none(), "a WebSocket is open");
    socket.close(None).await.expect("closed");
    ends(old).await;
    second.close(None).await.expect("closed");
    ends(between).await;
    assert!(open(&gateway, "/ws/z", &[]).await.is_ok());
}
