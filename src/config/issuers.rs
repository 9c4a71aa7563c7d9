//! `[[issuers]]`, checked: whose tokens are accepted beside the gateway's own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use super::backends::is_host;
use super::report::{Finding, Report, Span};
use super::roles::refuse_unknown_role;
use super::schema::At;
use super::tokens::{warn_of_literal, weakness};
use super::wrapped::{Named, Required};
use super::{Roles, raw};
use crate::domain::template::lookup;
use crate::domain::{Scope, SecretString};

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
    },
    /// `secret`
    Secret(SecretString),
}

/// `[issuers].claims`; `None` where there is no such claim.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named and explained in the reference")]
pub struct IssuerClaims {
    pub username: Option<ClaimPath>,
    pub scopes: Option<ClaimPath>,
    pub roles: Option<ClaimPath>,
}

/// Where a claim lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a path: names with dots between. A name may hold dots itself: the longest that is there counts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        (!names.iter().any(String::is_empty)).then_some(Self(names))
    }

    /// What lies there.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        lookup(claims, &self.0)
    }
}

/// A URL that keys may be fetched from: https, or http on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchUrl {
    text: String,
    plain: bool,
}

impl FetchUrl {
    /// Reads one; else what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is not a whole URL");
        };
        if authority.as_str().contains('@') {
            return Err("holds a user name");
        }
        if !is_host(authority.host()) || authority.as_str().ends_with(':') {
            return Err("names no host");
        }
        if text.contains('#') {
            return Err("has a fragment");
        }
        let plain = match scheme.to_ascii_lowercase().as_str() {
            "https" => false,
            "http" if is_loopback(authority.host()) => true,
            "http" => return Err("is plain HTTP to another machine: who sits between could give us keys"),
            _ => return Err("begins with https://"),
        };
        Ok(Self { text: text.to_owned(), plain })
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is plain HTTP on this machine.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

/// What an issuer's tokens may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registered names, RFC 7518 §3.1 and RFC 8037 §3.1")]
pub enum IssuerAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Es256,
    Es384,
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
}

impl IssuerAlgorithm {
    /// Its registered name: what `alg` says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// How many bytes its secret has at least (RFC 7518 §3.2); `None` for an algorithm of key pairs.
    #[must_use]
    pub const fn secret_length(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            Self::Es256
            | Self::Es384
            | Self::EdDsa
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512 => None,
        }
    }
}

const fn algorithm(raw: raw::IssuerAlgorithm) -> IssuerAlgorithm {
    match raw {
        raw::IssuerAlgorithm::Hs256 => IssuerAlgorithm::Hs256,
        raw::IssuerAlgorithm::Hs384 => IssuerAlgorithm::Hs384,
        raw::IssuerAlgorithm::Hs512 => IssuerAlgorithm::Hs512,
        raw::IssuerAlgorithm::Es256 => IssuerAlgorithm::Es256,
        raw::IssuerAlgorithm::Es384 => IssuerAlgorithm::Es384,
        raw::IssuerAlgorithm::EdDsa => IssuerAlgorithm::EdDsa,
        raw::IssuerAlgorithm::Rs256 => IssuerAlgorithm::Rs256,
        raw::IssuerAlgorithm::Rs384 => IssuerAlgorithm::Rs384,
        raw::IssuerAlgorithm::Rs512 => IssuerAlgorithm::Rs512,
        raw::IssuerAlgorithm::Ps256 => IssuerAlgorithm::Ps256,
        raw::IssuerAlgorithm::Ps384 => IssuerAlgorithm::Ps384,
        raw::IssuerAlgorithm::Ps512 => IssuerAlgorithm::Ps512,
    }
}

/// Checks `[[issuers]]`; `own` is our own `iss`, paths are relative to `folder`.
pub(crate) fn checked(
    raw: &[At<raw::Issuer>],
    own: &str,
    roles: &Roles,
    folder: &Path,
    report: &mut Report,
) -> Vec<Arc<ExternalIssuer>> {
    let (mut names, mut issuers) = (BTreeMap::new(), BTreeMap::new());
    let mut all = Vec::new();
    for At { value: entry, span, .. } in raw {
        unique(&entry.name, "named", &mut names, *span, report);
        unique(&entry.iss, "with the `issuer`", &mut issuers, *span, report);
        if let Some(issuer) = &entry.iss.value.0 {
            refuse_own(issuer, own, entry.iss.span, report);
        }
        all.extend(one(entry, *span, roles, folder, report).map(Arc::new));
    }
    all
}

