//! `portcullis routes`: the resolved route table.

use std::path::Path;

use serde_json::{Value, json};

use super::check::{Format, Outcome, refused};
use crate::config::Environment;
use crate::domain::{CredentialKind, CredentialKinds};
use crate::policy::file::load_untested;
use crate::policy::{AuthMode, Condition, ConditionSubject, ConditionValue, HostPattern, RouteCors, RouteSpec};

const COLUMNS: [&str; 7] = ["METHODS", "HOST", "PATH", "NAME", "BACKEND", "AUTH", "ASKS"];

/// Prints the routes that the configuration at `path` makes.
#[must_use]
pub fn routes(path: &Path, format: Format, colors: bool, env: &Environment) -> Outcome {
    let everything = match load_untested(path, env) {
        Ok(everything) => everything,
        Err(report) if format == Format::Json => {
            return Outcome { code: 1, out: format!("{:#}\n", report.to_json()), err: String::new() };
        }
        Err(report) => return Outcome { code: 1, out: String::new(), err: refused(path, &report, colors) },
    };
    let specs: Vec<&RouteSpec> = everything.table.routes().iter().map(|route| route.spec()).collect();
    let aliases = &everything.config.auth.aliases;
    let out = match format {
        Format::Json => {
            let aliases = aliases.iter().map(|(path, target)| json!({ "path": path, "alias_of": target }));
            format!("{:#}\n", Value::Array(specs.into_iter().map(as_json).chain(aliases).collect()))
        }
        Format::Text => {
            let own = |path: &String, target: &String| ["*", "*", path, "-", target, "own", "-"].map(str::to_owned);
            aligned(specs.into_iter().map(as_row).chain(aliases.iter().map(|(path, target)| own(path, target))))
        }
    };
    Outcome { code: 0, out, err: String::new() }
}

fn as_row(spec: &RouteSpec) -> [String; 7] {
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [
        spec.methods.as_ref().map_or_else(|| "*".to_owned(), |_| methods(spec).join(",")),
        if spec.hosts.is_empty() { "*".to_owned() } else { hosts(spec).join(",") },
        spec.path.clone(),
        spec.name.to_string(),
        dash(spec.backend.as_ref().map(|backend| backend.name.clone()).unwrap_or_default()),
        format!("{}{}", auth(spec), if spec.enforce { "" } else { " (observed)" }),
        dash(asks(spec)),
    ]
}

fn as_json(spec: &RouteSpec) -> Value {
    let texts = |scopes: &[crate::domain::Scope]| scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "name": &*spec.name,
        "file": &*spec.place.file,
        "line": spec.place.line,
        "methods": spec.methods.as_ref().map(|_| methods(spec)),
        "hosts": hosts(spec),
        "path": spec.path,
        "backend": spec.backend.as_ref().map(|backend| &backend.name),
        "auth": auth(spec),
        "credentials": credentials(spec),
        "scopes": texts(&spec.scopes),
        "any_scopes": texts(&spec.any_scopes),
        "roles": spec.roles,
        "where": spec.conditions.iter().map(condition).collect::<Vec<_>>(),
        "rate_limit": spec.rate_limit.map(|rate| rate.to_string()),
        "enforce": spec.enforce,
        "cors": match &spec.cors {
            RouteCors::None => Value::Null,
            RouteCors::Rules(_) => "gateway".into(),
            RouteCors::Backend => "backend".into(),
        },
    })
}

fn methods(spec: &RouteSpec) -> Vec<&str> {
    spec.methods.iter().flatten().map(http::Method::as_str).collect()
}

fn hosts(spec: &RouteSpec) -> Vec<String> {
    let text = |host: &HostPattern| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Wildcard(suffix) => format!("*{suffix}"),
    };
    spec.hosts.iter().map(text).collect()
}

const fn auth(spec: &RouteSpec) -> &'static str {
    match spec.auth {
        AuthMode::Required => "required",
        AuthMode::Optional => "optional",
        AuthMode::None => "none",
    }
}

fn credentials(spec: &RouteSpec) -> Vec<&'static str> {
    [CredentialKind::Bearer, CredentialKind::ApiKey, CredentialKind::Session]
        .into_iter()
        .filter(|kind| spec.credentials.contains(*kind))
        .map(CredentialKind::as_str)
        .collect()
}

