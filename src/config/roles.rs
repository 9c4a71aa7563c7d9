//! `[roles]` and `[scopes]`, checked.

use std::collections::{BTreeMap, BTreeSet};

use super::raw;
use super::report::{Finding, Report, Span};
use super::schema::{At, did_you_mean};
use super::wrapped::Named;
use crate::domain::{Scope, ScopeSet, User};

/// `[roles]`: named sets of scopes that may include each other; without cycles.
#[derive(Clone, Debug, Default)]
pub struct Roles(pub BTreeMap<String, Role>);

/// One role.
#[derive(Clone, Debug, Default)]
pub struct Role {
    /// The roles it includes, directly.
    pub includes: Vec<String>,
    /// The scopes it gives itself.
    pub scopes: ScopeSet,
}

impl Roles {
    /// All scopes of `roles` and of what they include; unknown roles give nothing.
    #[must_use]
    pub fn scopes_of(&self, roles: &[String]) -> ScopeSet {
        self.expanded(roles)
            .iter()
            .filter_map(|name| self.0.get(*name))
            .fold(ScopeSet::default(), |all, role| all.union(&role.scopes))
    }

    /// Whether somebody with `held` has the role `asked`, itself or by inclusion.
    #[must_use]
    pub fn grants(&self, held: &[String], asked: &str) -> bool {
        self.expanded(held).contains(&asked)
    }

    fn expanded<'a>(&'a self, roles: &'a [String]) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&str> = roles.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            if all.insert(name) {
                open.extend(self.0.get(name).into_iter().flat_map(|role| role.includes.iter().map(String::as_str)));
            }
        }
        all
    }
}

/// The roles that are there without being written down.
fn built_in() -> Roles {
    let role = |includes: &[&str], scopes: &str| Role {
        includes: includes.iter().map(|&name| name.to_owned()).collect(),
        scopes: scopes.parse().unwrap_or_default(),
    };
    Roles(BTreeMap::from([
        ("admin".to_owned(), role(&["user"], "*")),
        ("user".to_owned(), role(&["viewer"], "")),
        ("viewer".to_owned(), role(&[], "")),
    ]))
}

/// Checks `[roles]`: what it names replaces what is built in, the others stay.
pub(crate) fn checked(raw: &At<Vec<Named<raw::Role>>>, report: &mut Report) -> Roles {
    let mut roles = built_in();
    for Named { name, value } in &raw.value {
        if !is_role(&name.value) {
            let finding = Finding::new(format!("`{}` can't be the name of a role", name.value));
            report.error(name.span, finding.help("1 to 64 letters, digits, `-`, `_`, `.` and `:`"));
        }
        let role = Role {
            includes: value.value.includes.value.iter().map(|include| include.value.clone()).collect(),
            scopes: value.value.scopes.value.iter().map(|scope| scope.value.clone()).collect(),
        };
        roles.0.insert(name.value.clone(), role);
    }
    for Named { value, .. } in &raw.value {
        for include in &value.value.includes.value {
            refuse_unknown_role(&roles, &include.value, include.span, report);
        }
    }
    refuse_cycles(&roles, &raw.value, report);
    roles
}

impl Roles {
    /// All that `user` may do now: the user's own scopes, those of the roles and what they include, `portcullis:account`, and
    /// for admins `portcullis:admin`. Logins, refreshes and API keys get what is cut out of this.
    #[must_use]
    pub fn held_by(&self, user: &User) -> ScopeSet {
        user.scopes.union(&self.login_scopes(&user.roles))
    }

    /// What a login with `roles` holds, beside the user's own scopes.
    #[must_use]
    pub fn login_scopes(&self, roles: &[String]) -> ScopeSet {
        let own = [Some(Scope::ACCOUNT), self.grants(roles, "admin").then_some(Scope::ADMIN)];
        let own: ScopeSet = own.into_iter().flatten().filter_map(|name| name.parse().ok()).collect();
        self.scopes_of(roles).union(&own)
    }
}

