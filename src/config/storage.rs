//! `[store]` and `[redis]`, checked.

use std::path::Path;

use secrecy::ExposeSecret;

use super::report::{Finding, Report, Span};
use super::schema::{At, did_you_mean};
use super::values::Secret;
use super::{Redis, raw};
use crate::domain::SecretString;

/// `[store].url`, with absolute paths.
pub(crate) fn store(url: &At<Secret>, folder: &Path, report: &mut Report) -> SecretString {
    let text = url.value.value.expose_secret();
    match text.split_once(':').map_or((text, ""), |(scheme, rest)| (scheme, rest)) {
        ("postgres" | "postgresql", _) => {
            return super::postgres::store(&url.value, url.span, folder, report);
        }
        ("sqlite", rest) => match sqlite_path(rest) {
            Ok(path) => return format!("sqlite://{}", folder.join(path).display()).into(),
            Err(wrong) => {
                let finding = Finding::new(format!("`store.url` {wrong}"));
                report.error(
                    url.span,
                    finding.help("write \"sqlite://data/portcullis.db\", or \"sqlite:///var/lib/portcullis/portcullis.db\""),
                );
            }
        },
        _ => {
            let finding = Finding::new("`store.url` begins with no scheme that is known");
            report.error(
                url.span,
                finding.help("write \"sqlite://data/portcullis.db\", or \"postgres://user:${PGPASSWORD}@host/database\""),
            );
        }
    }
    url.value.value.clone()
}

fn sqlite_path(rest: &str) -> Result<&str, &'static str> {
    let path = rest.strip_prefix("//").ok_or("has `//` before its path")?;
    if path.is_empty() || path.ends_with('/') {
        return Err("names no file");
    }
    if path.contains(":memory:") {
        return Err("keeps nothing: accounts, sessions and revocations would be lost with the process");
    }
    if path.contains(['?', '#', '%']) {
        return Err("takes a path only, without `?`, `#` and `%`");
    }
    Ok(path)
}

const REDIS: [&str; 2] = ["redis", "rediss"];
/// Those of several servers, which nothing follows yet.
const REDIS_LATER: [&str; 4] = ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"];

/// `[redis]`.
pub(crate) fn redis(raw: &raw::Redis, report: &mut Report) -> Redis {
    let url = raw.url.value.0.as_ref();
    if let Some(url) = url {
        check_redis_url(url, raw.url.span, report);
    }
    let prefix = &raw.key_prefix;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if prefix.value.is_empty() || !prefix.value.bytes().all(good) {
        let finding = Finding::new("`redis.key_prefix` is letters, digits and `-_.:`, and not empty");
        report.error(prefix.span, finding.help("write key_prefix = \"portcullis\""));
    }
    Redis { url: url.map_or_else(|| "".into(), |url| url.value.clone()), key_prefix: prefix.value.clone() }
}

fn check_redis_url(url: &Secret, span: Span, report: &mut Report) {
    let text = url.value.expose_secret();
    let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
    if REDIS_LATER.contains(&scheme) {
        let finding = Finding::new(format!("`redis.url = \"{scheme}://…\"` is not available yet"));
        return report.error(span, finding.help("name one server: \"redis://127.0.0.1:6379/0\", or rediss:// for TLS"));
    }
    if !REDIS.contains(&scheme) {
        let finding = Finding::new("`redis.url` begins with no scheme that is known");
        return report.error(span, finding.help(did_you_mean(if rest.is_empty() { "" } else { scheme }, &REDIS)));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if hosts.is_empty() || hosts.starts_with(':') {
        return report.error(span, Finding::new("`redis.url` names no host").help("write \"redis://127.0.0.1:6379/0\""));
    }
    let port = hosts.rsplit_once(':').filter(|_| !hosts.ends_with(']')).map(|(_, port)| port);
    let database = rest.split('?').next().and_then(|rest| rest.split_once('/')).map_or("", |(_, database)| database);
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if port.is_some_and(|port| !number(port) || port.parse::<u16>().is_err()) || !number(database) {
        let finding = Finding::new("`redis.url` is a host, a port and the number of a database");
        return report.error(span, finding.help("write \"redis://127.0.0.1:6379/0\""));
    }
    if user.split_once(':').is_some_and(|(_, password)| !password.is_empty()) {
        super::tokens::warn_of_literal("redis.url", url, span, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_url_names_a_file() {
        assert_eq!(sqlite_path("//data/x.db"), Ok("data/x.db"));
        assert_eq!(sqlite_path("///abs/x.db"), Ok("/abs/x.db"));
        for bad in ["", "data/x.db", "//", "//data/", "//:memory:", "//x?mode=memory", "//x%41"] {
            assert!(sqlite_path(bad).is_err(), "{bad}");
        }
    }
}
