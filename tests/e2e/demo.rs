//! `demo`: what it prints works as pasted, and it leaves nothing behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::gateway::free_address;

#[test]
fn the_demo_prints_commands_that_work_as_pasted_and_leaves_nothing_behind() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["demo", "--listen", &free_address().to_string()])
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let mut commands = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().expect("stdout"));
    let mut shown = String::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).expect("a line") > 0, "the demo ended:\n{shown}");
        shown.push_str(&line);
        if let Some(command) = line.trim_end().strip_prefix("  $ ") {
            commands.push(command.to_owned());
        }
        if line.contains("Ctrl-C") {
            break;
        }
    }
    assert!(commands.len() >= 6, "{shown}");
    let pasted = Command::new("bash").args(["-c", &commands.join("\n")]).output().expect("bash");
    let said = String::from_utf8_lossy(&pasted.stdout).into_owned();
    assert!(pasted.status.success(), "{shown}\n{said}\n{}", String::from_utf8_lossy(&pasted.stderr));
    for part in ["missing_credential", "\"x-auth-user\"", "\"x-auth-method\": \"api_key\"", "insufficient_scope", "invalid_token"]
    {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(temp.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
