//! A route file as it is written: every key with its type, its default and what it is for.

use serde_json::{Value as Json, json};

use super::raw_test::Test;
use crate::config::Rate;
use crate::config::cors::CorsWish;
use crate::config::document::{Entry, Node, Table, Value};
use crate::config::identity::IdentityWish;
use crate::config::json_schema;
use crate::config::report::{Finding, Report};
use crate::config::schema::{At, FromNode, Key, Shape, did_you_mean, refuse_unknown, section};
use crate::config::values::{Secret, Size, Version, Wait, table};
use crate::config::words::words;
use crate::config::wrapped::{Filled, Later, Named, Required};
use crate::domain::{CredentialKind, Scope};
use crate::policy::{AllowInPath, AuthMode, Case, ConditionSubject, ConditionValue, StreamExpiry, TrailingSlash};

section! {
    /// A route file.
    pub(crate) struct File {
        /// The version of this file's form.
        _version as "version": Version = "1",
        /// What the routes of this file say where they say nothing.
        defaults: Defaults = "{}",
        /// The routes.
        route: Vec<At<Route>> = "[]",
        /// Policy tests.
        test: Vec<At<Test>> = "[]",
    }
}

section! {
    /// What a route alone says, and `[defaults]` can't.
    pub(crate) struct Own {
        /// Its name, unique in the whole table.
        name: Required<String> = "",
        /// Literals, `{parameters}` and a final `**`.
        path: Required<String> = "",
        /// The methods it takes; absent is all but CONNECT and TRACE.
        methods: Option<Filled<String>> = "",
    }
}

section! {
    /// What a route or `[defaults]` says.
    pub(crate) struct Common {
        /// The hosts it is for, as `"shop.example.com"` or `"*.example.com"`; none is any.
        hosts: Vec<At<String>> = "[]",
        /// A `[[backends]]` name or a URL.
        backend: Option<String> = "",
        /// Whether a credential is needed.
        auth: AuthMode = r#""required""#,
        /// The kinds of credential that are looked at.
        credentials: Vec<At<CredentialKind>> = r#"["bearer", "api_key", "session"]"#,
        /// All of these scopes.
        scopes: Vec<At<Scope>> = "[]",
        /// And at least one of these.
        any_scopes: Vec<At<Scope>> = "[]",
        /// And at least one of these roles.
        roles: Vec<At<String>> = "[]",
        /// And these: something of the caller, and the parameter or literal that it must equal.
        conditions as "where": Wheres = "{}",
        /// Calls a principal, where there is none an address (IPv4 address, IPv6 /64), with a burst of as many; absent is none.
        rate_limit: Option<Rate> = "",
        /// Whether a refusal is one. `false` observes: it is logged and counted, and the call passes without identity.
        enforce: bool = "true",
        /// What a browser without a credential gets.
        _on_unauthenticated as "on_unauthenticated": Later = r#""challenge""#,
        /// Whether a final literal also matches with one slash.
        trailing_slash: TrailingSlash = r#""either""#,
        /// Whether case counts.
        case: Case = r#""sensitive""#,
        /// Oddities of a path that it takes: `"encoded_slash"`, `"semicolon"`, `"empty_segment"`, `"double_encoding"`,
        /// `"trailing_dot"`.
        allow_in_path: Vec<At<Oddity>> = "[]",
        /// What is cut from the path towards the backend: whole literal segments that the path begins with.
        strip_prefix: String = r#""""#,
        /// What is put before it.
        add_prefix: String = r#""""#,
        /// `Host` towards the backend: `"preserve"` (the client's), `"backend"` (the server's address) or a name.
        host: String = r#""preserve""#,
        /// Headers that are set towards the backend; an empty one is removed.
        request_headers: Vec<Named<Secret>> = "{}",
        /// Headers that are set towards the client; an empty one is removed.
        response_headers: Vec<Named<Secret>> = "{}",
        /// The headers that name the caller; absent is as in `[identity]`.
        identity: Option<IdentityWish> = "",
        /// Whether a consumed bearer token is passed on; absent is as in `[identity]`.
        forward_credential: Option<bool> = "",
        /// Until the backend's response header; absent is the backend's own.
        timeout: Option<Wait> = "",
        /// The largest body; absent is unbounded.
        max_body: Option<Size<0, { 1 << 50 }>> = "",
        /// When an open WebSocket or stream ends: with its session or API key, or with its token.
        stream_expiry: StreamExpiry = r#""session""#,
        /// CORS: a table as `[cors]` of gateway.toml, in whose place it is, or `"backend"`: its own business. Absent is as in
        /// `[cors]`.
        cors: Option<CorsWish> = "",
    }
}

/// `[defaults]`, as a table that is laid under each route.
#[derive(Clone)]
pub(crate) struct Defaults(pub(crate) Table);

impl std::fmt::Debug for Defaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Defaults")
    }
}

impl FromNode for Defaults {
    const TAKES: &'static str = "a table";
    const SHAPE: Shape = Shape::Section(Common::KEYS);

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let table = table(node, Self::TAKES, report)?;
        let mut known = table.clone();
        known.entries.retain(|entry| {
            let own = Own::KEYS.iter().any(|key| key.name == entry.key);
            if own {
                let finding = Finding::new(format!("`{}` is each route's own: it has no default", entry.key));
                report.error(entry.key_span, finding.help("write it in `[[route]]`"));
            }
            !own
        });
        refuse_unknown(&known, &Common::KEYS.iter().collect::<Vec<_>>(), report);
        // Read once for itself, so that what is wrong is found without a route too.
        Common::of(&known, report);
        Some(Self(known))
    }
}

