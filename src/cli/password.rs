//! Where passwords come from: the terminal, typed twice, or the first line of stdin. Never an argument, which others see.

use std::io::{self, BufRead, IsTerminal};

use super::{Exit, Failure};
use crate::config::Passwords;
use crate::domain::secret::ExposeSecret;
use crate::domain::{Entropy, SecretString, entropy};
use crate::password::strength;

/// More than any configuration allows a password to have, in bytes.
const MAX_LINE: u64 = 64 * 1024;
/// 24 of these are 137 bits; none looks like another.
const ALPHABET: &[u8] = b"23456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";

/// A new password for `username`, who may log in by `email` too, that keeps `rules`.
pub(super) fn new(rules: &Passwords, username: &str, email: Option<&str>, stdin: bool) -> Result<SecretString, Failure> {
    let password = if stdin { first_line(io::stdin().lock())? } else { prompted(username)? };
    judge(rules, std::iter::once(username).chain(email), &password)?;
    Ok(password)
}

/// A secret that was given as an argument, or `-` for the first line of stdin.
pub(super) fn line_or(given: &str, what: &str) -> Result<SecretString, Failure> {
    if given == "-" { line(io::stdin().lock(), what) } else { Ok(given.into()) }
}

/// Whether somebody sits there who can be asked.
pub(super) fn can_prompt() -> bool {
    io::stdin().is_terminal()
}

/// A password that nobody has to think of.
pub(super) fn generated(entropy: &dyn Entropy) -> SecretString {
    entropy::random_text(entropy, ALPHABET, 24).into()
}

/// Whether `password` is good enough.
pub(super) fn judge<'a>(
    rules: &Passwords,
    names: impl IntoIterator<Item = &'a str>,
    password: &SecretString,
) -> Result<(), Failure> {
    strength::check(rules, names, password.expose_secret())
        .map_err(|weakness| Failure::wrong(format!("{weakness} ([passwords] in gateway.toml says what is asked)")))
}

fn prompted(username: &str) -> Result<SecretString, Failure> {
    if !can_prompt() {
        return Err(Failure {
            exit: Exit::Usage,
            message: "there is no terminal to ask for the password: use --password-stdin and send it on stdin".to_owned(),
        });
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map(SecretString::from)
            .map_err(|error| Failure::could_not(format!("the password can't be asked for: {error}")))
    };
    let password = ask(format!("New password for {username}: "))?;
    let again = ask("The same again: ".to_owned())?;
    if password.expose_secret() != again.expose_secret() {
        return Err(Failure::wrong("the two passwords differ; nothing was changed"));
    }
    Ok(password)
}

/// A secret that is there already: from the terminal, unseen, or the first line of stdin. `what` it is called in errors.
pub(super) fn secret(prompt: &str, what: &str) -> Result<SecretString, Failure> {
    if can_prompt() {
        let typed = rpassword::prompt_password(prompt);
        return typed.map(Into::into).map_err(|error| Failure::could_not(format!("the {what} can't be asked for: {error}")));
    }
    line(io::stdin().lock(), what)
}

/// The first line, without its end.
fn first_line(input: impl BufRead) -> Result<SecretString, Failure> {
    line(input, "password")
}

fn line(input: impl BufRead, what: &str) -> Result<SecretString, Failure> {
    let mut line = Vec::new();
    input
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::could_not(format!("stdin can't be read: {error}")))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(Failure::wrong(format!("there was no {what} on stdin: send it as the first line"))),
        Ok(line) => Ok(line.to_owned().into()),
        Err(_) => Err(Failure::wrong(format!("the {what} on stdin is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemEntropy;

    #[test]
    fn the_first_line_of_stdin_is_the_password_with_its_spaces() {
        for (input, password) in [("pass word \nrest", "pass word "), ("crlf\r\n", "crlf"), ("no end", "no end")] {
            assert_eq!(first_line(input.as_bytes()).expect("a password").expose_secret(), password);
        }
        for input in [&b""[..], b"\n", b"\r\n", b"\xff\n"] {
            assert_eq!(first_line(input).expect_err("no password").exit, Exit::Wrong, "{input:?}");
        }
    }

    #[test]
    fn a_generated_password_is_long_and_new_each_time() {
        let (one, two) = (generated(&SystemEntropy), generated(&SystemEntropy));
        assert_eq!(one.expose_secret().len(), 24);
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
