//! What single keys of a route may say: hosts, methods, header rules, prefixes, paths of the gateway's own.

use http::{HeaderValue, Method};
use secrecy::ExposeSecret;

use super::raw::Common;
use super::spec::{canonical, method};
use crate::config::Config;
use crate::config::backends::{is_host, is_plain_path};
use crate::config::identity::{IdentityWish, emits, fold, header_name};
use crate::config::report::{Finding, Report, Span};
use crate::config::schema::{At, did_you_mean, nearest};
use crate::config::values::Secret;
use crate::config::wrapped::Named;
use crate::domain::IdentityTable;
use crate::policy::{HeaderRule, HostPattern, HostRewrite, Pattern};

/// `hosts`
pub(super) fn hosts(hosts: &At<Vec<At<String>>>, report: &mut Report) -> Vec<HostPattern> {
    let mut patterns = Vec::new();
    for host in &hosts.value {
        match host_pattern(&host.value) {
            Ok(pattern) if patterns.contains(&pattern) => {
                report.error(host.span, Finding::new(format!("`{}` is listed twice", host.value)).help("leave one out"));
            }
            Ok(pattern) => patterns.push(pattern),
            Err(finding) => report.error(host.span, finding),
        }
    }
    patterns
}

fn host_pattern(text: &str) -> Result<HostPattern, Finding> {
    let lower = text.to_ascii_lowercase();
    let wrong = |why: &str| Finding::new(format!("`{text}` is not a host: {why}"));
    if lower == "*" {
        return Err(wrong("a star stands before a name only").help("leave `hosts` out for any host"));
    }
    if lower.contains("://") || lower.contains('/') {
        return Err(wrong("it is a URL").help("write the host alone: \"shop.example.com\""));
    }
    if lower.ends_with('.') {
        return Err(wrong("it ends in a dot").help(format!("write \"{}\"", lower.trim_end_matches('.'))));
    }
    if let Some(name) = lower.strip_prefix('*') {
        let domain = name.strip_prefix('.').filter(|domain| is_host(domain) && !domain.starts_with('['));
        let domain = domain.filter(|domain| domain.parse::<std::net::Ipv4Addr>().is_err());
        return match domain {
            Some(_) => Ok(HostPattern::Wildcard(name.to_owned())),
            None => Err(wrong("a star is a whole label before a name").help("write \"*.example.com\"")),
        };
    }
    if is_host(&lower) {
        return Ok(HostPattern::Exact(lower));
    }
    match lower.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(wrong("ports do not count").help(format!("write \"{host}\"")))
        }
        _ => Err(wrong("a name, an address, or `*.` and a name").help("write \"shop.example.com\" or \"*.example.com\"")),
    }
}

/// `methods`
pub(super) fn methods(methods: &[At<String>], span: Span, report: &mut Report) -> Vec<Method> {
    if methods.is_empty() && !report.may_hide(span, &["methods"]) {
        report.error(span, Finding::new("`methods` lists none: no call could match").help("leave it out for all of them"));
    }
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let mut all = Vec::new();
    for At { value: text, span, .. } in methods {
        let upper = text.to_ascii_uppercase();
        match method(text) {
            _ if matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") => {
                report.error(*span, Finding::new(format!("`{upper}` is never passed on")).help("leave it out"));
            }
            _ if *text != upper => {
                let finding = Finding::new(format!("methods are upper case: `{text}` would match nothing"));
                report.error(*span, finding.help(format!("write \"{upper}\"")));
            }
            None => report.error(*span, Finding::new(format!("`{text}` is not a method")).help(did_you_mean(text, &known))),
            Some(method) => {
                if !known.contains(&text.as_str())
                    && let Some(meant) = known.iter().find(|name| strsim::damerau_levenshtein(text, name) == 1)
                {
                    let finding = Finding::new(format!("`{text}` is no common method"));
                    report.warning(*span, finding.help(format!("did you mean `{meant}`?")));
                }
                all.push(method);
            }
        }
    }
    all
}

