//! What is made from the configuration, whole, at the start and at each reload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::parts::Parts;
use crate::accounts::{self, Accounts};
use crate::config::{Config, Environment, Report};
use crate::credential::{BearerScheme, Issuers, KeyError, KeyRing, Scheme};
use crate::domain::Clock;
use crate::endpoints::{self, EndpointState};
use crate::mail::{Post, Smtp};
use crate::policy::{self, RouteTable};
use crate::proxy::live::Live;

/// How often is looked whether a request still holds what was replaced.
const HELD: Duration = Duration::from_millis(500);

/// A good configuration with its routes.
#[derive(Debug)]
pub struct Loaded {
    /// gateway.toml.
    pub config: Arc<Config>,
    /// The routes of all files.
    pub table: RouteTable,
    /// The warnings.
    pub report: Report,
}

/// Reads gateway.toml at `file` and its route files.
pub(super) fn load(file: &Path, environment: &Environment) -> Result<Loaded, Report> {
    let everything = policy::file::load(file, environment)?;
    Ok(Loaded { config: Arc::new(everything.config), table: everything.table, report: everything.report })
}

/// Puts together what a request needs.
pub(super) fn assemble(parts: &Parts, loaded: Loaded) -> Result<Live, StartError> {
    let Loaded { config, table, .. } = loaded;
    let (keys, bearer) = bearer(&config, &parts.clock).map_err(StartError::Keys)?;
    let others = Issuers::kept(&config.issuers, config.tokens.leeway, &parts.issuer_keys).map_err(StartError::Issuers)?;
    let bearer = bearer.accepting(Arc::new(others));
    if keys.lacks_the_wanted() {
        tracing::warn!(
            "{} holds no key for {}: tokens are signed with a key of before until `portcullis signing-key rotate` makes one",
            config.tokens.keys.display(),
            config.tokens.algorithm.name()
        );
    }
    let smtp = config.mail.as_ref().map(|mail| Smtp::new(mail, &config.server.public_url)).transpose();
    let smtp = smtp.map_err(StartError::Mail)?;
    let api_keys = parts.api_keys(&config);
    let schemes: Vec<Arc<dyn Scheme>> = vec![Arc::new(bearer), api_keys];
    let accounts = Accounts::new(accounts::Parts {
        store: parts.store.clone(),
        passwords: parts.passwords.clone(),
        limits: parts.limits.clone(),
        strangers: parts.strangers.clone(),
        post: config.mail.as_ref().map(|_| Arc::new(parts.outbox.clone()) as Arc<dyn Post>),
        revocations: parts.revocations.clone(),
        keys: keys.clone(),
        config: config.clone(),
        clock: parts.clock.clone(),
        entropy: parts.entropy.clone(),
        metrics: parts.metrics.clone(),
    });
    let router = endpoints::router(Arc::new(EndpointState {
        accounts,
        schemes: schemes.clone(),
        revocations: parts.revocations.clone(),
        config: config.clone(),
        keys: keys.clone(),
    }));
    let live = Live::new(config, table, schemes, router).map_err(StartError::Identity)?;
    parts.outbox.set(smtp);
    // Last, where nothing can fail any more: it forgets what the old routes counted.
    Ok(live.asserting(keys, parts.clock.clone(), parts.entropy.clone()).limited(&parts.route_limits))
}

/// Frees what a reload replaced once no request holds it: thousands of routes take their time, which the last request of
/// before would spend on a thread that carries traffic.
pub(super) async fn free<T: Send + Sync + 'static>(before: Arc<T>) {
    while Arc::strong_count(&before) > 1 {
        tokio::time::sleep(HELD).await;
    }
    // Where the process ends meanwhile, nobody frees it.
    let _ = tokio::task::spawn_blocking(move || drop(before)).await;
}

/// What judges bearer tokens of our own, and the keys it does it with.
pub(super) fn bearer(config: &Config, clock: &Arc<dyn Clock>) -> Result<(Arc<KeyRing>, BearerScheme), KeyError> {
    let tokens = &config.tokens;
    let keys = Arc::new(KeyRing::load(tokens)?);
    let bearer = BearerScheme::new(
        keys.clone(),
        config.server.public_url.clone(),
        tokens.audience.clone(),
        tokens.leeway,
        tokens.access_ttl,
        clock.clone(),
    );
    Ok((keys, bearer.remembering()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, ThreadId};

    use super::*;

    struct Freed(Sender<ThreadId>);

    impl Drop for Freed {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }

    #[tokio::test]
    async fn what_a_request_held_to_the_end_is_freed_on_another_thread() {
        let (told, freed) = channel();
        let state = Arc::new(Freed(told));
        let freeing = tokio::spawn(free(Arc::clone(&state)));
        tokio::task::yield_now().await;
        assert!(freed.try_recv().is_err(), "it is held");
        drop(state);
        assert!(freed.try_recv().is_err(), "whoever holds it last does not free it");
        freeing.await.expect("freed");
        assert_ne!(freed.try_recv().expect("freed"), thread::current().id());
    }
}
