//! The files that a configuration is made of: what `run --watch` looks at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Config;
use super::environment::Environment;

/// What a configuration was read from, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Files, there or not: gateway.toml, route files, signing keys, what `${file:…}` names.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Folders in which further ones may appear.
    pub(crate) folders: BTreeSet<PathBuf>,
}

/// The files that `config` is made of, as the folders are now: certificates and their like too, as any string of gateway.toml
/// that names a file counts.
pub(crate) fn watched_files(config: &Config, env: &Environment) -> Watched {
    let mut watched = Watched::default();
    watched.add(config.file.clone());
    for pattern in &config.route_files {
        let fixed =
            Path::new(pattern).components().take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']));
        let fixed: PathBuf = fixed.collect();
        // Without a wildcard it is the file itself.
        watched.folders.extend(if fixed == Path::new(pattern) { fixed.parent().map(Path::to_owned) } else { Some(fixed) });
        for file in glob::glob(pattern).into_iter().flatten().flatten() {
            watched.add(file);
        }
    }
    let keys = &config.tokens.keys;
    watched.folders.insert(keys.clone());
    for entry in std::fs::read_dir(keys).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|end| end.eq_ignore_ascii_case("pem")) {
            watched.add(entry.path());
        }
    }
    watched.add_named(config, env);
    watched
}

impl Watched {
    fn add(&mut self, file: PathBuf) {
        self.folders.extend(file.parent().map(Path::to_owned));
        self.files.insert(file);
    }

    /// What `${file:…}` names in the TOML files, and in overrides. Read as text, so that a file that does not parse counts too.
    fn add_named(&mut self, config: &Config, env: &Environment) {
        let is_key = |file: &&PathBuf| file.extension().is_some_and(|end| end.eq_ignore_ascii_case("pem"));
        let mut named = Vec::new();
        for file in self.files.iter().filter(|file| !is_key(file)) {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let folder = file.parent().unwrap_or_else(|| Path::new(""));
            named.extend(names_in(&text).map(|name| folder.join(name)));
            if *file == config.file {
                named.extend(strings_in(&text).map(|name| folder.join(name)).filter(|file| file.is_file()));
            }
        }
        let folder = config.file.parent().unwrap_or_else(|| Path::new(""));
        for (_, value) in env.starting_with("PORTCULLIS__") {
            named.extend(names_in(value.unwrap_or_default()).map(|name| folder.join(name)));
        }
        for file in named {
            self.add(file);
        }
    }
}

/// What stands between quotation marks on a line, and between two strings too: that names no file.
fn strings_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split(['"', '\'']).skip(1)).filter(|string| !string.trim().is_empty())
}

fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split("${file:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}
