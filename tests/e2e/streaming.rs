//! Bodies pass as they come, in constant memory.

use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use http_body_util::BodyExt as _;

use crate::echo::serve;
use crate::gateway::{Gateway, Setup};

fn open(backend: std::net::SocketAddr) -> Setup {
    Setup::routes(format!("[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n"))
}

#[tokio::test]
async fn two_hundred_megabytes_go_up_in_constant_memory() {
    let count = |request: axum::extract::Request| async move {
        let mut body = request.into_body();
        let mut bytes = 0_usize;
        while let Some(frame) = body.frame().await {
            bytes += frame.expect("a frame").data_ref().map_or(0, bytes::Bytes::len);
        }
        bytes.to_string()
    };
    let backend = serve(axum::Router::new().fallback(count)).await;
    let gateway = Gateway::start(open(backend)).await;
    gateway.get("/warm").await;
    let before = gateway.resident_kib();
    let chunk = bytes::Bytes::from(vec![7; 64 * 1024]);
    let chunks = stream::iter((0..3200).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let answer = gateway.send(gateway.request("POST", "/up").body(reqwest::Body::wrap_stream(chunks))).await;
    assert_eq!(answer.body, (200 * 1024 * 1024).to_string());
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
}

#[tokio::test]
async fn an_event_reaches_the_client_before_the_next_one_is_made() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<&'static str>(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let events = move || {
        let receiver = receiver.lock().expect("the lock").take().expect("one client only");
        let events = stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await?;
            Some((Ok::<_, std::io::Error>(event), receiver))
        });
        std::future::ready(([("content-type", "text/event-stream")], Body::from_stream(events)))
    };
    let backend = serve(axum::Router::new().fallback(events)).await;
    let gateway = Gateway::start(open(backend)).await;
    sender.send("data: 1\n\n").await.expect("sent");
    let mut answer = gateway.request("GET", "/events").send().await.expect("an answer");
    for next in ["data: 2\n\n", "data: 3\n\n"] {
        let event = tokio::time::timeout(Duration::from_secs(5), answer.chunk()).await.expect("in time").expect("a chunk");
        assert!(event.is_some_and(|event| event.starts_with(b"data: ")));
        sender.send(next).await.expect("sent");
    }
}
