//! Documents whose commands are pasted into a shell as they stand, on ports that are free here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::gateway::free_address;

/// Ports of the defaults, which a document need not name to use.
const DEFAULTS: [&str; 2] = ["8080", "9901"];
/// What a port stands behind in a document.
const BEFORE_A_PORT: [&str; 5] = ["127.0.0.1:", "localhost:", "[::1]:", "--port ", "http.server "];

/// A document of this project.
pub(crate) fn document(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the document")
}

/// Runs all `sh` blocks of `document` in one bash with job control, in an empty folder, with this build of `portcullis` on the
/// path. All lines of its `text` blocks have to follow each other in what that prints.
pub(crate) fn works_as_pasted(document: &str) {
    let mut script = blocks(document, "sh").join("\n");
    assert!(!script.is_empty(), "nothing to paste");
    let mut renumber = String::from("sed -i");
    let mut expected: Vec<String> = blocks(document, "text").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let free: Vec<(String, String)> = ports(&script).into_iter().map(|port| (port, free_address().port().to_string())).collect();
    script = renumbered(&script, &free);
    for line in &mut expected {
        *line = renumbered(line, &free);
    }
    for (port, free) in &free {
        write!(renumber, " -e 's/\\b{port}\\b/{free}/'").expect("a string");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let tools = tempfile::tempdir().expect("a folder");
    // What `init` writes has the same ports.
    let wrapper = tools.path().join("portcullis");
    let binary = env!("CARGO_BIN_EXE_portcullis");
    let init = format!(
        "#!/bin/sh\n[ \"$1\" = init ] || exec {binary} \"$@\"\n{binary} \"$@\" || exit\n\
         case \"$2\" in ''|-*) ;; *) cd \"$2\" ;; esac\n{renumber} gateway.toml routes/*.toml\n"
    );
    std::fs::write(&wrapper, init).expect("written");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap_or_default());
    let run = Command::new("timeout")
        .args(["--kill-after=5", "90", "bash", "-c", &format!("set -m\n{script}\n")])
        .current_dir(dir.path())
        .env("PATH", path)
        .env_remove("RUST_LOG")
        .env_remove("PORTCULLIS_CONFIG")
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let mut rest = said.as_str();
    for line in &expected {
        let Some(at) = rest.find(line.as_str()) else {
            panic!("`{line}` does not follow in:\n{said}\n{}", String::from_utf8_lossy(&run.stderr));
        };
        rest = rest.get(at + line.len()..).unwrap_or_default();
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("the folder").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "it does not tidy up: {left:?}\n{said}\n{}", String::from_utf8_lossy(&run.stderr));
}

/// The text with a free port in the place of each: all at once, since one may stand within another.
fn renumbered(text: &str, free: &[(String, String)]) -> String {
    let mark = |nth: usize| format!("\u{1}{nth}\u{1}");
    let marked = free.iter().enumerate().fold(text.to_owned(), |text, (nth, (port, _))| text.replace(port, &mark(nth)));
    free.iter().enumerate().fold(marked, |text, (nth, (_, free))| text.replace(&mark(nth), free))
}

/// What a document has in fenced blocks of one language, in order.
pub(crate) fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
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

fn ports(script: &str) -> BTreeSet<String> {
    let after = |before: &'static str| {
        script.match_indices(before).map(move |(at, _)| {
            let digits: String = script[at + before.len()..].chars().take_while(char::is_ascii_digit).collect();
            digits
        })
    };
    let named = BEFORE_A_PORT.into_iter().flat_map(after).filter(|port| (4..=5).contains(&port.len()));
    named.chain(DEFAULTS.map(str::to_owned)).collect()
}