/// Files that there is no role `name`, with the nearest one.
pub(crate) fn refuse_unknown_role(roles: &Roles, name: &str, span: Span, report: &mut Report) {
    if !roles.0.contains_key(name) {
        let names: Vec<_> = roles.0.keys().map(String::as_str).collect();
        report.error(span, Finding::new(format!("there is no role `{name}`")).help(did_you_mean(name, &names)));
    }
}

/// Files each cycle once, where its first role by name is written.
fn refuse_cycles(roles: &Roles, written: &[Named<raw::Role>], report: &mut Report) {
    for start in roles.0.keys() {
        let Some(cycle) = cycle_from(roles, start) else { continue };
        if cycle.iter().min() != Some(&start.as_str()) {
            continue;
        }
        let place = written
            .iter()
            .find(|role| role.name.value == *start)
            .or_else(|| written.iter().find(|role| cycle.contains(&role.name.value.as_str())));
        if let Some(role) = place {
            let path = cycle.iter().chain([&start.as_str()]).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ");
            let finding = Finding::new(format!("roles include each other in a circle: {path}"));
            report.error(role.value.value.includes.span, finding.help("take one `includes` out of it"));
        }
    }
}

/// The shortest way along `includes` from `start` back to it, without its end.
fn cycle_from<'a>(roles: &'a Roles, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways: std::collections::VecDeque<Vec<&str>> = [vec![start]].into();
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let includes = way.last().and_then(|last| roles.0.get(*last)).map_or(&[][..], |role| &role.includes);
        for include in includes {
            if include == start {
                return Some(way);
            }
            if seen.insert(include.as_str()) {
                let mut longer = way.clone();
                longer.push(include);
                ways.push_back(longer);
            }
        }
    }
    None
}

fn is_role(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

/// Checks `[scopes]`.
pub(crate) fn scopes(raw: &[Named<String>], report: &mut Report) -> BTreeMap<Scope, String> {
    let mut scopes = BTreeMap::new();
    for Named { name, value } in raw {
        match name.value.parse() {
            Ok(scope) => {
                scopes.insert(scope, value.value.clone());
            }
            Err(error) => report.error(name.span, format!("`{}` is not a scope: {error}", name.value)),
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;
    use crate::domain::{Timestamp, UserId};

    fn roles() -> Roles {
        let role = |includes: &[&str], scopes: &str| Role {
            includes: includes.iter().map(ToString::to_string).collect(),
            scopes: scopes.parse().expect("scopes"),
        };
        Roles(BTreeMap::from([
            ("root".to_owned(), role(&["admin"], "")),
            ("admin".to_owned(), role(&["user"], "*")),
            ("user".to_owned(), role(&[], "items:read")),
        ]))
    }

    fn held(roles_held: &[&str], scopes: &str) -> String {
        let user = User {
            id: UserId(uuid::Uuid::nil()),
            username: "alice".to_owned(),
            email: None,
            email_verified: false,
            full_name: None,
            roles: roles_held.iter().map(ToString::to_string).collect(),
            scopes: scopes.parse().expect("scopes"),
            attributes: serde_json::Map::new(),
            disabled: false,
            service: false,
            generation: 1,
            password: None,
            created_at: Timestamp::from_secs(0),
        };
        roles().held_by(&user).to_string()
    }

    #[test]
    fn a_login_holds_the_users_scopes_those_of_the_roles_and_its_account() {
        assert_eq!(held(&["user"], "orders"), "items:read orders portcullis:account");
        assert_eq!(held(&[], ""), "portcullis:account");
        assert_eq!(held(&["gone"], ""), "portcullis:account", "a role that was removed gives nothing");
    }

    #[test]
    fn an_admin_by_inclusion_holds_the_admin_scope() {
        assert_eq!(held(&["root"], ""), "* items:read portcullis:account portcullis:admin");
        assert_eq!(held(&[], "*"), "* portcullis:account", "all scopes do not make an admin");
    }
}
