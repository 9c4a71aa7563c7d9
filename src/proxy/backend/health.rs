//! Asking servers how they are, beside the traffic.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Uri;
use http::header::{HOST, USER_AGENT};
use pingora_core::connectors::http::Connector;
use pingora_http::RequestHeader;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use super::Pool;
use super::target::Target;
use crate::config::Health;
use crate::proxy::failure;
use crate::proxy::live::Shared;

/// Questions at once.
const AT_ONCE: usize = 256;
/// The shortest time between two questions to one server, whatever is configured.
const SHORTEST: Duration = Duration::from_millis(20);
/// An answer may take this long, however short the interval is: a busy moment is no sickness.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether there is something to do.
const LONGEST: Duration = Duration::from_secs(1);

/// Asks the servers of all backends that are in force, for ever.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let checker = Arc::new(Checker { connector: OnceLock::new(), places: Arc::new(Semaphore::new(AT_ONCE)), shared });
    loop {
        let now = Instant::now();
        let mut next = now + LONGEST;
        let live = checker.shared.live.load_full();
        for pool in live.backends.pools() {
            let Some(health) = &pool.backend.health else { continue };
            pool.refresh();
            for target in pool.targets().iter() {
                let (due, then) = target.state.take_check(now, health.interval.max(SHORTEST));
                next = next.min(then);
                if due {
                    tokio::spawn(Arc::clone(&checker).check(Arc::clone(pool), Arc::clone(target)));
                }
            }
        }
        drop(live);
        tokio::select! {
            () = sleep_until(next) => {}
            () = checker.shared.reloaded() => {}
        }
    }
}

struct Checker {
    /// Made for the first question: it reads the system's authorities.
    connector: OnceLock<Connector>,
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Checker {
    async fn check(self: Arc<Self>, pool: Arc<Pool>, target: Arc<Target>) {
        let Some(health) = &pool.backend.health else { return };
        let Ok(_place) = self.places.acquire().await else { return };
        let limit = health.interval.max(PATIENCE).min(pool.backend.timeout);
        let outcome = match timeout(limit, self.ask(&pool, &target, health)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        if outcome.is_ok() {
            target.state.answered();
        }
        let (backend, server, address) = (&pool.backend.name, &target.server.address, target.address);
        if target.state.checked(outcome.is_ok(), health) {
            match &outcome {
                Ok(()) => tracing::info!(backend, server, %address, "a server is healthy again"),
                Err(cause) => tracing::warn!(backend, server, %address, cause, "a server is unhealthy and left out"),
            }
        }
    }

    /// GET, over the backend's scheme and with its TLS; 2xx and 3xx are good.
    async fn ask(&self, pool: &Pool, target: &Target, health: &Health) -> Result<(), String> {
        let mut peer = pool.peer(target, pool.backend.timeout);
        // A connection for each question, so that it is one that a server has to take.
        peer.options.max_h2_streams = 1;
        let said = |error: Box<pingora_error::Error>| failure::cause(&error).unwrap_or_else(|| error.etype().as_str().to_owned());
        let connector = self.connector.get_or_init(|| Connector::new(None));
        let (mut session, _) = connector.get_http_session(&peer).await.map_err(said)?;
        let mut request = RequestHeader::build("GET", health.path.as_bytes(), None).map_err(said)?;
        let host = target.server.address.as_str();
        if session.as_http2().is_some() {
            // Without `:scheme` and `:authority` it is no request of HTTP/2 (RFC 9113 §8.3.1), and nginx answers 400.
            let scheme = if peer.is_tls() { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(health.path.as_str()).build();
            request.set_uri(uri.map_err(|error| error.to_string())?);
        } else {
            request.insert_header(HOST, host).map_err(said)?;
        }
        request.insert_header(USER_AGENT, "portcullis-health").map_err(said)?;
        session.write_request_header(Box::new(request)).await.map_err(said)?;
        session.finish_request_body().await.map_err(said)?;
        session.read_response_header().await.map_err(said)?;
        let status = session.response_header().map(|response| response.status);
        session.shutdown().await;
        match status {
            Some(status) if status.is_success() || status.is_redirection() => Ok(()),
            Some(status) => Err(format!("it answered {status}")),
            None => Err("it did not answer".to_owned()),
        }
    }
}
