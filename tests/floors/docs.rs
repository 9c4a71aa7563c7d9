//! What the documentation says is what the program does.

#![expect(clippy::expect_used, reason = "what a test can't go on without fails the test")]

use std::fs;
use std::path::Path;

use portcullis::telemetry::metrics::ALL;

fn doc(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the document")
}

#[test]
fn every_metric_is_documented_with_its_type_and_labels_and_no_other_is() {
    let text = doc("docs/metrics.md");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{}` | {} | {} |", metric.name, metric.kind.as_str(), labels.join(", "));
        assert!(text.contains(&row), "docs/metrics.md lacks: {row}");
    }
    assert_eq!(
        text.lines().filter(|line| line.starts_with("| `portcullis_")).count(),
        ALL.len(),
        "a metric too many is documented"
    );
}

#[test]
fn the_invariants_name_tests_that_exist() {
    let text = doc("src/ARCHITECTURE.md");
    let (_, text) = text.split_once("## Invariants").expect("the section");
    let (text, _) = text.split_once("\n## ").expect("a section after it");
    let mut sources = String::new();
    for dir in ["src", "tests"] {
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut sources);
    }
    let named: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("::"))
        .flat_map(|line| line.split('`'))
        .filter(|word| word.contains("::") && !word.contains(' '))
        .filter_map(|word| word.rsplit("::").next())
        .collect();
    assert!(!named.is_empty());
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "src/ARCHITECTURE.md names the test `{name}`, which there is not");
    }
}

fn read_all(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}
