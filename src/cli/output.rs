//! What goes to stdout: JSON, or tables for people.

use std::io::{self, ErrorKind, Write};

use serde_json::Value;

use super::Failure;
use super::args::Format;
use crate::telemetry::printable;

/// A cell's characters beyond this are cut.
const MAX_CELL: usize = 48;

/// Writes `text` to stdout. Nobody reading on is no failure: `portcullis user list | head`.
pub(super) fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::could_not(format!("the result can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes `text` to stderr. What nobody can be told is not told: `portcullis check 2>&1 | head`.
pub(super) fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints `values` as one JSON array, or as a table of `columns`.
pub(super) fn list(format: Format, values: &[Value], columns: &[(&str, &str)]) -> Result<(), Failure> {
    match format {
        Format::Json => json(&Value::Array(values.to_vec())),
        Format::Text => put(&table(values, columns)),
    }
}

/// Prints one object as JSON, or a line for each of its members.
pub(super) fn object(format: Format, value: &Value) -> Result<(), Failure> {
    match format {
        Format::Json => json(value),
        Format::Text => {
            let members = value.as_object().into_iter().flatten();
            let rows: Vec<[String; 2]> = members.map(|(name, value)| [name.clone(), cell(value, usize::MAX)]).collect();
            put(&aligned(&rows))
        }
    }
}

/// Prints a value as JSON that people can read too.
pub(super) fn json(value: &Value) -> Result<(), Failure> {
    put(&format!("{value:#}\n"))
}

fn table(values: &[Value], columns: &[(&str, &str)]) -> String {
    let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    rows.extend(
        values
            .iter()
            .map(|value| columns.iter().map(|(_, member)| cell(value.get(member).unwrap_or(&Value::Null), MAX_CELL)).collect()),
    );
    aligned(&rows)
}

/// A value as people write it; what a client chose, such as a device's name, can't steer the terminal.
fn cell(value: &Value, most: usize) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(|item| cell(item, usize::MAX)).collect::<Vec<_>>().join(","),
        Value::Object(members) if members.is_empty() => "-".to_owned(),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let mut shown: String = printable(&text).chars().take(most).collect();
    if text.chars().count() > most {
        shown.push('…');
    }
    shown
}

/// Columns side by side, the last without spaces behind it.
fn aligned<R: AsRef<[String]>>(rows: &[R]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.as_ref().get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.as_ref().iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_says_dash_for_nothing() {
        let values = [
            json!({ "name": "ann", "roles": ["admin", "user"], "disabled": false, "email": null }),
            json!({ "name": "a-longer-name", "roles": [], "disabled": true, "email": "b@example.com" }),
        ];
        let columns = [("NAME", "name"), ("ROLES", "roles"), ("DISABLED", "disabled"), ("EMAIL", "email")];
        insta::assert_snapshot!(table(&values, &columns), @r"
        NAME           ROLES       DISABLED  EMAIL
        ann            admin,user  no        -
        a-longer-name  -           yes       b@example.com
        ");
    }

    #[test]
    fn a_device_name_cannot_steer_the_terminal() {
        let shown = cell(&json!("evil\u{1b}[2J\nname"), MAX_CELL);
        assert_eq!(shown, "evil\\u001b[2J\\nname");
        assert!(cell(&json!("x".repeat(500)), MAX_CELL).chars().count() <= MAX_CELL + 1);
    }
}
