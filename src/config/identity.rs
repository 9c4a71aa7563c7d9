//! `[identity]`, and the `identity` of a route: which headers tell a backend who is calling.

use std::sync::Arc;

use http::HeaderName;
use serde_json::{Value as Json, json};

use super::document::{Node, Table, Value};
use super::json_schema;
use super::report::{Finding, Report, Span};
use super::schema::{FromNode, did_you_mean};
use super::values::string;
use super::words::refuse_word;
use super::{Assertion, Identity, raw};
use crate::domain::IdentityTable;
use crate::domain::template::{Template, TemplateError};

/// `headers` of `[identity]`, or `identity` of a route.
#[derive(Clone, Debug)]
pub(crate) struct IdentityWish(pub(crate) Arc<IdentityTable>);

impl FromNode for IdentityWish {
    const TAKES: &'static str =
        "\"x-auth\", \"oauth2-proxy\", \"authelia\", \"none\" or a table such as { \"Remote-User\" = \"{username}\" }";

    fn schema() -> Json {
        let template = json!({ "type": "string", "minLength": 1 });
        json_schema::either(json_schema::words(&IdentityTable::PRESETS), json_schema::headers(template))
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if let Value::Table(table) = &node.value {
            return Some(Self(Arc::new(headers(table, report))));
        }
        let (text, _) = string(node, Self::TAKES, report)?;
        let preset = IdentityTable::preset(text).map(|table| Self(Arc::new(table)));
        if preset.is_none() {
            report.error(node.span, refuse_word(&node.name, text, &IdentityTable::PRESETS, &[]));
        }
        preset
    }
}

fn headers(table: &Table, report: &mut Report) -> IdentityTable {
    let mut headers: Vec<(HeaderName, String)> = Vec::new();
    let mut places: Vec<(String, Span)> = Vec::new();
    for entry in &table.entries {
        let name = match emitted_name(&entry.key) {
            Ok(name) => Some(name),
            Err(finding) => {
                report.error(entry.key_span, finding);
                None
            }
        };
        let folded = fold(&entry.key);
        if let Some((_, first)) = places.iter().find(|(other, _)| *other == folded) {
            let finding =
                Finding::new(format!("`{}` is the same header to many backends", entry.key)).also(*first, "as this one");
            report.error(entry.key_span, finding.help("leave one of them out"));
        }
        places.push((folded, entry.key_span));
        let template = string(&entry.node, "a template such as \"{username}\"", report).and_then(|(text, _)| {
            template(text).map_err(|finding| report.error(entry.node.span, finding)).ok().map(|()| text.to_owned())
        });
        headers.extend(name.zip(template));
    }
    IdentityTable { headers }
}

/// Whether `text` is a template.
fn template(text: &str) -> Result<(), Finding> {
    if text.is_empty() {
        return Err(Finding::new("an empty template names nobody").help("write \"{username}\""));
    }
    Template::parse(text).map(drop).map_err(|error| match &error {
        TemplateError::Unknown(name) => {
            Finding::new(format!("`{{{name}}}` stands for nothing")).help(did_you_mean(name, &PLACEHOLDERS))
        }
        TemplateError::Brace | TemplateError::Literal => Finding::new(error.to_string()).help("write \"{username}\""),
    })
}

/// For "did you mean".
const PLACEHOLDERS: [&str; 12] =
    ["subject", "username", "name", "email", "roles", "scopes", "method", "issuer", "session", "key", "claims.…", "attributes.…"];

/// Headers that frame or route a message, or belong to somebody else: the gateway never emits them as identity.
const NOT_EMITTED: [&str; 36] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-uri",
    "x-real-ip",
    "x-request-id",
];

/// `name` as a header that the gateway may emit.
pub(crate) fn emitted_name(name: &str) -> Result<HeaderName, Finding> {
    let header = header_name(name)?;
    if NOT_EMITTED.contains(&header.as_str()) {
        return Err(Finding::new(format!("`{name}` has a meaning of its own in HTTP")).help("take a name such as `X-Auth-User`"));
    }
    Ok(header)
}

/// `name` as a header name (RFC 9110 §5.1).
pub(crate) fn header_name(name: &str) -> Result<HeaderName, Finding> {
    name.parse().map_err(|_| Finding::new(format!("`{name}` is not a header name")).help("letters, digits and `-`"))
}

/// What a backend may make of a header name: any case, any sign for `-`, `HTTP_` before it.
pub(crate) fn fold(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.strip_prefix("http-").map(str::to_owned).unwrap_or(plain)
}

