//! From files to a table: what `check`, `routes`, `run` and a reload all begin with.

use std::path::Path;

use super::RouteTable;
use super::route::Place;
use super::table::Conflict;
use crate::config::{Config, Environment, Report};

/// A good configuration with its routes.
#[derive(Debug)]
pub struct Resolved {
    /// gateway.toml.
    pub config: Config,
    /// The routes of all files.
    pub table: RouteTable,
    /// The warnings.
    pub report: Report,
}

/// Reads gateway.toml at `path` and its route files, and puts the routes together: all good, or every error there is.
pub fn load(path: &Path, environment: &Environment) -> Result<Resolved, Report> {
    let everything = super::file::load(path, environment)?;
    let mut report = everything.report;
    match RouteTable::build(everything.routes, everything.config.roles.clone()) {
        Ok(table) => Ok(Resolved { config: everything.config, table, report }),
        Err(conflicts) => {
            for conflict in &conflicts {
                file(&mut report, conflict);
            }
            Err(report)
        }
    }
}

fn file(report: &mut Report, conflict: &Conflict) {
    let (message, help, label) = match conflict {
        Conflict::Tie { route, other, what } => (
            format!("routes `{}` and `{}` match the same requests: {what}", route.0, other.0),
            Some("give them different methods, hosts or paths".to_owned()),
            "the other one",
        ),
        Conflict::Name { name, .. } => {
            (format!("two routes are named `{name}`"), Some("give each a name of its own".to_owned()), "the first one")
        }
        Conflict::Route { route, error } => (format!("route `{}`: {error}", route.0), None, ""),
    };
    let at = |place: &Place| (place.file.to_string(), place.line, place.column);
    let (place, other) = (at(conflict.place()), conflict.other().map(at));
    let other = other.as_ref().map(|(file, line, column)| ((file.as_str(), *line, *column), label));
    report.error_at((&place.0, place.1, place.2), message, help, other);
}
