//! The demo's backend: answers every call with what reached it, as JSON.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// Bodies are shown up to this many bytes.
const SHOWN: usize = 64 * 1024;

/// A running one; ends when dropped.
#[derive(Debug)]
pub struct Sample {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Sample {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens on a free loopback port, on a thread of its own.
pub fn start() -> std::io::Result<Sample> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("sample").enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, axum::Router::new().fallback(mirror)).await });
    Ok(Sample { address, _runtime: runtime })
}

async fn mirror(request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let slot = headers.entry(name.as_str()).or_insert_with(|| Value::String(String::new()));
        if let Value::String(all) = slot {
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&value);
        }
    }
    let body = to_bytes(body, SHOWN).await.unwrap_or_default();
    let seen = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let text = serde_json::to_string_pretty(&seen).unwrap_or_default() + "\n";
    ([(http::header::CONTENT_TYPE, "application/json")], text).into_response()
}
