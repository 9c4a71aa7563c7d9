//! How a section is declared: each key once, with its type, its default and its reason. Reading, unknown keys, environment
//! overrides and the reference all come from that one line.

use serde_json::Value as Json;

use super::document::{Node, Table, Value, may_be_secret, parse_default};
use super::json_schema;
use super::report::{Finding, Report, Span};

/// A key that a section has.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it stands in the file.
    pub(crate) name: &'static str,
    /// Its default in TOML; empty: absent.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// What stands behind it.
    pub(crate) shape: Shape,
    /// What the reference and the JSON Schema say of its values.
    pub(crate) values: Values,
}

/// What the reference and the JSON Schema say of the values of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    /// What it takes, for messages.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made of it"))]
    pub(crate) takes: &'static str,
    /// What it takes, as a JSON Schema.
    pub(crate) schema: fn() -> Json,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// Whether nothing but the default is taken yet.
    pub(crate) later: bool,
    /// Whether it is a value, of which the default may be written.
    pub(crate) default_only: bool,
    /// The words that are not taken yet.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made of it"))]
    pub(crate) later_words: &'static [&'static str],
}

impl Values {
    /// Of the keys of a type.
    pub(crate) const fn of<T: FromNode>() -> Self {
        Self {
            takes: T::TAKES,
            schema: T::schema,
            required: T::REQUIRED,
            later: T::LATER,
            default_only: T::LATER,
            later_words: T::LATER_WORDS,
        }
    }
}

/// What stands behind a key, as far as names below it go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A value without names of its own.
    Value,
    /// A table of these keys.
    Section(&'static [Key]),
    /// `[[…]]`: tables of these keys.
    Entries(#[cfg_attr(not(test), expect(dead_code, reason = "the reference is made of it"))] &'static [Key]),
    /// A table whose names the operator chooses; behind each stand these keys, or a value.
    Free(#[cfg_attr(not(test), expect(dead_code, reason = "the reference is made of it"))] &'static [Key]),
}

/// A type that a key can have.
pub(crate) trait FromNode: Sized {
    /// What it takes, for messages: "a duration such as `\"15m\"`".
    const TAKES: &'static str;
    /// What stands behind it.
    const SHAPE: Shape = Shape::Value;
    /// Whether its feature is not built yet, so that only the default is taken.
    const LATER: bool = false;
    /// Words of it whose feature is not built yet.
    const LATER_WORDS: &'static [&'static str] = &[];
    /// Whether it must be there.
    const REQUIRED: bool = false;

    /// Reads it; `None` when what is wrong was filed.
    fn read(node: &Node, report: &mut Report) -> Option<Self>;

    /// What it takes, as a JSON Schema; `true` is anything, which no type of ours takes.
    fn schema() -> Json {
        if let Shape::Section(keys) = Self::SHAPE { json_schema::object(keys.iter()) } else { true.into() }
    }

    /// Its value where the key is absent and has no default.
    fn absent() -> Option<Self> {
        None
    }

    /// Files that the key is missing, where it must not be.
    fn missing(_name: &str, _section: Span, _report: &mut Report) {}
}

/// A value with the place that errors about it point to.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands; its section where it is a default.
    pub(crate) span: Span,
    /// Whether it was written down.
    pub(crate) set: bool,
}

/// Reads `key` of `table`; what is wrong is filed, and the default stands in.
pub(crate) fn get<T: FromNode>(table: &Table, key: &Key, report: &mut Report) -> At<T> {
    if let Some(node) = table.get(key.name) {
        if matches!(node.value, Value::Broken) {
            // Why was filed already.
            return At { value: default(table, key, report), span: node.span, set: true };
        }
        let value = if T::LATER && !is_default(node, key, report) {
            report.error(node.span, not_available(&node.name, key.default));
            None
        } else {
            T::read(node, report)
        };
        return At { value: value.unwrap_or_else(|| default(table, key, report)), span: node.span, set: true };
    }
    if !report.may_hide(table.span, &[key.name]) {
        T::missing(key.name, table.span, report);
    }
    At { value: default(table, key, report), span: table.span, set: false }
}

#[expect(clippy::expect_used, reason = "defaults are ours, and a test reads every one of them")]
fn default<T: FromNode>(table: &Table, key: &Key, report: &mut Report) -> T {
    if let Some(value) = T::absent() {
        return value;
    }
    // Nothing is told of a good one: its name needs not be whole.
    let node = parse_default(key.default, table.span, key.name, report);
    T::read(&node, report).expect("every default is good")
}

