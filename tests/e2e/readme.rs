//! The README's tour and the guides of docs/: pasted into a shell as they stand.

use crate::pasted::{document, works_as_pasted};

#[test]
fn the_tour_works_as_pasted() {
    let readme = document("README.md");
    works_as_pasted(readme.split("\n## A tour\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a tour"));
}

/// A test for each guide: what it says to paste works, prints what it says, and tidies up.
macro_rules! guides {
    ($($name:ident = $path:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                works_as_pasted(&document($path));
            }
        )*

        /// Guides that have a test.
        const TESTED: &[&str] = &[$($path),*];
    };
}

guides! {
    the_guide_to_rolling_out_by_observing_works = "docs/observe.md",
    the_guide_to_putting_it_in_front_of_something_works = "docs/in-front-of.md",
    the_guide_to_a_public_address_works = "docs/tls.md",
    the_guide_to_upgrades_works = "docs/upgrade.md",
    the_guide_to_websockets_works = "docs/websocket.md",
    the_guide_to_keys_works = "docs/keys.md",
    the_guide_to_policy_tests_works = "docs/policy-tests.md",
    the_guide_to_explain_works = "docs/explain.md",
}

#[test]
fn every_document_with_commands_to_paste_is_pasted() {
    let docs = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).expect("docs");
    for entry in docs.flatten() {
        let is_text = entry.path().extension().is_some_and(|extension| extension == "md");
        let path = format!("docs/{}", entry.file_name().to_string_lossy());
        if is_text && document(&path).contains("\n```sh\n") {
            assert!(TESTED.contains(&path.as_str()), "{path} has commands that no test pastes");
        }
    }
}
