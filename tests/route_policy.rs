//! Which route a request takes, whom it lets pass, and where to (contract §4, §7).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use portcullis::config::{Backend, Role, Roles};
use portcullis::domain::{CanonicalPath, CredentialKind, CredentialKinds, IdentityTable, Issuer, Principal, Scope, ScopeSet};
use portcullis::policy::{
    AllowInPath, AuthMode, Case, Condition, ConditionSubject, ConditionValue, Conflict, Found, HostPattern, HostRewrite, Permit,
    Place, Route, RouteSpec, RouteTable, TrailingSlash,
};
use portcullis::problem::Refusal;
use proptest::prelude::*;
use serde_json::{Value, json};

fn spec(name: &str, path: &str) -> RouteSpec {
    RouteSpec {
        name: name.into(),
        place: Place { file: "routes/test.toml".into(), line: 1, column: 1 },
        hosts: Vec::new(),
        path: path.into(),
        methods: None,
        backend: None,
        auth: AuthMode::Required,
        credentials: CredentialKinds::ALL,
        scopes: Vec::new(),
        any_scopes: Vec::new(),
        roles: Vec::new(),
        conditions: Vec::new(),
        trailing_slash: TrailingSlash::Either,
        case: Case::Sensitive,
        allow_in_path: AllowInPath::default(),
        strip_prefix: String::new(),
        add_prefix: String::new(),
        host: HostRewrite::Preserve,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        identity: Arc::new(IdentityTable::x_auth()),
        forward_credential: false,
        timeout: None,
        max_body: None,
    }
}

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

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let mut specs = vec![
        spec("all", "/**"),
        spec("api", "/api/**"),
        spec("item", "/api/{id}"),
        spec("me", "/api/me"),
        spec("parts", "/api/{id}/parts/**"),
        spec("me-parts", "/api/me/parts/{part}"),
        spec("deep", "/api/{id}/parts/x"),
    ];
    for _ in 0..2 {
        let table = table(specs.clone());
        for (target, expected) in [
            ("/", "all"),
            ("/apiX", "all"),
            ("/apiX/y", "all"),
            ("/API", "all"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/7", "item"),
            ("/api/7/", "api"),
            ("/api/me", "me"),
            ("/api/me/", "me"),
            ("/api/me/other", "api"),
            ("/api/me/parts", "parts"),
            ("/api/me/parts/1", "me-parts"),
            ("/api/me/parts/x", "me-parts"),
            ("/api/me/parts/1/2", "parts"),
            ("/api/7/parts", "parts"),
            ("/api/7/parts/", "parts"),
            ("/api/7/parts/x", "deep"),
            ("/api/7/parts/x/", "deep"),
            ("/api/7/parts/y", "parts"),
        ] {
            assert_eq!(found(&table, &Method::GET, "h", target), expected, "{target}");
        }
        specs.reverse();
    }
}

#[test]
fn an_exact_host_beats_a_wildcard_beats_any() {
    let table = table(vec![
        on("shop.example.com", spec("exact", "/a")),
        on("*.example.com", spec("wild", "/a")),
        on("*.eu.example.com", spec("long", "/a")),
        spec("any", "/a"),
        on("*.example.com", spec("wild-b", "/b/**")),
        spec("any-b", "/b/c"),
        spec("any-d", "/d"),
    ]);
    for (host, target, expected) in [
        ("shop.example.com", "/a", "exact"),
        ("x.example.com", "/a", "wild"),
        ("y.x.example.com", "/a", "wild"),
        ("x.eu.example.com", "/a", "long"),
        ("eu.example.com", "/a", "wild"),
        ("example.com", "/a", "any"),
        ("badexample.com", "/a", "any"),
        ("shop.example.com.evil.org", "/a", "any"),
        ("", "/a", "any"),
        ("shop.example.com", "/b/c", "wild-b"),
        ("x.eu.example.com", "/b/c", "wild-b"),
        ("other", "/b/c", "any-b"),
        ("shop.example.com", "/d", "any-d"),
        ("shop.example.com", "/e", "404"),
    ] {
        assert_eq!(found(&table, &Method::GET, host, target), expected, "{host}{target}");
    }
}

