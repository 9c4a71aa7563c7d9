//! Floor 5: puts the gateway together. The only place that names concrete stores, feeds and schemes, and the owner of the
//! runtime that they live on.
//!
//! What is made from the configuration is in `live`, swapped whole by a reload; what outlives reloads is in `parts`.

mod chores;
mod handover;
mod inspect;
mod live;
mod parts;
mod sample;
mod start_error;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::config::{Config, Environment, Listener, Report};
use crate::domain::{DrawnAhead, Entropy as _, SystemEntropy};
use crate::policy::RouteTable;
use crate::proxy::live::Shared;
use crate::proxy::serve::{self, Running};
use crate::revocation::Revocations as _;
use handover::{Offer, Taken};
pub use inspect::{Answer, InspectError, inspect};
pub use live::Loaded;
use parts::Parts;
pub use sample::{Sample, start as start_sample};
use start_error::tell_refused;
pub use start_error::{StartError, told};
pub use watch::Watch;

/// How long a gateway that takes another's place has to become ready.
const READY: Duration = Duration::from_secs(30);

/// Routes that a log line names at most.
const NAMED: usize = 10;

/// What a gateway that starts has to do with others on the same configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// Nothing.
    Alone,
    /// It can be replaced by a later one.
    Replaceable,
    /// It takes the place of the one that runs, if there is one, and can be replaced itself.
    Replaces,
}

/// A running gateway.
pub struct Gateway {
    file: PathBuf,
    environment: Environment,
    /// What it was started with: the addresses, the store, and what else a reload can't change.
    started: Arc<Config>,
    parts: Arc<Parts>,
    shared: Arc<Shared>,
    running: Running,
    /// Where another process can ask for the listeners, and who has taken them.
    _open: Option<handover::Open>,
    taken: Mutex<mpsc::Receiver<u32>>,
    /// Locked by the one who waits for them.
    // Last, so that what lives on it ends before it does.
    runtime: Runtime,
}

/// What an operator tells a running gateway, heard from before it listens: until then a SIGHUP would end the process.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _entered = runtime.enter();
        // A file that may not grow any more (RLIMIT_FSIZE) fails its write and does not end the process, as on a full disk.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Whether the end is asked for already: then no other gateway is to be replaced by this one.
    fn end_is_asked(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.terminate.poll_recv(&mut cx).is_ready() || self.interrupt.poll_recv(&mut cx).is_ready()
    }
}

impl Gateway {
    /// Binds the addresses and serves `everything`, which was loaded from `file`. Logging has been started by the caller.
    pub fn start(
        file: &Path,
        environment: &Environment,
        everything: Loaded,
        succession: Succession,
    ) -> Result<(Self, Signals), StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("stores")
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let mut signals = Signals::listen(&runtime).map_err(StartError::System)?;
        // A crypto library that was built to measure the processor for randomness takes long at its first use: not in a call.
        let seeded = std::thread::spawn(|| SystemEntropy.fill(&mut [0]));
        let config = Arc::clone(&everything.config);
        let parts = Arc::new(Parts::start(&config, &runtime)?);
        let live = live::assemble(&parts, everything)?;
        tell_observed(&live.table);
        let mut shared = Shared::new(
            live,
            parts.revocations.clone(),
            parts.clock.clone(),
            Arc::new(DrawnAhead),
            runtime.handle().clone(),
            parts.metrics.clone(),
        );
        shared.sessions = Some(parts.store.clone());
        shared.store_is_up = Box::new({
            let parts = Arc::clone(&parts);
            move || parts.store_is_up()
        });
        let shared = Arc::new(shared);
        let predecessor = match succession {
            Succession::Replaces => predecessor(&config, environment, &parts, &mut signals)?,
            Succession::Alone | Succession::Replaceable => None,
        };
        let (inherited, told) = predecessor.map(Taken::split).unzip();
        let server = &config.server;
        let running = serve::start(&shared, &server.listen, server.admin_listen, server.threads, inherited.unwrap_or_default())
            .map_err(StartError::Serve)?;
        let offer = (succession != Succession::Alone).then(|| Offer::new(&config, environment, told.is_some())).flatten();
        if let Some(told) = told {
            not_yet(&mut signals)?;
            handover::go(&told, &config, environment).map_err(|error| StartError::Upgrade(error.to_string()))?;
            tracing::info!("took the listeners over from the gateway that ran before");
        }
        let (tell, taken) = mpsc::channel(1);
        let open = offer.and_then(|offer| offer.open(running.lendable(), tell));
        // It can't have panicked, and would do no harm.
        let _ = seeded.join();
        // Who finds it ready can replace it.
        running.accept();
        chores::start(&runtime, &parts, &shared);
        let (file, environment) = (file.to_owned(), environment.clone());
        let gateway =
            Self { file, environment, started: config, parts, shared, running, _open: open, taken: Mutex::new(taken), runtime };
        Ok((gateway, signals))
    }

    /// Its listeners, with the ports that they got.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        self.running.listeners()
    }

    /// Reads the files again and swaps the policy whole; with any error the old one stays.
    pub fn reload(&self) {
        let outcome = live::load(&self.file, &self.environment).map_err(StartError::from).and_then(|loaded| {
            let (config, report) = (Arc::clone(&loaded.config), loaded.report.clone());
            let live = live::assemble(&self.parts, loaded)?;
            self.parts.reconfigure(&config);
            tell_observed(&live.table);
            let before = self.shared.live.load_full();
            self.shared.replace(live);
            self.runtime.spawn(live::free(before));
            warn(&report);
            // Compared with what it was started with, which is what it still does.
            for key in needs_restart(&self.started, &config) {
                tracing::warn!("{key} has changed and counts from the next start");
            }
            Ok(())
        });
        match outcome {
            Ok(()) => {
                self.parts.metrics.reload("ok");
                tracing::info!("the configuration was reloaded");
            }
            Err(error) => {
                tell_refused(&error);
                self.parts.metrics.reload("error");
            }
        }
    }

    /// Serves until SIGTERM, SIGINT or a process that takes its place; reloads at SIGHUP and at what `watch` sees, and drains
    /// at the end.
    pub fn until_told_to_end(&self, mut signals: Signals, watch: Option<Watch>) {
        // One change waiting is enough: what comes meanwhile is read with it.
        let (changed, mut news) = mpsc::channel(1);
        let watching = watch.map(|watch| watch.start(changed)).transpose();
        if let Err(error) = &watching {
            tracing::error!(%error, "changed files can't be watched: send SIGHUP after a change");
        }
        self.runtime.block_on(async {
            let mut taken = self.taken.lock().await;
            let successor = loop {
                tokio::select! {
                    // Files are read where that may block.
                    Some(()) = signals.hangup.recv() => tokio::task::block_in_place(|| self.reload()),
                    Some(()) = news.recv() => tokio::task::block_in_place(|| self.reload()),
                    Some(()) = signals.terminate.recv() => break None,
                    Some(()) = signals.interrupt.recv() => break None,
                    Some(process) = taken.recv() => break Some(process),
                }
            };
            let server = self.shared.live.load().config.server.clone();
            let ending = async {
                if let Some(process) = successor {
                    tracing::info!("process {process} serves from now on; this one ends with its last connection");
                    return self.running.retire(server.drain_timeout).await;
                }
                tracing::info!("draining: not ready from now on, at most {:?} to go", server.drain_delay + server.drain_timeout);
                self.running.drain(server.drain_delay, server.drain_timeout).await
            };
            tokio::select! {
                idle = ending => {
                    if !idle {
                        tracing::warn!("connections that were still open after {:?} are cut", server.drain_timeout);
                    }
                }
                // Asked a second time, somebody is in a hurry.
                Some(()) = signals.interrupt.recv() => {}
            }
            chores::finish(&self.parts).await;
        });
    }
}

