//! What the handlers cannot say of themselves: who serves them, where, and with which credentials they are called.

use serde_json::{Map, Value, json};

use crate::config::{Config, PasswordGrant};
use crate::domain::Scope;

/// The groups of endpoints, in the order in which they are shown.
const TAGS: [(&str, &str); 6] = [
    ("session", "Logging in, going on and logging out; the caller's own sessions."),
    ("oauth", "OAuth 2: tokens for clients of any make (RFC 6749, RFC 7009, RFC 7662)."),
    ("account", "The caller's own account."),
    ("keys", "The caller's own API keys."),
    ("admin", "Administration: role `admin` and scope `portcullis:admin`."),
    ("discovery", "What clients find out by themselves."),
];

const DESCRIPTION: &str = "The gateway's own endpoints. Send what `/token` or `/login` gives as `Authorization: Bearer …`, or an \
     API key in its header. Every refusal is a problem document (RFC 9457), whose `code` is meant for programs; the OAuth \
     endpoints answer in their standards' JSON.";

/// Puts `config` and the security schemes into a `document` that the handlers made.
pub(super) fn complete(document: &mut Value, config: &Config) {
    let Some(document) = document.as_object_mut() else { return };
    document.insert("info".to_owned(), info());
    document.insert("servers".to_owned(), json!([{ "url": config.server.public_url }]));
    let schemes = schemes(config);
    let by_default = document.get("security").cloned().unwrap_or_default();
    for requirements in [document.get_mut("security")].into_iter().flatten() {
        offer(requirements, &schemes, None);
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
    let mut paths: Map<String, Value> = paths.into_iter().map(|(path, item)| (placed(path, config), item)).collect();
    for operation in operations(&mut paths) {
        let scope = asked(operation);
        if scope.is_some() {
            operation.entry("security").or_insert_with(|| by_default.clone());
        }
        if let Some(requirements) = operation.get_mut("security") {
            offer(requirements, &schemes, scope);
        }
    }
    document.insert("tags".to_owned(), tags(&mut paths));
    document.insert("paths".to_owned(), paths.into());
    if let Some(components) = document.entry("components").or_insert_with(|| json!({})).as_object_mut() {
        components.insert("securitySchemes".to_owned(), schemes.into());
    }
}

/// Every operation of every path.
pub(super) fn operations(paths: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    operations.filter_map(Value::as_object_mut).filter(|operation| operation.contains_key("responses"))
}

fn info() -> Value {
    json!({
        "title": "Portcullis",
        "version": env!("CARGO_PKG_VERSION"),
        "description": DESCRIPTION,
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    })
}

/// Those that have an endpoint, and whatever else a handler says.
fn tags(paths: &mut Map<String, Value>) -> Value {
    let used: Vec<String> = operations(paths)
        .filter_map(|operation| operation.get("tags")?.as_array()?.first()?.as_str().map(str::to_owned))
        .collect();
    let tags = TAGS.iter().filter(|(name, _)| used.iter().any(|used| used == name));
    tags.map(|(name, description)| json!({ "name": name, "description": description })).collect()
}

fn placed(path: String, config: &Config) -> String {
    if path.starts_with("/.well-known/") { path } else { format!("{}{path}", config.auth.prefix) }
}

fn schemes(config: &Config) -> Map<String, Value> {
    let prefix = &config.auth.prefix;
    let mut scopes: Map<String, Value> =
        config.scopes.iter().map(|(scope, description)| (scope.to_string(), json!(description))).collect();
    for (scope, description) in [
        (Scope::ACCOUNT, "Change one's own account, API keys and sessions"),
        (Scope::ADMIN, "Administer accounts, with the role `admin`"),
    ] {
        scopes.entry(scope).or_insert_with(|| json!(description));
    }
    // The login takes the same form, whatever `auth.password_grant` keeps from the token endpoint.
    let login = if config.auth.password_grant == PasswordGrant::Open { "/token" } else { "/login" };
    // Without scheme and host: right from whatever server of the document, this gateway by another of its names included.
    let flow = json!({ "tokenUrl": format!("{prefix}{login}"), "refreshUrl": format!("{prefix}/token"), "scopes": scopes });
    let header = &config.api_keys.header;
    let mut schemes = Map::from_iter([
        (
            "oauth2".to_owned(),
            json!({
                "type": "oauth2",
                "description": "A username, or an e-mail address, and the password. Without scopes: all that the user has.",
                "flows": { "password": flow },
            }),
        ),
        (
            "bearer".to_owned(),
            json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token." }),
        ),
        (
            "client".to_owned(),
            json!({ "type": "http", "scheme": "basic", "description": "A client's id and secret (RFC 6749 §2.3.1)." }),
        ),
        ("api_key".to_owned(), json!({ "type": "apiKey", "in": "header", "name": header, "description": "An API key." })),
    ]);
    if let Some(parameter) = &config.api_keys.query_parameter {
        let description = "An API key, where no header can be set.";
        let scheme = json!({ "type": "apiKey", "in": "query", "name": parameter, "description": description });
        schemes.insert("api_key_in_query".to_owned(), scheme);
    }
    schemes
}

/// The scope that `operation` asks of its caller.
fn asked(operation: &Map<String, Value>) -> Option<&'static str> {
    let is_for_all = operation.get("security").is_some();
    let group = operation.get("tags")?.as_array()?.first()?.as_str()?;
    match (group, operation.get("operationId")?.as_str()?) {
        ("admin", _) => Some(Scope::ADMIN),
        (_, "me") => None,
        ("account" | "keys" | "session", _) if !is_for_all => Some(Scope::ACCOUNT),
        _ => None,
    }
}

/// Where a bearer token is taken, one by the password flow is, with `scope`; where an API key, one in the query as well.
fn offer(requirements: &mut Value, schemes: &Map<String, Value>, scope: Option<&str>) {
    let Some(requirements) = requirements.as_array_mut() else { return };
    let mut offered = Vec::new();
    for requirement in requirements.drain(..) {
        if requirement.get("bearer").is_some() {
            offered.push(json!({ "oauth2": scope.into_iter().collect::<Vec<_>>() }));
        }
        if requirement.get("api_key").is_some() && schemes.contains_key("api_key_in_query") {
            offered.push(json!({ "api_key_in_query": [] }));
        }
        offered.push(requirement);
    }
    *requirements = offered;
}
