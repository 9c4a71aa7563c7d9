//! JSON Schemas (draft 2020-12) of the files, made of the keys as they are declared: what editors complete and check by.
//!
//! A schema takes what the loader takes, as far as one can say it: names, types, words and forms, not what depends on another
//! key, a file or the environment.

use serde_json::{Map, Value as Json, json};

use super::raw;
use super::schema::{Key, Shape};

/// `${NAME}` and its like: wherever a string stands it may hold one, and what comes of it is not known here.
const FILLED: &str = r"\$\{[^}]+\}";

/// gateway.toml's.
#[must_use]
pub fn gateway_schema() -> Json {
    titled("gateway.toml", "Portcullis: the gateway's configuration.", object(raw::Gateway::KEYS.iter()))
}

/// A whole file's schema.
pub(crate) fn titled(title: &str, about: &str, mut schema: Json) -> Json {
    if let Json::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".to_owned(), title.into());
        members.insert("description".to_owned(), about.into());
    }
    schema
}

/// A table of these keys and no others.
pub(crate) fn object<'k>(keys: impl Iterator<Item = &'k Key> + Clone) -> Json {
    let properties: Map<String, Json> = keys.clone().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.filter(|key| key.values.required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Json::Object(members), false) = (&mut schema, required.is_empty()) {
        members.insert("required".to_owned(), json!(required));
    }
    schema
}

fn property(key: &Key) -> Json {
    let default = default(key.default);
    let mut schema = match (&default, key.values.default_only) {
        (Some(default), true) => json!({ "const": default }),
        (None, true) => nothing(),
        (_, false) => (key.values.schema)(),
    };
    if schema == json!(true) {
        schema = json!({});
    }
    if let Json::Object(members) = &mut schema {
        let about = key.about.split_whitespace().collect::<Vec<_>>().join(" ");
        let later = if key.values.later { " Not available yet." } else { "" };
        members.insert("description".to_owned(), format!("{about}{later}").into());
        // That of a section is what its keys say.
        if let (Some(default), false) = (default, matches!(key.shape, Shape::Section(_))) {
            members.insert("default".to_owned(), default);
        }
    }
    schema
}

/// A default as JSON; `None` where the key is absent.
fn default(toml: &str) -> Option<Json> {
    let table: toml::Table = format!("x = {toml}").parse().ok()?;
    serde_json::to_value(table.get("x")?).ok()
}

/// Takes no value at all.
pub(crate) fn nothing() -> Json {
    json!({ "not": {} })
}

/// Any string.
pub(crate) fn string() -> Json {
    json!({ "type": "string" })
}

/// A string of the form `pattern` (ECMA-262, unanchored), or one that is filled in.
pub(crate) fn text(pattern: &str) -> Json {
    json!({ "type": "string", "pattern": format!("^(?:{pattern})$|{FILLED}") })
}

/// One of `words`, or a string that is filled in.
pub(crate) fn words(words: &[&str]) -> Json {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": FILLED }] })
}

/// What either takes.
pub(crate) fn either(one: Json, other: Json) -> Json {
    with(Map::new(), "anyOf", Json::Array(vec![one, other]))
}

/// A list of `items`.
pub(crate) fn array(items: Json) -> Json {
    with(typed("array"), "items", items)
}

/// A list of one of `items` at least.
pub(crate) fn filled(items: Json) -> Json {
    let mut schema = typed("array");
    schema.insert("minItems".to_owned(), 1.into());
    with(schema, "items", items)
}

/// A table with names of the operator's choice.
pub(crate) fn named(values: Json) -> Json {
    with(typed("object"), "additionalProperties", values)
}

/// As [`named`], where each name is that of a header (RFC 9110 §5.1).
pub(crate) fn headers(values: Json) -> Json {
    let name = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
    let mut schema = typed("object");
    schema.insert("propertyNames".to_owned(), json!({ "pattern": name }));
    with(schema, "additionalProperties", values)
}

fn typed(name: &str) -> Map<String, Json> {
    Map::from_iter([("type".to_owned(), name.into())])
}

fn with(mut schema: Map<String, Json>, name: &str, value: Json) -> Json {
    schema.insert(name.to_owned(), value);
    Json::Object(schema)
}

