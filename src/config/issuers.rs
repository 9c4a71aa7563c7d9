//! `[[issuers]]`, checked: whose tokens are accepted beside the gateway's own.

mod keys;
mod values;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Finding, Report, Span};
use super::roles::refuse_unknown_role;
use super::schema::At;
use super::wrapped::{Named, Required};
use super::{Roles, raw};
use crate::domain::Scope;

pub use keys::IssuerKeys;
pub(crate) use values::bare_typ;
pub use values::{ClaimPath, FetchUrl, IssuerAlgorithm};

/// What names of issuers are made of.
const NAME: &str = "1 to 64 letters, digits, `-`, `_` and `.`";

/// An entry of `[[issuers]]`.
#[derive(Clone, Debug)]
pub struct ExternalIssuer {
    /// Its name for backends, logs and limits: letters, digits, `-`, `_` and `.`, never a colon.
    pub name: Arc<str>,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Whom its tokens are for; never empty.
    pub audience: Vec<String>,
    /// What they may be signed with: all with a secret, or all with a key pair; never empty.
    pub algorithms: Vec<IssuerAlgorithm>,
    /// The `typ` that they may have, in lower case and without `application/`; empty text is none.
    pub typ: Vec<String>,
    /// How long they may live.
    pub max_lifetime: Duration,
    /// Where its keys are.
    pub keys: IssuerKeys,
    /// Which claims say what.
    pub claims: IssuerClaims,
    /// Which scopes count, in the issuer's own words.
    pub allow: Vec<Scope>,
    /// What is put before each that counts.
    pub prefix: String,
    /// Its roles to ours.
    pub roles: BTreeMap<String, String>,
    /// Whether its subjects and usernames are passed on as they are.
    pub trust_subject: bool,
}

/// `[issuers].claims`; `None` where there is no such claim.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named and explained in the reference")]
pub struct IssuerClaims {
    pub username: Option<ClaimPath>,
    pub scopes: Option<ClaimPath>,
    pub roles: Option<ClaimPath>,
}

/// Checks `[[issuers]]`; `own` is our own `iss`, paths are relative to `folder`.
pub(crate) fn checked(
    raw: &[At<raw::Issuer>],
    own: &str,
    roles: &Roles,
    folder: &Path,
    report: &mut Report,
) -> Vec<Arc<ExternalIssuer>> {
    for (index, entry) in raw.iter().enumerate() {
        for earlier in raw.iter().take(index) {
            apart(earlier, entry, report);
        }
        if let Some(issuer) = &entry.value.iss.value.0 {
            refuse_own(issuer, own, entry.value.iss.span, report);
        }
    }
    raw.iter().filter_map(|entry| one(&entry.value, entry.span, roles, folder, report)).map(Arc::new).collect()
}

/// Files that two entries can't be told apart. One issuer may have two, where one shares a secret with us and the other does not:
/// `alg` tells which of them a token is of, and both may have the same name, for they know the same people.
fn apart(first: &At<raw::Issuer>, second: &At<raw::Issuer>, report: &mut Report) {
    let same = |one: &At<Required<String>>, other: &At<Required<String>>| one.value.0.is_some() && one.value.0 == other.value.0;
    let is_same_issuer = same(&first.value.iss, &second.value.iss);
    if is_same_issuer && has_secret(&first.value) != has_secret(&second.value) {
        return;
    }
    for (key, is_same, what) in [
        (&second.value.name, same(&first.value.name, &second.value.name), "named"),
        (&second.value.iss, is_same_issuer, "with the `issuer`"),
    ] {
        if is_same {
            let value = key.value.0.as_deref().unwrap_or_default();
            let finding = Finding::new(format!("there are two issuers {what} `{value}`")).also(first.span, "the first one");
            report.error(
                key.span,
                finding
                    .help("each has a name and an `issuer` of its own, but for one that signs with a secret and with key pairs"),
            );
        }
    }
}

/// Whether its tokens are signed with a secret.
fn has_secret(raw: &raw::Issuer) -> bool {
    let all = raw.algorithms.value.0.as_deref().unwrap_or_default();
    all.iter().any(|one| values::algorithm(one.value).secret_length().is_some())
}

