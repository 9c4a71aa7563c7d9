//! `[store].url` of a PostgreSQL server, checked. Nothing of it is quoted: it may hold a password.

use std::net::IpAddr;
use std::path::Path;

use secrecy::ExposeSecret;
use url::{Host, Url};

use super::report::{Finding, Report, Span};
use super::schema::did_you_mean;
use super::values::Secret;
use crate::domain::SecretString;

const EXAMPLE: &str = "write \"postgres://user:${PGPASSWORD}@host:5432/database?sslmode=verify-full\"; in a name or password, \
                       `@`, `:`, `/`, `?`, `#` and `%` are written %40, %3A, %2F, %3F, %23 and %25";

const PARAMETERS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "application_name", "options"];
/// Those that name a file.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The URL with its files' paths absolute.
pub(crate) fn store(secret: &Secret, span: Span, folder: &Path, report: &mut Report) -> SecretString {
    let wrong = match Url::parse(secret.value.expose_secret()) {
        Ok(url) => {
            let Some(wrong) = shortcoming(&url) else {
                warn(&url, secret, span, report);
                return with_absolute_files(url, folder, span, report);
            };
            wrong
        }
        Err(_) => Finding::new("`store.url` is no URL of a PostgreSQL database").help(EXAMPLE),
    };
    report.error(span, wrong);
    secret.value.clone()
}

fn shortcoming(url: &Url) -> Option<Finding> {
    if url.fragment().is_some() {
        return Some(Finding::new("`store.url` has a `#`, behind which nothing is read").help(EXAMPLE));
    }
    if url.host_str().is_some_and(|host| host.contains(',')) {
        let finding = Finding::new("`store.url` names several servers, and one is asked");
        return Some(finding.help("write the name or address that leads to whichever takes writes"));
    }
    let database = url.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') {
        return Some(Finding::new("`store.url` names no database").help(EXAMPLE));
    }
    for (name, value) in url.query_pairs() {
        if !PARAMETERS.contains(&&*name) {
            let near = if name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte)) { &*name } else { "" };
            let finding = Finding::new("`store.url` has a parameter that is not known");
            return Some(finding.help(did_you_mean(near, &PARAMETERS)));
        }
        if name == "sslmode" && !MODES.contains(&&*value) {
            return Some(Finding::new("`store.url` has an `sslmode` that there is not").help(did_you_mean(&value, &MODES)));
        }
    }
    if (parameter(url, "sslcert").is_some()) != (parameter(url, "sslkey").is_some()) {
        return Some(Finding::new("`store.url` has `sslcert` and `sslkey` together or neither"));
    }
    None
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
}

fn warn(url: &Url, secret: &Secret, span: Span, report: &mut Report) {
    if url.password().is_some_and(|password| !password.is_empty()) {
        super::tokens::warn_of_literal("store.url", secret, span, report);
    }
    if !is_remote(url) {
        return;
    }
    let help = "write ?sslmode=verify-full behind the database's name, and &sslrootcert=ca.pem for an authority of your own";
    match parameter(url, "sslmode").as_deref() {
        Some("verify-full" | "verify-ca") => {}
        Some("require") => {
            let finding = Finding::new("`store.url` has TLS to another machine that does not check who answers there");
            report.warning(span, finding.help(help));
        }
        _ => {
            let finding = Finding::new(
                "`store.url` leads to another machine and does not insist on TLS: accounts, sessions and revocations can be read \
                 and changed on the way",
            );
            report.warning(span, finding.help(help));
        }
    }
}

/// Whether it leads off this machine.
fn is_remote(url: &Url) -> bool {
    if let Some(host) = parameter(url, "host") {
        let is_here = host.starts_with('/') || host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        return !is_here;
    }
    match url.host() {
        None => false,
        Some(Host::Domain(name)) => {
            let is_socket = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"));
            let is_loopback = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            !(name == "localhost" || is_socket || is_loopback)
        }
        Some(Host::Ipv4(ip)) => !ip.is_loopback(),
        Some(Host::Ipv6(ip)) => !ip.is_loopback(),
    }
}

fn with_absolute_files(mut url: Url, folder: &Path, span: Span, report: &mut Report) -> SecretString {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            if !FILES.contains(&&*name) {
                return (name.into_owned(), value.into_owned());
            }
            let file = folder.join(&*value);
            if !file.is_file() {
                let finding = Finding::new(format!("`{name}` of `store.url` is no file: {}", file.display()));
                report.error(span, finding.help("write a path, relative to this file or absolute"));
            }
            (name.into_owned(), file.display().to_string())
        })
        .collect();
    if !pairs.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine_is_not_remote() {
        for here in [
            "postgres:///db",
            "postgres://localhost/db",
            "postgres://u@127.0.0.1:5433/db",
            "postgres://u@[::1]/db",
            "postgres://%2Frun%2Fpostgresql/db",
            "postgres://u@localhost/db?host=/run/postgresql",
        ] {
            assert!(!is_remote(&Url::parse(here).unwrap()), "{here}");
        }
        for there in ["postgres://db/db", "postgres://u:p@10.0.0.1/db", "postgres://localhost/db?host=db", "postgres://[::2]/db"]
        {
            assert!(is_remote(&Url::parse(there).unwrap()), "{there}");
        }
    }
}