/// Files that two entries say the same.
fn unique(key: &At<Required<String>>, what: &str, seen: &mut BTreeMap<String, Span>, span: Span, report: &mut Report) {
    let Some(value) = &key.value.0 else { return };
    if let Some(first) = seen.insert(value.clone(), span) {
        let finding = Finding::new(format!("there are two issuers {what} `{value}`")).also(first, "the first one");
        report.error(key.span, finding.help("each has a name and an `issuer` of its own"));
    }
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
    let keys = keys(raw, span, &algorithms, folder, report);
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
        typ: raw.typ.value.iter().map(|typ| bare_typ(&typ.value)).collect(),
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

/// A `typ` as it is compared: without case, and without the prefix that may be left out (RFC 7515 §4.1.9).
pub(crate) fn bare_typ(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
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
    let algorithms: Vec<IssuerAlgorithm> = all.iter().map(|one| algorithm(one.value)).collect();
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

/// The one place where the keys are.
fn keys(raw: &raw::Issuer, span: Span, algorithms: &[IssuerAlgorithm], folder: &Path, report: &mut Report) -> Option<IssuerKeys> {
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
            if let Some(wrong) = weakness(secret, name, length) {
                let finding = Finding::new(format!("`issuers.secret` {wrong}"));
                report.error(at, finding.help("take the one that the issuer signs with; let it make a random one"));
            } else {
                warn_of_literal("issuers.secret", &raw.secret.value, at, report);
            }
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
    Some(IssuerKeys::File { path, text })
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

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const GOOD: &str = "name = \"idp\"\nissuer = \"https://idp.example\"\naudience = [\"api\"]\nalgorithms = [\"ES256\"]\n";

    fn loaded(text: &str) -> Result<(Config, Vec<String>), Report> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, text).expect("a file");
        std::fs::write(folder.path().join("keys.json"), SET).expect("a file");
        std::fs::write(folder.path().join("empty.json"), "{\"keys\":[]}").expect("a file");
        let loaded = load(&file, &std::iter::empty::<(&str, &str)>().collect())?;
        Ok((loaded.config, loaded.report.warnings().map(|warning| warning.message.clone()).collect()))
    }

    fn good(entry: &str) -> Arc<ExternalIssuer> {
        let (config, warnings) = loaded(&format!("[[issuers]]\n{entry}")).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(warnings, [""; 0], "{entry}");
        config.issuers.first().cloned().expect("an issuer")
    }

    /// `line message; help` of every error.
    fn errors(entry: &str) -> Vec<String> {
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
        for url in ["http://127.0.0.1:1/a", "http://[::1]/a", "http://localhost:8080/a", "HTTPS://A/b"] {
            assert!(FetchUrl::parse(url).is_ok(), "{url}");
        }
        for url in
            ["http://127.0.0.1.nip.io/", "http://localhost.evil.example/", "http://0.0.0.0/", "http://[::]/", "http://10.0.0.1/"]
        {
            assert!(FetchUrl::parse(url).is_err(), "{url}");
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
        for (entry, why) in [
            (format!("{hmac}jwks_url = \"https://a\""), "HS256 needs `issuers.secret`"),
            (format!("{hmac}secret = \"short\""), "has 5 bytes"),
            (format!("{hmac}secret = \"super-secret-jwt-token-with-at-least-32-characters-long\""), "placeholder"),
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

    #[test]
    fn what_would_let_too_many_in_is_an_error() {
        let keys = "jwks_url = \"https://idp.example/keys\"\n";
        for (entry, why) in [
            (GOOD.replace("audience = [\"api\"]\n", "") + keys, "`audience` is missing"),
            (GOOD.replace("[\"api\"]", "[]") + keys, "names nobody"),
            (GOOD.replace("[\"api\"]", "[\"api\", \"\"]") + keys, "names nobody"),
            (GOOD.replace("algorithms = [\"ES256\"]\n", "") + keys, "`algorithms` is missing"),
            (GOOD.replace("[\"ES256\"]", "[]") + keys, "no token could be verified"),
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
    fn what_may_be_meant_is_a_warning() {
        let keys = "jwks_url = \"https://idp.example/keys\"\n";
        for (more, why) in [("scopes = { allow = [\"*\"] }", "every scope"), ("trust_subject = true", "it may name anybody")] {
            let (_, warnings) = loaded(&format!("[[issuers]]\n{GOOD}{keys}{more}")).expect("good");
            assert!(warnings.iter().any(|warning| warning.contains(why)), "{more}: {warnings:?}");
        }
    }
}
