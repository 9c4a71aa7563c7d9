//! Whom a route lets pass.

use std::time::Duration;

use super::*;

fn scopes(text: &[&str]) -> Vec<Scope> {
    text.iter().map(|scope| scope.parse().expect("a scope")).collect()
}

#[test]
fn a_required_route_wants_a_credential_and_says_which_scopes() {
    assert_eq!(ask(spec("a", "/a"), None, "/a").err(), Some(Refusal::MissingCredential(None)));
    let asking = RouteSpec { scopes: scopes(&["a", "b"]), any_scopes: scopes(&["c"]), ..spec("a", "/a") };
    assert_eq!(ask(asking, None, "/a").err(), Some(Refusal::MissingCredential(Some("a b c".into()))));
    let permit = ask(spec("a", "/a"), Some(principal("")), "/a").expect("a permit");
    assert_eq!(permit.principal().map(|principal| principal.subject.as_str()), Some("u1"));
}

#[test]
fn an_optional_route_lets_anonymous_pass_only_where_it_asks_nothing() {
    let optional = RouteSpec { auth: AuthMode::Optional, ..spec("a", "/a") };
    assert!(ask(optional.clone(), None, "/a").expect("a permit").principal().is_none());
    assert!(ask(optional.clone(), Some(principal("")), "/a").expect("a permit").principal().is_some());
    for asking in [
        RouteSpec { scopes: scopes(&["x"]), ..optional.clone() },
        RouteSpec { any_scopes: scopes(&["x"]), ..optional.clone() },
        RouteSpec { roles: vec!["user".into()], ..optional.clone() },
        RouteSpec {
            conditions: vec![Condition { subject: ConditionSubject::Username, value: ConditionValue::Literal(json!("alice")) }],
            ..optional
        },
    ] {
        assert!(matches!(ask(asking.clone(), None, "/a").err(), Some(Refusal::MissingCredential(_))));
        assert!(ask(asking, Some(principal("x")), "/a").is_ok());
    }
}

#[test]
fn a_public_route_knows_no_caller() {
    let public = RouteSpec { auth: AuthMode::None, ..spec("a", "/a") };
    assert!(ask(public.clone(), Some(principal("*")), "/a").expect("a permit").principal().is_none());
    let asking = RouteSpec { scopes: scopes(&["x"]), ..public };
    assert!(ask(asking, Some(principal("*")), "/a").is_err());
}

#[test]
fn a_credential_of_a_kind_that_the_route_does_not_look_at_is_none() {
    let keys_only =
        RouteSpec { credentials: CredentialKinds { bearer: false, api_key: true, session: false }, ..spec("a", "/a") };
    assert_eq!(ask(keys_only, Some(principal("*")), "/a").err(), Some(Refusal::MissingCredential(None)));
}

#[test]
fn scopes_come_first_then_roles_then_conditions() {
    let all = RouteSpec {
        scopes: scopes(&["items:read", "orders"]),
        any_scopes: scopes(&["x", "y"]),
        roles: vec!["viewer".into()],
        conditions: vec![Condition {
            subject: ConditionSubject::Attribute(vec!["tenant".into()]),
            value: ConditionValue::Parameter("tenant".into()),
        }],
        ..spec("a", "/t/{tenant}")
    };
    let insufficient = Some(Refusal::InsufficientScope("items:read orders x y".into()));
    let mut caller = principal("items orders y:z");
    caller.roles = vec!["stranger".into()];
    assert_eq!(ask(all.clone(), Some(caller.clone()), "/t/zz").err(), insufficient, "y:z is not y");
    caller.scopes = "items:read x".parse().expect("scopes");
    assert_eq!(ask(all.clone(), Some(caller.clone()), "/t/zz").err(), insufficient, "orders is missing");
    caller.scopes = "items orders y".parse().expect("scopes");
    let no_role = ask(all.clone(), Some(caller.clone()), "/t/zz").err();
    assert!(matches!(no_role, Some(Refusal::Forbidden(why)) if why.contains("role")));
    caller.roles = vec!["admin".into()];
    let unmet = ask(all.clone(), Some(caller.clone()), "/t/zz").err();
    assert!(matches!(unmet, Some(Refusal::Forbidden(why)) if why.contains("condition")));
    assert!(ask(all.clone(), Some(caller.clone()), "/t/a1").is_ok());
    caller.scopes = "*".parse().expect("scopes");
    assert!(ask(all, Some(caller), "/t/%611").is_ok());
}

