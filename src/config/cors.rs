//! `[cors]`, and the `cors` of a route: which pages of other origins may call from a browser (the Fetch standard's CORS
//! protocol).

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value as Json;

use super::document::{Node, Value};
use super::origin::{Origin, Origins};
use super::report::{Finding, Report};
use super::schema::{At, FromNode};
use super::values::string;
use super::words::refuse_word;
use super::{json_schema, raw};

/// Rules that allow some origin.
#[derive(Clone, Debug)]
pub struct Cors {
    /// Whose pages may call.
    pub allow_origins: Origins,
    /// What a preflight is told; `None` is the route's own.
    pub allow_methods: Option<HeaderValue>,
    /// What a preflight is told; `None` is Authorization, Content-Type and the API key header.
    pub allow_headers: Option<HeaderValue>,
    /// Which response headers a page may read beyond the usual ones.
    pub expose_headers: Option<HeaderValue>,
    /// Whether cookies come along.
    pub allow_credentials: bool,
    /// How long a browser remembers a preflight.
    pub max_age: Duration,
}

/// `cors` of a route.
#[derive(Clone, Debug)]
pub(crate) enum CorsWish {
    /// The gateway's, by these rules.
    Rules(Box<raw::Cors>),
    /// The backend's own business.
    Backend,
}

impl FromNode for CorsWish {
    const TAKES: &'static str = "a table such as { allow_origins = [\"https://app.example.com\"] }, or \"backend\"";

    fn schema() -> Json {
        json_schema::either(raw::Cors::schema(), json_schema::words(&["backend"]))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if let Value::Table(_) = &node.value {
            return raw::Cors::read(node, report).map(|rules| Self::Rules(Box::new(rules)));
        }
        let (text, _) = string(node, Self::TAKES, report)?;
        if text == "backend" {
            return Some(Self::Backend);
        }
        report.error(node.span, refuse_word(&node.name, text, &["backend"], &[]).help(format!("write {}", Self::TAKES)));
        None
    }
}

/// The rules, where some origin is allowed. What is wrong is filed.
pub(crate) fn checked(raw: &raw::Cors, report: &mut Report) -> Option<Cors> {
    let credentials = raw.allow_credentials.value;
    let origins = origins(&raw.allow_origins, credentials, report);
    let methods = words(&raw.allow_methods, credentials, "methods", report, |text| {
        let method = Method::from_bytes(text.as_bytes()).ok();
        method.filter(|_| text == text.to_ascii_uppercase() && !["CONNECT", "TRACE", "TRACK"].contains(&text))
    });
    let headers = |list, report: &mut Report| {
        words(list, credentials, "headers", report, |text| HeaderName::from_bytes(text.as_bytes()).ok().map(|_| text.to_owned()))
    };
    let allow_headers = headers(&raw.allow_headers, report);
    let expose_headers = headers(&raw.expose_headers, report);
    let cors = Cors {
        allow_origins: origins?,
        allow_methods: joined(methods.iter().map(Method::as_str), &raw.allow_methods),
        // A star stands for every header but this one (Fetch, "CORS non-wildcard request-header name").
        allow_headers: joined(allow_headers.iter().map(String::as_str), &raw.allow_headers).map(with_authorization),
        expose_headers: joined(expose_headers.iter().map(String::as_str), &raw.expose_headers),
        allow_credentials: credentials,
        max_age: raw.max_age.value,
    };
    let none = matches!(&cors.allow_origins, Origins::These(these) if these.is_empty());
    (!none).then_some(cors)
}

/// `a, b`, or `*`; nothing where the list is empty.
fn joined<'a>(read: impl Iterator<Item = &'a str>, list: &At<Vec<At<String>>>) -> Option<HeaderValue> {
    let all = if has_star(list) { "*".to_owned() } else { read.collect::<Vec<_>>().join(", ") };
    // Tokens and commas are always a header value.
    HeaderValue::try_from(all).ok().filter(|all| !all.is_empty())
}

fn with_authorization(headers: HeaderValue) -> HeaderValue {
    if headers == "*" { HeaderValue::from_static("*, Authorization") } else { headers }
}

fn has_star(list: &At<Vec<At<String>>>) -> bool {
    list.value.iter().any(|one| one.value == "*")
}

/// Reads each of a list that may be a star.
fn words<T>(
    list: &At<Vec<At<String>>>,
    credentials: bool,
    what: &str,
    report: &mut Report,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for At { value: text, span, .. } in &list.value {
        match read(text) {
            _ if text == "*" && credentials => {
                let finding = Finding::new(format!("with `allow_credentials` browsers take `*` for a name, not for all {what}"));
                report.error(*span, finding.help(format!("list the {what}")));
            }
            _ if text == "*" => {}
            Some(one) => all.push(one),
            None => {
                let finding = Finding::new(format!("`{text}` is not one of the {what} that can be called for"));
                report.error(*span, finding.help(format!("list {what} as they stand in a request, or \"*\" for all")));
            }
        }
    }
    all
}

fn origins(list: &At<Vec<At<String>>>, credentials: bool, report: &mut Report) -> Option<Origins> {
    let mut these = Vec::new();
    let mut good = true;
    for At { value: text, span, .. } in &list.value {
        if text == "*" {
            if credentials {
                let finding = Finding::new("any page on the web could act for whoever is logged in");
                report.error(*span, finding.help("list the origins, or leave `allow_credentials` out"));
                good = false;
            }
            if list.value.len() > 1 {
                report.error(*span, Finding::new("`*` is every origin").help("leave the others out, or the star"));
                good = false;
            }
            continue;
        }
        if text == "null" && credentials {
            let finding = Finding::new("`null` is the origin of every sandboxed frame: any page can have it");
            report.warning(*span, finding.help("leave it out, or `allow_credentials`"));
        }
        match Origin::parse(text) {
            Ok(origin) => these.push(origin),
            Err(finding) => {
                report.error(*span, finding);
                good = false;
            }
        }
    }
    good.then(|| if has_star(list) { Origins::Any } else { Origins::These(these) })
}