/// A `[[route]]`, not yet joined with its defaults.
#[derive(Clone)]
pub(crate) struct Route {
    /// Its keys.
    pub(crate) table: Table,
    /// Name, path and methods.
    pub(crate) own: Own,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.own.fmt(f)
    }
}

impl FromNode for Route {
    const TAKES: &'static str = "a table";
    const SHAPE: Shape = Shape::Section(Own::KEYS);

    fn schema() -> Json {
        json_schema::object(Own::KEYS.iter().chain(Common::KEYS))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let table = table(node, Self::TAKES, report)?;
        let keys: Vec<&Key> = Own::KEYS.iter().chain(Common::KEYS).collect();
        refuse_unknown(table, &keys, report);
        Some(Self { table: table.clone(), own: Own::of(table, report) })
    }
}

impl Route {
    /// Its keys, with those of `[defaults]` that it does not have.
    pub(crate) fn with(&self, defaults: &Defaults, report: &mut Report) -> Common {
        let mut table = self.table.clone();
        let more: Vec<Entry> = defaults.0.entries.iter().filter(|entry| table.get(&entry.key).is_none()).cloned().collect();
        table.entries.extend(more);
        Common::of(&table, report)
    }
}

words! {
    @read AuthMode { Required = "required", Optional = "optional", None = "none" } later []
}
words! {
    @read CredentialKind { Bearer = "bearer", ApiKey = "api_key", Session = "session" } later []
}
words! {
    @read TrailingSlash { Either = "either", Exact = "exact" } later []
}
words! {
    @read StreamExpiry { Session = "session", Token = "token" } later []
}
words! {
    @read Case { Sensitive = "sensitive", Insensitive = "insensitive" } later []
}

/// An element of `allow_in_path`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oddity(pub(crate) AllowInPath);

impl FromNode for Oddity {
    const TAKES: &'static str = "a word such as \"encoded_slash\"";

    fn schema() -> Json {
        json_schema::words(&AllowInPath::NAMES.map(|(name, _)| name))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        crate::config::values::parsed(node, Self::TAKES, report, |text| {
            let names = AllowInPath::NAMES.map(|(name, _)| name);
            let found = AllowInPath::NAMES.iter().find(|(name, _)| *name == text);
            found.map(|(_, one)| Self(*one)).ok_or_else(|| crate::config::words::refuse_word(&node.name, text, &names, &[]))
        })
    }
}

/// `where`: what of the caller must equal what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wheres(pub(crate) Vec<At<(ConditionSubject, ConditionValue)>>);

impl FromNode for Wheres {
    const TAKES: &'static str = "a table such as { \"attributes.tenant\" = \"{tenant}\" }";
    const SHAPE: Shape = Shape::Free(&[]);

    fn schema() -> Json {
        let scalar = json!({ "type": ["string", "number", "boolean"] });
        let either = json_schema::either(scalar.clone(), json!({ "type": "object" }));
        json!({
            "type": "object",
            "properties": { "subject": scalar, "username": scalar, "claims": { "type": "object" }, "attributes": { "type": "object" } },
            "patternProperties": { r"^(?:claims|attributes)\..": either },
            "additionalProperties": false,
        })
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let mut all = Vec::new();
        collect(table(node, Self::TAKES, report)?, "", &mut all, report);
        Some(Self(all))
    }
}

/// `attributes.tenant = …` without quotes is a table in a table.
fn collect(table: &Table, before: &str, all: &mut Vec<At<(ConditionSubject, ConditionValue)>>, report: &mut Report) {
    for entry in &table.entries {
        let name = format!("{before}{}", entry.key);
        if let Value::Table(below) = &entry.node.value {
            collect(below, &format!("{name}."), all, report);
            continue;
        }
        let subject = subject(&name).map_err(|finding| report.error(entry.key_span, finding));
        let value = condition_value(&entry.node).map_err(|finding| report.error(entry.node.span, finding));
        if let (Ok(subject), Ok(value)) = (subject, value) {
            all.push(At { value: (subject, value), span: entry.node.span, set: true });
        }
    }
}

fn subject(name: &str) -> Result<ConditionSubject, Finding> {
    let members = |path: &str| -> Option<Vec<String>> {
        let members: Vec<String> = path.split('.').map(str::to_owned).collect();
        (!members.iter().any(String::is_empty)).then_some(members)
    };
    let found = match name.split_once('.') {
        None if name == "subject" => Some(ConditionSubject::Subject),
        None if name == "username" => Some(ConditionSubject::Username),
        Some(("claims", path)) => members(path).map(ConditionSubject::Claim),
        Some(("attributes", path)) => members(path).map(ConditionSubject::Attribute),
        _ => None,
    };
    found.ok_or_else(|| {
        let all = ["subject", "username", "claims.…", "attributes.…"];
        Finding::new(format!("`where` knows nothing called `{name}`")).help(did_you_mean(name, &all))
    })
}

fn condition_value(node: &Node) -> Result<ConditionValue, Finding> {
    let literal = match &node.value {
        Value::String { text, .. } => {
            if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                return Ok(ConditionValue::Parameter(name.to_owned()));
            }
            if text.contains(['{', '}']) {
                return Err(Finding::new("a parameter stands alone in its string")
                    .help("write \"{tenant}\", or a literal without braces"));
            }
            text.as_str().into()
        }
        Value::Integer(Some(number)) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Float(number) => (*number).into(),
        other @ (Value::Integer(None) | Value::Datetime | Value::Array(_) | Value::Table(_) | Value::Broken) => {
            return Err(Finding::new(format!("`{}` takes a parameter or a literal, not {}", node.name, other.kind()))
                .help("write \"{tenant}\", a string, a number or a boolean"));
        }
    };
    Ok(ConditionValue::Literal(literal))
}