/// Checks `[identity]` of `gateway`.
pub(crate) fn checked(raw: &raw::Identity, gateway: &raw::Gateway, report: &mut Report) -> Identity {
    let table = Arc::clone(&raw.headers.value.0);
    let mut keep = Vec::new();
    for name in &raw.keep_client_headers.value {
        match header_name(&name.value) {
            Err(finding) => report.error(name.span, finding),
            Ok(_) if emits(&table, &name.value) => report.error(
                name.span,
                Finding::new(format!("`{}` is emitted by the gateway: a client's own would be believed", name.value))
                    .help("leave it out here, or out of `identity.headers`"),
            ),
            Ok(header) => keep.push(header.as_str().to_owned()),
        }
    }
    let assertion = assertion(&raw.assertion.value, gateway, report);
    let identity =
        Identity { headers: table, keep_client_headers: keep, forward_credential: raw.forward_credential.value, assertion };
    if let Some((name, finding)) = identity.assertion_clash(&identity.headers) {
        let kept = raw.keep_client_headers.value.iter().find(|kept| fold(&kept.value) == fold(name));
        report.error(kept.map_or(raw.assertion.value.header.span, |kept| kept.span), finding);
    }
    identity
}

/// The longest life of an assertion: nobody can revoke one.
const ASSERTION_TTL: std::time::Duration = std::time::Duration::from_hours(1);

fn assertion(raw: &raw::Assertion, gateway: &raw::Gateway, report: &mut Report) -> Assertion {
    let (header, ttl) = (&raw.header, raw.ttl.value.0);
    let name = emitted_name(&header.value).map_err(|finding| report.error(header.span, finding)).ok();
    if raw.enabled.value {
        if gateway.tokens.value.algorithm.value == raw::Algorithm::Hs256 {
            let finding = Finding::new("an assertion is verified with a public key, and HS256 has none")
                .also(gateway.tokens.value.algorithm.span, "the algorithm");
            report.error(raw.enabled.span, finding.help("write tokens.algorithm = \"ES256\", or leave the assertion out"));
        }
        let api_key = &gateway.api_keys.value.header.value;
        if fold(api_key) == fold(&header.value) {
            let finding = Finding::new(format!("`{}` is where API keys come in", header.value));
            report.error(header.span, finding.help("write header = \"X-Auth-Assertion\""));
        }
    }
    if ttl.as_secs() == 0 || ttl > ASSERTION_TTL {
        let finding = Finding::new("`identity.assertion.ttl` is from one second to one hour: nobody can revoke an assertion");
        report.error(raw.ttl.span, finding.help("write ttl = \"60s\""));
    }
    let default = Assertion::default();
    Assertion { enabled: raw.enabled.value, header: name.unwrap_or(default.header), ttl }
}

impl Identity {
    /// The header that the assertion shares with `table` or with what clients may send, and what to say about it.
    pub(crate) fn assertion_clash(&self, table: &IdentityTable) -> Option<(&str, Finding)> {
        if !self.assertion.enabled {
            return None;
        }
        let name = self.assertion.header.as_str();
        if emits(table, name) {
            let finding = Finding::new(format!("`{name}` is an identity header and the assertion's too"));
            return Some((name, finding.help("give `identity.assertion.header` another name")));
        }
        self.keep_client_headers.iter().any(|kept| fold(kept) == fold(name)).then(|| {
            let finding = Finding::new(format!("`{name}` holds the assertion: a client's own would be believed"));
            (name, finding.help("leave it out of `keep_client_headers`"))
        })
    }
}

/// Whether `table` sets a header that a backend may take for `name`.
pub(crate) fn emits(table: &IdentityTable, name: &str) -> bool {
    table.headers.iter().any(|(header, _)| fold(header.as_str()) == fold(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_hold_known_placeholders_only() {
        for good in ["{username}", "u={subject};r={roles}", "{claims.org.id}", "{attributes.tenant}", "fixed"] {
            assert!(template(good).is_ok(), "{good}");
        }
        for bad in ["", "{user}", "{username", "username}", "{{username}}", "{claims.}", "{claims.a..b}", "ä", "a\r\nb"] {
            assert!(template(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_that_frame_a_message_are_not_emitted() {
        for name in ["Host", "content-length", "Connection", "Transfer-Encoding", "X-Forwarded-For", "a b", ""] {
            assert!(emitted_name(name).is_err(), "{name}");
        }
        assert!(emitted_name("Remote-User").is_ok());
    }

    #[test]
    fn one_header_in_every_spelling() {
        for name in ["X-Auth-User", "x_auth_user", "X.Auth.User", "HTTP_X_AUTH_USER"] {
            assert_eq!(fold(name), "x-auth-user");
        }
    }
}
