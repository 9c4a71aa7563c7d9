//! Request lines, hosts and methods.

use super::*;

fn refused(result: &Result<Target, Refusal>) -> bool {
    matches!(result, Err(refusal @ Refusal::AmbiguousTarget(_)) if refusal.status() == 400)
}

#[test]
fn a_target_is_taken_apart() {
    type Case<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, &'a str, Option<u16>);
    let cases: [Case<'_>; 15] = [
        ("/a", "h", "/a", None, "h", None),
        ("/a?", "h", "/a", Some(""), "h", None),
        ("/a?b=%2e%2E&c=/../;?x\\{}", "h", "/a", Some("b=%2e%2E&c=/../;?x\\{}"), "h", None),
        ("/", "Shop.Example.COM", "/", None, "shop.example.com", None),
        ("/", "shop.example.com.", "/", None, "shop.example.com", None),
        ("/", "shop.example.com.:8080", "/", None, "shop.example.com", Some(8080)),
        ("/", "h:1", "/", None, "h", Some(1)),
        ("/", "my_host", "/", None, "my_host", None),
        ("/", "[::1]:80", "/", None, "[::1]", Some(80)),
        ("/", "[2001:DB8:0:0::1]", "/", None, "[2001:db8::1]", None),
        ("http://h/a?b", "h", "/a", Some("b"), "h", None),
        ("HTTP://H:80", "h", "/", None, "h", Some(80)),
        ("https://h/a", "h:443", "/a", None, "h", None),
        ("http://h.?q", "H:80", "/", Some("q"), "h", None),
        ("http://[::1]:8080/a", "[0::1]:8080", "/a", None, "[::1]", Some(8080)),
    ];
    for (raw, field, path, query, host, port) in cases {
        let target = read(raw, &[field], Version::HTTP_11).unwrap_or_else(|why| panic!("{raw} {field}: {why:?}"));
        assert_eq!(
            (target.path.as_str(), target.query.as_deref(), target.host.as_deref(), target.port),
            (path, query, Some(host), port),
            "{raw} {field}"
        );
    }
}

#[test]
fn odd_targets_are_refused() {
    for raw in [
        "",
        "a",
        "admin",
        "*",
        "h:443",
        "?a",
        "#",
        "://h/",
        "http:/h/a",
        "http:///a",
        "http://",
        "ftp://h/a",
        "file:///etc/passwd",
        "http://h@h/",
        "http://u:p@h/",
        "http://other/",
        "http://h:81/",
        "https://h:80/",
        "http://h:0/",
        "http://h:x/",
        "http://h:/",
        "http://h#/a",
        "http://h/a#b",
        "http://h/../a",
        "http://h\\a",
        "http://h /a",
        "//h/\\",
        "/a b",
        "/a?b c",
        "/a?b\tc",
        "/a?b\x7f",
        "/a?b\0",
        "/a?\u{e4}",
        "/a?b#c",
        "/a#b?c",
        " /a",
        "/a ",
        "/a?b ",
        "\t/",
        "http://h,i/",
        "javascript:alert(1)",
        "ws://h/",
    ] {
        assert!(refused(&read(raw, &["h"], Version::HTTP_11)), "{raw:?}");
    }
}

#[test]
fn the_host_must_be_one_and_valid() {
    for hosts in [&[][..], &["h", "h"], &["h", "i"], &["h", ""]] {
        assert!(refused(&read("/", hosts, Version::HTTP_11)), "{hosts:?}");
    }
    assert!(refused(&read("/", &[], Version::HTTP_2)));
    assert!(refused(&read("http://h/", &[], Version::HTTP_11)));
    assert!(refused(&read("/", &["h", "h"], Version::HTTP_10)));
    assert!(refused(&read("/", &[""], Version::HTTP_10)));
    assert_eq!(read("/", &[], Version::HTTP_10).expect("a target").host, None);
    assert_eq!(read("http://H/", &[], Version::HTTP_10).expect("a target").host.as_deref(), Some("h"));
    for host in [
        "",
        " ",
        ".",
        "..",
        ".h",
        "h..",
        "a..b",
        "a,b",
        "a, b",
        "a b",
        " h",
        "h ",
        "h\t",
        "h:abc",
        "h:",
        "h:0",
        "h:65536",
        "h:000080",
        "h:-1",
        "h:+80",
        "h:80:80",
        "h: 80",
        "u@h",
        "u:p@h",
        "h/",
        "h/path",
        "h?q",
        "h#f",
        "h\\",
        "<x>",
        "h\"",
        "h'",
        "h%2e",
        "h%00",
        "h\0",
        "h\n",
        "h;x",
        "h*",
        "*",
        "*.h",
        "\u{e4}.de",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.x]",
        "[127.0.0.1]",
        "[]",
        "h[",
        "h]",
        ":80",
        "http://h",
        "h|i",
        "h^",
        "`h`",
        "{h}",
        "h~",
        "h!",
        "h=",
    ] {
        assert!(refused(&read("/", &[host], Version::HTTP_11)), "{host:?}");
    }
    assert_eq!(Authority::parse(&[b'a'; 254]), None);
    assert_eq!(Authority::parse(b"\xff"), None);
}

#[test]
fn connect_trace_and_unknown_spellings_are_never_taken() {
    for method in ["CONNECT", "TRACE", "TRACK", "DEBUG", "get", "Get", "pOST", "trace", "GET1", "G_T", "GET!"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        assert!(matches!(check_method(&method), Err(Refusal::MethodNotAllowed(allow)) if allow.contains("GET")), "{method}");
    }
    for method in ["GET", "HEAD", "POST", "PROPFIND", "VERSION-CONTROL", "PURGE"] {
        assert_eq!(check_method(&Method::from_bytes(method.as_bytes()).expect("a token")), Ok(()));
    }
}
