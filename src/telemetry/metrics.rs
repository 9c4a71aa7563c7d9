//! The metrics, by the names that dashboards know.
//!
//! A request takes no shared lock: each thread keeps handles of its own for the label sets that it has seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::domain::Timestamp;

mod catalogue;

pub use catalogue::{ALL, Description, Kind};
use catalogue::{
    AUTH, BACKEND, BACKEND_HEALTHY, BACKEND_RETRIES, BUILD, DURATION, ISSUER_FETCHES, ISSUER_KEYS, LOGIN, MAIL, OVERHEAD,
    REFUSED, RELOAD, REQUESTS, REVOCATION_ENTRIES, REVOCATION_LAG, REVOCATION_STALENESS, STREAMS_ENDED, WOULD_DENY,
};

/// 0.5 ms to a minute, for whole requests.
const DURATION_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// 10 µs to 100 ms, for the gateway's own share.
const OVERHEAD_BUCKETS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1];

/// Label values beyond this length are cut: names of routes and backends are an operator's, and may be anything.
const MAX_LABEL: usize = 128;

const METADATA: Metadata<'static> = Metadata::new("portcullis", Level::INFO, None);

/// Tells one [`Metrics`] from another in the threads' caches.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SEEN: RefCell<HashMap<u64, Seen>> = RefCell::new(HashMap::new());
}

