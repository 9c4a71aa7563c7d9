//! Where lines go: bounded queues and writer threads of their own, so that a slow terminal or pipe slows no request.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::format::Line;
use super::targets::{AUDIT, cap};
use crate::config::Log;
use crate::domain::{Clock, SystemClock};

/// How long the access log's writer lets lines gather after it has written some: on a busy gateway, one wake-up and one write
/// for many of them. A line that comes after a while is written at once.
const GATHER: Duration = Duration::from_millis(5);
/// Lines that may wait for a writer; those beyond are dropped and counted. About 8 MB a stream.
const QUEUE: usize = 32_768;

/// Writes what still waits when it is dropped; lives as long as the process serves.
#[must_use = "without it the log ends at once"]
pub struct Guard {
    _workers: Vec<WorkerGuard>,
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
        f.debug_struct("Guard").field("dropped_lines", &self.dropped_lines()).finish_non_exhaustive()
    }
}

/// Starts logging: the access log to stdout; the audit log, and the operational log at the level
/// of `RUST_LOG` (else `info`), to stderr. Messages of the `log` crate are taken in. A second call changes nothing.
pub fn init(log: &Log) -> Guard {
    let (access, access_worker) = writer("access-log", io::stdout().as_fd().try_clone_to_owned().map(File::from), GATHER);
    let (rest, rest_worker) = writer("log", io::stderr().as_fd().try_clone_to_owned().map(File::from), Duration::ZERO);
    let dropped = vec![access.error_counter(), rest.error_counter()];
    let level = std::env::var("RUST_LOG").unwrap_or_default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    super::access::start(log.json, Arc::clone(&clock), access);
    // It fails where somebody else logs already: that stays as it is.
    let _ = dispatch(*log, &level, clock, rest).try_init();
    // Nobody hears more of the `log` crate (`targets`), and pingora ends its thread over a line at `trace` about an answer
    // with a header that is no UTF-8.
    log::set_max_level(log::LevelFilter::Info);
    Guard { _workers: vec![access_worker, rest_worker], dropped }
}

/// A bounded queue before `file`, whose writer rests for `pause` when it has emptied it. Where there is no such file, lines go
/// nowhere.
fn writer(thread: &str, file: io::Result<File>, pause: Duration) -> (NonBlocking, WorkerGuard) {
    let sink: Box<dyn Write + Send> = match file {
        Ok(file) => Box::new(Gathering { inner: BufWriter::with_capacity(64 * 1024, file), pause }),
        Err(_) => Box::new(io::sink()),
    };
    NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name(thread).finish(sink)
}

/// Rests after each flush, which tracing-appender asks for when no line waits any more.
struct Gathering<W> {
    inner: W,
    pause: Duration,
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        std::thread::sleep(self.pause);
        flushed
    }
}

/// Everything between an event and its line.
fn dispatch<R>(log: Log, level: &str, clock: Arc<dyn Clock>, rest: R) -> Dispatch
where
    R: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let format = Line { json: log.json, clock };
    // EnvFilter decides on what may be said at all; the audit log is not a matter of level.
    let rest = tracing_subscriber::fmt::layer().event_format(format).with_writer(rest).with_filter(operational(level));
    tracing_subscriber::registry().with(rest).into()
}

