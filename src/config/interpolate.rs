//! `${NAME}`, `${NAME:-default}`, `${file:/path}` and `$${` in strings, after parsing.

use super::document::Surroundings;
use super::environment::Variable;
use super::report::Finding;

/// The text with everything filled in, and whether there was nothing to fill in.
pub(crate) fn interpolate(text: &str, around: Surroundings<'_>) -> Result<(String, bool), Finding> {
    let mut filled = String::with_capacity(text.len());
    let mut literal = true;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            filled.push_str(escaped);
            filled.push_str("${");
            rest = after;
            continue;
        }
        filled.push_str(before);
        let Some((inner, after)) = after.split_once('}') else {
            return Err(Finding::new("`${` without its `}`").help("write `${NAME}`, or `$${` for the two characters themselves"));
        };
        filled.push_str(&value_of(inner, around)?);
        literal = false;
        rest = after;
    }
    filled.push_str(rest);
    Ok((filled, literal))
}

fn value_of(inner: &str, around: Surroundings<'_>) -> Result<String, Finding> {
    if let Some(path) = inner.strip_prefix("file:") {
        return content_of(path, around);
    }
    let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        return Err(Finding::new(format!("`${{{inner}}}` does not name an environment variable"))
            .help("write `${NAME}`, `${NAME:-default}` or `${file:/path}`; `$${` stands for the two characters themselves"));
    }
    match (around.env.get(name), default) {
        (Variable::NotText, _) => Err(Finding::new(format!("the environment variable `{name}` is not UTF-8"))),
        // As in a shell: with `:-` an empty variable is an unset one.
        (Variable::Unset | Variable::Text(""), Some(default)) => Ok(default.to_owned()),
        (Variable::Text(value), _) => Ok(value.to_owned()),
        (Variable::Unset, None) => Err(Finding::new(format!("the environment variable `{name}` is not set"))
            .help(format!("set `{name}`, or write `${{{name}:-default}}`"))),
    }
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// A file's text without its last line break.
fn content_of(path: &str, around: Surroundings<'_>) -> Result<String, Finding> {
    let mut text = std::fs::read_to_string(around.folder.join(path)).map_err(|error| {
        Finding::new(format!("the file `{path}` can't be read: {error}"))
            .help("a `${file:…}` path is absolute, or relative to the folder of this file")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn filled(text: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "s3cret\n\n").expect("a file");
        let env: Environment = [("NAME", "value"), ("EMPTY", ""), ("NESTED", "${NAME}")].into_iter().collect();
        interpolate(text, Surroundings { env: &env, folder: folder.path() }).ok().map(|(text, _)| text)
    }

    #[test]
    fn variables_and_files_are_filled_in_once() {
        assert_eq!(filled("a ${NAME} b ${NAME}").as_deref(), Some("a value b value"));
        assert_eq!(filled("${NESTED}").as_deref(), Some("${NAME}"));
        assert_eq!(filled("[${file:secret}]").as_deref(), Some("[s3cret\n]"));
    }

    #[test]
    fn a_default_stands_in_for_what_is_unset_or_empty() {
        assert_eq!(filled("${UNSET:-else}").as_deref(), Some("else"));
        assert_eq!(filled("${EMPTY:-else}").as_deref(), Some("else"));
        assert_eq!(filled("${UNSET:-}").as_deref(), Some(""));
        assert_eq!(filled("${EMPTY}").as_deref(), Some(""));
        assert_eq!(filled("${NAME:-else}").as_deref(), Some("value"));
    }

    #[test]
    fn two_dollars_are_the_characters_themselves() {
        assert_eq!(filled("$${NAME}").as_deref(), Some("${NAME}"));
        assert_eq!(filled("$5 and $$").as_deref(), Some("$5 and $$"));
    }

    #[test]
    fn what_is_unset_unreadable_or_malformed_is_an_error() {
        for text in ["${UNSET}", "${file:/does/not/exist}", "${NAME", "${}", "${a b}", "${1A}"] {
            assert_eq!(filled(text), None, "{text}");
        }
    }
}