type Outcome = (&'static str, u16);

/// The counters that this thread has used already.
#[derive(Default)]
struct Seen {
    requests: HashMap<Box<str>, Vec<(Outcome, Counter)>>,
    would_deny: HashMap<Box<str>, Vec<(&'static str, Counter)>>,
    backends: HashMap<Box<str>, Vec<(&'static str, Counter)>>,
    named: Vec<((&'static str, &'static str, &'static str), Counter)>,
}

/// All metrics of one gateway.
pub struct Metrics {
    id: u64,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    duration: Histogram,
    overhead: Histogram,
    entries: Gauge,
    lag: Gauge,
    staleness: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the health checks say of one server.
#[derive(Clone, Debug)]
pub struct ServerHealth {
    /// The backend's name.
    pub backend: String,
    /// One address of the server.
    pub server: std::net::SocketAddr,
    /// Whether it may take traffic.
    pub healthy: bool,
}

impl Metrics {
    /// Makes the registry, and starts the thread that folds samples into buckets every few seconds, so that memory is
    /// bounded whether or not anybody scrapes. Not global: two gateways in one process count apart.
    #[must_use]
    pub fn install() -> Arc<Self> {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in [(DURATION, DURATION_BUCKETS.as_slice()), (OVERHEAD, OVERHEAD_BUCKETS.as_slice())] {
            // The one error is an empty list of buckets.
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).unwrap_or_default();
        }
        let recorder = builder.build_recorder();
        for metric in ALL.iter().filter(|metric| metric.name != BACKEND_HEALTHY) {
            let (name, help) = (metric.name.into(), SharedString::from(metric.help));
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram => recorder.describe_histogram(name, None, help),
            }
        }
        let histogram = |name| recorder.register_histogram(&Key::from_static_name(name), &METADATA);
        let gauge = |name| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        recorder
            .register_gauge(&Key::from_parts(BUILD, vec![Label::new("version", env!("CARGO_PKG_VERSION"))]), &METADATA)
            .set(1.0);
        let metrics = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            duration: histogram(DURATION),
            overhead: histogram(OVERHEAD),
            entries: gauge(REVOCATION_ENTRIES),
            lag: gauge(REVOCATION_LAG),
            staleness: gauge(REVOCATION_STALENESS),
            handle: recorder.handle(),
            recorder,
        });
        upkeep(Arc::downgrade(&metrics));
        metrics
    }

    /// Counts a request. `route` is the matched route's name, `""` where none matched (never a client's text);
    /// `overhead` is `total` less the wait for the backend, for proxied requests.
    pub fn request(&self, route: &str, decision: &'static str, status: u16, total: Duration, overhead: Option<Duration>) {
        self.duration.record(total.as_secs_f64());
        if let Some(overhead) = overhead {
            self.overhead.record(overhead.as_secs_f64());
        }
        self.seen(|seen| {
            count(&mut seen.requests, or_dash(route), (decision, status), || {
                let status = status.to_string();
                self.counter(REQUESTS, &[("route", or_dash(route)), ("decision", decision), ("status", &status)])
            });
        });
    }

    /// Counts a request that an observing route let pass, by the code of the refusal that it was spared.
    pub fn would_deny(&self, route: &str, reason: &'static str) {
        self.seen(|seen| {
            count(&mut seen.would_deny, or_dash(route), reason, || {
                self.counter(WOULD_DENY, &[("route", or_dash(route)), ("reason", reason)])
            });
        });
    }

    /// Counts a credential that was looked at: its kind, and `accepted`, `rejected`, `revoked` and the like.
    pub fn auth(&self, credential: &'static str, outcome: &'static str) {
        self.named(AUTH, credential, outcome, &[("credential", credential), ("outcome", outcome)]);
    }

    /// Counts a login.
    pub fn login(&self, outcome: &'static str) {
        self.named(LOGIN, outcome, "", &[("outcome", outcome)]);
    }

    /// Counts a request to a backend, which is named as the configuration names it.
    pub fn backend(&self, backend: &str, outcome: &'static str) {
        self.seen(|seen| {
            count(&mut seen.backends, or_dash(backend), outcome, || {
                self.counter(BACKEND, &[("backend", or_dash(backend)), ("outcome", outcome)])
            });
        });
    }

    /// Counts a stream that was cut: `revoked` or `expired`.
    pub fn stream_ended(&self, reason: &'static str) {
        self.named(STREAMS_ENDED, reason, "", &[("reason", reason)]);
    }

    /// Counts a call that failed on one server of a backend and could go to another.
    pub fn backend_retry(&self, backend: &str, outcome: &'static str) {
        self.counter(BACKEND_RETRIES, &[("backend", or_dash(backend)), ("outcome", outcome)]).increment(1);
    }

    /// Counts a try to send a mail: `sent`, `retried`, `failed`, or `no_place`.
    pub fn mail(&self, kind: &'static str, outcome: &'static str) {
        self.named(MAIL, kind, outcome, &[("kind", kind), ("outcome", outcome)]);
    }

    /// Counts a fetch of another issuer's keys; the issuer is named as the configuration names it.
    pub fn issuer_fetch(&self, issuer: &str, good: bool) {
        let outcome = if good { "ok" } else { "error" };
        self.counter(ISSUER_FETCHES, &[("issuer", issuer), ("outcome", outcome)]).increment(1);
    }

    /// Sets when another issuer's keys were last fetched.
    #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2^52")]
    pub fn issuer_keys(&self, issuer: &str, at: Timestamp) {
        let key = Key::from_parts(ISSUER_KEYS, vec![Label::new("issuer", issuer.to_owned())]);
        self.recorder.register_gauge(&key, &METADATA).set(at.as_secs() as f64);
    }

    /// Counts a reload of the configuration.
    pub fn reload(&self, outcome: &'static str) {
        self.named(RELOAD, outcome, "", &[("outcome", outcome)]);
    }

    /// Counts a connection that was closed before it spoke HTTP.
    pub fn refused(&self, reason: &'static str) {
        self.named(REFUSED, reason, "", &[("reason", reason)]);
    }

    /// Sets how many revocations are held, how long the last took to arrive, and how old the list is.
    #[expect(clippy::cast_precision_loss, reason = "nobody holds 2^52 revocations")]
    pub fn revocation(&self, entries: u64, lag: Duration, staleness: Duration) {
        self.entries.set(entries as f64);
        self.lag.set(lag.as_secs_f64());
        self.staleness.set(staleness.as_secs_f64());
    }

    /// Everything in Prometheus' text format 0.0.4. Metrics that have no value yet show their name and type.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_with(&[])
    }

    /// The same, with how the servers are that there are now: nothing is said of those that a reload or a name has removed.
    #[must_use]
    pub fn render_with(&self, servers: &[ServerHealth]) -> String {
        let mut text = self.handle.render();
        for metric in ALL {
            if !text.contains(&format!("# TYPE {} ", metric.name)) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "# HELP {0} {1}\n# TYPE {0} {2}", metric.name, metric.help, metric.kind.as_str());
                let servers = servers.iter().filter(|_| metric.name == BACKEND_HEALTHY);
                for ServerHealth { backend, server, healthy } in servers {
                    // Neither names nor addresses hold what would have to be escaped.
                    let value = u8::from(*healthy);
                    let _ = writeln!(text, "{BACKEND_HEALTHY}{{backend=\"{backend}\",server=\"{server}\"}} {value}");
                }
                text.push('\n');
            }
        }
        text
    }

    fn named(&self, name: &'static str, first: &'static str, second: &'static str, labels: &[(&'static str, &str)]) {
        self.seen(|seen| {
            let key = (name, first, second);
            if let Some((_, counter)) = seen.named.iter().find(|(known, _)| *known == key) {
                counter.increment(1);
            } else {
                let counter = self.counter(name, labels);
                counter.increment(1);
                seen.named.push((key, counter));
            }
        });
    }

    /// Runs `work` on this thread's handles. A thread that is ending has none, and counts no more.
    fn seen(&self, work: impl FnOnce(&mut Seen)) {
        let _ = SEEN.try_with(|all| {
            if let Ok(mut all) = all.try_borrow_mut() {
                work(all.entry(self.id).or_default());
            }
        });
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        let labels: Vec<Label> =
            labels.iter().map(|(label, value)| Label::new(*label, value.chars().take(MAX_LABEL).collect::<String>())).collect();
        self.recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    }
}

