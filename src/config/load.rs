//! From the file to a checked [`Config`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderName;

use super::document::{self, Surroundings};
use super::environment::Environment;
use super::report::{Finding, Report, Span};
use super::schema::{At, refuse_unknown};
use super::{
    Accounts, ApiKeys, Argon2Cost, Auth, Config, Log, Login, PasswordGrant, Revocation, RevocationCheck, aliases, backends, cors,
    identity, issuers, mail, overrides, passwords, raw, roles, server, storage, tokens,
};

/// A good configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its warnings, and the texts that later findings point into.
    pub report: Report,
}

/// Reads and checks gateway.toml at `path`: all good, or every error there is.
pub fn load(path: &Path, env: &Environment) -> Result<Loaded, Report> {
    let draft = draft(path, env)?;
    if draft.report.is_good() { Ok(Loaded { config: draft.config, report: draft.report }) } else { Err(draft.report) }
}

/// A configuration that may have errors: what is wrong was filed, and defaults stand in for it, so that the route files
/// can be looked at in the same breath.
pub(crate) struct Draft {
    /// Not to be used while `report` has errors.
    pub(crate) config: Config,
    /// What was found so far.
    pub(crate) report: Report,
    /// `[routes].include` with places.
    pub(crate) include: At<Vec<At<String>>>,
    /// Whether every backend and role that is written down was understood: if not, those that seem to be missing may be there.
    pub(crate) whole: bool,
}

/// Reads gateway.toml at `path`; fails only where there is no text at all.
pub(crate) fn draft(path: &Path, env: &Environment) -> Result<Draft, Report> {
    let mut report = Report::default();
    let shown = shown(path);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = match std::fs::read_to_string(&absolute) {
        Ok(text) => text,
        Err(error) => {
            let source = report.add_source(&shown, String::new());
            report.error(Span::new(source, 0..0), unreadable(&shown, &error));
            return Err(report);
        }
    };
    let folder = absolute.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let source = report.add_source(&shown, text.clone());
    let mut table = document::parse(source, &text, Surroundings { env, folder: &folder }, &mut report);
    let whole = !report.may_hide(table.span, &["name", "backends", "roles", "includes", "scopes"]);
    overrides::apply(&mut table, raw::Gateway::KEYS, env, &mut report);
    refuse_unknown(&table, &raw::Gateway::KEYS.iter().collect::<Vec<_>>(), &mut report);
    let raw = raw::Gateway::of(&table, &mut report);
    let config = checked(&raw, absolute, &folder, &mut report);
    Ok(Draft { config, report, include: raw.routes.value.include, whole })
}

/// How messages name the file at `path`.
pub(crate) fn shown(path: &Path) -> String {
    let rest = path.strip_prefix(".").unwrap_or(path);
    // `.` itself has no shorter name.
    let named = if rest.as_os_str().is_empty() { path } else { rest };
    named.display().to_string()
}

fn unreadable(shown: &str, error: &std::io::Error) -> Finding {
    if error.kind() == std::io::ErrorKind::NotFound {
        Finding::new(format!("there is no file `{shown}`"))
            .help("make one with `portcullis init`, or name another with `-c` or `PORTCULLIS_CONFIG`")
    } else {
        let finding = Finding::new(format!("the file `{shown}` can't be read: {error}"));
        let is = |kind| error.kind() == kind;
        if is(std::io::ErrorKind::IsADirectory) {
            finding.help(format!("name the file in it: `-c {}/gateway.toml`", shown.trim_end_matches('/')))
        } else if is(std::io::ErrorKind::InvalidData) {
            finding.help("TOML is UTF-8: save it as that")
        } else {
            finding.help("let the user that runs portcullis read it")
        }
    }
}

fn checked(raw: &raw::Gateway, file: PathBuf, folder: &Path, report: &mut Report) -> Config {
    let roles = roles::checked(&raw.roles, report);
    let header = &raw.api_keys.value.header;
    if identity::emits(&raw.identity.value.headers.value.0, &header.value) {
        let finding =
            Finding::new(format!("`{}` is an identity header: clients' own are removed, API keys with them", header.value));
        report.error(header.span, finding.help("write header = \"X-API-Key\""));
    }
    let server = server::checked(&raw.server.value, folder, report);
    Config {
        file,
        issuers: issuers::checked(&raw.issuers.value, &server.public_url, &roles, folder, report),
        server,
        route_files: raw.routes.value.include.value.iter().map(|pattern| absolute_glob(folder, &pattern.value)).collect(),
        backends: backends::checked(&raw.backends.value, folder, report),
        auth: auth(&raw.auth.value, report),
        tokens: tokens::checked(&raw.tokens.value, folder, report),
        api_keys: api_keys(&raw.api_keys.value, report),
        scopes: roles::scopes(&raw.scopes.value, report),
        login: login(&raw.login.value),
        passwords: {
            let argon2 = argon2(&raw.passwords.value.argon2.value, report);
            passwords::checked(&raw.passwords.value, argon2, folder, report)
        },
        accounts: accounts(&raw.accounts.value, &roles, report),
        roles,
        mail: mail::checked(raw, report),
        store_url: storage::store(&raw.store.value.url, folder, report),
        redis: raw.redis.value.as_ref().map(|redis| storage::redis(redis, report)),
        revocation: revocation(raw, report),
        identity: identity::checked(&raw.identity.value, raw, report),
        cors: cors::checked(&raw.cors.value, report).map(Arc::new),
        log: Log { json: raw.log.value.format.value == raw::LogFormat::Json, access: raw.log.value.access.value },
    }
}

