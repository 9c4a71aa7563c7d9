//! The route files: from TOML to checked [`RouteSpec`]s, with the diagnostics of `config`.

mod cases;
mod raw;
mod raw_test;
#[cfg(test)]
mod reference;
mod rules;
mod spec;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use cases::usual_scopes;

use super::{Conflict, Place, PolicyTest, RouteSpec, RouteTable, Ruling};
use crate::config::document::{self, Surroundings};
use crate::config::json_schema;
use crate::config::load::{Draft, absolute_glob, draft};
use crate::config::report::{Finding, Report, Span};
use crate::config::schema::{At, refuse_unknown};
use crate::config::{Config, Environment};

/// The JSON Schema of a route file.
#[must_use]
pub fn schema() -> serde_json::Value {
    json_schema::titled("A route file", "Portcullis: who may call what.", json_schema::object(raw::File::KEYS.iter()))
}

/// gateway.toml and its route files, all good.
#[derive(Debug)]
pub struct Everything {
    /// gateway.toml.
    pub config: Config,
    /// The routes of all files, in order.
    pub table: RouteTable,
    /// The policy tests of all files, in order.
    pub tests: Vec<PolicyTest>,
    /// The warnings.
    pub report: Report,
}

/// Reads and checks gateway.toml at `path` and every route file it includes, makes the table, and runs the policy tests: all
/// good, or every error there is.
pub fn load(path: &Path, env: &Environment) -> Result<Everything, Report> {
    let mut everything = load_untested(path, env)?;
    for test in &everything.tests {
        let ruling = test.judge(&everything.config, &everything.table);
        if let Some(finding) = cases::failure(test, &ruling, &everything.table, &everything.report) {
            everything.report.error(cases::blamed(test, &ruling), finding);
        }
    }
    if everything.report.is_good() { Ok(everything) } else { Err(everything.report) }
}

/// The same, but for the policy tests, which are read and not run: for whoever wants to know why they fail.
pub fn load_untested(path: &Path, env: &Environment) -> Result<Everything, Report> {
    let mut draft = draft(path, env)?;
    let (specs, tests) = routes(path, &mut draft, env);
    // A tie between two routes is reported beside what else is wrong.
    let table = RouteTable::build(specs, draft.config.roles.clone());
    if let Err(conflicts) = &table {
        for conflict in conflicts {
            file_conflict(conflict, &mut draft.report);
        }
    }
    match table {
        Ok(table) if draft.report.is_good() => Ok(Everything { config: draft.config, table, tests, report: draft.report }),
        _ => Err(draft.report),
    }
}

impl Everything {
    /// A failed test as it is shown on a terminal: its place, what it expects, what came, and why. Nothing where it passes.
    #[must_use]
    pub fn failure(&self, test: &PolicyTest, ruling: &Ruling, colors: bool) -> Option<String> {
        let finding = cases::failure(test, ruling, &self.table, &self.report)?;
        Some(self.report.show_error(cases::blamed(test, ruling), finding, colors))
    }
}

fn file_conflict(conflict: &Conflict, report: &mut Report) {
    fn at(place: &Place) -> (&str, u32, u32) {
        (&place.file, place.line, place.column)
    }
    let (message, help) = match conflict {
        Conflict::Tie { route, other, what } => (
            format!("routes `{}` and `{}` match the same requests: {what}", route.0, other.0),
            Some("give them different hosts, paths or methods".to_owned()),
        ),
        Conflict::Name { name, .. } => (format!("two routes are named `{name}`"), None),
        Conflict::Route { route, error } => (format!("route `{}`: {error}", route.0), None),
    };
    report.error_at(at(conflict.place()), message, help, conflict.other().map(|other| (at(other), "the other one")));
}

/// The routes and the tests of every file that gateway.toml includes.
fn routes(path: &Path, draft: &mut Draft, env: &Environment) -> (Vec<RouteSpec>, Vec<PolicyTest>) {
    let shown_folder = path.strip_prefix(".").unwrap_or(path).parent().unwrap_or_else(|| Path::new("")).to_owned();
    let folder = draft.config.file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut files = BTreeSet::new();
    let mut specs = spec::Specs::default();
    let mut tests = Vec::new();
    for pattern in std::mem::take(&mut draft.include.value) {
        for file in matching(&pattern, &folder, draft) {
            if files.insert(file.clone()) {
                let shown = file.strip_prefix(&folder).map_or_else(|_| file.clone(), |below| shown_folder.join(below));
                tests.extend(read(&file, &shown, pattern.span, draft, env, &mut specs));
            }
        }
    }
    if specs.is_empty() && !files.is_empty() && draft.report.is_good() {
        draft.report.warning(draft.include.span, Finding::new("there is no route: every call is answered 404"));
    }
    // A test may name a route of any file.
    let names = specs.names();
    let tests = tests.iter().filter_map(|test| cases::checked(test, &names, draft)).collect();
    (specs.done(), tests)
}

/// The files that `pattern` names, in order.
fn matching(pattern: &At<String>, folder: &Path, draft: &mut Draft) -> Vec<PathBuf> {
    let report = &mut draft.report;
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let found = match glob::glob_with(&absolute_glob(folder, &pattern.value), options) {
        Ok(found) => found,
        Err(error) => {
            report.error(pattern.span, format!("`{}` is not a pattern of files: {}", pattern.value, error.msg));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for file in found {
        match file {
            Ok(file) => files.push(file),
            Err(error) => report.error(pattern.span, format!("`{}` can't be read: {}", error.path().display(), error.error())),
        }
    }
    if files.is_empty() {
        if pattern.value.contains(['*', '?', '[']) {
            let finding = Finding::new(format!("`{}` matches no file", pattern.value));
            report.warning(pattern.span, finding.help("patterns are relative to the folder of gateway.toml"));
        } else {
            let finding = Finding::new(format!("there is no route file `{}`", pattern.value));
            report.error(pattern.span, finding.help("paths are relative to the folder of gateway.toml"));
        }
    }
    files
}

/// Adds a file's routes to `specs`, and gives its tests.
fn read(
    file: &Path,
    shown: &Path,
    include: Span,
    draft: &mut Draft,
    env: &Environment,
    specs: &mut spec::Specs,
) -> Vec<At<raw_test::Test>> {
    let shown = shown.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            draft.report.error(include, format!("the route file `{shown}` can't be read: {error}"));
            return Vec::new();
        }
    };
    let source = draft.report.add_source(&shown, text.clone());
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let table = document::parse(source, &text, Surroundings { env, folder }, &mut draft.report);
    refuse_unknown(&table, &raw::File::KEYS.iter().collect::<Vec<_>>(), &mut draft.report);
    let file = raw::File::of(&table, &mut draft.report);
    for route in &file.route.value {
        specs.add(&route.value, &file.defaults.value, draft);
    }
    file.test.value
}

#[cfg(test)]
mod tests;
