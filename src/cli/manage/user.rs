//! `user …`

use serde_json::{Map, Value, json};

use super::super::args::{User, UserAdd};
use super::super::output::{list, object, put};
use super::super::{Exit, Failure, password};
use super::with_admin;
use crate::accounts::admin::{Admin, NewUser};
use crate::domain::{self, ScopeSet};

/// Accounts that are read at once.
const PAGE: u32 = 200;

pub(super) fn run(command: User) -> Result<(), Failure> {
    match command {
        User::Add(args) => add(args),
        User::List(args) => with_admin(&args.config, async |admin| {
            let users: Vec<Value> = all(admin).await?.iter().map(shown).collect();
            list(
                args.format.format,
                &users,
                &[("NAME", "username"), ("EMAIL", "email"), ("ROLES", "roles"), ("DISABLED", "disabled"), ("ID", "id")],
            )
        }),
        User::Show(args) => with_admin(&args.config, async |admin| {
            let user = admin.user(&args.name).await?;
            object(args.format.format, &shown(&user))
        }),
        User::Disable(args) => with_admin(&args.config, async |admin| {
            let user = admin.set_disabled(&args.name, true).await?;
            say(&user, "is disabled; its tokens, sessions and keys are dead")
        }),
        User::Enable(args) => with_admin(&args.config, async |admin| {
            let user = admin.set_disabled(&args.name, false).await?;
            say(&user, "is enabled")
        }),
        User::Delete(args) => with_admin(&args.config, async |admin| {
            let user = admin.delete_user(&args.name).await?;
            say(&user, "is deleted")
        }),
        User::SetPassword(args) => with_admin(&args.config, async |admin| {
            // Known before anything is typed.
            let user = admin.user(&args.name).await?;
            Admin::may_have_password(&user)?;
            let rules = &admin.config.passwords;
            let password = password::new(rules, &user.username, user.email.as_deref(), args.password_stdin)?;
            let user = admin.set_password(&args.name, password).await?;
            say(&user, "has a new password; its sessions have ended")
        }),
        User::SetRoles(args) => with_admin(&args.config, async |admin| {
            let user = admin.set_roles(&args.name, &words(&args.roles)).await?;
            say(&user, &format!("has the roles: {}", or_none(&user.roles.join(", "))))
        }),
        User::SetScopes(args) => with_admin(&args.config, async |admin| {
            let user = admin.set_scopes(&args.name, scopes(&args.scopes)?).await?;
            say(&user, &format!("has the scopes: {}", or_none(&user.scopes.to_string())))
        }),
        User::Import(args) => super::import::run(&args),
        User::SetAttribute(args) => {
            let attributes = attributes(&args.attributes)?;
            with_admin(&args.config, async |admin| {
                let user = admin.set_attributes(&args.name, attributes).await?;
                say(&user, &format!("has the attributes: {}", Value::Object(user.attributes.clone())))
            })
        }
    }
}

fn add(args: UserAdd) -> Result<(), Failure> {
    let mut new = NewUser {
        username: args.name,
        email: args.email,
        full_name: args.full_name,
        roles: args.roles.as_deref().map(words),
        scopes: scopes(args.scopes.as_deref().unwrap_or_default())?,
        attributes: attributes(&args.attributes)?,
        service: args.service,
        password: None,
    };
    new.attributes.retain(|_, value| !value.is_null());
    with_admin(&args.config, async |admin| {
        if !new.service {
            let rules = &admin.config.passwords;
            new.password = Some(password::new(rules, &new.username, new.email.as_deref(), args.password_stdin)?);
        }
        let user = admin.create_user(new).await?;
        match args.format.format {
            super::super::args::Format::Json => super::super::output::json(&shown(&user)),
            super::super::args::Format::Text => {
                say(&user, &format!("is added, with the roles: {}", or_none(&user.roles.join(", "))))
            }
        }
    })
}

async fn all(admin: &Admin) -> Result<Vec<domain::User>, Failure> {
    let mut users = Vec::new();
    loop {
        let page = admin.users(None, u32::try_from(users.len()).unwrap_or(u32::MAX), PAGE).await?;
        let last = page.len() < PAGE as usize;
        users.extend(page);
        if last {
            return Ok(users);
        }
    }
}

/// What is shown of an account: never its password's hash.
fn shown(user: &domain::User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "full_name": user.full_name,
        "roles": user.roles,
        "scopes": user.scopes,
        "attributes": user.attributes,
        "disabled": user.disabled,
        "is_active": !user.disabled,
        "service": user.service,
        "created_at": user.created_at.to_string(),
    })
}

fn say(user: &domain::User, what: &str) -> Result<(), Failure> {
    put(&format!("{} {what}\n", user.username))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// `a, b` as a list; empty is none.
pub(in crate::cli) fn words(text: &str) -> Vec<String> {
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Scopes as they are typed.
pub(in crate::cli) fn scopes(text: &str) -> Result<ScopeSet, Failure> {
    text.parse().map_err(|error| Failure {
        exit: Exit::Usage,
        message: format!("`{}` are no scopes: {error}; write them as \"items:read orders\"", text.escape_debug()),
    })
}

/// `k=v` each: text; a name given several times is a list of texts, an empty value removes, and one in brackets or braces is
/// JSON.
pub(in crate::cli) fn attributes(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut attributes = Map::new();
    for pair in pairs {
        let usage = |why: &str| Failure { exit: Exit::Usage, message: format!("`{}` {why}", pair.escape_debug()) };
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| usage("is no attribute: write it as tenant=a1, or tenant= to remove it"))?;
        let value = match value {
            "" => Value::Null,
            json if json.starts_with(['[', '{']) => serde_json::from_str(json).map_err(|_| usage("is no JSON behind its ="))?,
            text => text.into(),
        };
        let both = match (attributes.remove(name), value) {
            (None, value) => value,
            (Some(first @ Value::String(_)), second @ Value::String(_)) => Value::Array(vec![first, second]),
            (Some(Value::Array(mut all)), more @ Value::String(_)) => {
                all.push(more);
                Value::Array(all)
            }
            (Some(_), _) => return Err(usage("is there twice: only texts make a list together")),
        };
        attributes.insert(name.to_owned(), both);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_text_unless_they_are_lists_or_removed() {
        let pairs = ["a=1", "b=x=y", "c=[\"p\",\"q\"]", "d="].map(str::to_owned);
        assert_eq!(
            Value::Object(attributes(&pairs).expect("attributes")),
            json!({ "a": "1", "b": "x=y", "c": ["p", "q"], "d": null })
        );
        let twice = ["t=a", "u=x", "t=b", "t=c"].map(str::to_owned);
        assert_eq!(Value::Object(attributes(&twice).expect("attributes")), json!({ "t": ["a", "b", "c"], "u": "x" }));
        for mixed in [["t=a", "t="], ["t=", "t=a"], ["t={}", "t=a"], ["t=a", "t=[1]"]] {
            assert_eq!(attributes(&mixed.map(str::to_owned)).expect_err("none").exit, Exit::Usage, "{mixed:?}");
        }
        for pair in ["a", "=b", "", "a=[1"] {
            assert_eq!(attributes(&[pair.to_owned()]).expect_err("none").exit, Exit::Usage, "{pair}");
        }
    }

    #[test]
    fn lists_take_commas_and_spaces() {
        assert_eq!(words(" a,b, c"), ["a", "b", "c"]);
        assert!(words("").is_empty());
    }
}