/// `host`
pub(super) fn host(host: &At<String>, report: &mut Report) -> Option<HostRewrite> {
    let text = host.value.as_str();
    match text {
        "preserve" => return Some(HostRewrite::Preserve),
        "backend" => return Some(HostRewrite::Backend),
        _ => {}
    }
    if !text.contains('.')
        && let Some(word) = nearest(text, &["preserve", "backend"])
    {
        let finding = Finding::new(format!("`host` is `preserve`, `backend` or a name; `{text}` looks like none of them"));
        report.error(host.span, finding.help(format!("did you mean `{word}`?")));
        return None;
    }
    let name = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(text, |(name, _)| name);
    let value = Some(text).filter(|_| is_host(name)).and_then(|text| HeaderValue::from_str(text).ok());
    if value.is_none() {
        let finding = Finding::new(format!("`host` is `preserve`, `backend` or a name, not `{text}`"));
        report.error(host.span, finding.help("write \"legacy.example.com\""));
    }
    value.map(HostRewrite::Name)
}

/// Headers that frame a message: nobody but the gateway sets them.
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// `X-Forwarded-*` that clients can't send and the gateway does not: a rewritten path may need one, `X-Forwarded-Prefix` above all.
const STEERING: [&str; 6] = ["prefix", "uri", "method", "server", "ssl", "scheme"];

/// `request_headers`
pub(super) fn request_headers(
    rules: &[Named<Secret>],
    identity: &IdentityTable,
    config: &Config,
    report: &mut Report,
) -> Vec<HeaderRule> {
    for Named { name, value } in rules {
        let lower = name.value.to_ascii_lowercase();
        if lower == "host" {
            report.error(name.span, Finding::new("`Host` has a key of its own").help("write host = \"backend\", or a name"));
        } else if [identity, &config.identity.headers, &IdentityTable::x_auth()].iter().any(|table| emits(table, &lower))
            || fold(&lower) == fold(config.identity.assertion.header.as_str())
        {
            let finding = Finding::new(format!("`{}` tells who is calling: it comes from the credential alone", name.value));
            report.error(name.span, finding.help("set it with `identity`, or take another name"));
        } else if ["x-request-id", "forwarded", "x-real-ip"].contains(&lower.as_str())
            || fold(&lower).strip_prefix("x-forwarded-").is_some_and(|rest| !STEERING.contains(&rest))
        {
            let finding = Finding::new(format!("`{}` is set by the gateway on every call", name.value));
            report.error(name.span, finding.help("leave it out"));
        }
        if ["authorization", "cookie", "proxy-authorization"].contains(&lower.as_str())
            && value.value.literal
            && !value.value.value.expose_secret().is_empty()
        {
            let finding = Finding::new(format!("`{}` is a literal secret: whoever reads this file has it", name.value));
            report.warning(value.span, finding.help("write \"Basic ${LEGACY}\" and set the variable"));
        }
    }
    header_rules(rules, report)
}

/// `response_headers`
pub(super) fn response_headers(rules: &[Named<Secret>], report: &mut Report) -> Vec<HeaderRule> {
    header_rules(rules, report)
}

fn header_rules(rules: &[Named<Secret>], report: &mut Report) -> Vec<HeaderRule> {
    let mut made: Vec<HeaderRule> = Vec::new();
    for Named { name, value } in rules {
        let header = match header_name(&name.value) {
            Ok(header) => header,
            Err(finding) => {
                report.error(name.span, finding);
                continue;
            }
        };
        if FRAMING.contains(&header.as_str()) && header.as_str() != "host" {
            report.error(
                name.span,
                Finding::new(format!("`{}` frames the message: the gateway sets it", name.value)).help("leave it out"),
            );
        }
        if made.iter().any(|rule| rule.name == header) {
            report.error(name.span, Finding::new(format!("`{}` is set twice", name.value)).help("leave one out"));
        }
        let text = value.value.value.expose_secret();
        let set = match text {
            "" => None,
            text => match HeaderValue::from_str(text) {
                Ok(mut value) if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text => {
                    value.set_sensitive(true);
                    Some(value)
                }
                _ => {
                    let finding = Finding::new(format!("the value of `{}` can't stand in a header", name.value));
                    report.error(value.span, finding.help("printable ASCII without spaces at its ends"));
                    continue;
                }
            },
        };
        made.push(HeaderRule { name: header, value: set });
    }
    made
}

