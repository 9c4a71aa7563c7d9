//! `ready`: asks a running gateway whether it is ready, as a container's health check does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::args::Ready;
use super::output::put;
use super::{Failure, manage};
use crate::config::Environment;
use crate::config::load::draft;

/// All of it takes this long at most.
const DEADLINE: Duration = Duration::from_secs(2);
/// More is no answer of a gateway.
const MAX_BODY: usize = 1024 * 1024;

/// Asks, and tells the answer.
pub(super) fn ready(args: &Ready) -> Result<(), Failure> {
    let address = address(&args.config.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not(format!("no runtime can be started: {error}")))?;
    let nobody = |why: String| {
        Failure::could_not(format!("no gateway answers at {address} ({why}); [server].admin_listen names the address"))
    };
    let (status, body) = runtime
        .block_on(async { tokio::time::timeout(DEADLINE, ask(address)).await })
        .map_err(|_| nobody(format!("nothing within {DEADLINE:?}")))?
        .map_err(|error| nobody(error.to_string()))?;
    match (status, serde_json::from_slice::<Value>(&body)) {
        (StatusCode::OK, _) => put("ready\n"),
        (StatusCode::SERVICE_UNAVAILABLE, Ok(answer)) => Err(Failure::wrong(format!("not ready: {}", reasons(&answer)))),
        (status, _) => Err(Failure::wrong(format!("{address} answers {status} to /readyz: that is no gateway's admin listener"))),
    }
}

/// Where the admin listener is. What else may be wrong with the file does not matter: a gateway goes on with what it has.
fn address(file: &Path) -> Result<SocketAddr, Failure> {
    let draft = draft(file, &Environment::of_process()).map_err(|report| manage::bad(file, &report))?;
    let mut address = draft.config.server.admin_listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    Ok(address)
}

async fn ask(address: SocketAddr) -> Result<(StatusCode, Vec<u8>), Box<dyn std::error::Error + Send + Sync>> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz").header(header::HOST, address.to_string()).body(Empty::<bytes::Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await?.to_bytes();
    Ok((status, body.to_vec()))
}

/// The checks that did not come out well.
fn reasons(answer: &Value) -> String {
    let checks = answer.get("checks").and_then(Value::as_object).into_iter().flatten();
    let failed: Vec<String> = checks
        .filter_map(|(name, state)| match state {
            Value::String(state) if state == "ok" => None,
            Value::Bool(false) | Value::Null => None,
            Value::Bool(true) => Some(name.clone()),
            Value::String(state) => Some(format!("{name} {state}")),
            Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(format!("{name} {state}")),
        })
        .collect();
    if failed.is_empty() { "it does not say why".to_owned() } else { failed.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_told() {
        let answer = serde_json::json!({
            "status": "not ready",
            "checks": { "config": "ok", "keys": "ok", "revocations": "stale", "draining": true },
        });
        assert_eq!(reasons(&answer), "draining, revocations stale");
        assert_eq!(reasons(&serde_json::json!({})), "it does not say why");
    }
}
