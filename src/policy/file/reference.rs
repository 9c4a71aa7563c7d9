//! The tables of docs/configuration.md, made of the keys as they are declared.

use std::fmt::Write as _;
use std::path::Path;

use super::raw;
use super::raw_test::{Someone, Test};
use crate::config::keys;
use crate::config::schema::{Key, Shape};

const BEGIN: &str = "<!-- made of the declared keys: INSTA_UPDATE=always cargo test --lib reference -->\n";

#[test]
fn the_reference_of_every_key_is_what_the_code_declares() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = std::fs::read_to_string(&path).expect("docs/configuration.md");
    let (prose, tables) = written.split_once(BEGIN).expect("the mark behind which the tables begin");
    let declared = reference();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, format!("{prose}{BEGIN}{declared}")).expect("written");
        return;
    }
    assert!(tables == declared, "docs/configuration.md is old: INSTA_UPDATE=always cargo test --lib reference");
}

/// Compares a schema that is committed with the one that is made; editors of this repository's files use the former.
#[test]
fn the_schemas_are_what_the_code_declares() {
    for (name, made) in [("gateway", crate::config::gateway_schema()), ("routes", super::schema())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, format!("{made:#}\n")).expect("written");
            continue;
        }
        let written = std::fs::read_to_string(&path).expect("the schema");
        let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
        assert!(written == made, "docs/schema/{name}.json is old: INSTA_UPDATE=always cargo test --lib reference");
    }
}

#[test]
fn every_key_says_in_the_schema_what_it_takes() {
    fn look(keys: &[Key], before: &str) {
        for key in keys.iter().filter(|key| !key.values.later) {
            let name = format!("{before}{}", key.name);
            assert!((key.values.schema)() != true, "`{name}`: give its type a `fn schema()` beside its `fn read()`");
            if let Shape::Section(below) | Shape::Entries(below) | Shape::Free(below) = key.shape {
                look(below, &format!("{name}."));
            }
        }
    }
    look(keys(), "");
    look(raw::File::KEYS, "");
    look(raw::Common::KEYS, "route.");
}

fn reference() -> String {
    let mut text = "\n## gateway.toml\n".to_owned();
    rows(keys(), &mut text);
    sections(keys(), "", &mut text);
    text.push_str("\n## Route files\n");
    rows(raw::File::KEYS, &mut text);
    heading("[[route]]", "A route. These are its own:", false, &mut text);
    rows(raw::Own::KEYS, &mut text);
    heading(
        "[[route]], [defaults]",
        "These a route says for itself, or `[defaults]` for all routes of the file:",
        false,
        &mut text,
    );
    rows(raw::Common::KEYS, &mut text);
    heading("[[test]]", "A policy test, run by `check`, `test`, at the start and at each reload:", false, &mut text);
    rows(Test::KEYS, &mut text);
    heading("[[test]].as", "\"anonymous\", or who calls:", false, &mut text);
    rows(Someone::KEYS, &mut text);
    text
}

/// Every section below `keys`, each with its keys.
fn sections(keys: &[Key], before: &str, text: &mut String) {
    for key in keys.iter().filter(|key| !matches!(key.shape, Shape::Free(_)) || !stands_alone(key)) {
        let name = format!("{before}{}", key.name);
        let (title, below) = match key.shape {
            Shape::Value => continue,
            Shape::Section(below) | Shape::Free(below) => (format!("[{name}]"), below),
            Shape::Entries(below) => (format!("[[{name}]]"), below),
        };
        heading(&title, key.about, key.values.later, text);
        if matches!(key.shape, Shape::Free(_)) {
            text.push_str(if below.is_empty() {
                "\nEntries are `\"name\" = value`.\n"
            } else {
                "\nEntries are `name = { … }`, with:\n"
            });
        }
        rows(below, text);
        sections(below, &format!("{name}."), text);
    }
}

fn heading(title: &str, about: &str, later: bool, text: &mut String) {
    let not_yet = if later { " *Not available yet.*" } else { "" };
    let _ = write!(text, "\n### `{title}`\n\n{}{not_yet}\n", plain(about));
}

/// A table of those of `keys` that stand by themselves.
fn rows(keys: &[Key], text: &mut String) {
    let mut none_yet = true;
    for key in keys.iter().filter(|key| stands_alone(key)) {
        if none_yet {
            text.push_str("\n| key | default | what it is |\n|---|---|---|\n");
            none_yet = false;
        }
        let default = match (key.default, key.values.required) {
            (_, true) => "*required*".to_owned(),
            ("", false) => "*absent*".to_owned(),
            (default, false) => format!("`{default}`"),
        };
        let _ = writeln!(text, "| `{}` | {default} | {} |", key.name, about(key));
    }
}

/// Whether it has a row in its section's table, and no section of its own.
fn stands_alone(key: &Key) -> bool {
    match key.shape {
        Shape::Value => true,
        // A route's headers and conditions; [roles] and [scopes] have sections.
        Shape::Free(below) => below.is_empty() && key.name != "scopes",
        Shape::Section(_) | Shape::Entries(_) => false,
    }
}

fn about(key: &Key) -> String {
    let mut about = plain(key.about).replace('|', "\\|");
    if let Some(words) = key.values.takes.strip_prefix("one of ") {
        let _ = write!(about, " {}.", words.split(' ').map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "));
    }
    let later = key.values.later_words;
    if !later.is_empty() {
        let words = later.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
        let _ = write!(about, " *Not available yet:* {words}.");
    }
    if key.values.later {
        about.push_str(" *Not available yet.*");
    }
    about
}

fn plain(about: &str) -> String {
    about.split_whitespace().collect::<Vec<_>>().join(" ")
}
