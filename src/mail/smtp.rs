//! Letters to the server of `[mail]`, by SMTP (RFC 5321).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;

use super::Letter;
use crate::config::{Mail, MailSecurity};
use crate::domain::Timestamp;

/// How long the server may take for one letter, from the connection to its last word.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// The server of `[mail]`.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a letter did not go out. Says nothing that the server said: servers quote addresses, and filters quote links.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undelivered {
    /// It may go out later.
    #[error("{0}")]
    ForNow(String),
    /// It never will.
    #[error("{0}")]
    ForGood(String),
}

impl Smtp {
    /// The server of `mail`, towards which the gateway is called as in `public_url`.
    ///
    /// # Errors
    /// A sentence for the operator, where TLS can't be set up.
    pub fn new(mail: &Mail, public_url: &str) -> Result<Self, String> {
        let server = &mail.server;
        let parameters = || TlsParameters::new(server.host.clone()).map_err(|error| format!("TLS for mail: {error}"));
        let tls = match server.security {
            MailSecurity::Plain => Tls::None,
            MailSecurity::StartTls => Tls::Required(parameters()?),
            MailSecurity::Tls => Tls::Wrapper(parameters()?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(CONNECT))
            .hello_name(hello(public_url));
        if let Some((user, password)) = &server.credentials {
            transport = transport.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        let from = mail.from.parse().map_err(|error| format!("mail.from: {error}"))?;
        Ok(Self { transport: transport.build(), from })
    }

    /// Sends `letter`, once; `id` is what no other mail is called.
    pub(super) async fn send(&self, letter: &Letter, id: &str, now: Timestamp) -> Result<(), Undelivered> {
        let message = self.message(letter, id, now)?;
        match tokio::time::timeout(DEADLINE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(Undelivered::ForNow(format!("the server took longer than {DEADLINE:?}"))),
        }
    }

    fn message(&self, letter: &Letter, id: &str, now: Timestamp) -> Result<Message, Undelivered> {
        let unfit = |_| Undelivered::ForGood("the address is none that mail can go to".to_owned());
        let to: Address = letter.to.parse().map_err(unfit)?;
        let domain = self.from.email.domain();
        let sent_at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or_default());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.kind.subject())
            .date(sent_at)
            .message_id(Some(format!("<{id}@{domain}>")))
            // RFC 3834 §5: no out-of-office notes, please.
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(
                letter.text.expose_secret().to_owned(),
                letter.html.expose_secret().to_owned(),
            ))
            .map_err(|error| Undelivered::ForGood(format!("it could not be written: {error}")))
    }
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Smtp")
    }
}

fn why(error: &lettre::transport::smtp::Error) -> Undelivered {
    if let Some(code) = error.status() {
        let text = format!("the server answered {code}");
        return if error.is_permanent() { Undelivered::ForGood(text) } else { Undelivered::ForNow(text) };
    }
    let what = if error.is_tls() {
        "TLS failed"
    } else if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_client() {
        "the server does not offer what is needed"
    } else {
        "there is no connection"
    };
    let cause = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
    Undelivered::ForNow(format!("{what}{cause}"))
}

/// How the gateway introduces itself (RFC 5321 §4.1.1.1): by its public host.
fn hello(public_url: &str) -> ClientId {
    let authority = public_url.parse::<http::Uri>().ok().and_then(|uri| uri.authority().cloned());
    let host = authority.as_ref().map_or("localhost", |authority| authority.host());
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(v4)) => ClientId::Ipv4(v4),
        Ok(IpAddr::V6(v6)) => ClientId::Ipv6(v6),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MailServer;

    fn smtp() -> Smtp {
        let server = MailServer { host: "127.0.0.1".to_owned(), port: 25, security: MailSecurity::Plain, credentials: None };
        let mail = Mail { server, from: "Gate <gate@example.com>".to_owned() };
        Smtp::new(&mail, "https://auth.example.com").expect("a server")
    }

    #[test]
    fn a_letter_has_the_fields_of_an_automatic_mail_and_both_forms() {
        let letter = Letter::taken("ann@example.com", "https://auth.example.com");
        let message = smtp().message(&letter, "id-1", Timestamp::from_secs(1_800_000_000)).expect("a message").formatted();
        let message = String::from_utf8(message).expect("text");
        for line in [
            "From: Gate <gate@example.com>\r\n",
            "To: ann@example.com\r\n",
            "Subject: You have an account already\r\n",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Message-ID: <id-1@example.com>\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: text/html; charset=utf-8\r\n",
        ] {
            assert!(message.contains(line), "{line} in\n{message}");
        }
    }

    #[test]
    fn an_address_that_would_add_a_field_is_none() {
        for to in [
            "a@b.example\r\nBcc: c@d.example",
            "a@b.example\nX: y",
            "a@b.example, c@d.example",
            "a@b.example>\r\nRCPT TO:<x@y.example",
        ] {
            let mut letter = Letter::taken("ann@example.com", "https://a");
            to.clone_into(&mut letter.to);
            let refused = smtp().message(&letter, "id-1", Timestamp::from_secs(0)).expect_err(to);
            assert!(matches!(refused, Undelivered::ForGood(_)), "{to}");
        }
    }

    #[test]
    fn the_gateway_is_called_by_its_public_host() {
        assert_eq!(hello("https://auth.example.com:8443").to_string(), "auth.example.com");
        assert_eq!(hello("http://127.0.0.1:8080").to_string(), "[127.0.0.1]");
        assert_eq!(hello("http://[::1]:8080").to_string(), "[IPv6:::1]");
    }
}
