//! Where lines go: bounded queues and writer threads of their own, so that a slow terminal or pipe slows no request.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::format::Line;
use super::targets::{ACCESS, AUDIT, cap};
use crate::config::Log;
use crate::domain::{Clock, SystemClock};

/// Lines that may wait for a writer; those beyond are dropped and counted. About 8 MB a stream.
const QUEUE: usize = 32_768;

/// Writes what still waits when it is dropped; lives as long as the process serves.
#[must_use = "without it the log ends at once"]
pub struct Guard {
    workers: Vec<WorkerGuard>,
    dropped: Vec<ErrorCounter>,
}

impl Guard {
    /// How many lines were dropped because nobody read them fast enough.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.dropped.iter().map(ErrorCounter::dropped_lines).sum()
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("workers", &self.workers.len()).field("dropped_lines", &self.dropped_lines()).finish()
    }
}

/// Starts logging: the access log to stdout where `log.access` is on; the audit log, and the operational log at the level
/// of `RUST_LOG` (else `info`), to stderr. Messages of the `log` crate are taken in. A second call changes nothing.
pub fn init(log: &Log) -> Guard {
    let (access, access_worker) = writer("access-log", io::stdout().as_fd().try_clone_to_owned().map(File::from));
    let (rest, rest_worker) = writer("log", io::stderr().as_fd().try_clone_to_owned().map(File::from));
    let dropped = vec![access.error_counter(), rest.error_counter()];
    let level = std::env::var("RUST_LOG").unwrap_or_default();
    let clock = Arc::new(SystemClock::default());
    // It fails where somebody else logs already: that stays as it is.
    let _ = dispatch(*log, &level, clock, access, rest).try_init();
    Guard { workers: vec![access_worker, rest_worker], dropped }
}

/// A bounded queue before `file`. Where there is no such file, lines go nowhere.
fn writer(thread: &str, file: io::Result<File>) -> (NonBlocking, WorkerGuard) {
    let sink: Box<dyn Write + Send> = match file {
        Ok(file) => Box::new(BufWriter::with_capacity(64 * 1024, file)),
        Err(_) => Box::new(io::sink()),
    };
    NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name(thread).finish(sink)
}

/// Everything between an event and its line.
fn dispatch<A, R>(log: Log, level: &str, clock: Arc<dyn Clock>, access: A, rest: R) -> Dispatch
where
    A: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    R: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = |clock| Line { json: log.json, clock };
    let access = log.access.then(|| {
        tracing_subscriber::fmt::layer()
            .event_format(format(Arc::clone(&clock)))
            .with_writer(access)
            .with_filter(FilterFn::new(|metadata| metadata.target() == ACCESS).with_max_level_hint(LevelFilter::INFO))
    });
    // EnvFilter decides on what may be said at all; the audit log is not a matter of level.
    let rest = tracing_subscriber::fmt::layer().event_format(format(clock)).with_writer(rest).with_filter(operational(level));
    tracing_subscriber::registry().with(access).with(rest).into()
}

/// `RUST_LOG`, bounded by [`cap`] for what is not ours.
fn operational<S: tracing::Subscriber>(level: &str) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    use tracing_subscriber::filter::FilterExt;
    let asked = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(level);
    let audit = FilterFn::new(|metadata: &Metadata<'_>| metadata.target() == AUDIT).with_max_level_hint(LevelFilter::INFO);
    let capped =
        FilterFn::new(|metadata: &Metadata<'_>| metadata.target() != ACCESS && *metadata.level() <= cap(metadata.target()));
    asked.or(audit).and(capped)
}
