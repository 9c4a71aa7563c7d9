//! What keys have around their types: required, optional, arrays, tables of free names, and what is not built yet.

use serde_json::Value as Json;

use super::document::{Node, Value};
use super::json_schema;
use super::report::{Finding, Report, Span};
use super::schema::{At, FromNode, Shape};
use super::values::table;

/// A key that must be there.
#[derive(Clone, Debug)]
pub(crate) struct Required<T>(pub(crate) Option<T>);

impl<T: FromNode> FromNode for Required<T> {
    const TAKES: &'static str = T::TAKES;
    const SHAPE: Shape = T::SHAPE;
    const REQUIRED: bool = true;

    fn schema() -> Json {
        T::schema()
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(|value| Self(Some(value)))
    }

    fn absent() -> Option<Self> {
        Some(Self(None))
    }

    fn missing(name: &str, section: Span, report: &mut Report) {
        report.error(section, Finding::new(format!("`{name}` is missing")).help(format!("add `{name}`: {}", T::TAKES)));
    }
}

impl<T: FromNode> FromNode for Option<T> {
    const TAKES: &'static str = T::TAKES;
    const SHAPE: Shape = T::SHAPE;

    fn schema() -> Json {
        T::schema()
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// An array; each element keeps its place.
impl<T: FromNode> FromNode for Vec<At<T>> {
    const TAKES: &'static str = "an array";
    const SHAPE: Shape = if let Shape::Section(keys) = T::SHAPE { Shape::Entries(keys) } else { Shape::Value };

    fn schema() -> Json {
        json_schema::array(T::schema())
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            let finding = Finding::new(format!("`{}` takes an array, not {}", node.name, node.value.kind()));
            let help = match (T::SHAPE, &node.value) {
                (Shape::Section(_), Value::Table(_)) => format!("write [[{}]]", node.name),
                _ => "put it in brackets: [ … ]".to_owned(),
            };
            report.error(node.span, finding.help(help));
            return None;
        };
        // Elements that are wrong were filed; the others are looked at further. An array of wrong ones only is not an empty one.
        let good: Self = items.iter().filter_map(|item| read_at(item, report)).collect();
        (items.is_empty() || !good.is_empty()).then_some(good)
    }
}

/// An array that is of no use without an element. That there is none is said by who checks it, in its own words.
#[derive(Clone, Debug)]
pub(crate) struct Filled<T>(pub(crate) Vec<At<T>>);

impl<T: FromNode> FromNode for Filled<T> {
    const TAKES: &'static str = Vec::<At<T>>::TAKES;
    const SHAPE: Shape = Vec::<At<T>>::SHAPE;

    fn schema() -> Json {
        json_schema::filled(T::schema())
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        Vec::read(node, report).map(Self)
    }
}

fn read_at<T: FromNode>(node: &Node, report: &mut Report) -> Option<At<T>> {
    if matches!(node.value, Value::Broken) {
        return None;
    }
    T::read(node, report).map(|value| At { value, span: node.span, set: true })
}

/// A table whose names the operator chooses.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    /// A name of the table.
    pub(crate) name: At<String>,
    /// What stands behind it.
    pub(crate) value: At<T>,
}

impl<T: FromNode> FromNode for Vec<Named<T>> {
    const TAKES: &'static str = "a table";
    const SHAPE: Shape = Shape::Free(if let Shape::Section(keys) = T::SHAPE { keys } else { &[] });

    fn schema() -> Json {
        json_schema::named(T::schema())
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let entries = &table(node, Self::TAKES, report)?.entries;
        Some(
            entries
                .iter()
                .filter_map(|entry| {
                    let name = At { value: entry.key.clone(), span: entry.key_span, set: true };
                    read_at(&entry.node, report).map(|value| Named { name, value })
                })
                .collect(),
        )
    }
}

/// A key whose feature is not built yet: only its default is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later;

impl FromNode for Later {
    const TAKES: &'static str = "its default only";
    const LATER: bool = true;

    fn read(_: &Node, _: &mut Report) -> Option<Self> {
        Some(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self)
    }
}
