//! `[mail]`, checked.

use std::net::IpAddr;

use http::Uri;
use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use super::report::{Finding, Report, Span};
use super::values::Secret;
use super::{Mail, MailSecurity, MailServer, raw};
use crate::domain::SecretString;

/// What to write instead of a wrong `mail.smtp`.
const WRITE: &str = "write \"smtps://user:${SMTP_PASSWORD}@mail.example.com\", \"smtp://mail.example.com:587?tls=required\" for STARTTLS, \
                     or \"smtp://127.0.0.1:25\"";

/// Checks `[mail]`; nothing where it is not good, and something is filed.
pub(crate) fn checked(raw: &raw::Gateway, report: &mut Report) -> Option<Mail> {
    let mail = &raw.mail.value.as_ref()?;
    let from = from(mail, report);
    let server = server(mail.smtp.value.0.as_ref()?, mail.smtp.span, report);
    let public_url = &raw.server.value.public_url;
    if !public_url.set {
        let finding = Finding::new(format!("links in mails would lead to {}", public_url.value));
        report.warning(raw.mail.span, finding.help("write server.public_url with the host that people use"));
    }
    Some(Mail { server: server?, from: from? })
}

fn from(mail: &raw::Mail, report: &mut Report) -> Option<String> {
    let text = mail.from.value.0.as_ref()?;
    if let Ok(sender) = text.parse::<Mailbox>() {
        return Some(sender.to_string());
    }
    let finding = Finding::new("`mail.from` is no e-mail address");
    report.error(mail.from.span, finding.help("write \"no-reply@example.com\", or \"Example <no-reply@example.com>\""));
    None
}

fn server(secret: &Secret, span: Span, report: &mut Report) -> Option<MailServer> {
    match parsed(secret.value.expose_secret()) {
        Ok(server) => {
            if server.credentials.is_some() {
                super::tokens::warn_of_literal("mail.smtp", secret, span, report);
            }
            if server.security == MailSecurity::Plain && !is_local(&server.host) {
                let finding = Finding::new("mail would go in the clear, and links in it set passwords");
                report.warning(span, finding.help("write \"smtps://…\", or \"?tls=required\" behind it for STARTTLS"));
            }
            Some(server)
        }
        Err(wrong) => {
            report.error(span, Finding::new(format!("`mail.smtp` {wrong}")).help(WRITE));
            None
        }
    }
}

/// A server by its URL. No message quotes it: it may hold a password.
fn parsed(url: &str) -> Result<MailServer, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "is not a URL")?;
    let authority = uri.authority().ok_or("is not a whole URL")?;
    let security = match (uri.scheme_str(), uri.query()) {
        (Some("smtps"), None) => MailSecurity::Tls,
        (Some("smtp"), None) => MailSecurity::Plain,
        (Some("smtp"), Some("tls=required")) => MailSecurity::StartTls,
        (Some("smtp" | "smtps"), Some(_)) => return Err("takes `?tls=required` behind smtp:// and nothing else"),
        _ => return Err("has to begin with smtp:// or smtps://"),
    };
    if !matches!(uri.path(), "" | "/") || url.contains('#') {
        return Err("takes no path and no fragment");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.as_str().ends_with(':') {
        return Err("names no host, or an empty port");
    }
    let credentials = match authority.as_str().rsplit_once('@') {
        None => None,
        Some((user, _)) => {
            let (user, password) = user.split_once(':').ok_or("has a user name without a password")?;
            let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| "is not UTF-8");
            Some((decoded(user)?, SecretString::from(decoded(password)?)))
        }
    };
    let port = authority.port_u16().unwrap_or(match security {
        MailSecurity::Plain => 25,
        MailSecurity::StartTls => 587,
        MailSecurity::Tls => 465,
    });
    Ok(MailServer { host: host.to_owned(), port, security, credentials })
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_a_port_and_how_it_is_spoken_to() {
        for (url, host, port, security) in [
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, MailSecurity::Plain),
            ("smtp://mail.example.com", "mail.example.com", 25, MailSecurity::Plain),
            ("smtp://mail.example.com?tls=required", "mail.example.com", 587, MailSecurity::StartTls),
            ("smtps://[::1]/", "::1", 465, MailSecurity::Tls),
        ] {
            let server = parsed(url).expect(url);
            assert_eq!((server.host.as_str(), server.port, server.security), (host, port, security), "{url}");
            assert!(server.credentials.is_none(), "{url}");
        }
    }

    #[test]
    fn credentials_are_percent_decoded() {
        let server = parsed("smtps://me%40example.com:p%40ss%2F@mail.example.com:466").expect("a server");
        let (user, password) = server.credentials.expect("credentials");
        assert_eq!((user.as_str(), password.expose_secret()), ("me@example.com", "p@ss/"));
    }

    #[test]
    fn what_is_no_server_is_refused_without_being_quoted() {
        for url in [
            "",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://host:",
            "smtp://user@host",
            "smtp://host/path",
            "smtp://host?tls=opportunistic",
            "smtps://host?tls=required",
            "smtp://u:%ff@host",
        ] {
            let wrong = parsed(url).expect_err(url);
            assert!(!wrong.contains("u:") && !wrong.contains("host."), "{url}: {wrong}");
        }
    }
}
