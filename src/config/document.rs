//! A TOML text as a tree that knows where everything stands.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::interpolate::interpolate;
use super::report::{Finding, Report, Span};
use super::schema::nearest;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Node {
    /// Where.
    pub(crate) span: Span,
    /// Its dotted name, such as `server.limits.header`.
    pub(crate) name: String,
    /// What.
    pub(crate) value: Value,
    /// The text of an environment override, which a key that takes strings takes as it is.
    pub(crate) verbatim: Option<String>,
}

/// What a node holds.
#[derive(Clone)]
pub(crate) enum Value {
    /// A string; `literal` when nothing was interpolated into it.
    String {
        /// With everything interpolated.
        text: String,
        /// Whether it stands in the file as it is.
        literal: bool,
    },
    /// A whole number; `None` when it has more than 64 bits.
    Integer(Option<i64>),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or a time: no key takes one.
    Datetime,
    /// `[…]`
    Array(Vec<Node>),
    /// `{…}` or `[…]` with the keys below it.
    Table(Table),
    /// A syntax error was found here already, or a name that could not be interpolated.
    Broken,
}

/// A table: its entries as they stand in the file.
#[derive(Clone, Default)]
pub(crate) struct Table {
    /// Its header, its braces, or the key that made it.
    pub(crate) span: Span,
    /// Its dotted name; empty for the whole file.
    pub(crate) name: String,
    /// In the order of the file.
    pub(crate) entries: Vec<Entry>,
}

/// One `key = value`.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The key alone.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// Its value.
    pub(crate) node: Node,
}

impl Table {
    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The name that `key` has in messages.
    pub(crate) fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

impl Value {
    /// What messages call it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::String { .. } => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Broken => "broken",
        }
    }

    /// Whether both say the same, wherever they stand.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String { text: a, .. }, Self::String { text: b, .. }) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value.same(&b.value)),
            // A table that leaves keys out says their defaults.
            (Self::Table(a), Self::Table(b)) => {
                a.entries.iter().all(|entry| b.get(&entry.key).is_some_and(|other| entry.node.value.same(&other.value)))
            }
            _ => false,
        }
    }
}

/// What strings are interpolated with.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// `${NAME}`
    pub(crate) env: &'a Environment,
    /// Where the paths of `${file:…}` begin.
    pub(crate) folder: &'a Path,
}

/// Reads a whole file that was added to the report as `source`; syntax errors are filed, and what could be read is given.
pub(crate) fn parse(source: usize, text: &str, around: Surroundings<'_>, report: &mut Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        report.syntax_error(Span::new(source, span), Finding::new(sentence(error.message())));
    }
    let mut builder = Builder { source, around: Some(around), report };
    builder.table(table.get_ref(), Span::new(source, 0..0), String::new())
}

/// Reads the value of an environment override: TOML, or else the text itself.
pub(crate) fn parse_override(source: usize, name: String, text: &str, report: &mut Report) -> Node {
    let span = Span::new(source, 0..text.len());
    match DeValue::parse(text) {
        Ok(value) => {
            let node = Builder { source, around: None, report }.node(&value, name);
            Node { span, verbatim: Some(text.to_owned()), ..node }
        }
        Err(_) => Node { span, name, value: Value::String { text: text.to_owned(), literal: false }, verbatim: None },
    }
}

/// Reads the default of a key, as if it stood at `span`.
pub(crate) fn parse_default(text: &str, span: Span, name: &str, report: &mut Report) -> Node {
    if let Some(value) = plain(text, span, name) {
        return Node { span, name: name.to_owned(), value, verbatim: None };
    }
    let source = usize::MAX;
    #[cfg(test)]
    parses::one();
    let mut node = match DeValue::parse(text) {
        Ok(value) => Builder { source, around: None, report }.node(&value, name.to_owned()),
        Err(_) => Node { span, name: name.to_owned(), value: Value::Broken, verbatim: None },
    };
    node.move_to(span);
    node
}

/// What a default says whose text is its value: most are, and each route has dozens of them.
fn plain(text: &str, span: Span, name: &str) -> Option<Value> {
    let inside = |open, close| text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
    Some(match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        "{}" => Value::Table(Table { span, name: name.to_owned(), entries: Vec::new() }),
        "[]" => Value::Array(Vec::new()),
        _ => {
            if let Some(items) = inside('[', ']') {
                let item = |text| Some(Node { span, name: name.to_owned(), value: plain_string(text)?, verbatim: None });
                return items.split(", ").map(item).collect::<Option<_>>().map(Value::Array);
            }
            return plain_string(text);
        }
    })
}

