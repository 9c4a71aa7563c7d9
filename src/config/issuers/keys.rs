//! Where the keys of an issuer are: one place, and one that fits what its tokens may be signed with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::values::{FetchUrl, IssuerAlgorithm};
use crate::config::raw;
use crate::config::report::{Finding, Report, Span};
use crate::config::tokens::{is_placeholder, short, warn_of_literal};
use crate::domain::SecretString;

/// Secrets that issuers are delivered with: Supabase's for one's own machine.
const DOCUMENTED: [&str; 1] = ["super-secret-jwt-token-with-at-least-32-characters-long"];

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum IssuerKeys {
    /// `jwks_url`
    Url(FetchUrl),
    /// `discovery`: the URL of its metadata (`OpenID` Connect Discovery 1.0 §4).
    Discovery(FetchUrl),
    /// `jwks_file`
    File {
        /// Where it is.
        path: PathBuf,
        /// What was in it.
        text: String,
        /// Where it is named: file, line and column.
        place: (Arc<str>, u32, u32),
    },
    /// `secret`
    Secret(SecretString),
}

/// The one place where the keys are.
pub(super) fn keys(
    raw: &raw::Issuer,
    span: Span,
    algorithms: &[IssuerAlgorithm],
    folder: &Path,
    report: &mut Report,
) -> Option<IssuerKeys> {
    let secret = raw.secret.value.value.expose_secret();
    let ways = [
        ("jwks_url", raw.jwks_url.span, !raw.jwks_url.value.is_empty()),
        ("jwks_file", raw.jwks_file.span, !raw.jwks_file.value.is_empty()),
        ("discovery", raw.discovery.span, raw.discovery.value),
        ("secret", raw.secret.span, !secret.is_empty()),
    ];
    let mut given = ways.into_iter().filter(|(_, _, given)| *given);
    let Some((way, at, _)) = given.next() else {
        // What one was to hold could not be had.
        if !ways.iter().any(|(_, at, _)| *at != span && report.blames(*at)) {
            let finding = Finding::new("nothing says where this issuer's keys are");
            report.error(span, finding.help("add one of `jwks_url`, `jwks_file`, `discovery = true` and `secret`"));
        }
        return None;
    };
    if let Some((other, place, _)) = given.next() {
        let finding =
            Finding::new(format!("`{way}` and `{other}` both say where this issuer's keys are")).also(at, "the other one");
        report.error(place, finding.help("leave one out"));
        return None;
    }
    let least = algorithms.iter().filter_map(|one| Some((one.secret_length()?, one.name()))).max();
    match (way, least) {
        ("secret", None) => {
            let finding = Finding::new("`issuers.secret` is for HMAC only").also(raw.algorithms.span, "these use public keys");
            report.error(at, finding.help("write algorithms = [\"HS256\"], or name the public keys with `jwks_url`"));
            None
        }
        ("secret", Some((length, name))) => {
            judge_secret(secret, name, length, at, report);
            warn_of_literal("issuers.secret", &raw.secret.value, at, report);
            Some(IssuerKeys::Secret(raw.secret.value.value.clone()))
        }
        (_, Some((_, name))) => {
            let finding = Finding::new(format!("{name} needs `issuers.secret`: a key that is published is no secret"));
            report
                .error(raw.algorithms.span, finding.help("list the algorithms of public keys, such as \"ES256\" and \"RS256\""));
            None
        }
        ("jwks_url", None) => url(&raw.jwks_url.value, "`issuers.jwks_url`", at, report).map(IssuerKeys::Url),
        ("jwks_file", None) => file(folder.join(&raw.jwks_file.value), at, report),
        (_, None) => {
            let issuer = raw.iss.value.0.as_deref().filter(|issuer| !issuer.is_empty())?;
            let metadata = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            url(&metadata, "with `discovery = true` the `issuer` is a URL, and this one", raw.iss.span, report)
                .map(IssuerKeys::Discovery)
        }
    }
}

/// Files a secret that others know. The issuer chose it: that it sounds like an example is no error, as it is with our own, unless
/// it is one.
fn judge_secret(secret: &str, algorithm: &str, length: usize, at: Span, report: &mut Report) {
    let known = DOCUMENTED.iter().any(|known| secret.contains(known));
    let wrong =
        short(secret, algorithm, length).or_else(|| known.then(|| "stands in documentation: everybody has it".to_owned()));
    let help = "take the one that the issuer signs with; let it make a random one";
    if let Some(wrong) = wrong {
        report.error(at, Finding::new(format!("`issuers.secret` {wrong}")).help(help));
    } else if is_placeholder(secret) {
        let finding = Finding::new("`issuers.secret` looks like a placeholder: whoever guesses it can sign for everybody");
        report.warning(at, finding.help(help));
    }
}

fn url(text: &str, what: &str, span: Span, report: &mut Report) -> Option<FetchUrl> {
    FetchUrl::parse(text)
        .map_err(|wrong| {
            let finding = Finding::new(format!("{what} {wrong}"));
            report.error(
                span,
                finding.help("write a URL that begins with https://; http:// is for 127.0.0.1, [::1] and localhost"),
            );
        })
        .ok()
}

