//! `portcullis check`: every error of gateway.toml and the route files, without serving.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::load::shown;
use crate::config::{Environment, Report};
use crate::policy::file::{Everything, load};

/// How `check` and `routes` print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a command that only reads the configuration ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code (contract §2): 0 good, 1 not.
    pub code: u8,
    /// For standard output, with its final newline.
    pub out: String,
    /// For standard error, with its final newline; empty mostly.
    pub err: String,
}

/// Checks gateway.toml at `path` and all that it includes; `strict` takes warnings for errors.
#[must_use]
pub fn check(path: &Path, format: Format, strict: bool, colors: bool, env: &Environment) -> Outcome {
    let (report, good) = match load(path, env) {
        Ok(everything) => {
            let good = summary(&everything);
            (everything.report, Some(good))
        }
        Err(report) => (report, None),
    };
    let warned = report.warnings().next().is_some();
    let code = u8::from(good.is_none() || (strict && warned));
    if format == Format::Json {
        return Outcome { code, out: format!("{:#}\n", report.to_json()), err: String::new() };
    }
    let findings = report.render(colors);
    let verdict = format!("{}: {}\n", shown(path), counts(&report));
    match good {
        Some(good) if !warned => Outcome { code, out: format!("{} is good: {good}\n", shown(path)), err: findings },
        Some(good) if code == 0 => {
            Outcome { code, out: format!("{} is good: {good}, {}\n", shown(path), counts(&report)), err: findings }
        }
        _ => Outcome { code, out: String::new(), err: findings + &verdict },
    }
}

/// The report of a configuration that is refused, as text for standard error, with its closing line.
#[must_use]
pub fn refused(path: &Path, report: &Report, colors: bool) -> String {
    format!("{}{}: {}\n", report.render(colors), shown(path), counts(report))
}

fn summary(everything: &Everything) -> String {
    let routes = everything.table.routes();
    let inline = routes.iter().filter_map(|route| route.spec().backend.as_ref()).map(|backend| backend.name.as_str());
    let backends: BTreeSet<&str> = everything.config.backends.keys().map(String::as_str).chain(inline).collect();
    format!("{}, {}", number(routes.len(), "route"), number(backends.len(), "backend"))
}

fn counts(report: &Report) -> String {
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    match (errors, warnings) {
        (errors, 0) => number(errors, "error"),
        (0, warnings) => number(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", number(errors, "error"), number(warnings, "warning")),
    }
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
