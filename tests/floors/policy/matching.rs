//! Which route a request takes.

use super::*;

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
fn allow_names_what_the_routes_of_this_very_spelling_take() {
    let table = table(vec![taking(&[Method::GET], spec("small", "/a")), taking(&[Method::PUT], spec("capital", "/A"))]);
    assert_eq!(found(&table, &Method::PATCH, "h", "/a"), "405 GET, HEAD");
    assert_eq!(found(&table, &Method::PATCH, "h", "/A"), "405 PUT");
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
    let table = table(vec![taking(std::slice::from_ref(&purge), spec("cache", "/cache")), spec("dav", "/dav")]);
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
