//! What names, addresses, roles and the like have to look like.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::{AdminError, AdminResult};
use crate::config::Roles;

/// The longest e-mail address (RFC 5321 §4.5.3.1.3 less the brackets).
const EMAIL_MAX: usize = 254;
/// The longest full name, in bytes.
const FULL_NAME_MAX: usize = 256;
/// The most that a user's attributes may take as JSON, and scopes as text: they travel in each token, and a token has
/// to fit into a header.
pub(super) const IN_TOKEN_MAX: usize = 4096;

fn invalid<T>(text: String) -> AdminResult<T> {
    Err(AdminError::Invalid(text))
}

/// A username: 1–64 of ASCII letters, digits and `._-+@`. ASCII only: names that look alike must be the same.
pub(in crate::accounts) fn username(name: &str) -> AdminResult<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return invalid(format!(
            "`{}` is no username: use 1 to 64 of the letters a-z, digits and . _ - + @",
            name.escape_debug()
        ));
    }
    Ok(name.to_owned())
}

/// An e-mail address: something at something, in one spelling. Whether mail arrives is for mail to find out.
pub(in crate::accounts) fn email(address: &str) -> AdminResult<String> {
    let address: String = address.trim().nfkc().collect();
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\".contains(c);
    let good = match address.split_once('@') {
        Some((local, domain)) => !local.is_empty() && !domain.is_empty() && !domain.contains('@'),
        None => false,
    };
    if !good || address.len() > EMAIL_MAX || address.contains(odd) {
        return invalid(format!("`{}` is no e-mail address: write it as name@example.com", address.escape_debug()));
    }
    Ok(address)
}

/// A full name: any text on one line.
pub(in crate::accounts) fn full_name(name: &str) -> AdminResult<String> {
    if name.len() > FULL_NAME_MAX || name.chars().any(char::is_control) {
        return invalid(format!("a full name has at most {FULL_NAME_MAX} bytes and no control characters"));
    }
    Ok(name.to_owned())
}

/// Roles, each declared in `[roles]`, each once.
pub(super) fn roles(names: &[String], known: &Roles) -> AdminResult<Vec<String>> {
    let mut roles: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !known.0.contains_key(name) {
            let mut text = format!("there is no role `{}`", name.escape_debug());
            if let Some(near) =
                known.0.keys().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
                && strsim::jaro_winkler(near, name) > 0.8
            {
                text = format!("{text} (did you mean `{near}`?)");
            }
            let all = known.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return invalid(format!("{text}: use {all}, or declare it in [roles] of gateway.toml"));
        }
        if !roles.contains(name) {
            roles.push(name.clone());
        }
    }
    Ok(roles)
}

/// Attributes: names that `where` and header templates can say, and not too much of them.
pub(super) fn attributes(all: &Map<String, Value>) -> AdminResult<()> {
    for name in all.keys() {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return invalid(format!(
                "`{}` is no attribute name: use 1 to 64 of the letters a-z, digits and _ - .",
                name.escape_debug()
            ));
        }
    }
    in_token("attributes", serde_json::to_string(all).map_or(usize::MAX, |text| text.len()))
}

/// What travels in each token must leave it fit for a header.
pub(super) fn in_token(what: &str, length: usize) -> AdminResult<()> {
    if length > IN_TOKEN_MAX {
        return invalid(format!("the {what} take {length} bytes; they travel in each token, so keep them under {IN_TOKEN_MAX}"));
    }
    Ok(())
}

/// Networks that a key may be used from, in one spelling; a bare address is itself alone.
pub(super) fn cidrs(texts: &[String]) -> AdminResult<Vec<String>> {
    texts
        .iter()
        .map(|text| {
            let text = text.trim();
            let net = text
                .parse::<ipnet::IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(|address| ipnet::IpNet::from(address.to_canonical())));
            match net {
                Ok(net) => Ok(net.trunc().to_string()),
                Err(_) => invalid(format!("`{}` is no network: write it as 10.0.0.0/8 or 2001:db8::/32", text.escape_debug())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Role;

    #[test]
    fn a_username_is_ascii_on_one_line() {
        assert!(username("a.b_c-d+e@f").is_ok());
        for name in ["", "a b", "ä", "a\n", "a,b", "a:b", &"a".repeat(65)] {
            assert!(username(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_address_has_one_at_and_nothing_odd() {
        assert_eq!(email(" a@b.example ").expect("an address"), "a@b.example");
        for address in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: c@d", "<a@b>", "a@b,c"] {
            assert!(email(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn an_unknown_role_names_the_nearest() {
        let known = Roles(BTreeMap::from([("admin".to_owned(), Role::default()), ("viewer".to_owned(), Role::default())]));
        assert_eq!(roles(&["viewer".into(), "viewer".into()], &known).expect("known"), ["viewer"]);
        insta::assert_snapshot!(
            roles(&["amdin".into()], &known).expect_err("unknown"),
            @"there is no role `amdin` (did you mean `admin`?): use admin, viewer, or declare it in [roles] of gateway.toml"
        );
    }

    #[test]
    fn networks_have_one_spelling() {
        let good = ["10.1.2.3/8".to_owned(), "192.0.2.1".to_owned(), "2001:db8::1/32".to_owned()];
        assert_eq!(cidrs(&good).expect("networks"), ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
        assert!(cidrs(&["10.0.0.0/33".to_owned()]).is_err());
    }

    #[test]
    fn attributes_fit_into_a_token() {
        let one = |name: &str, length: usize| Map::from_iter([(name.to_owned(), Value::String("x".repeat(length)))]);
        assert!(attributes(&one("tenant", 10)).is_ok());
        assert!(attributes(&one("tenant", 5000)).is_err());
        assert!(attributes(&one("a b", 1)).is_err());
    }
}