/// `pattern` in `folder`, whatever signs the folder's own name holds.
pub(crate) fn absolute_glob(folder: &Path, pattern: &str) -> String {
    if Path::new(pattern).is_absolute() {
        return pattern.to_owned();
    }
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    format!("{}/{pattern}", folder.trim_end_matches('/'))
}

fn auth(raw: &raw::Auth, report: &mut Report) -> Auth {
    let prefix = &raw.prefix;
    if let Some(wrong) = wrong_prefix(&prefix.value) {
        report.error(prefix.span, Finding::new(format!("`auth.prefix` {wrong}")).help("write prefix = \"/auth\""));
    }
    let realm = &raw.realm;
    if realm.value.is_empty() || !realm.value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        report.error(
            realm.span,
            Finding::new("`auth.realm` is printable ASCII, and not empty").help("write realm = \"portcullis\""),
        );
    }
    let password_grant = match raw.password_grant.value {
        raw::PasswordGrant::Open => PasswordGrant::Open,
        raw::PasswordGrant::Clients => PasswordGrant::Clients,
        raw::PasswordGrant::Off => PasswordGrant::Off,
    };
    Auth { prefix: prefix.value.clone(), realm: realm.value.clone(), password_grant, aliases: aliases::checked(raw, report) }
}

fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    if !prefix.starts_with('/') {
        return Some("begins with `/`");
    }
    if prefix == "/" || prefix.ends_with('/') {
        return Some("has a name behind its last `/`");
    }
    let segment = |segment: &str| {
        !segment.is_empty()
            && !segment.ends_with('.')
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !prefix.split('/').skip(1).all(segment) {
        return Some("holds segments of letters, digits and `-._~`");
    }
    let first = prefix.split('/').nth(1);
    (first == Some(".well-known")).then_some("can't be below `/.well-known`: its documents have their places there")
}

fn api_keys(raw: &raw::ApiKeys, report: &mut Report) -> ApiKeys {
    if let Err(finding) = identity::emitted_name(&raw.header.value) {
        report.error(raw.header.span, finding.help("write header = \"X-API-Key\""));
    }
    let parameter = &raw.query_parameter;
    if !parameter.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        report.error(
            parameter.span,
            Finding::new("`api_keys.query_parameter` holds letters, digits and `-._~` only")
                .help("write \"api_key\", or \"\" for none"),
        );
    }
    ApiKeys {
        header: raw.header.value.parse::<HeaderName>().map_or_else(|_| "X-API-Key".to_owned(), |_| raw.header.value.clone()),
        query_parameter: Some(parameter.value.clone()).filter(|name| !name.is_empty()),
        cache_ttl: raw.cache_ttl.value,
    }
}

fn login(raw: &raw::Login) -> Login {
    let concurrency = match raw.concurrency.value.size() {
        0 => (server::cores() / 2).max(1),
        concurrency => concurrency,
    };
    Login {
        rate_limit: raw.rate_limit.value,
        account_rate_limit: raw.account_rate_limit.value,
        concurrency,
        queue: raw.queue.value.size(),
    }
}

fn argon2(raw: &raw::Argon2, report: &mut Report) -> Argon2Cost {
    let memory_kib = u32::try_from(raw.memory.value.0 / 1024).unwrap_or(u32::MAX);
    let (iterations, parallelism) = (raw.iterations.value.0, raw.parallelism.value.0);
    if memory_kib < 8 * parallelism {
        let finding = Finding::new("argon2 needs 8 KiB of `memory` for each of `parallelism` at least");
        report.error(raw.memory.span, finding.help(format!("write memory = \"{}KiB\" or more", 8 * parallelism)));
    } else if memory_kib < 7 * 1024 || u64::from(memory_kib) * u64::from(iterations) < 35 * 1024 {
        let finding = Finding::new("these argon2 parameters are below what OWASP asks for: stolen hashes can be guessed");
        report.warning(raw.memory.span, finding.help("leave them out: 64MiB, 3 iterations, 4 lanes"));
    }
    Argon2Cost { memory_kib, iterations, parallelism }
}

fn accounts(raw: &raw::Accounts, roles: &super::Roles, report: &mut Report) -> Accounts {
    let role = &raw.default_role;
    roles::refuse_unknown_role(roles, &role.value, role.span, report);
    let registration = raw.registration.value;
    if registration && roles.grants(std::slice::from_ref(&role.value), "admin") {
        let at = if role.set { role.span } else { raw.registration.span };
        let finding = Finding::new("whoever registers would be an admin: `accounts.default_role` includes `admin`");
        report.error(at, finding.help("write default_role = \"viewer\", or registration = false"));
    }
    Accounts { registration, default_role: raw.default_role.value.clone() }
}

fn revocation(raw: &raw::Gateway, report: &mut Report) -> Revocation {
    let section = &raw.revocation.value;
    let check = match section.check.value {
        raw::RevocationCheck::Replica => RevocationCheck::Replica,
        raw::RevocationCheck::Strict => RevocationCheck::Strict,
    };
    if check == RevocationCheck::Strict && raw.redis.value.is_none() {
        let finding = Finding::new("`revocation.check = \"strict\"` confirms with Redis, and there is no `[redis]`");
        report.warning(section.check.span, finding.help("add [redis] with its url, or write check = \"replica\""));
    }
    let allow_when_unavailable = section.when_unavailable.value == raw::WhenUnavailable::Allow;
    if allow_when_unavailable {
        let finding = Finding::new("revoked tokens pass while neither the store nor Redis can be reached");
        report.warning(section.when_unavailable.span, finding.help("write when_unavailable = \"deny\""));
    }
    Revocation { check, max_staleness: section.max_staleness.value.0, allow_when_unavailable }
}