fn plain_string(text: &str) -> Option<Value> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = inner.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
    plain.then(|| Value::String { text: inner.to_owned(), literal: true })
}

impl Node {
    fn move_to(&mut self, span: Span) {
        self.span = span;
        match &mut self.value {
            Value::Array(items) => items.iter_mut().for_each(|item| item.move_to(span)),
            Value::Table(table) => {
                table.span = span;
                for entry in &mut table.entries {
                    entry.key_span = span;
                    entry.node.move_to(span);
                }
            }
            Value::String { .. } | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime | Value::Broken => {}
        }
    }
}

struct Builder<'a, 'r> {
    source: usize,
    around: Option<Surroundings<'a>>,
    report: &'r mut Report,
}

impl Builder<'_, '_> {
    fn table(&mut self, table: &DeTable<'_>, span: Span, name: String) -> Table {
        let mut made = Table { span, name, entries: Vec::new() };
        for (key, value) in table {
            let node = self.node(value, made.name_of(key.get_ref()));
            made.entries.push(Entry { key: key.get_ref().to_string(), key_span: Span::new(self.source, key.span()), node });
        }
        made.entries.sort_by_key(|entry| entry.key_span);
        made
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>, name: String) -> Node {
        let span = Span::new(self.source, value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => self.string(text, span, &name),
            // Recovering from a syntax error leaves an empty number.
            DeValue::Integer(number) if number.as_str().is_empty() || value.span().is_empty() => Value::Broken,
            DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Broken, Value::Float),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.node(item, name.clone())).collect()),
            DeValue::Table(table) => Value::Table(self.table(table, span, name.clone())),
        };
        Node { span, name, value, verbatim: None }
    }

    fn string(&mut self, text: &str, span: Span, name: &str) -> Value {
        let Some(around) = self.around else {
            return Value::String { text: text.to_owned(), literal: true };
        };
        match interpolate(text, around) {
            Ok((text, literal)) => Value::String { text, literal },
            Err(finding) => {
                if may_be_secret(name) {
                    self.report.hide_secret(span);
                }
                self.report.error(span, finding);
                Value::Broken
            }
        }
    }
}

/// Whether what stands behind a key of this name may be a secret; misspelled ones too.
pub(crate) fn may_be_secret(name: &str) -> bool {
    let key = name.rsplit('.').next().unwrap_or_default();
    nearest(key, &["secret", "password", "url", "smtp", "token", "authorization", "cookie"]).is_some()
}

fn sentence(message: &str) -> String {
    format!("this is not TOML: {message}")
}

/// How often a default had to be read as TOML on this thread.
#[cfg(test)]
pub(crate) mod parses {
    use std::cell::Cell;

    thread_local!(static PARSES: Cell<usize> = const { Cell::new(0) });

    pub(super) fn one() {
        PARSES.set(PARSES.get() + 1);
    }

    /// Those so far.
    pub(crate) fn so_far() -> usize {
        PARSES.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_toml(text: &str) -> Value {
        let mut report = Report::default();
        let value = DeValue::parse(text).expect("TOML");
        Builder { source: 0, around: None, report: &mut report }.node(&value, "x".to_owned()).value
    }

    #[test]
    fn what_is_read_without_a_parser_is_what_the_parser_reads() {
        for text in
            ["true", "false", "[]", "{}", r#""""#, r#""a b""#, r#"["a"]"#, r#"["a", "b, c"]"#, r#"[ "a" ]"#, r#""\n""#, "5"]
        {
            if let Some(value) = plain(text, Span::default(), "x") {
                let read = as_toml(text);
                assert!(value.kind() == read.kind() && value.same(&read) && read.same(&value), "{text}");
            }
        }
        for text in [r#""\n""#, r#""a" "b""#, "5", "[5]", r#"["a","b"]"#, r#"["a", ["b"]]"#, "{ a = 1 }", r#""ä""#] {
            assert!(plain(text, Span::default(), "x").is_none(), "{text}");
        }
        assert!(plain(r#"["bearer", "session"]"#, Span::default(), "x").is_some());
    }
}
