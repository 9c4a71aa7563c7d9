//! A gateway that only answers what would become of a request: no listener, nothing written, no Redis.

use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::live;
use crate::config::Config;
use crate::credential::{Accepted, ApiKey, ApiKeyScheme, Issuers, KeyError, KeySetError, Outcome, Presented, Scheme, cookie};
use crate::domain::secret::ExposeSecret as _;
use crate::domain::{Clock, Concern, CredentialKind, Principal, SystemClock, SystemEntropy};
use crate::limit::RouteLimits;
use crate::policy::file::Everything;
use crate::proxy::explain::{Explanation, Question, explain};
use crate::proxy::identity::IdentityError;
use crate::proxy::live::{Live, Shared};
use crate::revocation::{Revocations, Snapshot};
use crate::store::{self, Store};
use crate::telemetry::metrics::Metrics;

/// How long a store that does not answer is waited for.
const STORE_DEADLINE: Duration = Duration::from_secs(20);
/// What a supposed caller presents.
const SUPPOSED: &str = "supposed";

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The signing keys can't be used.
    #[error("the token can't be checked: {0}")]
    Keys(#[from] KeyError),
    /// The keys of another issuer can't be used.
    #[error("the token can't be checked: {0}")]
    Issuers(#[from] KeySetError),
    /// Identity headers can't be made as configured.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store can't be read.
    #[error("the store can't be asked about the credential: {0}; [store].url names it")]
    Store(String),
    /// The machine gives no threads.
    #[error("no runtime can be started: {0}")]
    System(std::io::Error),
}

/// What is said of a request.
#[derive(Debug)]
pub struct Answer {
    /// Its way through the gateway.
    pub explanation: Explanation,
    /// Why the API key that came with it is refused, which clients are not told.
    pub api_key: Option<&'static str>,
}

/// Says what would become of `question`. With a `supposed` caller the question needs no credential: the caller counts as
/// verified, and the store is not asked.
pub fn inspect(everything: Everything, mut question: Question, supposed: Option<Principal>) -> Result<Answer, InspectError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(InspectError::System)?;
    let Everything { config, table, .. } = everything;
    let config = Arc::new(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut sources = Sources { schemes: Vec::new(), revocations: Arc::new(Snapshot::default()), store: None };
    match supposed {
        Some(principal) => {
            present(&principal, &config, &mut question);
            sources.schemes.push(Arc::new(Supposed(principal)));
        }
        None if question.presents_something(&config) => sources = runtime.block_on(Sources::open(&config, &clock, &runtime))?,
        None => {}
    }
    let live = Live::new(Arc::clone(&config), table, sources.schemes, axum::Router::new())?;
    // Counts of its own: what asks must use nothing up, nor ask Redis.
    let mut live = live.limited(&RouteLimits::new(Arc::clone(&clock)));
    if let Ok((keys, _)) = live::bearer(&config, &clock) {
        live = live.asserting(keys, Arc::clone(&clock), Arc::new(SystemEntropy));
    }
    let shared = Shared::new(
        live,
        sources.revocations,
        Arc::clone(&clock),
        Arc::new(SystemEntropy),
        runtime.handle().clone(),
        Metrics::install(),
    );
    let explanation = runtime.block_on(explain(&Arc::new(shared), &question));
    let key = question.headers.get(config.api_keys.header.as_str()).map(HeaderValue::as_bytes);
    let api_key = match (key, &sources.store) {
        (Some(key), Some(store)) if explanation.accepted.is_none() => {
            Some(runtime.block_on(why(store.as_ref(), key, explanation.client, clock.as_ref())))
        }
        _ => None,
    };
    Ok(Answer { explanation, api_key: api_key.flatten() })
}

/// What judges real credentials.
struct Sources {
    schemes: Vec<Arc<dyn Scheme>>,
    revocations: Arc<dyn Revocations>,
    store: Option<Arc<dyn Store>>,
}

impl Sources {
    async fn open(config: &Arc<Config>, clock: &Arc<dyn Clock>, runtime: &Runtime) -> Result<Self, InspectError> {
        let (_, bearer) = live::bearer(config, clock)?;
        let bearer = bearer.accepting(Arc::new(Issuers::at_hand(&config.issuers, config.tokens.leeway, clock)?));
        let url = config.store_url.expose_secret();
        // Asking must not make one.
        if let Some(file) = url.strip_prefix("sqlite://").filter(|file| !Path::new(file).exists()) {
            return Err(InspectError::Store(format!("there is no {file} yet")));
        }
        let store = within(store::open(&config.store_url)).await?;
        let revocations: Arc<dyn Revocations> = Arc::new(within(Snapshot::read(store.as_ref())).await?);
        let keys = ApiKeyScheme::new(
            store.clone(),
            Arc::clone(&revocations),
            Arc::new(config.roles.clone()),
            config.api_keys.cache_ttl,
            Arc::clone(clock),
            runtime.handle().clone(),
        );
        Ok(Self { schemes: vec![Arc::new(bearer), Arc::new(keys)], revocations, store: Some(store) })
    }
}

async fn within<T>(asked: impl Future<Output = store::StoreResult<T>>) -> Result<T, InspectError> {
    match timeout(STORE_DEADLINE, pin!(asked)).await {
        Ok(answer) => answer.map_err(|error| InspectError::Store(error.to_string())),
        Err(_) => Err(InspectError::Store("it does not answer".to_owned())),
    }
}

/// Makes the question come with what stands for the supposed caller's credential.
fn present(principal: &Principal, config: &Config, question: &mut Question) {
    let (name, value) = match principal.method {
        CredentialKind::Bearer => (AUTHORIZATION, format!("Bearer {SUPPOSED}")),
        CredentialKind::ApiKey => {
            let name = config.api_keys.header.parse().unwrap_or(HeaderName::from_static("x-api-key"));
            (name, SUPPOSED.to_owned())
        }
        CredentialKind::Session => (COOKIE, format!("{}={SUPPOSED}", cookie::name(config))),
    };
    question.headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
}

/// Accepts whatever is presented, as this principal.
struct Supposed(Principal);

#[async_trait]
impl Scheme for Supposed {
    fn kind(&self) -> CredentialKind {
        self.0.method
    }

    async fn authenticate(&self, _: &Presented<'_>) -> Outcome {
        let concern = Concern { token: None, session: None, account: None, key: None };
        Outcome::Accepted(Accepted { principal: Arc::new(self.0.clone()), concern, expires_at: None, rate_limit: None })
    }
}

/// Why an API key is refused. The one answer to clients does not say, so that nobody learns which keys there are.
async fn why(store: &dyn Store, presented: &[u8], client: Option<IpAddr>, clock: &dyn Clock) -> Option<&'static str> {
    let Some(key) = ApiKey::parse(presented) else {
        return Some("it is none of ours: its form or its checksum is wrong");
    };
    let Ok(Some((record, owner))) = store.key(key.id()).await else { return Some("there is no key with this id") };
    if !key.hash().matches(&record.hash) {
        return Some("there is a key with this id, and its secret part is another");
    }
    if record.revoked_at.is_some() {
        return Some("it was revoked");
    }
    if record.expires_at.is_some_and(|end| clock.now() >= end) {
        return Some("it has expired");
    }
    if owner.disabled {
        return Some("the account of its owner is disabled");
    }
    let networks: Vec<ipnet::IpNet> = record.allowed_cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect();
    let allowed =
        record.allowed_cidrs.is_empty() || client.is_some_and(|client| networks.iter().any(|net| net.contains(&client)));
    (!allowed).then_some("it may not be used from this address")
}
