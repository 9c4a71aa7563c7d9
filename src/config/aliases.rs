//! `auth.aliases`: other paths of the gateway's own endpoints, for clients that know those.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::report::{Finding, Report};
use super::schema::{did_you_mean, nearest};
use super::wrapped::Named;
use super::{Auth, raw};

/// What an alias may lead to below `auth.prefix`, and whether there are endpoints below it.
const ENDPOINTS: [(&str, bool); 23] = [
    ("/login", false),
    ("/refresh", false),
    ("/logout", false),
    ("/token", false),
    ("/revoke", false),
    ("/introspect", false),
    ("/me", false),
    ("/password", true),
    ("/password/reset", true),
    ("/password/reset/confirm", false),
    ("/register", false),
    ("/keys", true),
    ("/sessions", true),
    ("/email", true),
    ("/email/confirm", false),
    ("/admin", true),
    ("/admin/users", true),
    ("/admin/sessions", true),
    ("/admin/keys", true),
    ("/admin/clients", true),
    ("/admin/audit", false),
    ("/openapi.json", false),
    ("/docs", true),
];
/// What it may lead to of the admin listener: health, which clients are told in a word.
const HEALTH: [&str; 2] = ["/livez", "/readyz"];

/// Whether `endpoint`, a path below the prefix, has endpoints below it; nothing where an alias can't lead there.
fn has_more_below(endpoint: &str) -> Option<bool> {
    ENDPOINTS.iter().find(|(name, _)| *name == endpoint).map(|(_, below)| *below)
}

impl Auth {
    /// Where the canonical `path` leads as an alias: the path of an own endpoint, or of the admin listener.
    #[must_use]
    pub fn alias<'a>(&'a self, path: &str) -> Option<Cow<'a, str>> {
        self.aliases.iter().find_map(|(alias, target)| match path.strip_prefix(alias.as_str())? {
            "" => Some(Cow::Borrowed(target.as_str())),
            rest if rest.starts_with('/') && self.covers_below(target) => Some(Cow::Owned(format!("{target}{rest}"))),
            _ => None,
        })
    }

    /// Whether an alias may lead to `target`.
    #[must_use]
    pub fn can_be_aliased(&self, target: &str) -> bool {
        HEALTH.contains(&target) || target.strip_prefix(self.prefix.as_str()).and_then(has_more_below).is_some()
    }

    /// Whether an alias of `target` covers what is below it.
    pub(crate) fn covers_below(&self, target: &str) -> bool {
        target.strip_prefix(self.prefix.as_str()).and_then(has_more_below).unwrap_or(false)
    }
}

/// Checks the aliases.
pub(super) fn checked(raw: &raw::Auth, report: &mut Report) -> BTreeMap<String, String> {
    let prefix = raw.prefix.value.as_str();
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    let leads_below = |target: &str| target.strip_prefix(prefix).and_then(has_more_below).unwrap_or(false);
    for Named { name, value } in &raw.aliases.value {
        let (alias, target) = (&name.value, &value.value);
        if let Some(wrong) = wrong_alias(alias, prefix) {
            report.error(name.span, Finding::new(format!("`{alias}` {wrong}")).help("write \"/token\" = \"/auth/login\""));
            continue;
        }
        if !HEALTH.contains(&target.as_str()) && target.strip_prefix(prefix).and_then(has_more_below).is_none() {
            let all: Vec<String> = ENDPOINTS.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).chain(HEALTH).collect();
            let finding = Finding::new(format!("`{target}` is no endpoint of the gateway"));
            let help = match nearest(target, &all) {
                Some(_) => did_you_mean(target, &all),
                None => format!("take one of {}", all.join(", ")),
            };
            report.error(value.span, finding.help(help));
            continue;
        }
        let under = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        let other = aliases
            .iter()
            .find(|(other, leads)| (under(alias, other) && leads_below(leads)) || (under(other, alias) && leads_below(target)));
        if let Some((other, _)) = other {
            let finding = Finding::new(format!("`{alias}` and `{other}` both answer what is below the longer one"));
            report.error(name.span, finding.help("leave one of them out, or choose another path"));
            continue;
        }
        aliases.insert(alias.clone(), target.clone());
    }
    aliases
}

/// What is wrong with a path as an alias.
fn wrong_alias(path: &str, prefix: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("is no path: an alias begins with `/`");
    }
    let segment = |segment: &str| {
        !segment.is_empty()
            && !segment.ends_with('.')
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !path.split('/').skip(1).all(segment) {
        return Some("can't be an alias: its segments hold letters, digits and `-._~`, and none is empty");
    }
    if path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/')) {
        return Some("can't be an alias: it is below `auth.prefix`, where the endpoints themselves are");
    }
    (path.split('/').nth(1) == Some(".well-known"))
        .then_some("can't be an alias: documents below `/.well-known` have their places")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(aliases: &[(&str, &str)]) -> Auth {
        let aliases = aliases.iter().map(|(alias, target)| ((*alias).to_owned(), (*target).to_owned())).collect();
        Auth { aliases, ..Auth::default() }
    }

    #[test]
    fn an_alias_leads_to_its_endpoint_and_to_what_is_below_it_where_something_is() {
        let auth = auth(&[("/token", "/auth/login"), ("/admin/users", "/auth/admin/users"), ("/health", "/livez")]);
        for (path, leads) in [
            ("/token", Some("/auth/login")),
            ("/token/", None),
            ("/token/x", None),
            ("/tokenX", None),
            ("/TOKEN", None),
            ("/admin/users", Some("/auth/admin/users")),
            ("/admin/users/1", Some("/auth/admin/users/1")),
            ("/admin/usersX", None),
            ("/health", Some("/livez")),
            ("/health/x", None),
            ("/", None),
        ] {
            assert_eq!(auth.alias(path).as_deref(), leads, "{path}");
        }
    }

    #[test]
    fn an_alias_is_one_plain_path_apart_from_the_endpoints() {
        for good in ["/token", "/api/v1/token", "/users/me", "/authX"] {
            assert_eq!(wrong_alias(good, "/auth"), None, "{good}");
        }
        for bad in
            ["", "/", "token", "/a/", "/a//b", "/a/.", "/a/..", "/a%20", "/{x}", "/a*", "/auth", "/auth/x", "/.well-known/a"]
        {
            assert!(wrong_alias(bad, "/auth").is_some(), "{bad}");
        }
    }
}
