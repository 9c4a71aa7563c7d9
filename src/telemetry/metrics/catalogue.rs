//! Every metric there is: its name, kind, labels, and what it counts.

/// What a metric is, for its `# TYPE` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket.
    Histogram,
}

impl Kind {
    /// As the exposition format writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric's name, kind, labels and what it counts.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named and explained by the type")]
pub struct Description {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

pub(super) const REQUESTS: &str = "portcullis_requests_total";
pub(super) const DURATION: &str = "portcullis_request_duration_seconds";
pub(super) const OVERHEAD: &str = "portcullis_gateway_overhead_seconds";
pub(super) const AUTH: &str = "portcullis_auth_total";
pub(super) const LOGIN: &str = "portcullis_login_total";
pub(super) const WOULD_DENY: &str = "portcullis_would_deny_total";
pub(super) const REVOCATION_ENTRIES: &str = "portcullis_revocation_entries";
pub(super) const REVOCATION_LAG: &str = "portcullis_revocation_lag_seconds";
pub(super) const REVOCATION_STALENESS: &str = "portcullis_revocation_staleness_seconds";
pub(super) const BACKEND: &str = "portcullis_backend_requests_total";
pub(super) const STREAMS_ENDED: &str = "portcullis_streams_ended_total";
pub(super) const BACKEND_RETRIES: &str = "portcullis_backend_retries_total";
pub(super) const BACKEND_HEALTHY: &str = "portcullis_backend_healthy";
pub(super) const MAIL: &str = "portcullis_mail_total";
pub(super) const ISSUER_FETCHES: &str = "portcullis_issuer_fetches_total";
pub(super) const ISSUER_KEYS: &str = "portcullis_issuer_keys_timestamp_seconds";
pub(super) const RELOAD: &str = "portcullis_config_reload_total";
pub(super) const REFUSED: &str = "portcullis_connections_refused_total";
pub(super) const BUILD: &str = "portcullis_build_info";

/// Every metric there is; `docs/metrics.md` says the same.
pub const ALL: [Description; 19] = [
    Description {
        name: REQUESTS,
        kind: Kind::Counter,
        labels: &["route", "decision", "status"],
        help: "Requests answered; route is \"-\" where none matched.",
    },
    Description {
        name: DURATION,
        kind: Kind::Histogram,
        labels: &[],
        help: "Time from the first byte of a request to the last of its answer.",
    },
    Description {
        name: OVERHEAD,
        kind: Kind::Histogram,
        labels: &[],
        help: "Time of a proxied request that was spent in the gateway and not waiting for the backend.",
    },
    Description {
        name: AUTH,
        kind: Kind::Counter,
        labels: &["credential", "outcome"],
        help: "Credentials looked at, by kind and what came of it.",
    },
    Description { name: LOGIN, kind: Kind::Counter, labels: &["outcome"], help: "Logins tried, by what came of it." },
    Description {
        name: WOULD_DENY,
        kind: Kind::Counter,
        labels: &["route", "reason"],
        help: "Requests that an observing route let pass and would have refused.",
    },
    Description { name: REVOCATION_ENTRIES, kind: Kind::Gauge, labels: &[], help: "Revocations held in memory." },
    Description {
        name: REVOCATION_LAG,
        kind: Kind::Gauge,
        labels: &[],
        help: "How long the last revocation took to become known here.",
    },
    Description {
        name: REVOCATION_STALENESS,
        kind: Kind::Gauge,
        labels: &[],
        help: "How long ago the revocation list was last known to be complete.",
    },
    Description {
        name: BACKEND,
        kind: Kind::Counter,
        labels: &["backend", "outcome"],
        help: "Requests sent to a backend, by what came of it.",
    },
    Description {
        name: STREAMS_ENDED,
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Open streams that were cut as their credential had ended: revoked or expired.",
    },
    Description {
        name: BACKEND_RETRIES,
        kind: Kind::Counter,
        labels: &["backend", "outcome"],
        help: "Calls that failed on one server and could go to another, by whether the budget let them.",
    },
    Description {
        name: BACKEND_HEALTHY,
        kind: Kind::Gauge,
        labels: &["backend", "server"],
        help: "Whether a server's health checks let it take traffic: 1 or 0. Only where there are health checks.",
    },
    Description {
        name: MAIL,
        kind: Kind::Counter,
        labels: &["kind", "outcome"],
        help: "Mails by what they are about, and what came of a try to send them.",
    },
    Description {
        name: ISSUER_FETCHES,
        kind: Kind::Counter,
        labels: &["issuer", "outcome"],
        help: "Fetches of another issuer's keys, by what came of it: ok or error.",
    },
    Description {
        name: ISSUER_KEYS,
        kind: Kind::Gauge,
        labels: &["issuer"],
        help: "When another issuer's keys were last fetched, in seconds since the epoch.",
    },
    Description {
        name: RELOAD,
        kind: Kind::Counter,
        labels: &["outcome"],
        help: "Reloads of the configuration, by what came of it.",
    },
    Description {
        name: REFUSED,
        kind: Kind::Counter,
        labels: &["reason"],
        help: "Connections closed before they spoke HTTP, by why.",
    },
    Description { name: BUILD, kind: Kind::Gauge, labels: &["version"], help: "1; the release is in the label." },
];
