//! The types that keys have: numbers, durations, sizes, addresses, words. Each says what it takes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::Rate;
use super::document::{Node, Table, Value};
use super::json_schema;
use super::report::{Finding, Report};
use super::schema::FromNode;
use crate::domain::{Scope, SecretString};

/// Files that `node` is of another type than `takes`.
pub(crate) fn refuse(node: &Node, takes: &str, report: &mut Report) {
    let finding = Finding::new(format!("`{}` takes {takes}, not {}", node.name, node.value.kind()));
    let wants_string = takes.contains('"') || takes == String::TAKES;
    let quoted = matches!(node.value, Value::String { literal: true, .. });
    // An override that is no TOML, or a `${NAME}` where nothing but a string can hold one.
    let filled = matches!(node.value, Value::String { literal: false, .. });
    let bare = matches!(node.value, Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime);
    let help = if quoted && !wants_string {
        "write it without quotes".to_owned()
    } else if filled && !wants_string && !report.is_environment(node.span) {
        match super::overrides::variable(&node.name) {
            Some(variable) => format!("`${{…}}` gives strings only: leave the key out and set {variable}"),
            None => "`${…}` gives strings only: write the value itself".to_owned(),
        }
    } else if bare && wants_string {
        format!("put it in quotes: {takes}")
    } else {
        format!("write {takes}")
    };
    report.error(node.span, finding.help(help));
}

/// `node` as a table.
pub(crate) fn table<'n>(node: &'n Node, takes: &str, report: &mut Report) -> Option<&'n Table> {
    if let Value::Table(table) = &node.value {
        return Some(table);
    }
    refuse(node, takes, report);
    None
}

/// `node` as a string, and whether it stands in the file as it is.
pub(crate) fn string<'n>(node: &'n Node, takes: &str, report: &mut Report) -> Option<(&'n str, bool)> {
    match (&node.value, &node.verbatim) {
        (Value::String { text, literal }, _) => Some((text, *literal)),
        (Value::Array(_) | Value::Table(_) | Value::Broken, _) | (_, None) => {
            refuse(node, takes, report);
            None
        }
        (_, Some(text)) => Some((text, false)),
    }
}

/// Reads a string with `parse`, which says what is wrong with it.
pub(crate) fn parsed<T>(
    node: &Node,
    takes: &str,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, Finding>,
) -> Option<T> {
    let (text, _) = string(node, takes, report)?;
    parse(text).map_err(|finding| report.error(node.span, finding)).ok()
}

impl FromNode for bool {
    const TAKES: &'static str = "`true` or `false`";

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if let Value::Boolean(value) = node.value {
            return Some(value);
        }
        refuse(node, Self::TAKES, report);
        None
    }
}

impl FromNode for String {
    const TAKES: &'static str = "a string";

    fn schema() -> Json {
        json_schema::string()
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        string(node, Self::TAKES, report).map(|(text, _)| text.to_owned())
    }
}

/// A string that is not shown.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    /// The string.
    pub(crate) value: SecretString,
    /// Whether it stands in the file as it is.
    pub(crate) literal: bool,
}

impl FromNode for Secret {
    const TAKES: &'static str = "a string";

    fn schema() -> Json {
        json_schema::string()
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        report.hide_secret(node.span);
        let (text, literal) = string(node, Self::TAKES, report)?;
        Some(Self { value: text.into(), literal })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// As a size in memory.
    pub(crate) const fn size(self) -> usize {
        self.0 as usize
    }
}

impl<const MIN: u32, const MAX: u32> FromNode for Count<MIN, MAX> {
    const TAKES: &'static str = "a whole number";

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let Value::Integer(number) = node.value else {
            refuse(node, Self::TAKES, report);
            return None;
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            report.error(node.span, format!("`{}` takes a whole number from {MIN} to {MAX}", node.name));
        }
        number.map(Self)
    }
}

/// The version of a file's form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version;

impl FromNode for Version {
    const TAKES: &'static str = "1";

    fn schema() -> Json {
        json!({ "const": 1 })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if !matches!(node.value, Value::Integer(Some(1))) {
            report.error(node.span, Finding::new("this release reads version 1 of this file").help("write `version = 1`"));
        }
        Some(Self)
    }
}