fn refuse_own(issuer: &str, own: &str, span: Span, report: &mut Report) {
    if !own.is_empty() && issuer.trim_end_matches('/').eq_ignore_ascii_case(own.trim_end_matches('/')) {
        let finding = Finding::new("this is the gateway's own issuer, `server.public_url`: its tokens are accepted anyway");
        report.error(span, finding.help("write the `iss` of the other issuer's tokens, or leave the entry out"));
    }
}

/// One entry, whatever else is wrong with it; `None` where what must be there is not.
fn one(raw: &raw::Issuer, span: Span, roles: &Roles, folder: &Path, report: &mut Report) -> Option<ExternalIssuer> {
    if let Some(name) = &raw.name.value.0
        && !is_name(name)
    {
        report.error(raw.name.span, Finding::new(format!("`{name}` can't be the name of an issuer")).help(NAME));
    }
    if raw.iss.value.0.as_deref() == Some("") {
        report.error(raw.iss.span, Finding::new("`issuers.issuer` is empty").help("write the `iss` of its tokens"));
    }
    let audience = audience(&raw.audience, report);
    let algorithms = algorithms(&raw.algorithms, report);
    let keys = keys::keys(raw, span, &algorithms, folder, report);
    let typ: Vec<String> = raw.typ.value.iter().map(|typ| bare_typ(&typ.value)).collect();
    if typ.is_empty() {
        let finding = Finding::new("`issuers.typ` is empty: no token could be verified");
        report.error(raw.typ.span, finding.help("leave it out, or write typ = [\"\"] for tokens whose header has none"));
    }
    let claims = IssuerClaims {
        username: claim(&raw.claims.value.username, report),
        scopes: claim(&raw.claims.value.scopes, report),
        roles: claim(&raw.claims.value.roles, report),
    };
    let (allow, prefix) = scopes(&raw.scopes.value, report);
    if raw.trust_subject.value {
        let finding = Finding::new("backends can't tell this issuer's users from the gateway's own: it may name anybody");
        report
            .warning(raw.trust_subject.span, finding.help("leave `trust_subject` out, unless this issuer makes all your users"));
    }
    Some(ExternalIssuer {
        name: raw.name.value.0.as_deref()?.into(),
        issuer: raw.iss.value.0.clone()?,
        audience,
        algorithms,
        typ,
        max_lifetime: raw.max_lifetime.value.0,
        keys: keys?,
        claims,
        allow,
        prefix,
        roles: role_map(&raw.roles.value.map.value, roles, report),
        trust_subject: raw.trust_subject.value,
    })
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn audience(raw: &At<Required<Vec<At<String>>>>, report: &mut Report) -> Vec<String> {
    let Some(all) = &raw.value.0 else { return Vec::new() };
    let wrong = all.iter().find(|one| one.value.is_empty());
    if all.is_empty() || wrong.is_some() {
        let finding = Finding::new("`issuers.audience` names nobody: tokens that were made for others would pass");
        report.error(
            wrong.map_or(raw.span, |one| one.span),
            finding.help("write the `aud` that the issuer puts into tokens for you"),
        );
    }
    all.iter().map(|one| one.value.clone()).collect()
}

fn algorithms(raw: &At<Required<Vec<At<raw::IssuerAlgorithm>>>>, report: &mut Report) -> Vec<IssuerAlgorithm> {
    let Some(all) = &raw.value.0 else { return Vec::new() };
    let algorithms: Vec<IssuerAlgorithm> = all.iter().map(|one| values::algorithm(one.value)).collect();
    if algorithms.is_empty() {
        let finding = Finding::new("`issuers.algorithms` is empty: no token could be verified");
        report.error(raw.span, finding.help("write algorithms = [\"ES256\", \"RS256\"]"));
    }
    let with_secret = algorithms.iter().filter(|one| one.secret_length().is_some()).count();
    if with_secret > 0 && with_secret < algorithms.len() {
        let finding = Finding::new("`issuers.algorithms` mixes HMAC with public keys: who knows a public key could sign with it");
        report.error(raw.span, finding.help("make two entries, or list one kind only"));
    }
    algorithms
}

fn claim(raw: &At<String>, report: &mut Report) -> Option<ClaimPath> {
    if raw.value.is_empty() {
        return None;
    }
    let path = ClaimPath::parse(&raw.value);
    if path.is_none() {
        let finding = Finding::new(format!("`{}` can't be the place of a claim", raw.value));
        report.error(raw.span, finding.help("write names with dots between, such as \"realm_access.roles\"; \"\" for none"));
    }
    path
}

fn scopes(raw: &raw::IssuerScopes, report: &mut Report) -> (Vec<Scope>, String) {
    for At { value: scope, span, .. } in &raw.allow.value {
        if scope.is_all() {
            let finding = Finding::new("every scope that this issuer writes counts, but for `*` itself");
            report.warning(*span, finding.help("list the scopes that it may give"));
        } else if raw.prefix.value.is_empty() && scope.is_reserved() {
            let finding = Finding::new(format!("`{scope}` is the gateway's own: no other issuer gives it"));
            report.error(*span, finding.help("leave it out"));
        }
    }
    let prefix = &raw.prefix;
    if !prefix.value.is_empty() {
        // Whatever follows, it has to make a scope, and none of the gateway's own.
        let made = format!("{}x", prefix.value).parse::<Scope>();
        if made.as_ref().map_or(true, Scope::is_reserved) || prefix.value == "portcullis" {
            let finding = Finding::new(format!("`{}` can't stand before a scope", prefix.value));
            report.error(prefix.span, finding.help("write a segment and a colon, such as \"partner:\""));
        }
    }
    (raw.allow.value.iter().map(|scope| scope.value.clone()).collect(), prefix.value.clone())
}

fn role_map(raw: &[Named<String>], roles: &Roles, report: &mut Report) -> BTreeMap<String, String> {
    for Named { value, .. } in raw {
        refuse_unknown_role(roles, &value.value, value.span, report);
    }
    raw.iter().map(|Named { name, value }| (name.value.clone(), value.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Report, load};

    pub(super) const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    pub(super) const GOOD: &str =
        "name = \"idp\"\nissuer = \"https://idp.example\"\naudience = [\"api\"]\nalgorithms = [\"ES256\"]\n";

    pub(super) fn loaded(text: &str) -> Result<(Config, Vec<String>), Report> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text).expect("a file");
        std::fs::write(folder.path().join("keys.json"), SET).expect("a file");
        std::fs::write(folder.path().join("empty.json"), "{\"keys\":[]}").expect("a file");
        let loaded = load(&file, &std::iter::empty::<(&str, &str)>().collect())?;
        Ok((loaded.config, loaded.report.warnings().map(|warning| warning.message.clone()).collect()))
    }

    pub(super) fn good(entry: &str) -> Arc<ExternalIssuer> {
        let (config, warnings) = loaded(&format!("[[issuers]]\n{entry}")).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(warnings, [""; 0], "{entry}");
        config.issuers.first().cloned().expect("an issuer")
    }

    /// `line message; help` of every error.
    pub(super) fn errors(entry: &str) -> Vec<String> {
        let report = loaded(&format!("[[issuers]]\n{entry}")).map(|_| ()).expect_err(entry);
        let told = |error: &crate::config::Diagnostic| {
            format!("{} {}; {}", error.line, error.message, error.help.as_deref().unwrap_or_default())
        };
        report.errors().map(told).collect()
    }

    #[test]
    fn what_need_not_be_written_has_a_default() {
        let issuer = good(&format!("{GOOD}jwks_url = \"https://idp.example/keys\""));
        assert_eq!(
            (issuer.typ.as_slice(), issuer.max_lifetime),
            (["at+jwt", "jwt"].map(str::to_owned).as_slice(), Duration::from_hours(24))
        );
        assert_eq!(issuer.claims.username, ClaimPath::parse("email"));
        assert_eq!(issuer.claims.scopes, ClaimPath::parse("scope"));
        assert_eq!(issuer.claims.roles, ClaimPath::parse("app_metadata.roles"));
        assert!(issuer.allow.is_empty() && issuer.prefix.is_empty() && issuer.roles.is_empty() && !issuer.trust_subject);
    }

    #[test]
    fn what_would_let_too_many_in_is_an_error() {
        let keys = "jwks_url = \"https://idp.example/keys\"\n";
        for (entry, why) in [
            (GOOD.replace("audience = [\"api\"]\n", "") + keys, "`audience` is missing"),
            (GOOD.replace("[\"api\"]", "[]") + keys, "names nobody"),
            (GOOD.replace("[\"api\"]", "[\"api\", \"\"]") + keys, "names nobody"),
            (GOOD.replace("algorithms = [\"ES256\"]\n", "") + keys, "`algorithms` is missing"),
            (GOOD.replace("[\"ES256\"]", "[]") + keys, "no token could be verified"),
            (format!("{GOOD}{keys}typ = []"), "`issuers.typ` is empty"),
            (GOOD.replace("\"ES256\"", "\"none\"") + keys, "`issuers.algorithms` is one of"),
            (GOOD.replace("name = \"idp\"\n", "") + keys, "`name` is missing"),
            (GOOD.replace("\"idp\"", "\"a:b\"") + keys, "can't be the name of an issuer"),
            (GOOD.replace("https://idp.example", "") + keys, "`issuers.issuer` is empty"),
            (GOOD.replace("https://idp.example", "HTTP://127.0.0.1:8080/") + keys, "the gateway's own issuer"),
            (format!("{GOOD}{keys}[[issuers]]\n{GOOD}{keys}"), "two issuers named `idp`"),
            (format!("{GOOD}{keys}[[issuers]]\n{}{keys}", GOOD.replace("\"idp\"", "\"b\"")), "two issuers with the `issuer`"),
            (format!("{GOOD}{keys}roles = {{ map = {{ a = \"userr\" }} }}"), "there is no role `userr`"),
            (format!("{GOOD}{keys}scopes = {{ allow = [\"a b\"] }}"), "is not a scope"),
            (format!("{GOOD}{keys}scopes = {{ allow = [\"portcullis:admin\"] }}"), "the gateway's own"),
            (format!("{GOOD}{keys}scopes = {{ prefix = \"a b\" }}"), "can't stand before a scope"),
            (format!("{GOOD}{keys}scopes = {{ prefix = \"portcullis:\" }}"), "can't stand before a scope"),
            (format!("{GOOD}{keys}claims = {{ roles = \"a..b\" }}"), "can't be the place of a claim"),
            (format!("{GOOD}{keys}max_lifetime = \"0s\""), "more than zero"),
            (format!("{GOOD}{keys}jwks_ur = \"https://a\""), "did you mean `jwks_url`?"),
        ] {
            let found = errors(&entry);
            assert!(found.iter().any(|error| error.contains(why)), "{entry}: {found:#?}");
        }
    }

    #[test]
    fn an_issuer_has_two_entries_where_one_is_of_its_secret_and_one_of_its_key_pairs() {
        let public = format!("{GOOD}jwks_url = \"https://idp.example/keys\"\n");
        let secret = GOOD.replace("ES256", "HS256") + "secret = \"${S:-kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a}\"\n";
        for other in [secret.clone(), secret.replace("\"idp\"", "\"legacy\"")] {
            let (config, _) = loaded(&format!("[[issuers]]\n{public}[[issuers]]\n{other}")).expect("good");
            assert_eq!(config.issuers.len(), 2);
        }
        let third = public.replace("\"idp\"", "\"third\"");
        let found = errors(&format!("{public}[[issuers]]\n{secret}[[issuers]]\n{third}"));
        assert!(matches!(found.as_slice(), [one] if one.contains("two issuers with the `issuer`")), "{found:#?}");
        let elsewhere = secret.replace("https://idp.example", "https://elsewhere.example");
        let found = errors(&format!("{public}[[issuers]]\n{elsewhere}"));
        assert!(matches!(found.as_slice(), [one] if one.contains("two issuers named `idp`")), "{found:#?}");
    }

    #[test]
    fn what_may_be_meant_is_a_warning() {
        let keys = "jwks_url = \"https://idp.example/keys\"\n";
        for (more, why) in [("scopes = { allow = [\"*\"] }", "every scope"), ("trust_subject = true", "it may name anybody")] {
            let (_, warnings) = loaded(&format!("[[issuers]]\n{GOOD}{keys}{more}")).expect("good");
            assert!(warnings.iter().any(|warning| warning.contains(why)), "{more}: {warnings:?}");
        }
    }
}
