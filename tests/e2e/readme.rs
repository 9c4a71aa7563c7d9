//! The README's tour: pasted into a shell as it stands, on ports that are free here.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::gateway::free_address;

/// What the tour has in fenced blocks of one language, in order.
fn blocks(tour: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = tour.lines();
    while let Some(line) = lines.next() {
        if let Some(of) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if of == language {
                found.push(block.join("\n"));
            }
        }
    }
    found
}

#[test]
fn the_tour_works_as_pasted() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the README");
    let tour = readme.split("\n## A tour\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a tour");
    let texts = blocks(tour, "text");
    let mut tour = blocks(tour, "sh").join("\n");
    let mut renumber = String::from("sed -i");
    for port in ["8080", "8081", "9000", "9001", "9901", "9902", "6379"] {
        let free = free_address().port().to_string();
        tour = tour.replace(port, &free);
        write!(renumber, " -e s/{port}/{free}/").expect("a string");
    }
    let dir = tempfile::tempdir().expect("a folder");
    // What `init` writes has the same ports.
    let wrapper = dir.path().join("portcullis");
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let init = format!(
        "#!/bin/sh\n[ \"$1\" = init ] || exec {binary} \"$@\"\n{binary} \"$@\" && {renumber} gateway.toml routes/*.toml\n"
    );
    std::fs::write(&wrapper, init).expect("written");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap_or_default());
    let script = format!("set -m\n{tour}\n");
    let run = Command::new("timeout")
        .args(["--kill-after=5", "90", "bash", "-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let mut rest = said.as_str();
    for line in texts.iter().flat_map(|block| block.lines()) {
        let Some(at) = rest.find(line) else {
            panic!("`{line}` does not follow in:\n{said}\n{}", String::from_utf8_lossy(&run.stderr));
        };
        rest = rest.get(at + line.len()..).unwrap_or_default();
    }
    assert!(!dir.path().join("tour").exists(), "the tour tidies up");
}
