//! What editors, shells and `man` are given: schemas that judge as the loader does, completions and a page that work.

#![expect(clippy::expect_used, reason = "what a test can't go on without fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use portcullis::config::{self, Environment};
use portcullis::policy;
use serde_json::Value;

const ROUTE: &str = "[[route]]\nname = \"r\"\npath = \"/a/{id}/**\"\nbackend = \"http://127.0.0.1:9000\"\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn portcullis(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn as_json(toml: &str) -> Value {
    let table: toml::Table = toml.parse().expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

fn faults(schema: &Value, toml: &str) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    validator.iter_errors(&as_json(toml)).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What the loader has against a pair of files.
fn errors(gateway: &str, routes: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("routes")).expect("a folder");
    fs::write(folder.path().join("gateway.toml"), gateway).expect("written");
    fs::write(folder.path().join("routes/a.toml"), routes).expect("written");
    match policy::file::load(&folder.path().join("gateway.toml"), &Environment::default()) {
        Ok(_) => Vec::new(),
        Err(report) => report.errors().map(|error| error.message.clone()).collect(),
    }
}

#[test]
fn the_printed_schemas_are_good_ones_and_the_committed_ones() {
    for (name, made) in [("gateway", config::gateway_schema()), ("routes", policy::file::schema())] {
        let printed: Value = serde_json::from_str(&portcullis(&["schema", name])).expect("JSON");
        assert_eq!(printed, made);
        let committed = fs::read_to_string(root().join(format!("docs/schema/{name}.json"))).expect("the schema");
        assert_eq!(serde_json::from_str::<Value>(&committed).expect("JSON"), made, "docs/schema/{name}.json is old");
        assert!(jsonschema::meta::is_valid(&made), "{name}");
        assert_eq!(made["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

#[test]
fn an_editor_finds_what_each_key_is_for_and_its_default() {
    let gateway = config::gateway_schema();
    let ttl = &gateway["properties"]["tokens"]["properties"]["access_ttl"];
    assert_eq!(ttl["default"], "15m");
    assert_eq!(ttl["description"], "How long an access token lives.");
    let route = &policy::file::schema()["properties"]["route"]["items"];
    assert_eq!(route["required"], serde_json::json!(["name", "path"]));
    assert_eq!(route["properties"]["auth"]["anyOf"][0]["enum"], serde_json::json!(["required", "optional", "none"]));
    assert_eq!(route["additionalProperties"], false);
}

/// All TOML files of the repository that are a gateway's.
fn shipped() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["gateway.toml", "deploy/compose/gateway.toml", "src/cli/init/gateway.toml", "src/cli/init/app.toml"]
            .map(|name| root().join(name))
            .into();
    let routes = fs::read_dir(root().join("routes")).expect("the routes");
    found.extend(routes.map(|entry| entry.expect("an entry").path()));
    found
}

#[test]
fn every_shipped_file_is_good_by_the_schema_that_it_names() {
    for path in shipped() {
        let text = fs::read_to_string(&path).expect("a file");
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("a `#:schema` line");
        // What `init` writes names what `init` writes.
        let schema = if named.contains("/.portcullis/") {
            let name = Path::new(named).file_stem().and_then(|name| name.to_str()).expect("a name");
            root().join(format!("docs/schema/{name}.json"))
        } else {
            path.parent().expect("a folder").join(named)
        };
        let schema: Value = serde_json::from_str(&fs::read_to_string(schema).expect("the schema")).expect("JSON");
        assert_eq!(faults(&schema, &text), [""; 0], "{}", path.display());
    }
}

#[test]
fn every_example_in_the_documentation_is_good_by_a_schema() {
    let (gateway, routes) = (config::gateway_schema(), policy::file::schema());
    let mut seen = 0;
    let pages = fs::read_dir(root().join("docs")).expect("the documentation").map(|entry| entry.expect("an entry").path());
    let pages =
        pages.chain([root().join("README.md")]).filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for path in pages {
        let text = fs::read_to_string(&path).expect("a page");
        // Blocks of their own, and files that a shell is told to write.
        let fenced = text.split("\n```toml\n").skip(1).map(|rest| rest.split("\n```").next());
        let written = text.split(" <<'TOML'\n").skip(1).map(|rest| rest.split("\nTOML\n").next());
        for block in fenced.chain(written).flatten() {
            let of_routes = ["[[route]]", "[defaults]", "[[test]]"].iter().any(|mark| block.contains(mark));
            let schema = if of_routes { &routes } else { &gateway };
            assert_eq!(faults(schema, block), [""; 0], "{}:\n{block}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3, "{seen} examples");
}

#[test]
fn init_writes_the_schemas_that_its_files_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("gate");
    portcullis(&["init", made.to_str().expect("UTF-8")]);
    for file in ["gateway.toml", "routes/app.toml"] {
        let path = made.join(file);
        let text = fs::read_to_string(&path).expect("a file");
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).expect("a `#:schema` line");
        let schema = fs::read_to_string(path.parent().expect("a folder").join(named)).expect("the schema that it names");
        assert_eq!(faults(&serde_json::from_str(&schema).expect("JSON"), &text), [""; 0], "{file}");
    }
}

#[test]
fn what_the_loader_refuses_for_its_shape_the_schema_refuses_too() {
    let (gateway, routes) = (config::gateway_schema(), policy::file::schema());
    for wrong in [
        "version = 2",
        "verson = 1",
        "[server]\nlisten = \"127.0.0.1:1\"",
        "[server]\nlisten = [\"nowhere\"]",
        "[server]\nlisten = [{ addres = \"127.0.0.1:1\" }]",
        "[server]\nthreads = \"2\"",
        "[server]\nthreads = -1",
        "[server]\nthreads = 2000",
        "[server]\ndrain_delay = 5",
        "[server]\ndrain_delay = \"soon\"",
        "[server]\ntrusted_proxies = [\"local\"]",
        "[server.limits]\nheader = \"many\"",
        "[server.limits]\nheadr = \"1KiB\"",
        "[[server]]",
        "[backends]\nname = \"a\"",
        "[[backends]]\nname = \"a\"",
        "[[backends]]\nservers = [\"127.0.0.1:1\"]",
        "[[backends]]\nname = \"a\"\nservers = [1]",
        "[[backends]]\nname = \"a\"\nservers = []",
        "[[backends]]\nname = \"a\"\nservers = [\"127.0.0.1:1\"]\ntimeout = \"0s\"",
        "[server]\nlisten = []",
        "[tokens]\nalgorithm = \"none\"",
        "[tokens]\naccess_ttl = true",
        "[login]\nrate_limit = \"0/1m\"",
        "[login]\nrate_limit = \"5\"",
        "[login]\nrate_limit = \"5/0s\"",
        "[passwords]\nargon2 = { memory = 64 }",
        "[roles]\nuser = [\"a\"]",
        "[roles]\nuser = { scope = [\"a\"] }",
        "[roles]\nuser = { scopes = [\"a b\"] }",
        "[redis]",
        "[revocation]\ncheck = \"sometimes\"",
        "[identity]\nheaders = \"oauth2_proxy\"",
        "[identity]\nheaders = { \"X User\" = \"{username}\" }",
        "[identity]\nheaders = { \"X-User\" = \"\" }",
        "[identity]\nheaders = [\"x-auth\"]",
        "[identity]\nassertion = { enabled = \"yes\" }",
        "[log]\nformat = \"xml\"",
        "[mail]\nsmtp = \"smtp://127.0.0.1\"",
        "[auth]\nprefix = 1979-05-27",
    ] {
        assert_ne!(errors(wrong, ROUTE), [""; 0], "the loader takes it:\n{wrong}");
        assert_ne!(faults(&gateway, wrong), [""; 0], "the schema takes it:\n{wrong}");
    }
    for wrong in [
        "version = \"1\"",
        "[[routes]]\nname = \"r\"",
        "[route]\nname = \"r\"\npath = \"/a\"",
        "[[route]]\nname = \"r\"",
        "[[route]]\npath = \"/a\"",
        "[[route]]\nname = \"b\"\npath = \"/b\"\nmethods = []",
        "[defaults]\nname = \"r\"",
        "[defaults]\nauth = \"maybe\"",
        "[defaults]\ncredentials = [\"cookie\"]",
        "[defaults]\nscopes = \"a\"",
        "[defaults]\nscopes = [\"a b\"]",
        "[defaults]\nwhere = { tenant = \"a\" }",
        "[defaults]\nwhere = { username = [\"a\"] }",
        "[defaults]\ntimeout = \"1\"",
        "[defaults]\nmax_body = \"big\"",
        "[defaults]\nidentity = \"x-aut\"",
        "[defaults]\nallow_in_path = [\"slash\"]",
        "[defaults]\ntrailing_slash = true",
        "[defaults]\nrequest_headers = { \"X-A\" = 1 }",
        "[defaults]\nforward_credential = \"no\"",
        "[defaults]\nunknown = 1",
    ] {
        assert_ne!(errors("", &format!("{wrong}\n{ROUTE}")), [""; 0], "the loader takes it:\n{wrong}");
        assert_ne!(faults(&routes, wrong), [""; 0], "the schema takes it:\n{wrong}");
    }
}

#[test]
fn what_is_filled_in_later_is_no_fault() {
    let gateway = "[server]\npublic_url = \"${URL}\"\ndrain_delay = \"${DELAY:-5s}\"\n[log]\nformat = \"${FORMAT}\"\n\
                   [login]\nrate_limit = \"${file:/run/rate}\"\n[identity]\nheaders = \"${IDENTITY}\"";
    assert_eq!(faults(&config::gateway_schema(), gateway), [""; 0]);
    let routes = "[defaults]\nauth = \"${AUTH}\"\nscopes = [\"${SCOPE}\"]\ntimeout = \"${T}s\"";
    assert_eq!(faults(&policy::file::schema(), routes), [""; 0]);
}

/// Runs bash on `script`, with `arguments`.
fn bash(script: &str, arguments: &[&str]) -> Output {
    Command::new("bash").args(["--norc", "--noprofile", "-c", script, "bash"]).args(arguments).output().expect("bash")
}

#[test]
fn bash_completes_commands_options_and_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("portcullis.bash");
    fs::write(&script, portcullis(&["completions", "bash"])).expect("written");
    let script = script.to_str().expect("UTF-8");
    assert!(bash("bash -n \"$1\"", &[script]).status.success());
    // As bash does it when Tab is pressed behind the last word.
    let complete = |words: &[&str]| -> BTreeSet<String> {
        let source = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                      _portcullis portcullis \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let output = bash(source, &[&[script], words].concat());
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    };
    let has = |words: &[&str], expected: &str| {
        let found = complete(words);
        assert!(found.contains(expected), "{words:?}: {found:?}");
    };
    has(&["portcullis", "sch"], "schema");
    has(&["portcullis", "user", "set-a"], "set-attribute");
    has(&["portcullis", "check", "--st"], "--strict");
    has(&["portcullis", "schema", ""], "gateway");
    has(&["portcullis", "schema", "r"], "routes");
    assert!(!complete(&["portcullis", "user", "set-"]).contains("schema"));
}

#[test]
fn every_shell_has_its_completions() {
    for (shell, mark) in [
        ("bash", "complete -F _portcullis"),
        ("zsh", "#compdef portcullis"),
        ("fish", "complete -c portcullis"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[portcullis]"),
    ] {
        let script = portcullis(&["completions", shell]);
        assert!(script.contains(mark) && script.contains("set-attribute"), "{shell}");
    }
}

/// The commands that are run, each with the words before it.
fn commands() -> Vec<String> {
    fn below(command: &clap::Command, before: &str, all: &mut Vec<String>) {
        let name = format!("{before} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|command| below(command, &name, all));
        } else {
            all.push(name);
        }
    }
    let mut all = Vec::new();
    let command = <portcullis::cli::args::Cli as clap::CommandFactory>::command();
    command.get_subcommands().for_each(|command| below(command, "portcullis", &mut all));
    all
}

#[test]
fn the_manual_page_has_a_section_for_every_command_with_its_options() {
    let page = portcullis(&["man"]);
    assert!(commands().len() > 20);
    for command in commands() {
        let heading = format!("\n.SH \"{}\"\n", command.to_uppercase());
        let section = page.split_once(&heading).map(|(_, rest)| rest.split("\n.SH ").next().unwrap_or_default());
        let section = section.unwrap_or_else(|| panic!("{command} has no section"));
        assert!(section.contains("\\-\\-help") && section.contains(&format!("\\fB{}", command.replace('-', "\\-"))), "{section}");
    }
    for heading in [".TH portcullis 1", ".SH NAME", ".SH SYNOPSIS", ".SH FILES", ".SH \"EXIT STATUS\"", ".SH VERSION"] {
        assert!(page.contains(heading), "{heading}");
    }
    // Nothing but requests and macros of man(7) begins with a dot.
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let request = line.trim_start_matches('.').split(' ').next().unwrap_or_default();
        assert!(["ie", "el", "TH", "SH", "TP", "IP", "PP", "br", "RS", "RE"].contains(&request), "{line}");
    }
}