/// What [`std::time::Duration`] reads, but for a bare `0`.
pub(crate) const DURATION: &str = r"\s*(?:\d[\d\s]*(?:\.\s*\d[\d\s]*)?(?:nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)\s*)+";
/// What comes before a duration that is more than nothing.
pub(crate) const SOME: &str = "(?=.*[1-9])";
/// What [`super::values::Size`] reads.
pub(crate) const SIZE: &str = r"\+?\d+|(?:\d+\.?\d*|\.\d+)\s*(?:[bB]|[kKmMgGtTpPeE][iI]?[bB]?)";
/// How the count of a [`super::Rate`] begins.
pub(crate) const RATE_COUNT: &str = r"\s*\+?0*[1-9]\d*\s*/";
/// What [`std::net::SocketAddr`] reads.
pub(crate) const SOCKET: &str = r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+(?:%\d+)?\]):\d{1,5}";
/// What [`ipnet::IpNet`] reads.
pub(crate) const NETWORK: &str = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)(?:/\d{1,3})?";
/// What [`crate::domain::Scope`] reads.
pub(crate) const SCOPE: &str = r"\*|[!#-)+-9;-\[\]-~]+(?::[!#-)+-9;-\[\]-~]+)*";

/// What a schema has against a file.
#[cfg(test)]
pub(crate) fn faults(schema: &Json, file: &str) -> Vec<String> {
    let table: toml::Table = file.parse().expect("TOML");
    let instance = serde_json::to_value(table).expect("JSON");
    let validator = jsonschema::validator_for(schema).expect("a schema");
    validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use ipnet::IpNet;

    use super::*;
    use crate::config::Rate;
    use crate::config::document::{Node, parse_default};
    use crate::config::report::{Report, Span};
    use crate::config::schema::FromNode;
    use crate::config::values::{Count, Size, Version, Wait};
    use crate::domain::Scope;

    fn agree<T: FromNode>(samples: &[&str]) {
        let validator = jsonschema::validator_for(&T::schema()).expect("a schema");
        for sample in samples {
            let node: Node = parse_default(sample, Span::default(), "x", &mut Report::default());
            let mut report = Report::default();
            let reads = T::read(&node, &mut report).is_some() && report.is_good();
            let instance = default(sample).expect("TOML");
            assert_eq!(validator.is_valid(&instance), reads, "{sample} as {}", T::TAKES);
        }
    }

    fn quoted(samples: &[&str]) -> Vec<String> {
        samples.iter().map(|sample| format!("{sample:?}")).collect()
    }

    #[test]
    fn a_schema_takes_what_the_loader_takes() {
        let all = quoted(&[
            "15m",
            "1h 30m",
            "1h30m",
            "1.5h",
            " 2 days ",
            "0",
            "0s",
            "10",
            "",
            "m",
            "1x",
            "-1s",
            "1 0s",
            "1.s",
            "3us",
            "5µs",
            "2M",
            "1Min",
            "1y2w",
            "16KiB",
            "16 kib",
            "1.5GB",
            "7",
            "7b",
            "7q",
            ".5k",
            "1e3",
            "KiB",
            "16Ki",
            "5/1m",
            "0/1m",
            "05/1m",
            "5 / 1m",
            "5/",
            "/1m",
            "5/1",
            "5/0m",
            "5/0h 1m",
            "0h 0m",
            "0h 1m",
            "0.0s",
            "00s",
            "1.2.3.4:80",
            "1.2.3.4",
            "[::1]:80",
            "::1",
            "localhost:80",
            ":80",
            "10.0.0.0/8",
            "::/0",
            "fe80::1",
            "a",
            "a:b",
            "a:*",
            "*",
            ":",
            "a:",
            "a b",
            "a\\b",
            "ä",
            "items:read",
        ]);
        let more = ["1", "0", "-1", "true", "[]", "[\"a\"]", "{}", "1.5", "1979-05-27", "65", "4097"];
        let all: Vec<&str> = all.iter().map(String::as_str).chain(more).collect();
        agree::<Duration>(&all);
        agree::<Wait>(&all);
        agree::<Size<0, { u64::MAX }>>(&all);
        agree::<Rate>(&all);
        agree::<SocketAddr>(&all);
        agree::<IpNet>(&all);
        agree::<Scope>(&all);
        agree::<Count<1, 64>>(&all);
        agree::<Version>(&all);
        agree::<bool>(&all);
        agree::<String>(&all);
        agree::<Vec<super::super::schema::At<String>>>(&all);
    }
}
