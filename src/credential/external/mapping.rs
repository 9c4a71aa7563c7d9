//! From the claims of another issuer's token to somebody that routes know: scopes and roles only as the operator allows.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::judging::text;
use crate::config::{ClaimPath, ExternalIssuer};
use crate::domain::{CredentialKind, Issuer, Principal, Scope, ScopeSet};

/// Nobody's id is longer, in bytes.
const MAX_SUBJECT: usize = 512;

/// Whom verified `claims` prove.
pub(super) fn principal(rules: &ExternalIssuer, claims: Map<String, Value>) -> Result<Principal, &'static str> {
    let plain = |subject: &&str| !subject.is_empty() && subject.len() <= MAX_SUBJECT && !subject.chars().any(char::is_control);
    let subject = text(&claims, "sub").filter(plain).ok_or("The token's sub is missing, or no plain text.")?.to_owned();
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    // Nobody maps these two, so nobody could mend a token whose issuer writes something else there: they are absent then.
    let (full_name, email) = (text(&claims, "name"), text(&claims, "email").filter(|email| verified && is_address(email)));
    let (full_name, email) = (full_name.map(str::to_owned), email.map(str::to_owned));
    let name = Arc::clone(&rules.name);
    Ok(Principal {
        issuer: if rules.trust_subject { Issuer::Trusted(name) } else { Issuer::External(name) },
        username: username(rules, &claims)?,
        full_name,
        email,
        roles: roles(rules, &claims)?,
        scopes: scopes(rules, &claims)?,
        claims,
        ..Principal::own(subject, CredentialKind::Bearer)
    })
}

/// Whom the issuer calls by name. An empty name is none: Supabase writes one for everybody without an e-mail address, and those
/// are not one user.
fn username(rules: &ExternalIssuer, claims: &Map<String, Value>) -> Result<Option<String>, &'static str> {
    let Some(value) = found(rules.claims.username.as_ref(), claims) else { return Ok(None) };
    let name = value.as_str().ok_or("The claim that is the username is no text.")?;
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// Whether there is one way to read it: readers differ about whose an address with two `@` is, or with blanks or a comma.
fn is_address(email: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c == '@' || c == ',' || c.is_whitespace() || c.is_control());
    email.split_once('@').is_some_and(|(mailbox, domain)| plain(mailbox) && plain(domain))
}

/// A claim that is there; `null` is not.
fn found<'c>(path: Option<&ClaimPath>, claims: &'c Map<String, Value>) -> Option<&'c Value> {
    path?.find(claims).filter(|value| !value.is_null())
}

/// The texts of a claim: an array's items, or one text.
fn texts<'c>(value: &'c Value, fault: &'static str) -> Result<Vec<&'c str>, &'static str> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => items.iter().map(|item| item.as_str().ok_or(fault)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(fault),
    }
}

/// What of the token's scopes counts: judged by `allow`, then put behind `prefix`. `*` and the gateway's own never count.
fn scopes(rules: &ExternalIssuer, claims: &Map<String, Value>) -> Result<ScopeSet, &'static str> {
    let Some(value) = found(rules.claims.scopes.as_ref(), claims) else { return Ok(ScopeSet::default()) };
    let theirs = texts(value, "The claim that is the scopes is neither text nor an array of texts.")?;
    // What is no scope here can't be allowed either.
    let theirs = theirs.into_iter().flat_map(|text| text.split(' ')).filter_map(|text| text.parse::<Scope>().ok());
    let allowed = theirs.filter(|scope| !scope.is_all() && rules.allow.iter().any(|allowed| allowed.covers(scope)));
    let ours = allowed.filter_map(|scope| format!("{}{scope}", rules.prefix).parse::<Scope>().ok());
    Ok(ours.filter(|scope| !scope.is_all() && !scope.is_reserved()).collect())
}

/// What the token's roles are called here; those that are not mapped do not count.
fn roles(rules: &ExternalIssuer, claims: &Map<String, Value>) -> Result<Vec<String>, &'static str> {
    let Some(value) = found(rules.claims.roles.as_ref(), claims) else { return Ok(Vec::new()) };
    let theirs = texts(value, "The claim that is the roles is neither text nor an array of texts.")?;
    let mut ours = Vec::new();
    for role in theirs.into_iter().filter_map(|role| rules.roles.get(role)) {
        if !ours.contains(role) {
            ours.push(role.clone());
        }
    }
    Ok(ours)
}
