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
        const TESTED: &[&str] = &[POSTGRESQL, $($path),*];
    };
}

guides! {
    the_guide_to_rolling_out_by_observing_works = "docs/observe.md",
    the_guide_to_putting_it_in_front_of_something_works = "docs/in-front-of.md",
    the_guide_to_a_public_address_works = "docs/tls.md",
    the_guide_to_upgrades_works = "docs/upgrade.md",
    the_guide_to_grpc_works = "docs/grpc.md",
    the_guide_to_websockets_works = "docs/websocket.md",
    the_guide_to_administration_works = "docs/administration.md",
    the_guide_to_api_keys_works = "docs/api-keys.md",
    the_guide_to_keys_works = "docs/keys.md",
    the_guide_to_oauth_works = "docs/oauth.md",
    the_guide_to_policy_tests_works = "docs/policy-tests.md",
    the_guide_to_explain_works = "docs/explain.md",
    the_guide_to_sidecars_works = "docs/sidecar.md",
    the_guide_to_accounts_works = "docs/accounts.md",
    the_guide_to_importing_accounts_works = "docs/import.md",
    the_guide_to_load_balancers_works = "docs/behind-a-load-balancer.md",
}

const POSTGRESQL: &str = "docs/postgresql.md";

#[test]
fn the_guide_to_postgresql_works() {
    const THEIRS: &str = "postgres://portcullis@127.0.0.1:5432/portcullis";
    let database = crate::postgres::Database::new();
    let guide = document(POSTGRESQL);
    assert!(guide.contains(THEIRS));
    works_as_pasted(&guide.replace(THEIRS, &format!("'{}'", database.url)));
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

#[test]
fn the_index_names_every_document_and_links_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let index = document("docs/README.md");
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(root.join("docs")).expect("docs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().extension().is_some_and(|extension| extension == "md") {
            assert!(name == "README.md" || index.contains(&format!("]({name})")), "docs/README.md does not name {name}");
            pages.push(format!("docs/{name}"));
        }
    }
    for page in pages {
        let text = document(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") {
                continue;
            }
            let file = if file.is_empty() { root.join(&page) } else { root.join(&page).parent().expect("a folder").join(file) };
            assert!(file.exists(), "{page} links to {target}, which is not there");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).expect("a document");
                let headings: Vec<_> = text.lines().filter_map(anchor).collect();
                assert!(headings.iter().any(|known| known == heading), "{page} links to {target}, which has no such heading");
            }
        }
    }
}

/// A heading as links name it.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect())
}
