//! Where a request goes.

use super::*;

#[test]
fn a_rewrite_leads_to_the_backends_path() {
    for (pattern, strip, add, base, target, expected) in [
        ("/**", "", "", "", "/a/b/", "/a/b/"),
        ("/api/**", "/api", "", "", "/api/a", "/a"),
        ("/api/**", "/api/", "", "", "/api/a", "/a"),
        ("/api/**", "/api", "", "", "/api", "/"),
        ("/api/**", "/api", "", "", "/api/", "/"),
        ("/api/**", "/api", "/v2", "", "/api", "/v2"),
        ("/api/**", "/api", "/v2/", "", "/api/", "/v2/"),
        ("/api/**", "/api", "/v2", "/base", "/api/x", "/base/v2/x"),
        ("/api/**", "", "/v2", "/base/", "/api/x", "/base/v2/api/x"),
        ("/**", "", "/", "/", "/x", "/x"),
        ("/a/b/{c}", "/a/b", "", "", "/a/b/c", "/c"),
        ("/@a/{c}", "/@a", "", "", "/%40a/c%2b", "/c%2B"),
        ("/api/**", "/api", "", "", "/api/%61pi/x", "/api/x"),
    ] {
        let route =
            RouteSpec { strip_prefix: strip.into(), add_prefix: add.into(), backend: Some(backend(base)), ..spec("a", pattern) };
        let permit = ask(route, Some(principal("")), target).expect(target);
        assert_eq!(permit.upstream_path(), expected, "{target} -{strip} +{base}{add}");
    }
}

#[test]
fn a_rewrite_makes_nothing_that_was_not_judged() {
    let route = RouteSpec { strip_prefix: "/api".into(), allow_in_path: AllowInPath(31), ..spec("a", "/api/**") };
    assert!(matches!(ask(route.clone(), Some(principal("")), "/api//evil.org/x").err(), Some(Refusal::AmbiguousTarget(_))));
    assert_eq!(ask(route.clone(), Some(principal("")), "/api/a//b").expect("a permit").upstream_path(), "/a//b");
    assert_eq!(ask(route, Some(principal("")), "/api/a;b%2fc").expect("a permit").upstream_path(), "/a;b%2Fc");
}
