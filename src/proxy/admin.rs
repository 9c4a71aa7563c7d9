//! The admin listener: health and metrics, for machines on the inside. Small enough to need no framework.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::backend::Pool;
use super::listener::Bound;
use super::live::{Live, Shared};
use super::wire::{Next, Wire};
use crate::telemetry::metrics::ServerHealth;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// The longest one may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Serves until it is dropped.
pub(crate) async fn serve(listener: Arc<Bound>, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let shared = Arc::clone(&shared);
        let mut wire = Wire::new(Box::new(stream), peer);
        tokio::spawn(async move {
            let _ = timeout(DEADLINE, one(&mut wire, &shared)).await;
            drop(place);
        });
    }
}

/// One request, one answer.
async fn one(wire: &mut Wire, shared: &Shared) {
    let config = Arc::clone(&shared.live.load().config);
    if !wire.begins(DEADLINE).await {
        return;
    }
    let reply = match wire.next(&config.server.limits).await {
        Next::Closed => return,
        Next::Refused(..) | Next::Http2 => Reply::text(400, "This is not a request.\n".into()),
        Next::Request => match wire.line().map(|line| &line.request) {
            Some(request) if ![Method::GET, Method::HEAD].contains(&request.method) => {
                Reply::text(405, "Only GET and HEAD are taken here.\n".into())
            }
            Some(request) => Reply::to(&request.target, shared),
            None => return,
        },
    };
    let with_body = wire.line().is_none_or(|line| line.request.method != Method::HEAD);
    let _ = wire.write_all(&reply.bytes(with_body)).await;
    wire.linger().await;
}

/// Whether all is well by one of the health endpoints, for a client of the public listener: it gets no more than that.
pub(crate) fn is_well(endpoint: &str, shared: &Shared) -> Option<bool> {
    match endpoint {
        "/livez" => Some(true),
        "/readyz" => Some(readiness(shared).status == 200),
        _ => None,
    }
}

struct Reply {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Reply {
    fn to(target: &[u8], shared: &Shared) -> Self {
        match target.split(|&b| b == b'?').next().unwrap_or_default() {
            b"/livez" => Self::text(200, "ok\n".into()),
            b"/readyz" => readiness(shared),
            b"/metrics" => Self {
                status: 200,
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: shared.metrics.render_with(&servers(&shared.live.load())),
            },
            _ => Self::text(404, "There are /livez, /readyz and /metrics.\n".into()),
        }
    }

    const fn text(status: u16, body: String) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body }
    }

    fn bytes(&self, with_body: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n{}\r\n",
            self.status,
            reason.unwrap_or_default(),
            self.kind,
            self.body.len(),
            if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" }
        )
        .into_bytes();
        if with_body {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

/// Ready where nothing is missing to decide. Store and backends are told, and never decide: a gateway without them still
/// answers, and taking it out of service would help nobody.
fn readiness(shared: &Shared) -> Reply {
    let live = shared.live.load();
    let revocations = shared.revocations.is_ready();
    let draining = shared.is_draining();
    let ready = revocations && !draining;
    let state = |pool: &Arc<Pool>| (pool.backend.name.clone(), json!(if pool.works() { "ok" } else { "failing" }));
    let backends: serde_json::Map<_, _> = live.backends.pools().map(state).collect();
    let body = json!({
        "status": if ready { "ready" } else { "not ready" },
        // There is no state without both.
        "checks": { "config": "ok", "keys": "ok", "revocations": word(revocations, "stale"), "draining": draining },
        "reported": { "store": word((shared.store_is_up)(), "unreachable"), "backends": backends, "unhealthy": unhealthy(&live), "connections": shared.connections() },
    });
    Reply { status: if ready { 200 } else { 503 }, kind: "application/json", body: format!("{body}\n") }
}

/// How the servers are that health checks ask.
fn servers(live: &Live) -> Vec<ServerHealth> {
    let mut servers = Vec::new();
    for pool in live.backends.pools().filter(|pool| pool.backend.health.is_some()) {
        servers.extend(pool.targets().iter().map(|target| ServerHealth {
            backend: pool.backend.name.clone(),
            server: target.address,
            healthy: target.state.is_healthy(),
        }));
    }
    servers.sort_by(|one, other| (&one.backend, one.server).cmp(&(&other.backend, other.server)));
    // Two names may have one address, and a metric only one value.
    servers.dedup_by(|one, other| (&one.backend, one.server) == (&other.backend, other.server));
    servers
}

/// Those whose health checks fail, as `backend address`.
fn unhealthy(live: &Live) -> Vec<String> {
    let bad = servers(live).into_iter().filter(|server| !server.healthy);
    bad.map(|bad| format!("{} {}", bad.backend, bad.server)).collect()
}

const fn word(good: bool, otherwise: &'static str) -> &'static str {
    if good { "ok" } else { otherwise }
}
