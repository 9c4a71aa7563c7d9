//! Which route a request takes, whom it lets pass, and where to.

#![expect(clippy::panic, clippy::expect_used, reason = "a test that meets what it did not expect ends")]

mod conflicts;
mod decisions;
mod matching;
mod reference;
mod rewrites;
mod survey;

use std::sync::Arc;

use http::Method;
use portcullis::config::{Backend, Role, Roles};
use portcullis::domain::{CanonicalPath, CredentialKind, CredentialKinds, Issuer, Principal, Scope, ScopeSet};
use portcullis::policy::{
    AllowInPath, AuthMode, Case, Condition, ConditionSubject, ConditionValue, Conflict, Found, HostPattern, Permit, Place, Route,
    RouteSpec, RouteTable, TrailingSlash,
};
use portcullis::problem::{Quota, Refusal};
use serde_json::{Value, json};

use crate::spec::spec;

fn on(host: &str, spec: RouteSpec) -> RouteSpec {
    let host = match host.strip_prefix('*') {
        Some(suffix) => HostPattern::Wildcard(suffix.into()),
        None => HostPattern::Exact(host.into()),
    };
    RouteSpec { hosts: vec![host], ..spec }
}

fn taking(methods: &[Method], spec: RouteSpec) -> RouteSpec {
    RouteSpec { methods: Some(methods.to_vec()), ..spec }
}

fn exact(spec: RouteSpec) -> RouteSpec {
    RouteSpec { trailing_slash: TrailingSlash::Exact, ..spec }
}

fn folding(spec: RouteSpec) -> RouteSpec {
    RouteSpec { case: Case::Insensitive, ..spec }
}

fn table(specs: Vec<RouteSpec>) -> RouteTable {
    RouteTable::build(specs, Roles::default()).unwrap_or_else(|conflicts| panic!("{conflicts:?}"))
}

fn path(text: &str) -> CanonicalPath {
    CanonicalPath::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// The name of the route, or what else was found.
fn found(table: &RouteTable, method: &Method, host: &str, target: &str) -> String {
    match table.find(Some(host).filter(|host| !host.is_empty()), &path(target), method) {
        Found::Match(matched) => matched.route.name().to_owned(),
        Found::MethodNotAllowed { allow } => format!("405 {allow}"),
        Found::Ambiguous(oddity) => format!("400 {oddity}"),
        Found::None => "404".to_owned(),
    }
}

fn backend(base: &str) -> Arc<Backend> {
    Arc::new(Backend { base_path: base.into(), ..Backend::plain("b", &["127.0.0.1:1"]) })
}

fn principal(scopes: &str) -> Principal {
    let object = |value: Value| value.as_object().cloned().expect("an object");
    Principal {
        username: Some("alice".into()),
        roles: vec!["admin".into()],
        scopes: scopes.parse::<ScopeSet>().expect("scopes"),
        attributes: object(
            json!({"tenant": "a1", "teams": ["x", "a b", 7], "level": 3, "beta": true, "none": null, "empty": ""}),
        ),
        claims: object(json!({"org": {"id": "o1"}, "flag": "true", "amr": ["pwd"], "big": 1.5})),
        ..Principal::own("u1", CredentialKind::Bearer)
    }
}

/// Builds the one route and asks it.
fn ask(spec: RouteSpec, caller: Option<Principal>, target: &str) -> Result<Permit, Refusal> {
    let table = RouteTable::build(vec![spec], roles()).unwrap_or_else(|conflicts| panic!("{conflicts:?}"));
    let matched = table.find(None, &path(target), &Method::GET).into_match()?;
    matched.route.authorize(caller.map(Arc::new), &matched.params)
}

fn roles() -> Roles {
    let role = |includes: &[&str]| Role { includes: includes.iter().map(|&name| name.into()).collect(), ..Role::default() };
    Roles(
        [("admin".to_owned(), role(&["user"])), ("user".to_owned(), role(&["viewer"])), ("viewer".to_owned(), role(&[]))].into(),
    )
}
