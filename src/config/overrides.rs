//! `PORTCULLIS__SECTION__KEY`: keys that the environment overrides.

use super::document::{Entry, Node, Table, Value, parse_override};
use super::environment::Environment;
use super::report::{Finding, Report, Span};
use super::schema::{Key, Shape, nearest};

const PREFIX: &str = "PORTCULLIS__";

/// The variable that overrides the key `name` of gateway.toml, where there is one.
pub(crate) fn variable(name: &str) -> Option<String> {
    let path: Vec<&str> = name.split('.').collect();
    resolve(&path, super::raw::Gateway::KEYS).ok()?;
    Some(format!("{PREFIX}{}", name.to_uppercase().replace('.', "__")))
}

/// Puts every override of `env` into the file's tree.
pub(crate) fn apply(root: &mut Table, keys: &'static [Key], env: &Environment, report: &mut Report) {
    for (variable, value) in env.starting_with(PREFIX) {
        let source = report.add_variable(variable, value.unwrap_or_default().to_owned());
        let whole = Span::new(source, 0..value.map_or(0, str::len));
        // Until it is known to be shown safely: it may be a secret.
        let name = variable.get(PREFIX.len()..).unwrap_or_default().to_lowercase();
        let path: Vec<&str> = name.split("__").collect();
        match (resolve(&path, keys), value) {
            (Err(finding), _) => {
                report.hide(whole);
                report.error(whole, finding);
            }
            (Ok(()), None) => report.error(whole, format!("the environment variable `{variable}` is not UTF-8")),
            (Ok(()), Some(value)) => {
                let node = parse_override(source, path.join("."), value, report);
                put(root, &path, node);
            }
        }
    }
}

/// Whether `path` names a key that can be overridden.
fn resolve(path: &[&str], mut keys: &'static [Key]) -> Result<(), Finding> {
    for (depth, name) in path.iter().enumerate() {
        let Some(key) = keys.iter().find(|key| key.name == *name) else {
            return Err(unknown(path, depth, keys));
        };
        let last = depth + 1 == path.len();
        match key.shape {
            Shape::Entries(_) => {
                return Err(Finding::new(format!("entries of `[[{name}]]` can't be overridden by the environment"))
                    .help(format!("write them in the file, with `${{NAME}}` for what differs: `[[{name}]]`")));
            }
            Shape::Section(below) if !last => keys = below,
            // One entry of a table with free names, or the table whole.
            Shape::Free(_) if path.len() <= depth + 2 => return Ok(()),
            _ if last => return Ok(()),
            Shape::Value | Shape::Section(_) | Shape::Free(_) => return Err(unknown(path, depth + 1, &[])),
        }
    }
    Ok(())
}

fn unknown(path: &[&str], depth: usize, keys: &[Key]) -> Finding {
    let finding = Finding::new(format!("this overrides no key: there is no `{}`", path.join(".")));
    let names: Vec<_> = keys.iter().map(|key| key.name).collect();
    let word = path.get(depth).copied().unwrap_or_default();
    let before: String = path.iter().take(depth).map(|name| name.to_uppercase() + "__").collect();
    match nearest(word, &names) {
        Some(name) => finding.help(format!("did you mean `{PREFIX}{before}{}`?", name.to_uppercase())),
        None if names.is_empty() => {
            finding.help(format!("`{}` has no keys below it", path.get(..depth).unwrap_or_default().join(".")))
        }
        None => finding.help(format!("what there is: {}", super::schema::quoted_list(&names))),
    }
}

fn put(table: &mut Table, path: &[&str], node: Node) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let full = table.name_of(name);
    let at = table.entries.iter().position(|entry| entry.key == *name).unwrap_or_else(|| {
        let value = Value::Table(Table { span: node.span, name: full.clone(), entries: Vec::new() });
        let node = Node { span: node.span, name: full, value, verbatim: None };
        table.entries.push(Entry { key: (*name).to_owned(), key_span: node.span, node });
        table.entries.len() - 1
    });
    let Some(entry) = table.entries.get_mut(at) else {
        return;
    };
    if rest.is_empty() {
        entry.key_span = node.span;
        entry.node = node;
    } else if let Value::Table(below) = &mut entry.node.value {
        put(below, rest, node);
    }
}