impl FromNode for Duration {
    const TAKES: &'static str = "a duration such as \"15m\", \"7d\" or \"500ms\"";

    fn schema() -> Json {
        json_schema::text(&format!("0|{}", json_schema::DURATION))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            let span = humantime::parse_duration(text).map_err(|_| {
                Finding::new(format!("`{text}` is not a duration: a number and a unit")).help(format!("write {}", Self::TAKES))
            })?;
            // Ten years: beyond, sums of moments could leave the calendar.
            if span > Self::from_hours(3650 * 24) {
                return Err("a duration is at most 3650 days".into());
            }
            Ok(span)
        })
    }
}

/// A duration that is not zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait(pub(crate) Duration);

impl FromNode for Wait {
    const TAKES: &'static str = Duration::TAKES;

    fn schema() -> Json {
        json_schema::text(&format!("{}{}", json_schema::SOME, json_schema::DURATION))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let span = Duration::read(node, report)?;
        if span.is_zero() {
            report.error(node.span, Finding::new(format!("`{}` is more than zero", node.name)));
            return None;
        }
        Some(Self(span))
    }
}

/// A number of bytes from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    /// As a size in memory.
    pub(crate) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromNode for Size<MIN, MAX> {
    const TAKES: &'static str = "a size such as \"16KiB\" or \"256B\"";

    fn schema() -> Json {
        json_schema::text(json_schema::SIZE)
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            let size: bytesize::ByteSize = text.parse().map_err(|_| {
                Finding::new(format!("`{text}` is not a size: a number and a unit")).help(format!("write {}", Self::TAKES))
            })?;
            if !(MIN..=MAX).contains(&size.as_u64()) {
                let show = |bytes| bytesize::ByteSize(bytes).display().iec().to_string();
                return Err(Finding::new(format!("`{}` is from {} to {}", node.name, show(MIN), show(MAX))));
            }
            Ok(Self(size.as_u64()))
        })
    }
}

impl FromNode for Rate {
    const TAKES: &'static str = "a rate such as \"5/1m\"";

    fn schema() -> Json {
        json_schema::text(&format!("{}{}{}", json_schema::RATE_COUNT, json_schema::SOME, json_schema::DURATION))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            text.parse().map_err(|_| {
                Finding::new(format!("`{text}` is not a rate")).help("write how many a period: \"5/1m\" is five a minute")
            })
        })
    }
}

impl FromNode for IpNet {
    const TAKES: &'static str = "an address range such as \"10.0.0.0/8\"";

    fn schema() -> Json {
        json_schema::text(json_schema::NETWORK)
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            let net = text.parse::<Self>().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from));
            net.map(|net| net.trunc()).ok_or_else(|| {
                Finding::new(format!("`{text}` is not an address range"))
                    .help("write \"10.0.0.0/8\", or one address: \"10.1.2.3\"")
            })
        })
    }
}

impl FromNode for SocketAddr {
    const TAKES: &'static str = "an address with a port such as \"127.0.0.1:8080\"";

    fn schema() -> Json {
        json_schema::text(json_schema::SOCKET)
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            text.parse().map_err(|_| {
                let finding = Finding::new(format!("`{text}` is not an address with a port"));
                match text.rsplit_once(':') {
                    Some(("", port)) => {
                        finding.help(format!("write \"0.0.0.0:{port}\" for every address, or \"127.0.0.1:{port}\""))
                    }
                    Some(("localhost", port)) => finding.help(format!("write \"127.0.0.1:{port}\"")),
                    _ => finding.help("write \"127.0.0.1:8080\" or \"[::]:8080\""),
                }
            })
        })
    }
}

impl FromNode for Scope {
    const TAKES: &'static str = "a scope such as \"items:read\"";

    fn schema() -> Json {
        json_schema::text(json_schema::SCOPE)
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        parsed(node, Self::TAKES, report, |text| {
            text.parse().map_err(|error| {
                let finding = Finding::new(format!("`{text}` is not a scope: {error}"));
                if text.contains(' ') { finding.help("write each scope as a string of its own") } else { finding }
            })
        })
    }
}