/// What a caller must have, in one line.
fn asks(spec: &RouteSpec) -> String {
    let mut asks: Vec<String> = spec.scopes.iter().map(ToString::to_string).collect();
    if !spec.any_scopes.is_empty() {
        asks.push(spec.any_scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"));
    }
    if !spec.roles.is_empty() {
        asks.push(format!("role:{}", spec.roles.join("|")));
    }
    asks.extend(spec.conditions.iter().map(condition));
    asks.extend(spec.rate_limit.map(|rate| format!("rate:{rate}")));
    if spec.auth != AuthMode::None && spec.credentials != CredentialKinds::ALL {
        asks.push(format!("by:{}", credentials(spec).join("|")));
    }
    asks.join(" ")
}

fn condition(condition: &Condition) -> String {
    let subject = match &condition.subject {
        ConditionSubject::Subject => "subject".to_owned(),
        ConditionSubject::Username => "username".to_owned(),
        ConditionSubject::Claim(path) => format!("claims.{}", path.join(".")),
        ConditionSubject::Attribute(path) => format!("attributes.{}", path.join(".")),
    };
    match &condition.value {
        ConditionValue::Parameter(name) => format!("{subject}={{{name}}}"),
        ConditionValue::Literal(value) => format!("{subject}={value}"),
    }
}

fn aligned(rows: impl Iterator<Item = [String; 7]>) -> String {
    let rows: Vec<[String; 7]> = std::iter::once(COLUMNS.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = r#"
[[route]]
name = "public"
path = "/public/**"
backend = "http://127.0.0.1:9000"
auth = "none"
enforce = false
rate_limit = "100/1s"
[[route]]
name = "reports"
hosts = ["*.example.com"]
path = "/reports/{tenant}"
methods = ["GET"]
backend = "http://127.0.0.1:9000"
scopes = ["reports:read"]
any_scopes = ["a", "b"]
roles = ["user"]
where = { "attributes.tenant" = "{tenant}", "claims.level" = 3 }
credentials = ["bearer"]
"#;

    fn printed(format: Format) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("routes")).expect("a folder");
        std::fs::write(folder.path().join("gateway.toml"), "").expect("a file");
        std::fs::write(folder.path().join("routes/a.toml"), ROUTES).expect("a file");
        routes(&folder.path().join("gateway.toml"), format, false, &Environment::default())
    }

    #[test]
    fn the_table_is_aligned_and_says_what_each_route_asks() {
        insta::assert_snapshot!(printed(Format::Text).out, @r#"
        METHODS  HOST           PATH               NAME     BACKEND         AUTH             ASKS
        *        *              /public/**         public   127.0.0.1:9000  none (observed)  rate:100/1s
        GET      *.example.com  /reports/{tenant}  reports  127.0.0.1:9000  required         reports:read a|b role:user attributes.tenant={tenant} claims.level=3 by:bearer
        "#);
    }

    #[test]
    fn the_json_form_has_a_member_for_each_column() {
        let outcome = printed(Format::Json);
        let json: Value = serde_json::from_str(&outcome.out).expect("JSON");
        assert_eq!(json[0]["methods"], Value::Null);
        assert_eq!(json[1]["scopes"], json!(["reports:read"]));
        assert_eq!(json[1]["where"], json!(["attributes.tenant={tenant}", "claims.level=3"]));
        assert_eq!(json[1]["line"], 9);
        assert_eq!((&json[0]["enforce"], &json[1]["enforce"]), (&json!(false), &json!(true)));
        assert_eq!(json[0]["rate_limit"], json!("100/1s"));
    }

    #[test]
    fn aliases_of_own_endpoints_are_among_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.toml");
        let text = "[routes]\ninclude = []\n[auth]\naliases = { \"/token\" = \"/auth/login\" }\n";
        std::fs::write(&file, text).expect("a file");
        let print = |format| routes(&file, format, false, &Environment::default()).out;
        insta::assert_snapshot!(print(Format::Text), @r"
        METHODS  HOST  PATH    NAME  BACKEND      AUTH  ASKS
        *        *     /token  -     /auth/login  own   -
        ");
        let json: Value = serde_json::from_str(&print(Format::Json)).expect("JSON");
        assert_eq!(json, json!([{ "path": "/token", "alias_of": "/auth/login" }]));
    }

    #[test]
    fn a_refused_configuration_has_no_table() {
        let outcome = routes(Path::new("nowhere.toml"), Format::Text, false, &Environment::default());
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
        assert!(outcome.err.contains("nowhere.toml"), "{}", outcome.err);
    }
}