fn file(path: PathBuf, span: Span, report: &mut Report) -> Option<IssuerKeys> {
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let finding = Finding::new(format!("`{}` can't be read: {error}", path.display()));
        report.error(
            span,
            finding
                .help("name a JWK Set that the user who runs portcullis may read; paths are relative to the folder of this file"),
        );
    });
    let text = text.ok()?;
    let set: Option<Value> = serde_json::from_str(&text).ok();
    if set.as_ref().and_then(|set| set.get("keys")?.as_array()).is_none_or(Vec::is_empty) {
        let finding = Finding::new(format!("`{}` holds no keys", path.display()));
        report
            .error(span, finding.help("it is a JWK Set: {\"keys\": [{\"kty\": \"EC\", …}]}, as the issuer's jwks_uri gives it"));
        return None;
    }
    let (line, column) = report.position(span);
    Some(IssuerKeys::File { path, text, place: (report.name_of(span), line, column) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, SET, errors, good, loaded};
    use super::*;

    #[test]
    fn keys_are_in_one_place() {
        assert!(
            matches!(&good(&format!("{GOOD}jwks_url = \"https://a/b?c=d\"")).keys, IssuerKeys::Url(url) if url.as_str() == "https://a/b?c=d")
        );
        assert!(matches!(&good(&format!("{GOOD}jwks_file = \"keys.json\"")).keys, IssuerKeys::File { text, .. } if text == SET));
        let discovered =
            good(&format!("{}discovery = true", GOOD.replace("https://idp.example", "https://idp.example/realms/a/")));
        assert!(matches!(&discovered.keys, IssuerKeys::Discovery(url)
            if url.as_str() == "https://idp.example/realms/a/.well-known/openid-configuration"));
        for (keys, line, why) in [
            ("", 1, "nothing says where"),
            ("discovery = false", 1, "nothing says where"),
            ("jwks_url = \"https://a\"\ndiscovery = true", 7, "both say where"),
            ("jwks_file = \"keys.json\"\nsecret = \"x\"", 7, "both say where"),
            ("jwks_url = \"http://idp.example/keys\"", 6, "plain HTTP to another machine"),
            ("jwks_url = \"ftp://idp.example/keys\"", 6, "begins with https://"),
            ("jwks_url = \"https://u:p@idp.example/keys\"", 6, "user name"),
            ("jwks_url = \"idp.example/keys\"", 6, "URL"),
            ("jwks_url = \"https://idp.example/#keys\"", 6, "fragment"),
            ("jwks_file = \"nothing.json\"", 6, "can't be read"),
            ("jwks_file = \"empty.json\"", 6, "holds no keys"),
            ("secret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"", 6, "HMAC only"),
        ] {
            let found = errors(&format!("{GOOD}{keys}"));
            let [error] = found.as_slice() else { panic!("{keys}: {found:#?}") };
            assert!(error.starts_with(&format!("{line} ")) && error.contains(why), "{keys}: {error}");
        }
    }

    #[test]
    fn a_secret_is_for_hmac_and_hmac_for_a_secret_that_nobody_guesses() {
        let hmac = GOOD.replace("ES256", "HS256");
        assert!(matches!(
            good(&format!("{hmac}secret = \"${{S:-kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a}}\"")).keys,
            IssuerKeys::Secret(_)
        ));
        let (_, warnings) = loaded(&format!("[[issuers]]\n{hmac}secret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"")).expect("good");
        assert!(warnings.iter().any(|warning| warning.contains("literal secret")), "{warnings:?}");
        let (_, warnings) =
            loaded(&format!("[[issuers]]\n{hmac}secret = \"${{S:-jwt-secret-of-the-staging-project-7}}\"")).expect("good");
        assert!(matches!(warnings.as_slice(), [one] if one.contains("placeholder")), "{warnings:?}");
        for (entry, why) in [
            (format!("{hmac}jwks_url = \"https://a\""), "HS256 needs `issuers.secret`"),
            (format!("{hmac}secret = \"short\""), "has 5 bytes"),
            (format!("{hmac}secret = \"your-super-secret-jwt-token-with-at-least-32-characters-long\""), "documentation"),
            (format!("{hmac}secret = \"abcabcabcabcabcabcabcabcabcabcabcabc\""), "repeats itself"),
            (format!("{}secret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"", GOOD.replace("ES256", "HS512")), "HS512 takes 64"),
            (
                format!("{}secret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"", GOOD.replace("\"ES256\"", "\"HS256\", \"RS256\"")),
                "mixes HMAC",
            ),
        ] {
            let found = errors(&entry);
            assert!(found.iter().any(|error| error.contains(why)), "{entry}: {found:#?}");
            assert!(!found.iter().any(|error| error.contains("kQ3vXm")), "{found:#?}");
        }
    }
}
