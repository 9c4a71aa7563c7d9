//! `portcullis check`: every error of gateway.toml and the route files, without serving.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::load::shown;
use crate::config::{Environment, Report};
use crate::credential::{Issuers, KeySetError};
use crate::policy::file::{Everything, load};

/// What to write into a `jwks_file`.
const NO_KEYS: &str = "take the public keys that the issuer's jwks_uri gives";

/// How `check` and `routes` print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a command that only reads the configuration ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code: 0 good, 1 not.
    pub code: u8,
    /// For standard output, with its final newline.
    pub out: String,
    /// For standard error, with its final newline; empty mostly.
    pub err: String,
}

/// Checks gateway.toml at `path` and all that it includes; `strict` takes warnings for errors.
#[must_use]
pub fn check(path: &Path, format: Format, strict: bool, colors: bool, env: &Environment) -> Outcome {
    let (report, good) = match load(path, env) {
        Ok(mut everything) => {
            let faults = Issuers::faults(&everything.config.issuers);
            for fault in &faults {
                let KeySetError::File { place: (file, line, column), .. } = fault;
                everything.report.error_at((file, *line, *column), fault.to_string(), Some(NO_KEYS.to_owned()), None);
            }
            let good = faults.is_empty().then(|| summary(&everything));
            (everything.report, good)
        }
        Err(report) => (report, None),
    };
    let warned = report.warnings().next().is_some();
    let code = u8::from(good.is_none() || (strict && warned));
    if format == Format::Json {
        let mut json = report.to_json();
        // What the exit code says: with --strict a warning is not good.
        if let Some(ok) = json.get_mut("ok") {
            *ok = (code == 0).into();
        }
        return Outcome { code, out: format!("{json:#}\n"), err: String::new() };
    }
    let findings = report.render(colors);
    let verdict = format!("{}: {}\n", shown(path), counts(&report));
    match good {
        Some(good) if !warned => Outcome { code, out: format!("{} is good: {good}\n", shown(path)), err: findings },
        Some(good) if code == 0 => {
            Outcome { code, out: format!("{} is good: {good}, {}\n", shown(path), counts(&report)), err: findings }
        }
        _ => Outcome { code, out: String::new(), err: findings + &verdict },
    }
}

/// The report of a configuration that is refused, as text for standard error, with its closing line.
#[must_use]
pub fn refused(path: &Path, report: &Report, colors: bool) -> String {
    format!("{}{}: {}\n", report.render(colors), shown(path), counts(report))
}

fn summary(everything: &Everything) -> String {
    let routes = everything.table.routes();
    let inline = routes.iter().filter_map(|route| route.spec().backend.as_ref()).map(|backend| backend.name.as_str());
    let backends: BTreeSet<&str> = everything.config.backends.keys().map(String::as_str).chain(inline).collect();
    let observed = match routes.iter().filter(|route| !route.spec().enforce).count() {
        0 => String::new(),
        observed => format!(" ({observed} not enforced)"),
    };
    format!("{}{observed}, {}", number(routes.len(), "route"), number(backends.len(), "backend"))
}

fn counts(report: &Report) -> String {
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    match (errors, warnings) {
        (errors, 0) => number(errors, "error"),
        (0, warnings) => number(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", number(errors, "error"), number(warnings, "warning")),
    }
}

fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(gateway: &str, format: Format, strict: bool) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("routes")).expect("a folder");
        std::fs::write(folder.path().join("gateway.toml"), gateway).expect("a file");
        let route = "[[route]]\nname = \"a\"\npath = \"/a\"\nbackend = \"http://127.0.0.1:9000\"\n";
        std::fs::write(folder.path().join("routes/a.toml"), route).expect("a file");
        let mut outcome = check(&folder.path().join("gateway.toml"), format, strict, false, &Environment::default());
        let prefix = format!("{}/", folder.path().display());
        outcome.out = outcome.out.replace(&prefix, "");
        outcome.err = outcome.err.replace(&prefix, "");
        outcome
    }

    const WARNED: &str = "[server]\nlisten = [\"0.0.0.0:8080\"]";

    #[test]
    fn a_good_configuration_is_summed_up() {
        let outcome = checked("", Format::Text, true);
        assert_eq!((outcome.code, outcome.out.as_str()), (0, "gateway.toml is good: 1 route, 1 backend\n"));
        assert_eq!(outcome.err, "");
    }

    #[test]
    fn a_file_that_holds_no_key_of_an_issuer_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = folder.path().join("jwks.json");
        std::fs::write(&set, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA","kid":"k"}]}"#).expect("a file");
        let gateway = format!(
            "[[issuers]]\nname = \"idp\"\nissuer = \"https://idp.example\"\naudience = [\"api\"]\nalgorithms = [\"EdDSA\"]\n\
             jwks_file = \"{}\"",
            set.display()
        );
        let outcome = checked(&gateway, Format::Text, false);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        for told in ["gateway.toml:6:13", "\"k\": it is a private key", "gateway.toml: 1 error"] {
            assert!(outcome.err.contains(told), "{told}\n{}", outcome.err);
        }
    }

    #[test]
    fn errors_and_warnings_are_shown_and_counted() {
        let outcome = checked("[server]\nthreds = 1\nlisten = [\"0.0.0.0:8080\"]", Format::Text, false);
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
        insta::assert_snapshot!(outcome.err, @r#"
        error: unknown key `server.threds`
         --> gateway.toml:2:1
          |
        2 | threds = 1
          | ^^^^^^
          |
          = help: did you mean `threads`?

        warning: `0.0.0.0:8080` is plain HTTP beyond this machine: credentials could be read on the way
         --> gateway.toml:3:11
          |
        3 | listen = ["0.0.0.0:8080"]
          |           ^^^^^^^^^^^^^^
          |
          = help: add tls = true or redirect_to_https = true, or listen on 127.0.0.1 behind something that speaks TLS

        gateway.toml: 1 error, 1 warning
        "#);
    }

    #[test]
    fn warnings_fail_only_when_asked_to() {
        let outcome = checked(WARNED, Format::Text, false);
        assert_eq!((outcome.code, outcome.out.as_str()), (0, "gateway.toml is good: 1 route, 1 backend, 1 warning\n"));
        assert!(outcome.err.starts_with("warning: "), "{}", outcome.err);
        let outcome = checked(WARNED, Format::Text, true);
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
        assert!(outcome.err.ends_with("gateway.toml: 1 warning\n"), "{}", outcome.err);
    }

    #[test]
    fn the_json_form_is_one_object_on_standard_output() {
        let outcome = checked(WARNED, Format::Json, true);
        let json: serde_json::Value = serde_json::from_str(&outcome.out).expect("JSON");
        assert_eq!((outcome.code, &json["ok"], json["warnings"][0]["line"].as_u64()), (1, &false.into(), Some(2)));
        assert_eq!(outcome.err, "");
    }
}
