//! Names of servers, and the addresses behind them: looked up again every few seconds, one question for all who wait.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long what a name resolved to is believed, and how long that it did not.
const BELIEVED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// A name has no more addresses than this.
const MOST: usize = 64;

/// Who knows the addresses of names.
#[async_trait]
pub(crate) trait Resolve: Send + Sync {
    /// All addresses of `host:port`.
    async fn resolve(&self, authority: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The machine's resolver.
pub(crate) struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, authority: &str) -> io::Result<Vec<SocketAddr>> {
        lookup_host(authority).await.map(Iterator::collect)
    }
}

/// One name.
#[derive(Debug)]
pub(crate) struct Name {
    authority: String,
    known: Mutex<Known>,
    asking: AtomicBool,
    told: Notify,
}

#[derive(Clone, Debug, Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    until: Option<Instant>,
    fails: bool,
}

impl Name {
    /// `host:port`, unless the host is an address.
    pub(crate) fn of(authority: &str) -> Option<Self> {
        let is_name = authority.parse::<SocketAddr>().is_err();
        is_name.then(|| Self {
            authority: authority.to_owned(),
            known: Mutex::default(),
            asking: AtomicBool::new(false),
            told: Notify::new(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it resolved to last; empty before it has.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().addresses.clone()
    }

    /// Takes over what another knows of the same name.
    pub(crate) fn inherit(&self, other: &Self) {
        if self.authority == other.authority {
            let known = other.lock().clone();
            *self.lock() = known;
        }
    }

    /// Whether it has to be looked up, and nobody does so yet: true once, for who then calls [`Name::look_up`].
    pub(crate) fn begin(&self) -> bool {
        let stale = self.lock().until.is_none_or(|until| until <= Instant::now());
        stale && !self.asking.swap(true, Ordering::AcqRel)
    }

    /// Waits until it has been looked up, and what was found is in use.
    pub(crate) async fn until_told(&self) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.lock().until.is_some() && !self.asking.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    /// Looks it up; true where its addresses have changed. Where that fails, it keeps the last ones.
    pub(crate) async fn look_up(&self, resolver: &dyn Resolve) -> bool {
        let found = resolver.resolve(&self.authority).await;
        self.take(found)
    }

    /// What was found is in use.
    pub(crate) fn done(&self) {
        self.asking.store(false, Ordering::Release);
        self.told.notify_waiters();
    }

    fn take(&self, found: io::Result<Vec<SocketAddr>>) -> bool {
        let mut known = self.lock();
        let error = match found {
            Ok(mut addresses) if !addresses.is_empty() => {
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(MOST);
                let changed = addresses != known.addresses;
                if known.fails {
                    tracing::info!(name = %self.authority, "the name of a server resolves again");
                }
                *known = Known { addresses, until: Some(Instant::now() + BELIEVED.0), fails: false };
                return changed;
            }
            Ok(_) => "it has no addresses".to_owned(),
            Err(error) => error.to_string(),
        };
        if !known.fails {
            let kept = known.addresses.len();
            tracing::warn!(name = %self.authority, error, kept, "the name of a server does not resolve");
        }
        (known.fails, known.until) = (true, Some(Instant::now() + BELIEVED.1));
        false
    }
}