/// A route's own identity headers must not be among those that clients may send.
pub(super) fn kept_headers(wish: &At<Option<IdentityWish>>, config: &Config, report: &mut Report) {
    let Some(wish_table) = &wish.value else { return };
    for kept in &config.identity.keep_client_headers {
        if emits(&wish_table.0, kept) {
            let finding =
                Finding::new(format!("`{kept}` is in `identity.keep_client_headers`: a client's own would be believed"));
            report.error(wish.span, finding.help("take it out there, or set another header here"));
        }
    }
    let assertion = &config.identity.assertion;
    if assertion.enabled && emits(&wish_table.0, assertion.header.as_str()) {
        let finding = Finding::new(format!("`{}` is the header of the assertion", assertion.header));
        report.error(wish.span, finding.help("set another header here, or move `identity.assertion.header`"));
    }
}

/// `strip_prefix` and `add_prefix`
pub(super) fn prefixes(path: &str, common: &Common, pattern: &Pattern, report: &mut Report) {
    let strip = &common.strip_prefix;
    if !strip.value.is_empty() && pattern.prefix_length(&strip.value).is_none() {
        let finding = Finding::new(format!("`strip_prefix = \"{}\"` is not how every `{path}` begins", strip.value));
        let literal: Vec<_> = path.split('/').skip(1).take_while(|part| !part.contains(['{', '*']) && !part.is_empty()).collect();
        let help = match literal.first() {
            Some(first) => format!("whole literal segments of the path, such as \"/{first}\""),
            None => "this path begins with no literal segment: leave it out".to_owned(),
        };
        report.error(strip.span, finding.help(help));
    }
    let add = &common.add_prefix;
    if !is_plain_path(add.value.strip_suffix('/').unwrap_or(&add.value)) {
        let finding = Finding::new(format!("`add_prefix = \"{}\"` can't be put before a path", add.value));
        report.error(add.span, finding.help("segments of letters, digits and `-._~`: \"/v2\""));
    }
}

/// The gateway's own path that `path` would stand on.
pub(super) fn reserved(path: &str, folds: bool, hosts: &[HostPattern], config: &Config) -> Option<String> {
    let literal: Vec<&str> = path.split('/').take_while(|part| !part.contains(['{', '*'])).collect();
    let whole = literal.len() == path.split('/').count();
    let open = path.ends_with("/**") && literal.len() + 1 == path.split('/').count();
    let literal = canonical(&literal.join("/"));
    let same = |a: &str, b: &str| if folds { a.eq_ignore_ascii_case(b) } else { a == b };
    let prefix = &config.auth.prefix;
    let head = literal.get(..prefix.len()).unwrap_or_default();
    if same(head, prefix) && literal.get(prefix.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Some(format!("{prefix}/**"));
    }
    let aliased = config.auth.aliases.iter().find(|(alias, target)| {
        let head = literal.get(..alias.len()).unwrap_or_default();
        let below = literal.get(alias.len()..).is_some_and(|rest| rest.starts_with('/'));
        ((whole || open) && same(&literal, alias)) || (config.auth.covers_below(target) && same(head, alias) && (below || !whole))
    });
    if let Some((alias, target)) = aliased {
        return Some(format!("{alias}, an alias of {target}"));
    }
    let public = config.server.public_url.split_once("://").map_or("", |(_, authority)| authority);
    let public = public.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(public, |(host, _)| host);
    let ours = hosts.is_empty()
        || hosts.iter().any(|host| match host {
            HostPattern::Exact(host) => host == public,
            HostPattern::Wildcard(suffix) => public.ends_with(suffix.as_str()),
        });
    let documents = ["jwks.json", "oauth-authorization-server", "openid-configuration"];
    let mut documents = documents.iter().map(|name| format!("/.well-known/{name}"));
    documents.find(|document| ours && (whole || open) && same(&literal, document))
}
