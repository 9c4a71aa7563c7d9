//! Why a gateway does not start or reload, as the log and the terminal tell it.

use std::io;

use crate::config::Report;
use crate::credential::{KeyError, KeySetError};
use crate::proxy::identity::IdentityError;
use crate::proxy::serve::ServeError;
use crate::store::StoreError;

/// Why the gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// gateway.toml or a route file is wrong: every error there is.
    Config(Report),
    /// The store's URL is none that can be used.
    Store(StoreError),
    /// The signing keys can't be used.
    Keys(KeyError),
    /// The keys of another issuer can't be used.
    Issuers(KeySetError),
    /// Identity headers can't be made as configured.
    Identity(IdentityError),
    /// Redis' URL is none that can be used.
    Redis(String),
    /// The mail server can't be used as configured.
    Mail(String),
    /// An address can't be listened on.
    Serve(ServeError),
    /// The gateway that runs can't be replaced.
    Upgrade(String),
    /// The machine gives no threads or signals.
    System(io::Error),
}

impl From<Report> for StartError {
    fn from(report: Report) -> Self {
        Self::Config(report)
    }
}

/// A start error as the log and the terminal tell it.
#[must_use]
pub fn told(error: &StartError) -> String {
    match error {
        StartError::Config(report) => format!("\n{}", report.render(false)),
        StartError::Store(error) => format!("store.url: {error}"),
        StartError::Keys(error) => error.to_string(),
        StartError::Issuers(error) => error.to_string(),
        StartError::Identity(error) => error.to_string(),
        StartError::Redis(error) => format!("redis.url: {error}"),
        StartError::Mail(error) => format!("[mail]: {error}"),
        StartError::Upgrade(error) => format!("--upgrade: {error}; the gateway that runs goes on as before"),
        StartError::Serve(error) => format!("{error}; [server].listen and [server].admin_listen name the addresses"),
        StartError::System(error) => error.to_string(),
    }
}

/// Logs why a reload is refused: each error of the files on a line of its own, and then that it is.
pub(super) fn tell_refused(error: &StartError) {
    let why = if let StartError::Config(report) = error {
        for found in report.errors() {
            let help = found.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            tracing::error!("{}:{}:{}: {}{help}", found.file, found.line, found.column, found.message);
        }
        "`portcullis check` shows the errors in their files".to_owned()
    } else {
        told(error)
    };
    tracing::error!("the reload is refused and the old configuration stays: {why}");
}
