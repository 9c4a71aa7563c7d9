//! What mails say. As text and as HTML, which holds the same and loads nothing from anywhere.

use std::fmt::{self, Write as _};

use crate::domain::SecretString;

/// What a letter is about, as logs and metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks whether an address is one's own.
    Confirm,
    /// Tells an address' owner that somebody gave it who is not its account.
    Taken,
    /// Leads to a new password.
    Reset,
    /// Tells of a new password.
    PasswordChanged,
    /// Tells the old address of a new one.
    EmailChanged,
}

impl Kind {
    /// As logs and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Taken => "taken",
            Self::Reset => "reset",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
        }
    }

    /// The subject. Always the same: nothing that somebody chose gets into a header field.
    #[must_use]
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Confirm => "Confirm your e-mail address",
            Self::Taken => "You have an account already",
            Self::Reset => "Set a new password",
            Self::PasswordChanged => "Your password was changed",
            Self::EmailChanged => "Your e-mail address was changed",
        }
    }
}

/// A mail to one address. Prints as what it is about, not as what it says: it may hold a link that sets a password.
#[derive(Clone)]
pub struct Letter {
    /// What it is about.
    pub kind: Kind,
    /// Whom it goes to.
    pub to: String,
    /// As plain text.
    pub text: SecretString,
    /// As HTML.
    pub html: SecretString,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A paragraph.
enum Part<'a> {
    Words(String),
    Link(&'a str),
}

impl Letter {
    /// Asks the reader of `to` to confirm by `link`. Says nothing that the sender chose: he may be a stranger.
    #[must_use]
    pub fn confirm(to: &str, site: &str, link: &str) -> Self {
        let words = format!("Somebody, we hope it was you, gave this address for an account at {site}.");
        let parts = [
            Part::Words(words),
            Part::Words(
                "To confirm that the address is yours, open this link within 30 minutes and press the button:".to_owned(),
            ),
            Part::Link(link),
            Part::Words("If it was not you, do nothing: the address will not be used.".to_owned()),
        ];
        Self::new(Kind::Confirm, to, &parts)
    }

    /// Tells the owner of `to` that it was given for another account.
    #[must_use]
    pub fn taken(to: &str, site: &str) -> Self {
        let parts = [
            Part::Words(format!("Somebody, we hope it was you, gave this address for an account at {site}.")),
            Part::Words(
                "It belongs to an account there already, so it was not used. You can log in with this address.".to_owned(),
            ),
            Part::Words("If you do not know the password any more, ask for a new one. If it was not you, do nothing.".to_owned()),
        ];
        Self::new(Kind::Taken, to, &parts)
    }

    /// Leads the reader of `to` to a new password for his account `username`.
    #[must_use]
    pub fn reset(to: &str, site: &str, username: &str, link: &str) -> Self {
        let parts = [
            Part::Words(format!("Somebody, we hope it was you, asked for a new password for the account {username} at {site}.")),
            Part::Words("To set one, open this link within 30 minutes. It works once, and logs you out everywhere:".to_owned()),
            Part::Link(link),
            Part::Words("If it was not you, do nothing: the password stays as it is.".to_owned()),
        ];
        Self::new(Kind::Reset, to, &parts)
    }

    /// Tells of a new password.
    #[must_use]
    pub fn password_changed(to: &str, site: &str, username: &str) -> Self {
        let parts = [
            Part::Words(format!("The password of your account {username} at {site} was changed.")),
            Part::Words("If it was not you, ask for a new password at once, and tell who runs the site.".to_owned()),
        ];
        Self::new(Kind::PasswordChanged, to, &parts)
    }

    /// Tells the old address that there is a new one; not which.
    #[must_use]
    pub fn email_changed(to: &str, site: &str, username: &str) -> Self {
        let words = format!("Your account {username} at {site} has another e-mail address now. This one is not used any more.");
        let parts = [Part::Words(words), Part::Words("If it was not you, tell who runs the site.".to_owned())];
        Self::new(Kind::EmailChanged, to, &parts)
    }

    fn new(kind: Kind, to: &str, parts: &[Part<'_>]) -> Self {
        let mut text = String::new();
        let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"></head><body>\n");
        for part in parts {
            // Writing to a String can't fail.
            let _ = match part {
                Part::Words(words) => write!(text, "{words}\n\n").and_then(|()| writeln!(html, "<p>{}</p>", escaped(words))),
                Part::Link(link) => {
                    let shown = escaped(link);
                    write!(text, "{link}\n\n").and_then(|()| writeln!(html, "<p><a href=\"{shown}\">{shown}</a></p>"))
                }
            };
        }
        html.push_str("</body></html>\n");
        Self { kind, to: to.to_owned(), text: format!("{}\n", text.trim_end()).into(), html: html.into() }
    }
}

/// `text` as HTML shows it, in an attribute too.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn text_and_html_say_the_same() {
        let letter = Letter::reset("ann@example.com", "https://auth.example.com", "ann", "https://auth.example.com/x?token=abc");
        insta::assert_snapshot!(letter.text.expose_secret(), @r#"
        Somebody, we hope it was you, asked for a new password for the account ann at https://auth.example.com.

        To set one, open this link within 30 minutes. It works once, and logs you out everywhere:

        https://auth.example.com/x?token=abc

        If it was not you, do nothing: the password stays as it is.
        "#);
        insta::assert_snapshot!(letter.html.expose_secret(), @r#"
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"></head><body>
        <p>Somebody, we hope it was you, asked for a new password for the account ann at https://auth.example.com.</p>
        <p>To set one, open this link within 30 minutes. It works once, and logs you out everywhere:</p>
        <p><a href="https://auth.example.com/x?token=abc">https://auth.example.com/x?token=abc</a></p>
        <p>If it was not you, do nothing: the password stays as it is.</p>
        </body></html>
        "#);
    }

    #[test]
    fn nothing_in_a_name_is_markup() {
        let letter = Letter::password_changed("a@example.com", "https://a", "<b onclick='x'>&\"");
        assert!(
            letter.html.expose_secret().contains("&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;"),
            "{}",
            letter.html.expose_secret()
        );
    }

    #[test]
    fn a_letter_does_not_print_what_it_says() {
        let letter = Letter::confirm("ann@example.com", "https://a", "https://a/?token=secret");
        assert_eq!(format!("{letter:?}"), "Letter { kind: Confirm, .. }");
    }
}
