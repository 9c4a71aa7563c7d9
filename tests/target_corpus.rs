//! Request targets, paths and hosts: one canonical reading, or a refusal (contract §5).

use http::{Method, Version};
use portcullis::domain::path::decode_segment;
use portcullis::domain::{AllowInPath, CanonicalPath, PathFault};
use portcullis::problem::Refusal;
use portcullis::proxy::target::{Authority, Target, check_method};
use proptest::prelude::*;

fn parse(path: &str) -> Result<CanonicalPath, PathFault> {
    CanonicalPath::parse(path.as_bytes())
}

#[test]
fn every_spelling_of_a_path_has_one_canonical_form() {
    for (raw, canonical) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61/%41/%7e/%2D/%5f/%30", "/a/A/~/-/_/0"),
        ("/%7E%7e", "/~~"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a%20/b%20c", "/a%20/b%20c"),
        ("/%40me", "/%40me"),
        ("/@me:x", "/@me:x"),
        ("/a!$&'()*+,=b", "/a!$&'()*+,=b"),
        ("/a%2bb", "/a%2Bb"),
        ("/a%3fb%23", "/a%3Fb%23"),
        ("/a\"<>[]^`{|}", "/a%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("/100%25", "/100%25"),
        ("/%25%32%35", "/%2525"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/%2ewell-known", "/.well-known"),
        ("/..a/.b/a..b", "/..a/.b/a..b"),
        ("/%E2%82%AC", "/%E2%82%AC"),
        ("/%f0%9f%98%80", "/%F0%9F%98%80"),
    ] {
        assert_eq!(parse(raw).map(|path| path.as_str().to_owned()), Ok(canonical.to_owned()), "{raw}");
    }
}

#[test]
fn what_backends_could_misread_is_always_refused() {
    use PathFault::{Backslash, Control, DotSegment, Escape, Fragment, NoSlash, NonAscii, NotUtf8, Query, Space};
    let corpus: &[(PathFault, &[&str])] = &[
        (NoSlash, &["", "admin", "*", "http:/a", "%2fadmin", "\u{e4}", ".", ";/a", "#"]),
        (
            DotSegment,
            &[
                "/.",
                "/..",
                "/./",
                "/../",
                "/a/.",
                "/a/..",
                "/a/./b",
                "/a/../b",
                "/%2e",
                "/%2E%2e/",
                "/.%2e/a",
                "/a/%2e./b",
                "/..;/",
                "/..;x=1/admin",
                "/.;a/b",
                "/a/..;",
                "/..%3b/",
                "/%2e%2e%3Bx/",
                "/..;a;b/",
                "/..%2fadmin",
                "/a%2f..",
                "/a%2F%2e%2e%2fb",
                "/%2f./",
                "/..;a%2fb",
                "/a%2f..;/b",
                "/%2e%2F",
                "/..%20/",
                "/.%20%20/a",
                "/..%20;x/",
                "//..",
                "//../x",
                "/a//../b",
                "/..//",
                "/%2e%2E;%2f",
            ],
        ),
        (Backslash, &["/\\", "/a\\b", "/..\\", "/%5c", "/%5C..", "/a%5cb", "/\\..\\"]),
        (
            Control,
            &[
                "/\0",
                "/%00",
                "/a%00.html",
                "/a\nb",
                "/%0a",
                "/%0D%0aX: y",
                "/\t",
                "/%09",
                "/\x7f",
                "/%7f",
                "/%7F",
                "/%1f",
                "/\x1b[",
                "/%c2%85",
                "/%C2%80",
            ],
        ),
        (Space, &["/ ", "/a b", "/a /b"]),
        (NonAscii, &["/\u{e4}", "/caf\u{e9}", "/\u{2025}", "/\u{ff0f}"]),
        (
            NotUtf8,
            &[
                "/%c0%ae",
                "/%c0%af",
                "/%C0%AE%c0%ae/",
                "/%e0%80%ae",
                "/%f0%80%80%af",
                "/%ff",
                "/%fe",
                "/%80",
                "/%c3",
                "/%c3/%a9",
                "/%ed%a0%80",
                "/%f4%90%80%80",
                "/%c1%9c",
                "/%e0%40%ae",
                "/%f8%80%80%80%ae",
                "/%e4",
            ],
        ),
        (
            Escape,
            &[
                "/%",
                "/%2",
                "/%zz",
                "/%u002e",
                "/%u002e%u002e/",
                "/a%2",
                "/%%32e",
                "/% 2e",
                "/%-1",
                "/%+2",
                "/%2g",
                "/a%/b",
                "/%0x2e",
            ],
        ),
        (Fragment, &["/#", "/a#b", "/a#/../b"]),
        (Query, &["/a?b"]),
    ];
    for (fault, paths) in corpus {
        for path in *paths {
            assert_eq!(parse(path), Err(*fault), "{path:?}");
        }
    }
    for raw in [b"/\xc0\xae".as_slice(), b"/\xff", b"/\x80", b"/a\xe4b"] {
        assert_eq!(CanonicalPath::parse(raw), Err(NonAscii));
    }
}

#[test]
fn oddities_are_recorded_and_not_decoded() {
    const SLASH: AllowInPath = AllowInPath::ENCODED_SLASH;
    const SEMI: AllowInPath = AllowInPath::SEMICOLON;
    const EMPTY: AllowInPath = AllowInPath::EMPTY_SEGMENT;
    const DOUBLE: AllowInPath = AllowInPath::DOUBLE_ENCODING;
    const DOT: AllowInPath = AllowInPath::TRAILING_DOT;
    const NONE: AllowInPath = AllowInPath(0);
    for (raw, canonical, oddities) in [
        ("/a%2fb", "/a%2Fb", SLASH),
        ("/%2Fa", "/%2Fa", SLASH),
        ("/a;b", "/a;b", SEMI),
        ("/a;x=1/b", "/a;x=1/b", SEMI),
        ("/a%3bb", "/a%3Bb", SEMI),
        ("/;/a", "/;/a", SEMI),
        ("//", "//", EMPTY),
        ("//a", "//a", EMPTY),
        ("/a//b", "/a//b", EMPTY),
        ("/a//", "/a//", EMPTY),
        ("/a/", "/a/", NONE),
        ("/%252e", "/%252e", DOUBLE),
        ("/%252e%252E/a", "/%252e%252E/a", DOUBLE),
        ("/%25%32%65", "/%252e", DOUBLE),
        ("/%252f", "/%252f", DOUBLE),
        ("/%255c", "/%255c", DOUBLE),
        ("/%255C", "/%255C", DOUBLE),
        ("/%2500", "/%2500", DOUBLE),
        ("/%253b", "/%253b", DOUBLE),
        ("/%253B", "/%253B", DOUBLE),
        ("/%250d%250aX:y", "/%250d%250aX:y", DOUBLE),
        ("/%25252e", "/%25252e", DOUBLE),
        ("/%2525252f", "/%2525252f", DOUBLE),
        ("/%25%25%32%66", "/%25%252f", DOUBLE),
        ("/%25u002e", "/%25u002e", DOUBLE),
        ("/%25c0%25ae", "/%25c0%25ae", DOUBLE),
        ("/%2525", "/%2525", NONE),
        ("/%2541", "/%2541", NONE),
        ("/50%25off", "/50%25off", NONE),
        ("/a.", "/a.", DOT),
        ("/public./x", "/public./x", DOT),
        ("/a%2e", "/a.", DOT),
        ("/...", "/...", DOT),
        ("/a%20", "/a%20", DOT),
        ("/a%20/b", "/a%20/b", DOT),
        ("/%20", "/%20", DOT),
        ("/a.b", "/a.b", NONE),
        ("/a.;b", "/a.;b", DOT.with(SEMI)),
        ("/a.%2fb", "/a.%2Fb", DOT.with(SLASH)),
        ("/a;b./c", "/a;b./c", DOT.with(SEMI)),
        ("//a;b%2f%252e.", "//a;b%2F%252e.", EMPTY.with(SEMI).with(SLASH).with(DOUBLE).with(DOT)),
    ] {
        let path = parse(raw).unwrap_or_else(|fault| panic!("{raw}: {fault}"));
        assert_eq!((path.as_str(), path.oddities()), (canonical, oddities), "{raw}");
    }
}

#[test]
fn deep_encodings_cost_no_more_than_shallow_ones() {
    let path = format!("/{}2e", "%25".repeat(20_000));
    assert!(parse(&path).is_ok_and(|path| !path.oddities().is_empty()));
    let path = format!("/%{}2e", "25".repeat(20_000));
    assert!(parse(&path).is_ok_and(|path| !path.oddities().is_empty()));
}

fn read(raw: &str, hosts: &[&str], version: Version) -> Result<Target, Refusal> {
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
    Target::read(raw.as_bytes(), &hosts, version)
}

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

/// Paths out of the pieces that matter, and arbitrary ones.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "/", "a", "A", ".", "..", "%2e", "%2E", "%2f", "%5c", ";", "%3b", "%25", "25", "2e", "2f", "%252e", "%c3%a9", "%c0%ae",
        "%20", "%61", "~", "%7E", "@", "%40", "{", "|", "%", "\\", " ", "#", "%00", "\u{e4}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| [b"/".as_slice(), &bytes].concat()),
    ]
}

