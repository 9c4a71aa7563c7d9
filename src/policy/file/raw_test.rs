//! `[[test]]` as it is written.

use serde_json::{Map, Value as Json, json};

use crate::config::document::{Node, Table, Value};
use crate::config::json_schema;
use crate::config::report::{Finding, Report};
use crate::config::schema::{At, FromNode, Shape, section};
use crate::config::values::{refuse, table};
use crate::config::wrapped::Required;
use crate::domain::{CredentialKind, Scope};
use crate::policy::Expect;

section! {
    /// `[[test]]`
    pub(crate) struct Test {
        /// What to call it; absent is what it says.
        name: Option<String> = "",
        /// Method and URL: `"GET https://shop.example.com/orders/7"`; a path alone is for no host in particular.
        request: Required<String> = "",
        /// Who calls: `"anonymous"`, or a table of what the caller is.
        caller as "as": Option<Caller> = "",
        /// What comes of it: `"allow"`, 400, 401, 403, 404 or 405.
        expect: Required<Expect> = "",
        /// Which route must match.
        route: Option<String> = "",
    }
}

section! {
    /// `as` of a `[[test]]`.
    pub(crate) struct Someone {
        /// What the credential may do; absent is all that its roles give, as after a login.
        scopes: Option<Vec<At<Scope>>> = "",
        /// The roles of the account.
        roles: Vec<At<String>> = "[]",
        /// The attributes of the account.
        attributes: Members = "{}",
        /// The token's claims that `where` asks for.
        claims: Members = "{}",
        /// The id of the account.
        subject: Option<String> = "",
        /// Its username.
        username: Option<String> = "",
        /// What it comes with.
        credential: CredentialKind = r#""bearer""#,
    }
}

/// `as`: a word or a table.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody.
    Anonymous,
    /// This one.
    Someone(Box<Someone>),
}

impl FromNode for Caller {
    const TAKES: &'static str = "\"anonymous\", or a table such as { scopes = [\"orders:read\"] }";
    const SHAPE: Shape = Shape::Section(Someone::KEYS);

    fn schema() -> Json {
        json_schema::either(json_schema::words(&["anonymous"]), json_schema::object(Someone::KEYS.iter()))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        match &node.value {
            Value::String { text, .. } if text == "anonymous" => Some(Self::Anonymous),
            Value::Table(_) => Someone::read(node, report).map(|someone| Self::Someone(Box::new(someone))),
            Value::String { text, .. } => {
                let finding = Finding::new(format!("`{}` is `\"anonymous\"` or a table, not `{text}`", node.name));
                report.error(node.span, finding.help(format!("write {}", Self::TAKES)));
                None
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime | Value::Array(_) | Value::Broken => {
                refuse(node, Self::TAKES, report);
                None
            }
        }
    }
}

impl FromNode for Expect {
    const TAKES: &'static str = "\"allow\", 400, 401, 403, 404 or 405";

    fn schema() -> Json {
        json!({ "enum": ["allow", 400, 401, 403, 404, 405, "400", "401", "403", "404", "405"] })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let given = match &node.value {
            Value::String { text, .. } if text == "allow" => return Some(Self::Allow),
            Value::String { text, .. } => text.clone(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Integer(None)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime
            | Value::Array(_)
            | Value::Table(_)
            | Value::Broken => {
                refuse(node, Self::TAKES, report);
                return None;
            }
        };
        let known = given.parse().ok().filter(|status| [400, 401, 403, 404, 405].contains(status));
        if known.is_none() {
            let help = match given.as_str() {
                "200" | "204" | "ok" | "allowed" | "pass" => {
                    "write \"allow\": what the backend answers is its own business".to_owned()
                }
                "deny" | "denied" | "refuse" => {
                    "write the status: 401 without a credential, 403 with one that may not".to_owned()
                }
                _ => format!("write {}", Self::TAKES),
            };
            report.error(node.span, Finding::new(format!("a policy does not answer `{given}`")).help(help));
        }
        known.map(Self::Refused)
    }
}

/// A table of whatever, as JSON.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(pub(crate) Map<String, Json>);

impl FromNode for Members {
    const TAKES: &'static str = "a table such as { tenant = \"a1\" }";

    fn schema() -> Json {
        json!({ "type": "object" })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        Some(Self(members(table(node, Self::TAKES, report)?, report)))
    }
}

fn members(table: &Table, report: &mut Report) -> Map<String, Json> {
    table.entries.iter().filter_map(|entry| Some((entry.key.clone(), member(&entry.node, report)?))).collect()
}

fn member(node: &Node, report: &mut Report) -> Option<Json> {
    match &node.value {
        Value::String { text, .. } => Some(text.as_str().into()),
        Value::Integer(Some(number)) => Some((*number).into()),
        Value::Float(number) => Some((*number).into()),
        Value::Boolean(value) => Some((*value).into()),
        Value::Array(items) => Some(items.iter().filter_map(|item| member(item, report)).collect()),
        Value::Table(table) => Some(Json::Object(members(table, report))),
        Value::Integer(None) | Value::Datetime => {
            let finding = Finding::new(format!("`{}` takes what JSON has, not {}", node.name, node.value.kind()));
            report.error(node.span, finding.help("put it in quotes"));
            None
        }
        Value::Broken => None,
    }
}
