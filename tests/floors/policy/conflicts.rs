//! Tables that are not put to use.

use super::*;

fn ties(specs: Vec<RouteSpec>) -> Vec<(String, String)> {
    let name = |(name, _): &(Arc<str>, Place)| name.to_string();
    match RouteTable::build(specs, Roles::default()) {
        Ok(_) => Vec::new(),
        Err(conflicts) => conflicts
            .iter()
            .map(|conflict| match conflict {
                Conflict::Tie { route, other, .. } => (name(route), name(other)),
                Conflict::Name { .. } | Conflict::Route { .. } => panic!("{conflict}"),
            })
            .collect(),
    }
}

#[test]
fn two_routes_that_tie_are_an_error_naming_both_places() {
    let pairs: Vec<(RouteSpec, RouteSpec)> = vec![
        (spec("b", "/a"), spec("a", "/a")),
        (spec("b", "/a"), spec("a", "/%61")),
        (spec("b", "/a"), spec("a", "/a/")),
        (spec("b", "/a"), exact(spec("a", "/a/"))),
        (spec("b", "/{x}"), spec("a", "/{y}")),
        (spec("b", "/a/{x}/**"), spec("a", "/a/{y}/**")),
        (spec("b", "/**"), spec("a", "/**")),
        (folding(spec("b", "/A")), spec("a", "/a")),
        (folding(spec("b", "/A/{x}")), folding(spec("a", "/a/{y}"))),
        (taking(&[Method::GET], spec("b", "/a")), spec("a", "/a")),
        (taking(&[Method::GET], spec("b", "/a")), taking(&[Method::HEAD], spec("a", "/a"))),
        (taking(&[Method::GET, Method::PUT], spec("b", "/a")), taking(&[Method::PUT], spec("a", "/a"))),
        (on("h", spec("b", "/a")), on("h", spec("a", "/a"))),
        (on("*.h", spec("b", "/a")), on("*.h", spec("a", "/a"))),
        (spec("b", "/@me"), spec("a", "/%40me")),
    ];
    for (b, a) in pairs {
        let what = format!("{} {}", b.path, a.path);
        assert_eq!(ties(vec![a.clone(), b.clone()]), [("b".into(), "a".into())], "{what}");
        assert_eq!(ties(vec![b, a]), [("a".into(), "b".into())], "{what}");
    }
    let mut later = spec("later", "/a");
    later.place = Place { file: "routes/more.toml".into(), line: 7, column: 3 };
    let conflicts = RouteTable::build(vec![spec("first", "/a"), later], Roles::default()).expect_err("a tie");
    let text = conflicts[0].to_string();
    assert!(text.contains("routes/more.toml:7:3") && text.contains("routes/test.toml:1:1"), "{text}");
}

#[test]
fn routes_that_only_look_alike_do_not_tie() {
    for specs in [
        vec![spec("a", "/a"), spec("b", "/A")],
        vec![spec("a", "/a"), spec("b", "/{x}")],
        vec![spec("a", "/a/**"), spec("b", "/a")],
        vec![exact(spec("a", "/a")), exact(spec("b", "/a/"))],
        vec![spec("a", "/{x}"), spec("b", "/{x}/")],
        vec![taking(&[Method::GET], spec("a", "/a")), taking(&[Method::POST], spec("b", "/a"))],
        vec![on("h", spec("a", "/a")), spec("b", "/a"), on("*.h", spec("c", "/a"))],
        vec![RouteSpec { hosts: vec![HostPattern::Exact("h".into()), HostPattern::Exact("h".into())], ..spec("a", "/a") }],
    ] {
        assert_eq!(ties(specs), []);
    }
}

#[test]
fn routes_that_cannot_work_are_errors() {
    let broken = |spec: RouteSpec| {
        let what = format!("{spec:?}");
        let conflicts = RouteTable::build(vec![spec], Roles::default()).map(|_| ()).expect_err(&what);
        assert!(matches!(conflicts[..], [Conflict::Route { .. }]), "{conflicts:?}");
    };
    for pattern in [
        "",
        "a",
        "*",
        "/*",
        "/a*",
        "/**/a",
        "/***",
        "/{}",
        "/{a",
        "/a}",
        "/{a}b",
        "/b{a}",
        "/{a}/{a}",
        "/{a b}",
        "/{a.b}",
        "/{*a}",
        "/..",
        "/a/./b",
        "/%2e%2e/a",
        "/a//b",
        "/a%2Fb",
        "/a;b",
        "/a\\b",
        "/a b",
        "/%zz",
        "/a?b",
        "/a#b",
        "/\u{e4}",
        "/a.",
        "/%252e",
        "//",
        "/%00",
    ] {
        broken(spec("x", pattern));
    }
    let condition = Condition { subject: ConditionSubject::Subject, value: ConditionValue::Parameter("id".into()) };
    broken(RouteSpec { conditions: vec![condition], ..spec("x", "/{name}") });
    for strip in ["/b", "/a/b/c/d", "/a/b/x", "/ap", "a", "/a/../a", "/a//b"] {
        broken(RouteSpec { strip_prefix: strip.into(), ..spec("x", "/a/b/{x}/**") });
    }
    for add in ["v2", "//v2", "/v2//", "/..", "/a/../b", "/a;b", "/a%2f", "/ a", "/a?b", "http://h"] {
        broken(RouteSpec { add_prefix: add.into(), ..spec("x", "/a/**") });
        broken(RouteSpec { backend: Some(backend(add)), ..spec("x", "/a/**") });
    }
    let twice = RouteTable::build(vec![spec("x", "/a"), spec("x", "/b")], Roles::default()).expect_err("one name");
    assert!(matches!(twice[..], [Conflict::Name { .. }]), "{twice:?}");
}

#[test]
fn all_errors_are_told_at_once() {
    let specs = vec![spec("a", "/a"), spec("b", "/a"), spec("c", "/*"), spec("a", "/c")];
    assert_eq!(RouteTable::build(specs, Roles::default()).expect_err("errors").len(), 3);
}
