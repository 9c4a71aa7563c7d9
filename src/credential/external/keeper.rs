//! Whose keys are fetched and kept: over reloads, for as long as the configuration names the same place for them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;

use super::fetch::Fetcher;
use super::remote::Remote;
use crate::config::{ExternalIssuer, FetchUrl, IssuerKeys};
use crate::domain::Clock;
use crate::telemetry::metrics::Metrics;

/// What a name, an `iss`, a URL and what is there (metadata, or the keys) stand for: the same four, the same keys.
type Place = (Arc<str>, String, FetchUrl, bool);

/// Keeps fetched keys for as long as somebody verifies with them.
pub struct Keeper {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    runtime: Handle,
    fetcher: Mutex<Option<Arc<Fetcher>>>,
    known: Mutex<Vec<(Place, Weak<Remote>)>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    /// Keys will be fetched on `runtime`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, runtime: Handle) -> Self {
        Self { clock, metrics, runtime, fetcher: Mutex::default(), known: Mutex::default() }
    }

    pub(super) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The keys of `issuer`: those that are there already, where name and place are the same.
    pub(super) fn remote(&self, issuer: &ExternalIssuer) -> Arc<Remote> {
        let place = place(issuer);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, remote)| remote.strong_count() > 0);
        if let Some(remote) = known.iter().find(|(other, _)| Some(other) == place.as_ref()).and_then(|(_, weak)| weak.upgrade()) {
            return remote;
        }
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let remote = Arc::new(Remote::start(issuer, self.fetcher(), clock, metrics, &self.runtime));
        known.extend(place.map(|place| (place, Arc::downgrade(&remote))));
        remote
    }

    /// Made when first needed: it reads the system's authorities.
    fn fetcher(&self) -> Arc<Fetcher> {
        let mut fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(fetcher.get_or_insert_with(|| Arc::new(Fetcher::new())))
    }
}

fn place(issuer: &ExternalIssuer) -> Option<Place> {
    let (url, is_metadata) = match &issuer.keys {
        IssuerKeys::Url(url) => (url, false),
        IssuerKeys::Discovery(url) => (url, true),
        IssuerKeys::File { .. } | IssuerKeys::Secret(_) => return None,
    };
    Some((Arc::clone(&issuer.name), issuer.issuer.clone(), url.clone(), is_metadata))
}
