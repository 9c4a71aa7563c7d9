//! The floors of `src/ARCHITECTURE.md`: imports go down only, and each engine is known to few.

#![expect(clippy::expect_used, clippy::string_slice, reason = "what a test can't go on without fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with its floor.
const FLOORS: [(&str, u8); 16] = [
    ("domain", 0),
    ("config", 1),
    ("store", 1),
    ("problem", 1),
    ("telemetry", 1),
    ("policy", 2),
    ("limit", 2),
    ("mail", 2),
    ("password", 2),
    ("credential", 3),
    ("revocation", 3),
    ("accounts", 3),
    ("endpoints", 4),
    ("proxy", 4),
    ("app", 5),
    ("cli", 6),
];

/// Crates that only some places may name: a crate, and what the paths below `src/` begin with.
const ENGINES: [(&str, &[&str]); 19] = [
    ("sqlx", &["store"]),
    ("redis", &["revocation", "limit", "app"]),
    ("pingora_core", &["proxy", "app"]),
    ("pingora_proxy", &["proxy", "app"]),
    ("pingora_http", &["proxy", "app"]),
    ("pingora_error", &["proxy", "app"]),
    // proxy/live carries the router to the bridge.
    ("axum", &["endpoints", "proxy/bridge", "proxy/live", "app"]),
    ("h2", &["proxy"]),
    ("rustls", &["config", "proxy", "main"]),
    ("clap", &["cli"]),
    ("hyper", &["cli"]),
    ("notify", &["app"]),
    ("rpassword", &["cli"]),
    ("jsonwebtoken", &["credential"]),
    ("lettre", &["config", "mail"]),
    ("reqwest", &["credential/external"]),
    ("argon2", &["password"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
];

/// Code without comments and without what strings hold, so that prose is no import.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                while let Some(c) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            '\'' if rest.peek() == Some(&'"') => drop(rest.next()),
            '\'' if rest.next_if_eq(&'\\').is_some() => drop(rest.next()),
            c => code.push(c),
        }
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The modules of ours that `code` names: what follows `crate::`, each of a group.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            named.extend(top_names(group));
        } else {
            named.insert(rest.chars().take_while(|c| is_word(*c)).collect());
        }
    }
    named
}

/// The first names of the paths in `a::b, c::{d, e}, f}…`.
fn top_names(group: &str) -> Vec<String> {
    let (mut depth, mut word, mut first, mut names) = (0, String::new(), true, Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !word.is_empty() {
                    names.push(std::mem::take(&mut word));
                }
                first = true;
                if c == '}' {
                    break;
                }
            }
            ':' if depth == 0 => first = false,
            c if depth == 0 && first && is_word(c) => word.push(c),
            _ => {}
        }
    }
    names
}

/// Whether `code` names the crate `name`, rather than something of ours that is called the same.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let starts = !before.ends_with(is_word) && !before.ends_with("::") && !before.ends_with('.');
        starts && (after.starts_with("::") || after.starts_with(';') && before.trim_end().ends_with("use"))
    })
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let code = code_of(&fs::read_to_string(&path).expect("a source file"));
            let path = path.strip_prefix(&root).expect("below src").to_owned();
            let code = from_the_root(&path, code);
            (path, code)
        })
        .collect()
}

/// `code` where `super::super::cli` is `crate::cli`, as far as the file's depth says; its inline modules are one deeper.
fn from_the_root(path: &Path, code: String) -> String {
    let depth = path.components().count() - usize::from(path.ends_with("mod.rs"));
    [depth + 1, depth].iter().fold(code, |code, supers| code.replace(&"super::".repeat(*supers), "crate::"))
}

/// `proxy/bridge.rs` is of `proxy`; `app.rs` of `app`; `lib.rs` and `main.rs` of nothing.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "main").then(|| name.to_owned())
}

