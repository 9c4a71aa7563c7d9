//! Paths that are refused, canonical or odd.

use super::*;

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
#[expect(clippy::too_many_lines, reason = "a corpus")]
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
