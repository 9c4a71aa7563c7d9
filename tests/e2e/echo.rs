//! A backend that answers with what reached it, as JSON.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Starts one on a free loopback port of this test's runtime.
pub(crate) async fn echo() -> SocketAddr {
    serve(axum::Router::new().fallback(mirror)).await
}

/// Serves `router` on a free loopback port.
pub(crate) async fn serve(router: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A backend that answers `done` once it is told to, and what tells that a call has arrived and that it may go.
pub(crate) async fn held() -> (SocketAddr, Arc<Notify>, Arc<Notify>) {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (here, may) = (Arc::clone(&arrived), Arc::clone(&go));
    let router = axum::Router::new().fallback(|| async move {
        here.notify_one();
        may.notified().await;
        "done"
    });
    (serve(router).await, arrived, go)
}

async fn mirror(request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = serde_json::Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value = match headers.get(name.as_str()).and_then(Value::as_str) {
            Some(first) => format!("{first} | {value}"),
            None => value.into_owned(),
        };
        headers.insert(name.to_string(), value.into());
    }
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    axum::Json(json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body_bytes": length,
    }))
    .into_response()
}