#[test]
fn every_module_has_a_floor() {
    for (path, _) in sources() {
        if let Some(module) = module_of(&path) {
            assert!(floor(&module).is_some(), "{} belongs to no floor: put it on one in tests/architecture.rs", path.display());
        }
    }
}

#[test]
fn imports_go_down_only() {
    let mut faults = Vec::new();
    for (path, code) in sources() {
        let Some((module, own)) = module_of(&path).and_then(|module| Some((module.clone(), floor(&module)?))) else { continue };
        for named in modules_named(&code) {
            if named != module && floor(&named).is_some_and(|other| other > own) {
                faults.push(format!("src/{}: {module} (floor {own}) names crate::{named}, which is above it", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn neighbours_on_a_floor_do_not_go_in_circles() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources() {
        if let Some(module) = module_of(&path) {
            let beside = modules_named(&code).into_iter().filter(|named| *named != module && floor(named) == floor(&module));
            edges.entry(module.clone()).or_default().extend(beside);
        }
    }
    for start in edges.keys() {
        let (mut open, mut seen) = (vec![start], BTreeSet::new());
        while let Some(at) = open.pop() {
            for next in edges.get(at).into_iter().flatten() {
                assert_ne!(next, start, "crate::{start} needs itself through crate::{at}");
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
}

#[test]
fn engines_are_named_only_where_they_belong() {
    let mut faults = Vec::new();
    for (path, code) in sources() {
        let text = path.to_str().expect("UTF-8");
        for (engine, places) in ENGINES {
            let belongs = places
                .iter()
                .any(|place| text.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest.starts_with(".rs")));
            if !belongs && names_crate(&code, engine) {
                faults.push(format!("src/{text}: {engine} belongs to {}", places.join(", ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

mod scanner {
    use super::*;

    #[test]
    fn imports_are_found_in_every_form() {
        let named = |code: &str| modules_named(&code_of(code)).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(named("use crate::store::Store;"), "store");
        assert_eq!(named("use crate::{app, cli::{Exit, args::Run}, domain::*};"), "app cli domain");
        assert_eq!(named("use crate::{\n    app,\n    store::{A, B},\n};\nlet x = crate::proxy::go();"), "app proxy store");
        assert_eq!(named("pub(crate) fn a() {}"), "");
    }

    #[test]
    fn prose_is_no_import() {
        assert!(
            modules_named(&code_of("/// See [`crate::app`].\n// crate::cli\nlet a = \"crate::cli \\\" crate::app\";")).is_empty()
        );
        assert_eq!(modules_named(&code_of("let q = '\"'; crate::app::x()")).len(), 1);
    }

    #[test]
    fn a_crate_is_told_from_a_module_of_the_same_name() {
        for code in ["use redis::Client;", "fn a(c: &redis::Client) {}", "use redis;", "#[derive(redis::X)]"] {
            assert!(names_crate(code, "redis"), "{code}");
        }
        for code in
            ["use super::redis::Feed;", "self.redis.clone()", "mod redis;", "use crate::revocation::redis::X;", "xredis::y"]
        {
            assert!(!names_crate(code, "redis"), "{code}");
        }
    }

    #[test]
    fn an_edge_that_goes_up_by_super_is_one_too() {
        for (path, code) in [("policy/table.rs", "super::super::cli::main()"), ("store/sqlite/mod.rs", "use super::super::cli;")]
        {
            assert!(modules_named(&from_the_root(Path::new(path), code.to_owned())).contains("cli"), "{path}");
        }
        assert!(
            !modules_named(&from_the_root(Path::new("cli/manage/key.rs"), "use super::super::output;".to_owned()))
                .contains("output")
        );
    }

    #[test]
    fn it_looks_at_the_real_sources() {
        let seen = sources();
        assert!(seen.len() > 20, "{}", seen.len());
        let (_, code) = seen.iter().find(|(path, _)| path == Path::new("store/mod.rs")).expect("the store");
        assert!(modules_named(code).contains("domain"));
    }
}
