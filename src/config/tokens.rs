//! `[tokens]`, checked.

use std::path::Path;

use secrecy::ExposeSecret;

use super::report::{Finding, Report};
use super::values::Secret;
use super::{Algorithm, Tokens, raw};

/// The shortest key of HMAC with SHA-256 (RFC 7518 §3.2), in bytes.
const SECRET_LENGTH: usize = 32;
/// Beyond, expired tokens would be good for long.
const LEEWAY: std::time::Duration = std::time::Duration::from_mins(10);

/// Checks `[tokens]`; `folder` is what paths are relative to.
pub(crate) fn checked(raw: &raw::Tokens, folder: &Path, report: &mut Report) -> Tokens {
    let algorithm = match raw.algorithm.value {
        raw::Algorithm::Es256 => Algorithm::Es256,
        raw::Algorithm::EdDsa => Algorithm::EdDsa,
        raw::Algorithm::Rs256 => Algorithm::Rs256,
        raw::Algorithm::Hs256 => Algorithm::Hs256,
    };
    let secret = &raw.secret;
    let given = !secret.value.value.expose_secret().is_empty();
    match (algorithm, given) {
        // What it was to hold could not be had.
        (Algorithm::Hs256, false) if report.blames(secret.span) => {}
        (Algorithm::Hs256, false) => report.error(
            if secret.set { secret.span } else { raw.algorithm.span },
            Finding::new("HS256 needs `tokens.secret`")
                .help("write secret = \"${PORTCULLIS_JWT_SECRET}\" and set it to the output of `openssl rand -base64 48`"),
        ),
        (Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Rs256, true) => report.error(
            secret.span,
            Finding::new(format!(
                "`tokens.secret` is for HS256 only: {} signs with the files in `tokens.keys`",
                algorithm.name()
            ))
            .help("leave `secret` out, or write algorithm = \"HS256\""),
        ),
        (Algorithm::Hs256, true) => {
            if let Some(wrong) = weakness(secret.value.value.expose_secret(), algorithm.name(), SECRET_LENGTH) {
                report.error(
                    secret.span,
                    Finding::new(format!("`tokens.secret` {wrong}")).help("take the output of `openssl rand -base64 48`"),
                );
            } else {
                warn_of_literal("tokens.secret", &secret.value, secret.span, report);
            }
        }
        (Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Rs256, false) => {}
    }
    if raw.keys.value.is_empty() {
        report.error(raw.keys.span, Finding::new("`tokens.keys` names no folder").help("write keys = \"keys/\""));
    }
    if raw.audience.value.is_empty() {
        report.error(raw.audience.span, Finding::new("`tokens.audience` is empty").help("write audience = \"portcullis\""));
    }
    let access_ttl = raw.access_ttl.value.0;
    if access_ttl.as_secs() == 0 {
        report.error(raw.access_ttl.span, Finding::new("`tokens.access_ttl` is one second at least"));
    }
    if raw.refresh_ttl.value.0 < access_ttl {
        let finding = Finding::new("`tokens.refresh_ttl` is shorter than `tokens.access_ttl`: no login could be refreshed");
        report.error(if raw.refresh_ttl.set { raw.refresh_ttl.span } else { raw.access_ttl.span }, finding);
    }
    if raw.leeway.value > LEEWAY {
        let finding = Finding::new("`tokens.leeway` is ten minutes at most: expired tokens pass for that long");
        report.error(raw.leeway.span, finding.help("keep the clocks together with NTP and write leeway = \"30s\""));
    }
    Tokens {
        algorithm,
        keys: folder.join(&raw.keys.value),
        secret: given.then(|| secret.value.value.clone()),
        activate_after: raw.activate_after.value,
        audience: raw.audience.value.clone(),
        access_ttl,
        refresh_ttl: raw.refresh_ttl.value.0,
        refresh_grace: raw.refresh_grace.value,
        leeway: raw.leeway.value,
    }
}

/// Warns of a secret that everybody who reads the file knows.
pub(crate) fn warn_of_literal(name: &str, secret: &Secret, span: super::report::Span, report: &mut Report) {
    if secret.literal {
        report.warning(
            span,
            Finding::new(format!("`{name}` is a literal secret: whoever reads this file has it"))
                .help("write \"${NAME}\" or \"${file:/run/secrets/name}\""),
        );
    }
}

/// Why a secret is none for `algorithm`, which takes so many bytes at least.
pub(super) fn weakness(secret: &str, algorithm: &str, least: usize) -> Option<String> {
    short(secret, algorithm, least).or_else(|| is_placeholder(secret).then(|| "looks like a placeholder".to_owned()))
}

/// Why trying would find it.
pub(super) fn short(secret: &str, algorithm: &str, least: usize) -> Option<String> {
    if secret.len() < least {
        return Some(format!("has {} bytes, and {algorithm} takes {least} at least", secret.len()));
    }
    let mut bytes: Vec<u8> = secret.bytes().collect();
    let length = bytes.len();
    let repeated = (1..=length / 2).any(|period| bytes.chunks(period).all(|chunk| bytes.starts_with(chunk)));
    bytes.sort_unstable();
    bytes.dedup();
    (repeated || bytes.len() < 8).then(|| "repeats itself: it can be guessed".to_owned())
}

/// Whether it holds what examples write.
pub(super) fn is_placeholder(secret: &str) -> bool {
    let plain: String = secret.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    PLACEHOLDERS.iter().any(|word| plain.contains(word))
}

/// What examples write where a secret should stand, letters and digits only.
const PLACEHOLDERS: [&str; 17] = [
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "replacethis",
    "placeholder",
    "yoursecret",
    "yoursupersecret",
    "supersecret",
    "mysecret",
    "secretkey",
    "jwtsecret",
    "256bitsecret",
    "donotuse",
    "insecure",
    "example",
    "0123456789abcdef",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_refused() {
        for secret in [
            "short",
            "changeme-changeme-changeme-changeme",
            "please CHANGE_ME before production 1234",
            "your-256-bit-secret-your-256-bit-secret!",
            "secretsecretsecretsecretsecretsecret",
            "secret-key-for-development-0123",
            "my-super-secret-signing-value-here",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abababababababababababababababababababab",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert!(weakness(secret, "HS256", 32).is_some(), "{secret}");
        }
    }

    #[test]
    fn random_secrets_are_taken() {
        for secret in ["kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a", "f3a9d1c07be64528904e1bd2a7c35f68d0e97b14"] {
            assert_eq!(weakness(secret, "HS256", 32), None, "{secret}");
        }
    }
}