#[test]
fn conditions_compare_with_the_decoded_parameter_or_a_literal() {
    let attribute = |path: &[&str]| ConditionSubject::Attribute(path.iter().map(|&name| name.into()).collect());
    let claim = |path: &[&str]| ConditionSubject::Claim(path.iter().map(|&name| name.into()).collect());
    let parameter = || ConditionValue::Parameter("p".into());
    let literal = ConditionValue::Literal;
    let cases = [
        (attribute(&["tenant"]), parameter(), "/a1", true),
        (attribute(&["tenant"]), parameter(), "/A1", false),
        (attribute(&["teams"]), parameter(), "/x", true),
        (attribute(&["teams"]), parameter(), "/a%20b", true),
        (attribute(&["teams"]), parameter(), "/7", true),
        (attribute(&["teams"]), parameter(), "/07", false),
        (attribute(&["level"]), parameter(), "/3", true),
        (attribute(&["beta"]), parameter(), "/true", true),
        (attribute(&["none"]), parameter(), "/null", false),
        (attribute(&["missing"]), parameter(), "/a1", false),
        (attribute(&["tenant", "x"]), parameter(), "/a1", false),
        (claim(&["org", "id"]), parameter(), "/o1", true),
        (claim(&["org"]), parameter(), "/o1", false),
        (claim(&["tenant"]), parameter(), "/a1", false),
        (ConditionSubject::Subject, parameter(), "/u1", true),
        (ConditionSubject::Username, parameter(), "/%61lice", true),
        (ConditionSubject::Username, parameter(), "/u1", false),
        (attribute(&["tenant"]), literal(json!("a1")), "/z", true),
        (attribute(&["level"]), literal(json!(3)), "/z", true),
        (attribute(&["level"]), literal(json!("3")), "/z", false),
        (attribute(&["beta"]), literal(json!(true)), "/z", true),
        (claim(&["flag"]), literal(json!(true)), "/z", false),
        (attribute(&["none"]), literal(json!(null)), "/z", false),
        (attribute(&["empty"]), literal(json!("")), "/z", true),
        (attribute(&["teams"]), literal(json!(7)), "/z", true),
        (claim(&["amr"]), literal(json!("pwd")), "/z", true),
        (claim(&["amr"]), literal(json!("otp")), "/z", false),
        (ConditionSubject::Subject, literal(json!("u1")), "/z", true),
    ];
    for (subject, value, target, expected) in cases {
        let what = format!("{subject:?} {value:?} {target}");
        let route = RouteSpec { conditions: vec![Condition { subject, value }], ..spec("a", "/{p}") };
        assert_eq!(ask(route, Some(principal("")), target).is_ok(), expected, "{what}");
    }
}

#[test]
fn another_issuers_subject_is_not_ours() {
    let route = RouteSpec {
        conditions: vec![Condition { subject: ConditionSubject::Subject, value: ConditionValue::Parameter("p".into()) }],
        ..spec("a", "/{p}")
    };
    let other = Principal { issuer: Issuer::External("idp".into()), ..principal("") };
    assert!(ask(route.clone(), Some(other.clone()), "/u1").is_err());
    assert!(ask(route, Some(other), "/idp:u1").is_ok());
}

#[test]
fn an_observing_route_lets_pass_whom_it_refuses_and_nothing_that_is_wrong_with_a_request() {
    let quota = Quota { policy: "route", limit: 1, window: Duration::from_secs(1), retry_after: Duration::from_secs(1) };
    let about_the_caller = [
        Refusal::MissingCredential(None),
        Refusal::InvalidToken("x"),
        Refusal::InvalidApiKey,
        Refusal::InvalidSession,
        Refusal::InvalidRequest("x"),
        Refusal::InsufficientScope("x".into()),
        Refusal::Forbidden("x"),
        Refusal::RateLimited(quota),
        Refusal::Unavailable { detail: "x", retry_after: Duration::from_secs(1) },
    ];
    let about_the_request = [
        Refusal::AmbiguousTarget("x"),
        Refusal::NoRoute,
        Refusal::MethodNotAllowed("GET".into()),
        Refusal::BodyTooLarge(1),
        Refusal::HeadersTooLarge,
        Refusal::RequestTimeout,
        Refusal::ExpectationFailed,
    ];
    for enforce in [false, true] {
        let spec = RouteSpec { enforce, scopes: scopes(&["x"]), ..spec("a", "/a") };
        let table = table(vec![spec]);
        let matched = table.find(None, &path("/a"), &Method::GET).into_match().expect("a match");
        for refusal in &about_the_caller {
            let permit = matched.route.observe(refusal, &matched.params);
            assert_eq!(permit.as_ref().map(|permit| permit.principal().is_none()), (!enforce).then_some(true), "{refusal:?}");
        }
        for refusal in &about_the_request {
            assert!(matched.route.observe(refusal, &matched.params).is_none(), "{refusal:?}");
        }
    }
}
