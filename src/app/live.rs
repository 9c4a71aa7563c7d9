//! What is made from the configuration, whole, at the start and at each reload.

use std::path::Path;
use std::sync::Arc;

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