#[test]
fn the_path_chooses_first_and_the_method_second() {
    let table = table(vec![
        taking(&[Method::GET], spec("read", "/items/{id}")),
        taking(&[Method::PUT, Method::DELETE], spec("write", "/items/{item}")),
        spec("all", "/items/**"),
        on("h", taking(&[Method::POST], spec("h", "/x"))),
        spec("x", "/x"),
    ]);
    let purge = Method::from_bytes(b"PURGE").expect("a method");
    for (method, host, target, expected) in [
        (&Method::GET, "", "/items/1", "read"),
        (&Method::HEAD, "", "/items/1", "read"),
        (&Method::PUT, "", "/items/1", "write"),
        (&Method::POST, "", "/items/1", "405 DELETE, GET, HEAD, PUT"),
        (&Method::OPTIONS, "", "/items/1", "405 DELETE, GET, HEAD, PUT"),
        (&Method::POST, "", "/items/1/2", "all"),
        (&Method::GET, "h", "/x", "405 POST"),
        (&Method::GET, "i", "/x", "x"),
        (&Method::CONNECT, "", "/items/1/2", "405 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (&Method::TRACE, "", "/items/1/2", "405 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        (&purge, "", "/items/1/2", "405 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ] {
        assert_eq!(found(&table, method, host, target), expected, "{method} {host}{target}");
    }
}

#[test]
fn a_method_in_small_letters_is_another_method() {
    let get = Method::from_bytes(b"get").expect("a method");
    let table = table(vec![taking(&[Method::GET, get.clone(), Method::TRACE], spec("a", "/a")), spec("b", "/b")]);
    assert_eq!(found(&table, &get, "", "/a"), "405 GET, HEAD");
    assert_eq!(found(&table, &Method::TRACE, "", "/a"), "405 GET, HEAD");
    assert!(found(&table, &get, "", "/b").starts_with("405"));
}

#[test]
fn unusual_methods_reach_only_routes_that_name_them() {
    let purge = Method::from_bytes(b"PURGE").expect("a method");
    let propfind = Method::from_bytes(b"PROPFIND").expect("a method");
    let table = table(vec![taking(&[purge.clone()], spec("cache", "/cache")), spec("dav", "/dav")]);
    assert_eq!(found(&table, &purge, "", "/cache"), "cache");
    assert!(found(&table, &purge, "", "/dav").starts_with("405"));
    assert_eq!(found(&table, &propfind, "", "/dav"), "dav");
}

#[test]
fn a_final_slash_matters_where_a_route_says_so() {
    let table = table(vec![
        exact(spec("exact", "/e")),
        exact(spec("slash", "/s/")),
        spec("either", "/a"),
        spec("either-slash", "/b/"),
        spec("param", "/p/{x}"),
        spec("param-slash", "/q/{x}/"),
        exact(spec("root", "/")),
    ]);
    for (target, expected) in [
        ("/e", "exact"),
        ("/e/", "404"),
        ("/s", "404"),
        ("/s/", "slash"),
        ("/a", "either"),
        ("/a/", "either"),
        ("/b", "either-slash"),
        ("/b/", "either-slash"),
        ("/p/1", "param"),
        ("/p/1/", "404"),
        ("/p/", "404"),
        ("/p", "404"),
        ("/q/1", "404"),
        ("/q/1/", "param-slash"),
        ("/", "root"),
    ] {
        assert_eq!(found(&table, &Method::GET, "", target), expected, "{target}");
    }
}

#[test]
fn a_route_that_folds_case_matches_every_spelling() {
    let table = table(vec![
        folding(spec("admin", "/Admin/{id}/**")),
        spec("lower", "/files/a"),
        spec("upper", "/files/A"),
        folding(spec("fold-b", "/files/{x}/B")),
        spec("a-any", "/files/a/{y}"),
        spec("rest", "/**"),
    ]);
    for (target, expected) in [
        ("/ADMIN/X", "admin"),
        ("/admin/x/y", "admin"),
        ("/%61dMIN/x", "admin"),
        ("/files/a", "lower"),
        ("/files/A", "upper"),
        ("/FILES/a", "rest"),
        ("/files/a/b", "a-any"),
        ("/Files/a/b", "fold-b"),
        ("/files/A/b", "fold-b"),
    ] {
        assert_eq!(found(&table, &Method::GET, "", target), expected, "{target}");
    }
}

#[test]
fn another_encoding_of_a_literal_does_not_escape_its_route() {
    let table =
        table(vec![spec("me", "/users/@me"), spec("colon", "/v1/items:batch"), spec("space", "/a%20b"), spec("all", "/**")]);
    for (target, expected) in [
        ("/users/@me", "me"),
        ("/users/%40me", "me"),
        ("/users/%40%6de", "me"),
        ("/users/%2540me", "all"),
        ("/v1/items%3Abatch", "colon"),
        ("/v1/items%3abatch/", "colon"),
        ("/a%20b", "space"),
    ] {
        assert_eq!(found(&table, &Method::GET, "", target), expected, "{target}");
    }
}

#[test]
fn odd_paths_need_a_route_that_allows_each_oddity() {
    let allowing = |allowed, spec| RouteSpec { allow_in_path: allowed, ..spec };
    let table = table(vec![
        spec("strict", "/s/**"),
        allowing(AllowInPath::ENCODED_SLASH, spec("slash", "/f/{name}")),
        allowing(AllowInPath::SEMICOLON.with(AllowInPath::EMPTY_SEGMENT), spec("two", "/t/**")),
        allowing(AllowInPath::SEMICOLON, spec("literal", "/m;v=1/x")),
        taking(&[Method::GET], spec("read", "/r/{x}")),
        allowing(AllowInPath::TRAILING_DOT, spec("dot", "/d/**")),
        allowing(AllowInPath::DOUBLE_ENCODING, spec("double", "/e/**")),
    ]);
    for (target, expected) in [
        ("/s/a%2Fb", "400 encoded_slash"),
        ("/s/a;b", "400 semicolon"),
        ("/s//a", "400 empty_segment"),
        ("//s/a", "400 empty_segment"),
        ("/s/%252e", "400 double_encoding"),
        ("/s/a.", "400 trailing_dot"),
        ("/f/a%2fb", "slash"),
        ("/f/a%2fb;", "400 semicolon"),
        ("/f/a/b", "404"),
        ("/f%2fa", "400 encoded_slash"),
        ("/t/a;b//c", "two"),
        ("/t/a;b//c%2f", "400 encoded_slash"),
        ("/t;a", "400 semicolon"),
        ("/m;v=1/x", "literal"),
        ("/m%3Bv%3D1/x", "literal"),
        ("/nowhere;", "400 semicolon"),
        ("/f//", "400 empty_segment"),
        ("/d/a.", "dot"),
        ("/e/%252e%252e/a", "double"),
    ] {
        assert_eq!(found(&table, &Method::GET, "", target), expected, "{target}");
    }
    assert_eq!(found(&table, &Method::PUT, "", "/r/a;b"), "400 semicolon");
    assert_eq!(found(&table, &Method::PUT, "", "/r/a"), "405 GET, HEAD");
}

#[test]
fn what_is_found_turns_into_a_refusal() {
    let table = table(vec![taking(&[Method::GET], spec("a", "/a"))]);
    let refusal = |method, target| table.find(None, &path(target), &method).into_match().err();
    assert_eq!(refusal(Method::GET, "/a"), None);
    assert_eq!(refusal(Method::PUT, "/a"), Some(Refusal::MethodNotAllowed("GET, HEAD".into())));
    assert_eq!(refusal(Method::GET, "/b"), Some(Refusal::NoRoute));
    assert_eq!(refusal(Method::GET, "/a;"), Some(Refusal::AmbiguousTarget("it has a semicolon")));
}

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

fn backend(base: &str) -> Arc<Backend> {
    Arc::new(Backend {
        name: "b".into(),
        servers: vec!["127.0.0.1:1".into()],
        base_path: base.into(),
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        retries: 0,
    })
}

fn principal(scopes: &str) -> Principal {
    let object = |value: Value| value.as_object().cloned().expect("an object");
    Principal {
        issuer: Issuer::Own,
        subject: "u1".into(),
        username: Some("alice".into()),
        full_name: None,
        email: None,
        roles: vec!["admin".into()],
        scopes: scopes.parse::<ScopeSet>().expect("scopes"),
        method: CredentialKind::Bearer,
        session: None,
        key: None,
        attributes: object(
            json!({"tenant": "a1", "teams": ["x", "a b", 7], "level": 3, "beta": true, "none": null, "empty": ""}),
        ),
        claims: object(json!({"org": {"id": "o1"}, "flag": "true", "amr": ["pwd"], "big": 1.5})),
    }
}

fn scopes(text: &[&str]) -> Vec<Scope> {
    text.iter().map(|scope| scope.parse().expect("a scope")).collect()
}

fn roles() -> Roles {
    let role = |includes: &[&str]| Role { includes: includes.iter().map(|&name| name.into()).collect(), ..Role::default() };
    Roles(
        [("admin".to_owned(), role(&["user"])), ("user".to_owned(), role(&["viewer"])), ("viewer".to_owned(), role(&[]))].into(),
    )
}

/// Builds the one route and asks it.
fn ask(spec: RouteSpec, caller: Option<Principal>, target: &str) -> Result<Permit, Refusal> {
    let table = RouteTable::build(vec![spec], roles()).unwrap_or_else(|conflicts| panic!("{conflicts:?}"));
    let matched = table.find(None, &path(target), &Method::GET).into_match()?;
    matched.route.authorize(caller, &matched.params)
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

// --- The table against a matcher that tries every route. ---

/// The most specific way in which a route matches, by trying: greater is more specific.
fn naive(route: &RouteSpec, host: &str, segments: &[&str]) -> Option<(usize, Vec<u8>)> {
    let host_rank = if route.hosts.is_empty() {
        Some(0)
    } else {
        route
            .hosts
            .iter()
            .filter_map(|pattern| match pattern {
                HostPattern::Exact(own) => (own == host).then_some(usize::MAX),
                HostPattern::Wildcard(suffix) => {
                    (host.len() > suffix.len() && host.ends_with(suffix.as_str())).then_some(suffix.len())
                }
            })
            .max()
    }?;
    let written: Vec<&str> = route.path[1..].split('/').collect();
    let mut forms = vec![written.clone()];
    if route.trailing_slash == TrailingSlash::Either {
        match written.as_slice() {
            [.., "**"] => {}
            [before @ .., last, ""] if !last.starts_with('{') => forms.push([before, &[last]].concat()),
            [.., last] if !last.is_empty() && !last.starts_with('{') => forms.push([&written[..], &[""]].concat()),
            _ => {}
        }
    }
    forms.iter().filter_map(|form| naive_path(form, segments, route.case)).max().map(|rank| (host_rank, rank))
}

fn naive_path(form: &[&str], segments: &[&str], case: Case) -> Option<Vec<u8>> {
    let mut rank = Vec::new();
    let mut rest = segments.iter();
    for part in form {
        if *part == "**" {
            rank.push(1);
            return Some(rank);
        }
        let segment = *rest.next()?;
        if part.starts_with('{') {
            rank.push(2);
            if segment.is_empty() {
                return None;
            }
        } else {
            rank.push(3);
            if !(segment == *part || case == Case::Insensitive && segment.eq_ignore_ascii_case(part)) {
                return None;
            }
        }
    }
    rank.push(2);
    rest.next().is_none().then_some(rank)
}

fn takes(route: &RouteSpec, method: &Method) -> bool {
    route
        .methods
        .as_ref()
        .is_none_or(|methods| methods.contains(method) || method == Method::HEAD && methods.contains(&Method::GET))
}

/// All most specific routes, and those of them that take the method.
fn winners<'s>(
    specs: &'s [RouteSpec],
    host: &str,
    segments: &[&str],
    method: &Method,
) -> (Vec<&'s RouteSpec>, Vec<&'s RouteSpec>) {
    let ranked: Vec<_> = specs.iter().filter_map(|spec| naive(spec, host, segments).map(|rank| (rank, spec))).collect();
    let best = ranked.iter().map(|(rank, _)| rank.clone()).max();
    let all: Vec<_> = ranked.into_iter().filter(|(rank, _)| Some(rank) == best.as_ref()).map(|(_, spec)| spec).collect();
    let taking = all.iter().copied().filter(|spec| takes(spec, method)).collect();
    (all, taking)
}

fn any_route() -> impl Strategy<Value = RouteSpec> {
    let segment = || prop::sample::select(vec!["a", "a", "A", "b", "{}"]);
    let parts = (prop::collection::vec(segment(), 0..4), prop::sample::select(vec!["", "", "**", "/"]));
    let hosts = prop::sample::select(vec![vec![], vec![], vec!["h.x"], vec!["*.x"], vec!["*.h.x"], vec!["h.x", "*.h.x"]]);
    let methods =
        prop::sample::select(vec![None, Some(vec![Method::GET]), Some(vec![Method::PUT]), Some(vec![Method::HEAD, Method::PUT])]);
    (parts, hosts, methods, any::<bool>(), any::<bool>()).prop_map(|((parts, end), hosts, methods, fold, either)| {
        let mut path: String =
            parts.iter().enumerate().map(|(i, part)| format!("/{}", part.replace("{}", &format!("{{p{i}}}")))).collect();
        path.push_str(match end {
            "**" => "/**",
            "/" => "/",
            _ if path.is_empty() => "/",
            _ => "",
        });
        RouteSpec {
            hosts: hosts.iter().flat_map(|host| on(host, spec("", "/")).hosts).collect(),
            methods,
            case: if fold { Case::Insensitive } else { Case::Sensitive },
            trailing_slash: if either { TrailingSlash::Either } else { TrailingSlash::Exact },
            allow_in_path: AllowInPath(31),
            ..spec("", &path)
        }
    })
}

const HOSTS: [&str; 5] = ["h.x", "i.x", "j.h.x", "x", "other"];
const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH];

/// Every path of up to four of these segments.
fn all_targets() -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&str>> = Vec::new();
    let mut layer: Vec<Vec<&str>> = vec![vec![]];
    for _ in 0..4 {
        layer = layer.iter().flat_map(|path| ["a", "A", "b", "B", ""].map(|part| [&path[..], &[part]].concat())).collect();
        all.extend(layer.iter().cloned());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_table_finds_what_trying_every_route_finds(candidates in prop::collection::vec(any_route(), 1..9)) {
        let targets = all_targets();
        let mut specs: Vec<RouteSpec> = Vec::new();
        for (i, candidate) in candidates.into_iter().enumerate() {
            let mut more = specs.clone();
            more.push(RouteSpec { name: format!("r{i}").into(), ..candidate });
            match RouteTable::build(more.clone(), Roles::default()) {
                Ok(_) => specs = more,
                Err(_) => {
                    // A refused table really has a request that two routes take equally well.
                    let tie = HOSTS.iter().any(|host| targets.iter().any(|target| METHODS.iter().any(|method| {
                        let pair = |one: &RouteSpec| {
                            let new = more.last().expect("one");
                            let (rank, other) = (naive(one, host, target), naive(new, host, target));
                            rank.is_some() && rank == other && takes(one, method) && takes(new, method)
                        };
                        specs.iter().any(pair)
                    })));
                    prop_assert!(tie, "no tie: {more:#?}");
                }
            }
        }
        let table = RouteTable::build(specs.clone(), Roles::default()).expect("no conflict");
        for host in HOSTS {
            for target in &targets {
                let text = format!("/{}", target.join("/"));
                let canonical = path(&text);
                for method in &METHODS {
                    let (all, taking) = winners(&specs, host, target, method);
                    prop_assert!(taking.len() <= 1, "a tie was let in: {host}{text} {taking:#?}");
                    match table.find(Some(host), &canonical, method) {
                        Found::Match(matched) => {
                            prop_assert_eq!(taking.first().map(|spec| &*spec.name), Some(matched.route.name()), "{} {}", host, text);
                        }
                        Found::MethodNotAllowed { .. } => prop_assert!(taking.is_empty() && !all.is_empty(), "{method} {host}{text}"),
                        Found::None => prop_assert!(all.is_empty(), "{host}{text} {all:#?}"),
                        // No route at all, on a path with an empty segment.
                        Found::Ambiguous(_) => prop_assert!(all.is_empty() && text.contains("//"), "{host}{text}"),
                    }
                }
            }
        }
    }
}

#[test]
fn ten_thousand_routes_are_one_table() {
    let specs: Vec<RouteSpec> =
        (0..10_000).map(|i| spec(&format!("r{i}"), &format!("/tenants/{}/service{}/{{id}}/**", i % 100, i / 100))).collect();
    let table = table(specs);
    let routes: &[Arc<Route>] = table.routes();
    assert_eq!(routes.len(), 10_000);
    assert!(routes.iter().enumerate().all(|(i, route)| route.index() == i));
    for i in [0, 4711, 9999] {
        let target = format!("/tenants/{}/service{}/7/x/y", i % 100, i / 100);
        assert_eq!(found(&table, &Method::GET, "h", &target), format!("r{i}"));
    }
}

#[test]
fn parameters_are_read_from_the_path() {
    let table = table(vec![spec("a", "/{one}/x/{two}/**")]);
    let Found::Match(matched) = table.find(None, &path("/caf%c3%a9/x/%40a%20b/rest"), &Method::GET) else {
        panic!("no match");
    };
    assert_eq!(matched.params.get("one").as_deref(), Some("caf\u{e9}"));
    assert_eq!(matched.params.get("two").as_deref(), Some("@a b"));
    assert_eq!(matched.params.get("three"), None);
    assert_eq!(matched.params.path().as_str(), "/caf%C3%A9/x/%40a%20b/rest");
}
