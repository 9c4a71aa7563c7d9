//! The route files: from TOML to checked [`RouteSpec`]s, with the diagnostics of `config`.

mod raw;
#[cfg(test)]
mod reference;
mod rules;
mod spec;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Conflict, Place, RouteSpec, RouteTable};
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
    /// The warnings.
    pub report: Report,
}

/// Reads and checks gateway.toml at `path` and every route file it includes, and makes the table: all good, or every error
/// there is.
pub fn load(path: &Path, env: &Environment) -> Result<Everything, Report> {
    let mut draft = draft(path, env)?;
    let specs = routes(path, &mut draft, env);
    // A tie between two routes is reported beside what else is wrong.
    let table = RouteTable::build(specs, draft.config.roles.clone());
    if let Err(conflicts) = &table {
        for conflict in conflicts {
            file_conflict(conflict, &mut draft.report);
        }
    }
    match table {
        Ok(table) if draft.report.is_good() => Ok(Everything { config: draft.config, table, report: draft.report }),
        _ => Err(draft.report),
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

/// The routes of every file that gateway.toml includes.
fn routes(path: &Path, draft: &mut Draft, env: &Environment) -> Vec<RouteSpec> {
    let shown_folder = path.strip_prefix(".").unwrap_or(path).parent().unwrap_or_else(|| Path::new("")).to_owned();
    let folder = draft.config.file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut files = BTreeSet::new();
    let mut specs = spec::Specs::default();
    for pattern in std::mem::take(&mut draft.include.value) {
        for file in matching(&pattern, &folder, draft) {
            if files.insert(file.clone()) {
                let shown = file.strip_prefix(&folder).map_or_else(|_| file.clone(), |below| shown_folder.join(below));
                read(&file, &shown, pattern.span, draft, env, &mut specs);
            }
        }
    }
    if specs.is_empty() && !files.is_empty() && draft.report.is_good() {
        draft.report.warning(draft.include.span, Finding::new("there is no route: every call is answered 404"));
    }
    specs.done()
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

fn read(file: &Path, shown: &Path, include: Span, draft: &mut Draft, env: &Environment, specs: &mut spec::Specs) {
    let shown = shown.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return draft.report.error(include, format!("the route file `{shown}` can't be read: {error}")),
    };
    let source = draft.report.add_source(&shown, text.clone());
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let table = document::parse(source, &text, Surroundings { env, folder }, &mut draft.report);
    refuse_unknown(&table, &raw::File::KEYS.iter().collect::<Vec<_>>(), &mut draft.report);
    let file = raw::File::of(&table, &mut draft.report);
    for route in &file.route.value {
        specs.add(&route.value, &file.defaults.value, draft);
    }
}

#[cfg(test)]
mod tests;
