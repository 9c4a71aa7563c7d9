//! What holds of any bytes.

use portcullis::domain::path::decode_segment;
use proptest::prelude::*;

use super::*;

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
            prop_assert_eq!(as_a_backend(&raw), as_a_backend(path.match_key().replace('{', "%7B").as_bytes()));
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
