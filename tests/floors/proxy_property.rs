//! The invariant: the path that was judged is the path that the backend receives, byte for byte; the query is untouched.

use portcullis::domain::CanonicalPath;
use portcullis::policy::{AllowInPath, AuthMode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::backend::Backend;
use crate::gateway::{self, Gateway, route};

/// Paths and queries of what gateways and backends have disagreed about.
fn targets() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9]{1,4}",
        3 => Just("/".to_owned()),
        1 => "%[0-9a-fA-F]{2}",
        1 => "[!-~]{1,3}",
        1 => prop::sample::select(vec![
            "..", ".", "//", "%2e%2e", "%2F", "%5c", "\\", ";x=1", "%252e", "%00", "%c0%af", "%u002f", "a.", "é", "%E2%82%AC", "%",
            "@", ":", "http://b/", "?", "#", "*", "%20", "+", "~", "%7E", "&x=%2e%2e", "[", "|",
        ]).prop_map(str::to_owned),
    ];
    (prop::bool::weighted(0.95), prop::collection::vec(piece, 0..8))
        .prop_map(|(slash, pieces)| format!("{}{}", if slash { "/" } else { "" }, pieces.concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_judged_is_what_the_backend_receives() {
    let backend = Backend::start("b").await;
    let mut wide = route("wide", "/**", AuthMode::None, gateway::backend(&[&backend.address]));
    wide.allow_in_path = AllowInPath::NAMES.iter().fold(AllowInPath::default(), |all, (_, one)| all.with(*one));
    let gateway = Gateway::start(vec![wide]);
    let (mut runner, strategy) = (TestRunner::deterministic(), targets());
    let mut passed = 0;
    for _ in 0..600 {
        let Ok(tree) = strategy.new_tree(&mut runner) else { continue };
        let target = tree.current();
        let before = backend.seen().len();
        let answer = gateway.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let seen = backend.seen();
        if answer.status == 200 && seen.len() > before {
            passed += 1;
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, format!("?{query}")),
                None => (target.as_str(), String::new()),
            };
            let judged = CanonicalPath::parse(path.as_bytes()).map(|path| path.as_str().to_owned());
            assert_eq!(Ok(backend.last().target().to_owned()), judged.map(|path| path + &query), "{target:?}");
        } else {
            // The gateway's own paths are answered here.
            assert!([400, 404].contains(&answer.status) && seen.len() == before, "{target:?} gave {answer:?}");
        }
    }
    assert!(passed > 100, "only {passed} of the targets passed");
}