fn is_default(node: &Node, key: &Key, report: &mut Report) -> bool {
    if key.default.is_empty() {
        return false;
    }
    let default = parse_default(key.default, node.span, &node.name, report).value;
    // `1.2` in an environment variable is also the string "1.2".
    let verbatim = matches!((&default, &node.verbatim), (Value::String { text, .. }, Some(given)) if text == given);
    verbatim || node.value.same(&default)
}

/// The error about a value whose feature is not built yet.
pub(crate) fn not_available(name: &str, default: &str) -> Finding {
    let finding = Finding::new(format!("`{name}` is not available yet"));
    if matches!(default, "" | "[]" | "{}") {
        finding.help("leave it out")
    } else {
        finding.help(format!("leave it out, or write its default: {default}"))
    }
}

/// Files every key of `table` that is none of `keys`, with the nearest one.
pub(crate) fn refuse_unknown(table: &Table, keys: &[&Key], report: &mut Report) {
    for entry in &table.entries {
        if !keys.iter().any(|key| key.name == entry.key) {
            let names: Vec<_> = keys.iter().map(|key| key.name).collect();
            let name = table.name_of(&entry.key);
            if may_be_secret(&entry.key) {
                report.hide_secret(entry.node.span);
            }
            report.error(entry.key_span, Finding::new(format!("unknown key `{name}`")).help(did_you_mean(&entry.key, &names)));
        }
    }
}

/// "did you mean `x`?" where one of `names` is near, else all of them.
pub(crate) fn did_you_mean(word: &str, names: &[&str]) -> String {
    match nearest(word, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.is_empty() => "there is none to name here".to_owned(),
        None => format!("what there is: {}", quoted_list(names)),
    }
}

/// The name that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    names
        .iter()
        .map(|name| {
            let lower = name.to_lowercase();
            // One slip of the keyboard is near, however short the word.
            let slip: f64 = if strsim::damerau_levenshtein(&word, &lower) <= 1 { 0.9 } else { 0.0 };
            (strsim::jaro_winkler(&word, &lower).max(slip), *name)
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `` `a`, `b`, `c` ``
pub(crate) fn quoted_list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Declares a section: a struct of its keys, which reads itself and knows their names, defaults and reasons.
///
/// A field with `_` before it is a key whose feature is not built yet.
macro_rules! section {
    ($(#[doc = $doc:literal])+ $vis:vis struct $section:ident {
        $( $(#[doc = $about:literal])+ $key:ident $(as $name:literal)? : $type:ty = $default:expr, )*
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        $vis struct $section {
            $( $(#[doc = $about])+ $vis $key: $crate::config::schema::At<$type>, )*
        }

        impl $section {
            /// Its keys, in the order of the reference.
            $vis const KEYS: &'static [$crate::config::schema::Key] = &[ $( $crate::config::schema::Key {
                name: $crate::config::schema::section!(@name $key $($name)?),
                default: $default,
                about: concat!($($about),+),
                shape: <$type as $crate::config::schema::FromNode>::SHAPE,
                values: $crate::config::schema::Values::of::<$type>(),
            } ),* ];

            /// Reads its keys; unknown ones are not looked at.
            $vis fn of(table: &$crate::config::document::Table, report: &mut $crate::config::report::Report) -> Self {
                let mut keys = Self::KEYS.iter();
                Self {
                    $( $key: $crate::config::schema::next(&mut keys, table, report), )*
                }
            }
        }

        impl $crate::config::schema::FromNode for $section {
            const TAKES: &'static str = "a table";
            const SHAPE: $crate::config::schema::Shape = $crate::config::schema::Shape::Section(Self::KEYS);

            fn read(
                node: &$crate::config::document::Node,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                let table = $crate::config::values::table(node, Self::TAKES, report)?;
                let keys: Vec<_> = Self::KEYS.iter().collect();
                $crate::config::schema::refuse_unknown(table, &keys, report);
                Some(Self::of(table, report))
            }
        }
    };
    (@name $key:ident) => { stringify!($key) };
    (@name $key:ident $name:literal) => { $name };
}
pub(crate) use section;

/// The next key of a section; the macro walks fields and keys side by side.
#[expect(clippy::expect_used, reason = "the macro makes as many keys as fields")]
pub(crate) fn next<T: FromNode>(keys: &mut std::slice::Iter<'static, Key>, table: &Table, report: &mut Report) -> At<T> {
    get(table, keys.next().expect("a key for each field"), report)
}