/// Adds one to the counter of `(name, outcome)`, which is made when this thread first needs it.
fn count<O: Copy + PartialEq>(
    known: &mut HashMap<Box<str>, Vec<(O, Counter)>>,
    name: &str,
    outcome: O,
    make: impl FnOnce() -> Counter,
) {
    if let Some((_, counter)) = known.get(name).and_then(|all| all.iter().find(|(seen, _)| *seen == outcome)) {
        counter.increment(1);
        return;
    }
    let counter = make();
    counter.increment(1);
    known.entry(name.into()).or_default().push((outcome, counter));
}

const fn or_dash(name: &str) -> &str {
    if name.is_empty() { "-" } else { name }
}

/// Folds samples until the gateway is gone.
fn upkeep(metrics: Weak<Metrics>) {
    let work = move || {
        while let Some(metrics) = metrics.upgrade() {
            metrics.handle.run_upkeep();
            drop(metrics);
            std::thread::sleep(Duration::from_secs(5));
        }
    };
    // Without the thread samples are folded by each scrape.
    let _ = std::thread::Builder::new().name("metrics".into()).spawn(work);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_decision_and_status() {
        let metrics = Metrics::install();
        for _ in 0..3 {
            metrics.request("orders", "allow", 200, Duration::from_millis(3), Some(Duration::from_micros(40)));
        }
        metrics.request("", "deny", 404, Duration::from_millis(1), None);
        let text = metrics.render();
        assert!(text.contains("portcullis_requests_total{route=\"orders\",decision=\"allow\",status=\"200\"} 3"), "{text}");
        assert!(text.contains("portcullis_requests_total{route=\"-\",decision=\"deny\",status=\"404\"} 1"), "{text}");
        assert!(text.contains("portcullis_request_duration_seconds_bucket{le=\"0.005\"} 4"), "{text}");
        assert!(text.contains("portcullis_gateway_overhead_seconds_bucket{le=\"0.00005\"} 3"), "{text}");
        assert!(text.contains("portcullis_gateway_overhead_seconds_count 3"), "{text}");
    }

    #[test]
    fn counts_of_all_threads_come_together() {
        let metrics = Metrics::install();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        metrics.auth("bearer", "accepted");
                        metrics.backend("orders", "ok");
                    }
                });
            }
        });
        let text = metrics.render();
        assert!(text.contains("portcullis_auth_total{credential=\"bearer\",outcome=\"accepted\"} 400"), "{text}");
        assert!(text.contains("portcullis_backend_requests_total{backend=\"orders\",outcome=\"ok\"} 400"), "{text}");
    }

    #[test]
    fn two_gateways_in_one_process_count_apart() {
        let (one, two) = (Metrics::install(), Metrics::install());
        one.login("ok");
        assert!(one.render().contains("portcullis_login_total{outcome=\"ok\"} 1"));
        assert!(!two.render().contains("portcullis_login_total{outcome"));
    }

    #[test]
    fn every_metric_shows_its_name_and_type_from_the_start() {
        let text = Metrics::install().render();
        for metric in ALL {
            let line = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
            assert_eq!(text.matches(&line).count(), 1, "{line} in\n{text}");
        }
        assert!(text.contains(&format!("portcullis_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))), "{text}");
    }

    #[test]
    fn revocation_gauges_say_what_was_set() {
        let metrics = Metrics::install();
        metrics.revocation(7, Duration::from_millis(2), Duration::from_millis(1500));
        metrics.reload("ok");
        let text = metrics.render();
        for line in [
            "portcullis_revocation_entries 7",
            "portcullis_revocation_lag_seconds 0.002",
            "portcullis_revocation_staleness_seconds 1.5",
            "portcullis_config_reload_total{outcome=\"ok\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_quote_in_a_name_does_not_break_the_format() {
        let metrics = Metrics::install();
        metrics.request("a\"b\nc", "allow", 200, Duration::ZERO, None);
        assert!(metrics.render().contains("route=\"a\\\"b\\nc\""), "{}", metrics.render());
    }
}