/// `RUST_LOG`, bounded by [`cap`] for what is not ours.
fn operational<S: tracing::Subscriber>(level: &str) -> impl tracing_subscriber::layer::Filter<S> + use<S> {
    use tracing_subscriber::filter::FilterExt;
    let asked = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(level);
    let audit = FilterFn::new(|metadata: &Metadata<'_>| metadata.target() == AUDIT).with_max_level_hint(LevelFilter::INFO);
    let capped = FilterFn::new(|metadata: &Metadata<'_>| *metadata.level() <= cap(metadata.target()));
    asked.or(audit).and(capped)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::domain::{AuditEvent, AuditKind, CredentialKind, Timestamp};
    use crate::telemetry::access::line as access_line;
    use crate::telemetry::{AccessRecord, audit};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("UTF-8")
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(1_795_360_503_042);

    /// What `work` writes to the audit and the operational log.
    fn logged(log: Log, level: &str, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let guard = dispatch(log, level, Arc::new(ManualClock::at(NOW)), move || to.clone()).set_default();
        work();
        drop(guard);
        lines.text()
    }

    /// The line of a request.
    fn accessed(log: Log, record: &AccessRecord<'_>) -> String {
        access_line(record, NOW, log.json)
    }

    const TEXT: Log = Log { json: false, access: true };
    const JSON: Log = Log { json: true, access: true };

    fn record(path: &str) -> AccessRecord<'_> {
        AccessRecord {
            request_id: "0191",
            client: Some([192, 0, 2, 7].into()),
            method: "GET",
            path,
            route: Some("orders"),
            status: 403,
            decision: "deny",
            reason: Some("insufficient_scope"),
            missing_scopes: None,
            detail: None,
            principal: Some("0190"),
            credential: Some(CredentialKind::Bearer),
            backend: None,
            bytes_in: 0,
            bytes_out: 180,
            duration: Duration::from_micros(1234),
            upstream: None,
        }
    }

    #[test]
    fn a_request_is_one_line_of_text() {
        assert_eq!(
            accessed(TEXT, &record("/api/orders")),
            "2026-11-22T15:15:03.042Z INFO access request_id=0191 client=192.0.2.7 method=GET path=/api/orders route=orders \
             status=403 decision=deny reason=insufficient_scope principal=0190 credential=bearer bytes_in=0 bytes_out=180 \
             duration_ms=1.234\n"
        );
    }

    #[test]
    fn a_request_is_one_json_object() {
        let line = accessed(JSON, &record("/a\"b"));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({
                "time": "2026-11-22T15:15:03.042Z", "level": "INFO", "target": "access", "request_id": "0191",
                "client": "192.0.2.7", "method": "GET", "path": "/a\"b", "route": "orders", "status": 403, "decision": "deny",
                "reason": "insufficient_scope", "principal": "0190", "credential": "bearer", "bytes_in": 0, "bytes_out": 180,
                "duration_ms": 1.234
            })
        );
    }

    #[test]
    fn the_audit_log_does_not_depend_on_the_level() {
        let event = AuditEvent {
            at: Timestamp::from_secs(1_795_360_503),
            kind: AuditKind::LoginFailed,
            actor: None,
            subject: Some("ann".into()),
            address: Some("192.0.2.7".into()),
            request_id: Some("0191".into()),
            detail: None,
        };
        let line = logged(TEXT, "off", || audit(&event));
        assert_eq!(
            line,
            "2026-11-22T15:15:03.042Z INFO audit event=login_failed at=2026-11-22T15:15:03.000Z subject=ann client=192.0.2.7 \
             request_id=0191\n"
        );
    }

    #[test]
    fn nothing_in_a_value_forges_a_line_or_a_field() {
        let evil = "/a\r\n2026 INFO access status=200 \u{1b}[31m\u{2028}\u{202e}\0 \"";
        for log in [TEXT, JSON] {
            let line = accessed(log, &record(evil));
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let odd = |c: char| c.is_control() && c != '\n' || "\u{2028}\u{202e}".contains(c);
            assert!(!line.contains(odd), "{line}");
        }
        let line = accessed(TEXT, &record(evil));
        assert!(
            line.contains("path=\"/a\\r\\n2026 INFO access status=200 \\u001b[31m\\u2028\\u202e\\u0000 \\\"\" route="),
            "{line}"
        );
        let line = accessed(JSON, &record(evil));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["path"], evil);
        let line = logged(TEXT, "", || tracing::warn!(target: "portcullis::x", "broken {}", "a\nb"));
        assert_eq!(line, "2026-11-22T15:15:03.042Z WARN portcullis::x: broken a\\nb\n");
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = accessed(JSON, &record(&"/ä".repeat(100_000)));
        let rest = logged(JSON, "", || {
            tracing::info!(target: "portcullis::x", list = ?vec!["x"; 100_000]);
        });
        assert!(line.len() < 5000 && line.contains('…'), "{}", line.len());
        assert!(rest.len() < 5000 && rest.contains('…'), "{}", rest.len());
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON");
    }

    #[test]
    fn credentials_are_cut_out_of_paths_and_messages() {
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        let line = accessed(TEXT, &record(&format!("/reset/{token}")));
        let rest = logged(TEXT, "", || {
            tracing::error!(target: "portcullis::x", error = %format!("can't reach redis://u:hunter2@h/: {token}"), "gone");
        });
        assert!(line.contains("path=/reset/eyJ*** "), "{line}");
        assert!(!rest.contains("hunter2") && !rest.contains(token), "{rest}");
    }

    #[test]
    fn dependencies_cannot_print_requests_at_any_level() {
        let rest = logged(TEXT, "trace,pingora_proxy=trace,h2=trace,pingora_core=trace", || {
            log::error!(target: "pingora_proxy", "Fail to proxy: /a?access_token=hunter2");
            log::error!(target: "pingora_core::apps::http_app", "hunter2");
            tracing::trace!(target: "h2::codec", "hunter2");
            tracing::warn!(target: "sqlx::query", "hunter2");
            log::info!(target: "pingora_core::server", "SIGTERM received");
            log::debug!(target: "pingora_core::server", "hunter2");
            tracing::trace!(target: "portcullis::proxy", "ours");
        });
        assert_eq!(
            rest,
            "2026-11-22T15:15:03.042Z INFO pingora_core::server: SIGTERM received\n\
             2026-11-22T15:15:03.042Z TRACE portcullis::proxy: ours\n"
        );
    }

    #[test]
    fn the_level_is_info_unless_asked_otherwise() {
        let work = || {
            tracing::info!(target: "portcullis::x", "one");
            tracing::debug!(target: "portcullis::x", "two");
            tracing::warn!(target: "portcullis::y", "three");
        };
        // As everywhere with `RUST_LOG`, a list of modules silences the others.
        let lines = |level| logged(TEXT, level, work).lines().count();
        assert_eq!((lines(""), lines("warn"), lines("portcullis::x=debug"), lines("off")), (2, 1, 2, 0));
    }
}