/// As a backend reads a path: split, then decoded.
fn as_a_backend(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(|part| percent_encoding::percent_decode(part).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(raw in paths()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            prop_assert_eq!(CanonicalPath::parse(path.as_str().as_bytes()), Ok(path));
        }
    }

    #[test]
    fn a_backend_decodes_the_canonical_path_to_what_was_asked(raw in paths()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            prop_assert_eq!(as_a_backend(&raw), as_a_backend(path.as_str().as_bytes()));
            prop_assert_eq!(as_a_backend(&raw), as_a_backend(path.match_key().replace("{", "%7B").as_bytes()));
        }
    }

    #[test]
    fn no_backend_can_be_led_upwards(raw in paths()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            for segment in path.segments() {
                let decoded = decode_segment(segment);
                prop_assert!(!decoded.contains(['\\', '\0', '\r', '\n']), "{decoded:?}");
                for part in decoded.split('/') {
                    prop_assert!(!matches!(part.split(';').next(), Some("." | "..")), "{decoded:?}");
                }
            }
            let legal = |byte: u8| (0x21..=0x7e).contains(&byte) && !b"\"<>[]^`{|}\\#?".contains(&byte);
            prop_assert!(path.as_str().bytes().all(legal), "{path}");
        }
    }

    #[test]
    fn what_decodes_to_something_else_the_second_time_is_marked(raw in paths()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            let once: Vec<u8> = percent_encoding::percent_decode(path.as_str().as_bytes()).collect();
            let twice: Vec<u8> = percent_encoding::percent_decode(&once).collect();
            let count = |bytes: &[u8]| bytes.iter().filter(|byte| b"./\\;\0".contains(byte)).count();
            prop_assert!(
                count(&once) == count(&twice) || path.oddities().without(AllowInPath::DOUBLE_ENCODING) != path.oddities(),
                "{path}"
            );
        }
    }

    #[test]
    fn nothing_breaks_on_arbitrary_bytes(raw: Vec<u8>, host: Vec<u8>) {
        let _ = Target::read(&raw, &[&host], Version::HTTP_11);
    }

    #[test]
    fn a_query_is_passed_byte_for_byte(query in "[!-\"$-~]{0,40}") {
        let target = read(&format!("/a?{query}"), &["h"], Version::HTTP_11).expect("a target");
        prop_assert_eq!(target.query, Some(query));
    }
}