/// The gateway that runs on this configuration, ready to be replaced: this one is ready too by then.
fn predecessor(
    config: &Config,
    environment: &Environment,
    parts: &Parts,
    signals: &mut Signals,
) -> Result<Option<Taken>, StartError> {
    let began = parts.clock.monotonic();
    while !parts.revocations.is_ready() {
        not_yet(signals)?;
        if parts.clock.monotonic().saturating_sub(began) > READY {
            let why = format!("what is revoked could not be learnt within {READY:?}: is the store reachable?");
            return Err(StartError::Upgrade(why));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let taken = Taken::ask(config, environment).map_err(|error| StartError::Upgrade(error.to_string()))?;
    if taken.is_none() {
        tracing::warn!("no gateway runs on this configuration: nothing is taken over, this is a plain start");
    }
    Ok(taken)
}

/// Refuses to take another's place when the end is asked for already: nobody would serve then.
fn not_yet(signals: &mut Signals) -> Result<(), StartError> {
    if signals.end_is_asked() {
        return Err(StartError::Upgrade("it was told to end before it took the listeners over".to_owned()));
    }
    Ok(())
}

/// Logs the warnings about a configuration that counts from now on.
pub fn warn(report: &Report) {
    for warning in report.warnings() {
        tracing::warn!("{}:{}:{}: {}", warning.file, warning.line, warning.column, warning.message);
    }
}

/// Says how many routes let pass whom they would refuse, and which.
fn tell_observed(table: &RouteTable) {
    let all = table.routes();
    let names: Vec<&str> = all.iter().filter(|route| !route.spec().enforce).map(|route| route.name()).collect();
    if !names.is_empty() {
        let more = names.len().saturating_sub(NAMED);
        let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let shown = if more > 0 { format!("{shown} and {more} more") } else { shown };
        tracing::warn!("{} of {} routes are not enforced: {shown}", names.len(), all.len());
    }
}

/// Reads the configuration and the routes at `file`: all good, or every error there is.
pub fn load(file: &Path, environment: &Environment) -> Result<Loaded, Report> {
    live::load(file, environment)
}

/// Keys that a reload cannot change, and that differ.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    use crate::domain::secret::ExposeSecret as _;
    let redis =
        |config: &Config| config.redis.as_ref().map(|redis| (redis.url.expose_secret().to_owned(), redis.key_prefix.clone()));
    [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.admin_listen", old.server.admin_listen != new.server.admin_listen),
        ("server.threads", old.server.threads != new.server.threads),
        ("store.url", old.store_url.expose_secret() != new.store_url.expose_secret()),
        ("redis", redis(old) != redis(new)),
        ("login.concurrency", old.login.concurrency != new.login.concurrency),
        ("log", (old.log.json, old.log.access) != (new.log.json, new.log.access)),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}
