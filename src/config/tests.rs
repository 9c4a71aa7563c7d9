use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::json_schema::faults;
use super::schema::{Key, Shape};
use super::*;

/// A folder with gateway.toml in it.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), text).expect("a file");
    folder
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Report> {
    let folder = folder(text);
    let loaded = load(&folder.path().join("gateway.toml"), &env.iter().copied().collect());
    if loaded.is_ok() {
        // What loads is nowhere marked as wrong by an editor.
        assert_eq!(faults(&gateway_schema(), text), [""; 0], "{text}");
    }
    loaded
}

fn good(text: &str) -> Config {
    load_with(text, &[]).unwrap_or_else(|report| panic!("{report}")).config
}

/// `line:column message` of every error.
fn errors_with(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let report = load_with(text, env).expect_err("errors");
    report.errors().map(|error| format!("{}:{} {}", error.line, error.column, error.message)).collect()
}

fn errors(text: &str) -> Vec<String> {
    errors_with(text, &[])
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = load_with(text, &[]).unwrap_or_else(|report| panic!("{report}"));
    loaded.report.warnings().map(|warning| format!("{}:{} {}", warning.line, warning.column, warning.message)).collect()
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = good("");
    assert_eq!(config.server.listen, [Listener::from(SocketAddr::from(([127, 0, 0, 1], 8080)))]);
    assert_eq!(config.server.public_url, "http://127.0.0.1:8080");
    assert!(config.server.threads >= 1);
    assert_eq!(config.server.drain_timeout, Duration::from_secs(30));
    assert_eq!((config.server.limits.request_line, config.server.limits.header_count), (8192, 100));
    assert_eq!((config.auth.prefix.as_str(), config.auth.realm.as_str()), ("/auth", "portcullis"));
    assert_eq!(config.tokens.algorithm, Algorithm::Es256);
    assert_eq!(config.tokens.access_ttl, Duration::from_mins(15));
    assert_eq!(config.tokens.refresh_ttl, Duration::from_hours(7 * 24));
    assert!(config.tokens.secret.is_none());
    assert_eq!(config.api_keys.header, "X-API-Key");
    assert_eq!(config.api_keys.query_parameter, None);
    assert_eq!(config.login.rate_limit, Rate { count: 5, period: Duration::from_mins(1) });
    assert!(config.login.concurrency >= 1);
    assert_eq!((config.passwords.min_length, config.passwords.max_length), (15, 256));
    assert_eq!(config.passwords.argon2, Argon2Cost { memory_kib: 65536, iterations: 3, parallelism: 4 });
    assert_eq!(config.accounts.default_role, "viewer");
    assert!(config.roles.grants(&["admin".into()], "viewer"));
    assert_eq!(*config.identity.headers, IdentityTable::x_auth());
    assert!(config.redis.is_none());
    assert!(!config.revocation.allow_when_unavailable);
    assert!(config.log.access && !config.log.json);
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = folder("[tokens]\nkeys = \"secrets/keys\"");
    let config = load(&folder.path().join("gateway.toml"), &Environment::default()).expect("good").config;
    assert_eq!(config.tokens.keys, folder.path().join("secrets/keys"));
    assert_eq!(config.store_url.expose_secret(), format!("sqlite://{}/data/portcullis.db", folder.path().display()));
    assert_eq!(config.route_files, [format!("{}/routes/*.toml", folder.path().display())]);
    assert_eq!(good("[store]\nurl = \"sqlite:///var/x.db\"").store_url.expose_secret(), "sqlite:///var/x.db");
}

#[test]
fn a_missing_file_names_the_path_and_init() {
    let report = load(Path::new("./nowhere/gateway.toml"), &Environment::default()).expect_err("no file");
    insta::assert_snapshot!(report, @r"
    error: there is no file `nowhere/gateway.toml`
    --> nowhere/gateway.toml:1:1
     = help: make one with `portcullis init`, or name another with `-c` or `PORTCULLIS_CONFIG`
    ");
}

#[test]
fn a_folder_in_the_place_of_the_file_is_named_and_the_file_in_it() {
    for (folder, file) in [(".", "./gateway.toml"), ("src/", "src/gateway.toml"), ("./src", "src/gateway.toml")] {
        let report = load(Path::new(folder), &Environment::default()).expect_err("a folder");
        let found = report.errors().next().expect("an error");
        assert!(!found.file.is_empty(), "{folder}");
        assert_eq!(found.help.as_deref(), Some(format!("name the file in it: `-c {file}`").as_str()), "{folder}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_answered_in_our_words() {
    let texts = ["[server]\ndrain_delay = \"5\"", "[server]\ndrain_delay = \"soon\"", "[server.limits]\nheader = \"much\""];
    assert_eq!(
        texts.map(|text| errors(text).join("; ")),
        [
            "2:15 `5` is not a duration: a number and a unit",
            "2:15 `soon` is not a duration: a number and a unit",
            "2:10 `much` is not a size: a number and a unit",
        ]
    );
}

#[test]
fn every_error_is_reported_at_once_with_its_place() {
    let found = errors(
        r#"
[server]
threads = "4"
drain_delay = "soon"
[login]
queue = -1
rate_limit = "5 a minute"
[server.limits]
header = 16
[log]
format = "xml"
acess = true
"#,
    );
    let places: Vec<_> = found.iter().map(|error| error.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(places, ["3:11", "4:15", "6:9", "7:14", "9:10", "11:10", "12:1"], "{found:#?}");
}

#[test]
fn syntax_errors_come_with_the_errors_of_the_other_lines() {
    let found = errors("[server]\nthreads = = 4\n[log]\nformat = \"xml\"\nbroken\n[tokens]\naudienc = \"x\"\n");
    assert!(found.iter().any(|error| error.starts_with("2:")), "{found:#?}");
    assert!(found.iter().any(|error| error.contains("`log.format`")), "{found:#?}");
    assert!(found.iter().any(|error| error.starts_with("5:")), "{found:#?}");
}

#[test]
fn an_error_shows_its_line_and_what_to_write() {
    let report = load_with("version = 1\n[server]\nlistne = [\"[::]:8080\"]\n", &[]).expect_err("a typo");
    let text = report.to_string();
    let (_, shown) = text.split_once('\n').expect("lines");
    assert!(text.starts_with("error: unknown key `server.listne`\n"), "{text}");
    assert!(shown.contains("gateway.toml:3:1\n"), "{shown}");
    assert!(shown.contains("3 | listne = [\"[::]:8080\"]\n"), "{shown}");
    assert!(shown.contains("help: did you mean `listen`?"), "{shown}");
}

#[test]
fn the_json_form_has_the_same_findings() {
    let report = load_with("[log]\nformat = \"xml\"", &[]).expect_err("an error");
    let json = report.to_json();
    assert_eq!(json["ok"], false);
    assert_eq!((json["errors"][0]["line"].as_u64(), json["errors"][0]["column"].as_u64()), (Some(2), Some(10)));
    assert!(json["errors"][0]["file"].as_str().expect("a file").ends_with("gateway.toml"));
    assert!(json["errors"][0]["message"].as_str().expect("a message").contains("`text`"));
    assert_eq!(json["warnings"], serde_json::json!([]));
}

/// Walks every section below `keys`, with a line that makes it.
fn sections(keys: &'static [Key], header: &str, all: &mut Vec<(String, &'static [Key])>) {
    for key in keys {
        let name = if header.is_empty() { key.name.to_owned() } else { format!("{header}.{}", key.name) };
        match key.shape {
            Shape::Section(below) => {
                all.push((format!("[{name}]"), below));
                sections(below, &name, all);
            }
            Shape::Entries(below) => {
                all.push((format!("[[{name}]]"), below));
                // Below an array of tables, a header would name its last entry.
                sections(below, &name, all);
            }
            Shape::Value | Shape::Free(_) => {}
        }
    }
}

#[test]
fn every_section_names_the_nearest_key_for_a_misspelled_one() {
    let mut all = Vec::new();
    sections(raw::Gateway::KEYS, "", &mut all);
    assert!(all.len() > 25, "{}", all.len());
    for (header, keys) in all {
        for key in keys {
            let misspelled = format!("{}x", key.name);
            if keys.iter().any(|other| other.name == misspelled) {
                continue;
            }
            let parent = header.trim_matches(['[', ']']).rsplit_once('.').map(|(parent, _)| parent.to_owned());
            let parent = match parent.as_deref() {
                Some(parent @ ("backends" | "issuers" | "backends.servers")) => format!("[[{parent}]]\n"),
                _ => String::new(),
            };
            let report = load_with(&format!("{parent}{header}\n{misspelled} = 1\n"), &[]).expect_err("a misspelled key");
            let named = report.errors().any(|error| {
                error.message.contains(&format!("`{}.{misspelled}`", header.trim_matches(['[', ']'])))
                    && error.help.as_deref() == Some(&format!("did you mean `{}`?", key.name))
            });
            assert!(named, "{header} {misspelled}: {report}");
        }
    }
}

#[test]
fn unknown_keys_in_inline_tables_are_named_too() {
    let found = errors(
        "[[backends]]\nname = \"a\"\nservers = [{ address = \"127.0.0.1:1\", weigth = 1 }]\nhealth = { paht = \"\" }\n\
         [roles]\nx = { include = [] }\n[passwords]\nargon2 = { memroy = \"1MiB\" }\n[server]\nlisten = [{ adress = \"127.0.0.1:1\" }]",
    );
    for name in ["weigth", "paht", "include", "memroy", "adress"] {
        assert!(found.iter().any(|error| error.contains("unknown key") && error.contains(name)), "{name}: {found:#?}");
    }
}

#[test]
fn what_is_not_built_yet_is_taken_with_its_default_only() {
    good(
        r#"
[server]
listen = [{ address = "127.0.0.1:8080", tls = false, proxy_protocol = false, redirect_to_https = false }]
[server.tls]
min_version = "1.2"
client_ca = ""
[server.limits]
h2_streams = 100
[[backends]]
name = "orders"
servers = [{ address = "127.0.0.1:9002", weight = 1 }]
scheme = "http"
tls = { server_name = "", ca = "", certificate = "", key = "" }
balance = "round_robin"
health = { path = "", interval = "5s", unhealthy_after = 3, healthy_after = 2 }
[auth]
password_grant = "open"
aliases = {}
compat = []
[session]
idle = "24h"
absolute = "7d"
[passwords]
require = []
blocklist = "builtin"
[accounts]
registration = false
[cors]
allow_origins = []
allow_credentials = false
max_age = "10m"
[telemetry]
otlp_endpoint = ""
"#,
    );
    for (text, name) in [
        ("[auth]\ncompat = [\"authelia\"]", "auth.compat"),
        ("[[oidc]]\nname = \"x\"", "oidc"),
        ("[telemetry]\notlp_endpoint = \"http://x\"", "telemetry.otlp_endpoint"),
    ] {
        let found = errors(text);
        let named = |error: &&String| error.contains("not available yet") && error.contains(name);
        assert_eq!(found.iter().filter(named).count(), 1, "{text}: {found:#?}");
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
    }
}

#[test]
fn aliases_lead_to_endpoints_and_apart_from_each_other() {
    let auth = |aliases: &str| format!("[auth]\naliases = {{ {aliases} }}");
    let config = good(&auth("\"/token\" = \"/auth/login\", \"/health\" = \"/readyz\""));
    assert_eq!(config.auth.alias("/token").as_deref(), Some("/auth/login"));
    for (aliases, said) in [
        ("\"token\" = \"/auth/login\"", "begins with `/`"),
        ("\"/token/\" = \"/auth/login\"", "none is empty"),
        ("\"/auth/x\" = \"/auth/login\"", "below `auth.prefix`"),
        ("\"/.well-known/x\" = \"/auth/login\"", "/.well-known"),
        ("\"/token\" = \"/auth/logn\"", "`/auth/logn` is no endpoint"),
        ("\"/token\" = \"/metrics\"", "`/metrics` is no endpoint"),
        ("\"/users\" = \"/auth/admin/userz\"", "`/auth/admin/userz` is no endpoint"),
        ("\"/token\" = \"/auth/login/\"", "`/auth/login/` is no endpoint"),
        ("\"/key\" = \"/auth/keys/7\"", "`/auth/keys/7` is no endpoint"),
        ("\"/a\" = \"/auth/admin\", \"/a/b\" = \"/auth/login\"", "both answer"),
        ("\"/a/b\" = \"/auth/login\", \"/a\" = \"/auth/admin\"", "both answer"),
    ] {
        let found = errors(&auth(aliases));
        assert!(found.len() == 1 && found[0].contains(said), "{aliases}: {found:#?}");
    }
}

#[test]
fn the_environment_overrides_keys() {
    let loaded = load_with(
        "[server]\nthreads = 1\n[roles]\nviewer = { scopes = [\"a\"] }",
        &[
            ("PORTCULLIS__SERVER__THREADS", "3"),
            ("PORTCULLIS__SERVER__LISTEN", "[\"127.0.0.1:1\", \"127.0.0.1:2\"]"),
            ("PORTCULLIS__SERVER__LIMITS__HEADER", "2KiB"),
            ("PORTCULLIS__TOKENS__AUDIENCE", "2026"),
            ("PORTCULLIS__SERVER__TLS__MIN_VERSION", "1.2"),
            ("PORTCULLIS__LOG__ACCESS", "false"),
            ("PORTCULLIS__REDIS__URL", "redis://127.0.0.1/"),
            ("PORTCULLIS__ROLES__VIEWER", "{ scopes = [\"b\"] }"),
            ("PORTCULLIS_CONFIG", "ignored"),
        ],
    )
    .unwrap_or_else(|report| panic!("{report}"));
    let config = loaded.config;
    assert_eq!(config.server.threads, 3);
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.server.limits.header, 2048);
    assert_eq!(config.tokens.audience, "2026");
    assert!(!config.log.access);
    assert!(config.redis.is_some());
    assert_eq!(config.roles.scopes_of(&["viewer".into()]).to_string(), "b");
}

#[test]
fn an_override_that_names_no_key_is_an_error_with_the_nearest() {
    for (name, nearest) in [
        ("PORTCULLIS__SERVER__THREDS", "PORTCULLIS__SERVER__THREADS"),
        ("PORTCULLIS__SERVR__THREADS", "PORTCULLIS__SERVER"),
        ("PORTCULLIS__SERVER__LIMITS__HEDER", "PORTCULLIS__SERVER__LIMITS__HEADER"),
    ] {
        let report = load_with("", &[(name, "secret-in-a-typo")]).expect_err("a typo");
        let error = report.errors().next().expect("an error");
        assert_eq!(&*error.file, name);
        assert_eq!(error.help.as_deref(), Some(format!("did you mean `{nearest}`?").as_str()));
        assert!(!report.to_string().contains("secret-in-a-typo"), "{report}");
    }
    let found = errors_with("", &[("PORTCULLIS__BACKENDS__0__NAME", "x"), ("PORTCULLIS__SERVER__THREADS__X", "1")]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().any(|error| error.contains("entries of `[[backends]]`")), "{found:#?}");
}

#[test]
fn strings_are_interpolated_in_arrays_and_tables() {
    let text = "[server]\ntrusted_proxies = [\"${NET}\"]\n[tokens]\naudience = \"${AUD:-fallback}\"\n[identity]\nheaders = { \"${X:-y}\" = \"{username}\" }";
    let report = load_with(text, &[("NET", "10.0.0.0/8")]).expect_err("keys are not interpolated");
    assert_eq!(report.errors().count(), 1, "{report}");
    let loaded = load_with(text.split("[identity]").next().unwrap_or_default(), &[("NET", "10.0.0.0/8")]).expect("good");
    assert_eq!(loaded.config.server.trusted_proxies, ["10.0.0.0/8".parse().expect("a net")]);
    assert_eq!(loaded.config.tokens.audience, "fallback");
    assert_eq!(errors("[tokens]\naudience = \"${NOT_SET}\""), ["2:12 the environment variable `NOT_SET` is not set"]);
}

#[test]
fn what_could_not_be_filled_in_is_one_error() {
    let found = errors("[tokens]\nalgorithm = \"HS256\"\nsecret = \"${file:none}\"");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("3:10 the file `none`"), "{found:?}");
}

#[test]
fn what_is_no_string_is_told_how_to_come_from_the_environment() {
    let help = |text: &str, env: &[(&str, &str)]| {
        let report = load_with(text, env).expect_err("an error");
        let help = report.errors().next().and_then(|error| error.help.clone());
        help.expect("help")
    };
    let file = help("[server]\nthreads = \"${N:-2}\"", &[]);
    assert!(file.ends_with("set PORTCULLIS__SERVER__THREADS"), "{file}");
    let entry = help("[[backends]]\nname = \"a\"\nservers = [\"127.0.0.1:1\"]\nretries = \"${N:-2}\"", &[]);
    assert!(entry.ends_with("write the value itself"), "{entry}");
    assert_eq!(help("", &[("PORTCULLIS__LOG__ACCESS", "yes")]), "write `true` or `false`");
    assert_eq!(help("[backends]\nname = \"a\"", &[]), "write [[backends]]");
}

#[test]
fn secrets_are_never_shown() {
    let secret = "short-geheim-pw";
    for text in [
        format!("[tokens]\nalgorithm = \"HS256\"\nsecret = \"{secret}\""),
        format!("[tokens]\nsecret = \"{secret}\""),
        format!("[tokens]\nsecret = \"{secret}"),
        format!("[tokens]\nsecret = {{ a = \"{secret}\" }}"),
        format!("[store]\nurl = \"mysql://u:{secret}@h/d\""),
        format!("[store]\nurl = \"postgres://u:{secret}@h/\""),
        format!("[store]\nurl = \"postgres://u:{secret}/x@h/d\""),
        format!("[store]\nurl = \"postgres://u:{secret}#x@h/d\""),
        format!("[store]\nurl = \"postgres://u@h/d?{secret}=1\""),
        format!("[store]\nurl = \"postgres://u@h/d?sslmode={secret}\""),
        format!("[redis]\nurl = \"http://u:{secret}@h/d\""),
        format!("[redis]\nurl = \"redis://u:{secret}@${{UNSET_HOST}}/d\""),
        format!("[redis]\nurl = \"http://u:{secret}@${{HOST:-h}}/d\""),
        format!("[tokens]\nsecrte = \"{secret}\""),
        format!("[store]\nulr = \"postgres://u:{secret}@h/d\""),
    ] {
        let report = load_with(&text, &[]).expect_err("an error");
        assert!(!report.to_string().contains("geheim"), "{report}");
        assert!(!report.to_json().to_string().contains("geheim"), "{report}");
        assert!(!format!("{report:?}").contains("geheim"), "{report:?}");
    }
    let report = load_with("[tokens]\nalgorithm = \"HS256\"", &[("PORTCULLIS__TOKENS__SECRET", secret)]).expect_err("short");
    assert!(!report.to_string().contains("geheim"), "{report}");
}

#[test]
fn hs256_needs_a_secret_and_es256_takes_none() {
    assert_eq!(errors("[tokens]\nalgorithm = \"HS256\""), ["2:13 HS256 needs `tokens.secret`"]);
    assert!(errors("[tokens]\nsecret = \"${X:-kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a}\"")[0].contains("HS256 only"));
    let config = good("[tokens]\nalgorithm = \"HS256\"\nsecret = \"${X:-kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a}\"");
    assert_eq!(config.tokens.algorithm, Algorithm::Hs256);
    assert!(config.tokens.secret.is_some());
    let literal = "[tokens]\nalgorithm = \"HS256\"\nsecret = \"kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a\"";
    assert!(warnings(literal)[0].contains("literal secret"));
}

#[test]
fn roles_include_known_roles_and_no_circles() {
    let config = good("[roles]\neditor = { includes = [\"viewer\"], scopes = [\"a\"] }");
    assert!(config.roles.grants(&["editor".into()], "viewer"));
    assert!(config.roles.grants(&["admin".into()], "user"), "what is not written down stays");
    assert_eq!(
        errors("[roles]\na = { includes = [\"b\"] }\nb = { includes = [\"a\"] }"),
        ["2:18 roles include each other in a circle: `a` → `b` → `a`"]
    );
    assert_eq!(errors("[roles]\na = { includes = [\"viewr\"] }"), ["2:19 there is no role `viewr`"]);
    assert_eq!(errors("[accounts]\ndefault_role = \"gust\""), ["2:16 there is no role `gust`"]);
    assert_eq!(errors("[roles]\nviewer = { includes = [\"admin\"] }").len(), 1);
}

#[test]
fn values_out_of_bounds_are_refused() {
    for text in [
        "[passwords]\nargon2 = { memory = \"8KiB\" }",
        "[passwords]\nargon2 = { memory = \"1TiB\" }",
        "[passwords]\nargon2 = { iterations = 0 }",
        "[passwords]\nmin_length = 1000",
        "[passwords]\nrequire = [\"upper\"]",
        "[passwords]\nrequire = \"digit\"",
        "[passwords]\nblocklist = \"nowhere.txt\"",
        "[passwords]\nblocklist = \"biultin\"",
        "[passwords]\nblocklist = true",
        "[tokens]\naccess_ttl = \"0s\"",
        "[tokens]\nleeway = \"1h\"",
        "[tokens]\naccess_ttl = \"8d\"",
        "[tokens]\nkeys = \"\"",
        "[auth]\nprefix = \"auth\"",
        "[auth]\nprefix = \"/auth/\"",
        "[auth]\nprefix = \"/\"",
        "[auth]\nprefix = \"/a/../b\"",
        "[auth]\nprefix = \"/.well-known/x\"",
        "[auth]\nrealm = \"\"",
        "[api_keys]\nheader = \"Host\"",
        "[api_keys]\nheader = \"a b\"",
        "[api_keys]\nheader = \"X_Auth_Key\"",
        "[api_keys]\nquery_parameter = \"a=b\"",
        "[server]\nlisten = []",
        "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "[server]\nlisten = [\"127.0.0.1:9901\"]",
        "[server]\nlisten = [\"localhost:80\"]",
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "[server.limits]\nheader = \"100KiB\"",
        "[login]\nrate_limit = \"0/1m\"",
        "[login]\nrate_limit = \"5/0s\"",
        "[redis]",
        "[redis]\nurl = \"http://x\"",
        "[redis]\nurl = \"redis://\"",
        "[redis]\nurl = \"redis://x\"\nkey_prefix = \"a b\"",
        "[identity]\nkeep_client_headers = [\"x_auth_user\"]",
        "[identity]\nheaders = \"authelia\"\nkeep_client_headers = [\"Remote_User\"]",
        "[identity]\nheaders = \"oauth2_proxy\"",
        "[identity]\nkeep_client_headers = [\"X_Auth_Assertion\"]\nassertion = { enabled = true }",
        "[identity]\nassertion = { enabled = true, header = \"X_Auth.User\" }",
        "[identity]\nassertion = { enabled = true, header = \"X-API-Key\" }",
        "[identity]\nassertion = { header = \"Authorization\" }",
        "[identity]\nassertion = { header = \"not a header\" }",
        "[identity]\nassertion = { ttl = \"500ms\" }",
        "[identity]\nassertion = { ttl = \"2h\" }",
        "[tokens]\nalgorithm = \"HS256\"\nsecret = \"9vJkq2LmZx81TnWb4RcYh7PsDf3GaQe6\"\n[identity]\nassertion = { enabled = true }",
        "[scopes]\n\"a b\" = \"x\"",
        "version = 2",
    ] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
    }
}

#[test]
fn a_redis_url_is_one_that_can_be_used() {
    for url in
        ["redis://h:6379/0", "rediss://h", "redis://${U:-u}:${P:-p}@h:1/2?protocol=resp3", "redis://[::1]:6379", "redis://[::1]/"]
    {
        assert!(good(&format!("[redis]\nurl = \"{url}\"")).redis.is_some(), "{url}");
    }
    for (url, about) in [
        ("redis+sentinel://h:6379/name", "not available yet"),
        ("redis+cluster://h:6379", "not available yet"),
        ("redis://h:6379/zero", "number of a database"),
        ("redis://h:port", "number of a database"),
        ("redis://h:99999", "number of a database"),
        ("http://h", "no scheme"),
    ] {
        let found = errors(&format!("[redis]\nurl = \"{url}\""));
        assert!(found.len() == 1 && found[0].contains(about), "{url}: {found:?}");
    }
}

#[test]
fn what_deserves_a_second_look_is_a_warning() {
    for (text, about) in [
        ("[server]\nlisten = [\"0.0.0.0:8080\"]", "plain HTTP"),
        ("[server]\nadmin_listen = \"0.0.0.0:9901\"", "public"),
        ("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]", "X-Forwarded-For"),
        ("[[backends]]\nname = \"a\"\nservers = [\"10.0.0.1:80\"]", "no TLS to the remote backend"),
        ("[revocation]\nwhen_unavailable = \"allow\"", "revoked tokens pass"),
        ("[revocation]\ncheck = \"strict\"", "no `[redis]`"),
        ("[redis]\nurl = \"redis://:pw@h\"", "literal secret"),
        ("[passwords]\nargon2 = { memory = \"1MiB\", iterations = 1, parallelism = 1 }", "OWASP"),
    ] {
        let found = warnings(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].contains(about), "{found:#?}");
    }
    assert_eq!(warnings("[[backends]]\nname = \"a\"\nservers = [\"127.0.0.1:80\", \"[::1]:80\", \"localhost:80\"]"), [""; 0]);
}

#[test]
fn every_key_says_what_it_is_for() {
    let mut all = vec![(String::new(), raw::Gateway::KEYS)];
    sections(raw::Gateway::KEYS, "", &mut all);
    for (header, keys) in all {
        for key in keys {
            assert!(key.about.trim().ends_with(['.', '`', ')']) || !key.about.trim().is_empty(), "{header} {}", key.name);
        }
    }
}

/// A folder with certificates of `names`, and what of gateway.toml names them.
fn with_certificate(names: &[&str], until: Option<time::OffsetDateTime>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("parameters");
    if let Some(until) = until {
        params.not_after = until;
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.path().join("cert.pem"), certificate.pem()).expect("a file");
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("a file");
    restrict(&folder.path().join("key.pem"), 0o600);
    folder
}

fn restrict(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("set");
}

const TLS: &str = "[server]\nlisten = [{ address = \"0.0.0.0:443\", tls = true }]\npublic_url = \"https://a.test\"\n\
    [[server.tls.certificates]]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";

/// `line:column message` of every finding about `text` in `folder`.
fn findings(folder: &Path, text: &str) -> Vec<String> {
    std::fs::write(folder.join("gateway.toml"), text).expect("a file");
    let report = match load(&folder.join("gateway.toml"), &Environment::default()) {
        Ok(loaded) => loaded.report,
        Err(report) => report,
    };
    let all = report.errors().chain(report.warnings());
    let shown = folder.display().to_string() + "/";
    all.map(|finding| format!("{}:{} {}", finding.line, finding.column, finding.message.replace(&shown, ""))).collect()
}

#[test]
fn a_listener_with_a_good_certificate_is_no_cause_for_a_warning() {
    let folder = with_certificate(&["A.test", "*.b.test"], None);
    assert_eq!(findings(folder.path(), TLS), [] as [&str; 0]);
    let config = load(&folder.path().join("gateway.toml"), &Environment::default()).expect("good").config;
    assert_eq!(config.server.tls.certificates[0].names, ["a.test", "*.b.test"]);
    assert!(config.server.listen[0].tls && !config.server.listen[0].proxy_protocol);
}

#[test]
fn keys_are_read_in_every_usual_form() {
    let folder = with_certificate(&["a.test"], None);
    let openssl = |args: &[&str]| {
        let done = std::process::Command::new("openssl").args(args).current_dir(folder.path()).output().expect("openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let subject = ["-subj", "/CN=a.test", "-addext", "subjectAltName=DNS:a.test", "-out", "cert.pem"];
    for (make, convert) in [
        (
            ["genrsa", "-out", "made.pem", "2048"].as_slice(),
            ["rsa", "-in", "made.pem", "-traditional", "-out", "key.pem"].as_slice(),
        ),
        (
            &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "made.pem"],
            &["ec", "-in", "made.pem", "-out", "key.pem"],
        ),
        (&["genpkey", "-algorithm", "ed25519", "-out", "made.pem"], &["pkey", "-in", "made.pem", "-out", "key.pem"]),
    ] {
        openssl(make);
        openssl(convert);
        restrict(&folder.path().join("key.pem"), 0o600);
        openssl(&[["req", "-x509", "-key", "made.pem", "-days", "30"].as_slice(), &subject].concat());
        assert_eq!(findings(folder.path(), TLS), [] as [&str; 0], "{make:?}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_where_it_is_named() {
    let folder = with_certificate(&["a.test"], None);
    let other = with_certificate(&["a.test"], None);
    let key = std::fs::read(folder.path().join("key.pem")).expect("a key");
    let certificate = std::fs::read(folder.path().join("cert.pem")).expect("a certificate");
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    put("key.pem", &std::fs::read(other.path().join("key.pem")).expect("a key"));
    assert_eq!(findings(folder.path(), TLS), ["6:7 this key is not the one of its certificate"]);
    put("key.pem", &certificate);
    put("cert.pem", &key);
    assert_eq!(findings(folder.path(), TLS), ["5:15 there is no certificate in `cert.pem`", "6:7 there is no key in `key.pem`"]);
    std::fs::remove_file(folder.path().join("cert.pem")).expect("removed");
    put("key.pem", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    assert_eq!(findings(folder.path(), TLS), ["5:15 there is no file `cert.pem`", "6:7 the key in `key.pem` is encrypted"]);
    put("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    put("key.pem", &key);
    let found = findings(folder.path(), TLS);
    assert!(found.len() == 1 && found[0].starts_with("5:15 this is no certificate"), "{found:#?}");
    put("cert.pem", &certificate);
    restrict(&folder.path().join("key.pem"), 0o644);
    assert_eq!(findings(folder.path(), TLS), ["6:7 everybody on this machine can read or change the key `key.pem`"]);
    restrict(&folder.path().join("key.pem"), 0o600);
    let ca = TLS.replace("[[server.tls", "[server.tls]\nclient_ca = \"nowhere.pem\"\n[[server.tls");
    assert_eq!(findings(folder.path(), &ca), ["5:13 there is no file `nowhere.pem`"]);
}

#[test]
fn the_end_of_a_certificate_is_warned_of() {
    let in_days = |days: i64| {
        let now = crate::domain::Clock::now(&crate::domain::SystemClock::default()).as_secs();
        time::OffsetDateTime::from_unix_timestamp(now + days * 86_400).expect("a moment")
    };
    for (days, warning) in [(-1, "expired at"), (3, "expires soon")] {
        let folder = with_certificate(&["a.test"], Some(in_days(days)));
        let found = findings(folder.path(), TLS);
        assert!(found.len() == 1 && found[0].starts_with("5:15 this certificate") && found[0].contains(warning), "{found:#?}");
    }
}

#[test]
fn listeners_that_can_not_be_meant_are_found() {
    let folder = with_certificate(&["a.test"], None);
    let listen = |entries: &str| findings(folder.path(), &format!("[server]\nlisten = [{entries}]\n"));
    assert_eq!(
        listen("{ address = \"127.0.0.1:443\", tls = true }"),
        ["2:46 `tls = true` needs a certificate, and there is none"]
    );
    let both = "[server]\nlisten = [{ address = \"127.0.0.1:443\", tls = true, redirect_to_https = true }]\npublic_url = \"https://a.test\"\n";
    let entry = TLS.split_once("[[").map(|(_, entry)| format!("[[{entry}")).expect("an entry");
    let found = findings(folder.path(), &format!("{both}{entry}"));
    assert_eq!(found, ["2:72 a listener that speaks TLS has nothing to send to HTTPS: clients would go in circles"]);
    let found = findings(folder.path(), &entry);
    assert_eq!(found, ["1:1 there are certificates, and no listener speaks TLS"]);
    assert_eq!(
        listen("{ address = \"127.0.0.1:80\", redirect_to_https = true }"),
        ["2:59 clients are sent to HTTPS, and `server.public_url` is not HTTPS"]
    );
    let found = listen("{ address = \"0.0.0.0:80\", proxy_protocol = true }");
    assert!(found.len() == 2 && found.iter().any(|found| found.contains("says what address it has")), "{found:#?}");
    assert_eq!(listen("\"unix:a.sock\""), [] as [&str; 0], "a Unix socket is not public");
    let found = listen("\"unix:a.sock\", \"unix:./a.sock\"");
    assert!(found.len() == 1 && found[0].ends_with("is listened on twice"), "{found:#?}");
    for (entry, wrong) in [
        ("\"unix:\"", "names no file"),
        ("\"unix:/run/\"", "names a folder"),
        ("\"unix:@abstract\"", "is no path of a file"),
        ("\"tls\"", "is not an address with a port"),
        ("{ tls = true }", "`address` is missing"),
        ("{ address = \"127.0.0.1:1\", tsl = true }", "unknown key"),
        ("{ address = \"127.0.0.1:1\", tls = \"yes\" }", "takes `true` or `false`"),
    ] {
        let found = listen(entry);
        assert!(found.len() == 1 && found[0].contains(wrong), "{entry}: {found:#?}");
    }
    let long = format!("\"unix:/{}\"", "a".repeat(120));
    assert!(listen(&long)[0].contains("at most"), "{:#?}", listen(&long));
}

#[test]
fn a_postgres_url_is_checked_without_a_server() {
    let url = |url: &str| format!("[store]\nurl = \"{url}\"");
    for good_one in [
        "postgres://u:${X:-p}@localhost/d",
        "postgresql://[::1]:5433/d",
        "postgres:///d?host=/run/postgresql",
        "postgres://u@db.example.com/d?sslmode=verify-full",
    ] {
        assert!(warnings(&url(good_one)).is_empty(), "{good_one}");
        assert!(!good(&url(good_one)).is_single(), "{good_one}: several replicas may share it");
    }
    for (bad, what) in [
        ("postgres://", "names no database"),
        ("postgres://u@h", "names no database"),
        ("postgres://u@h/a/b", "names no database"),
        ("postgres://u:a/b@h/d", "no URL"),
        ("postgres://a,b/d", "several servers"),
        ("postgres://h/d#x", "`#`"),
        ("postgres://h/d?sslmod=require", "parameter"),
        ("postgres://h/d?sslmode=full", "sslmode"),
        ("postgres://h/d?sslcert=x.pem", "together"),
        ("postgres://h/d?sslrootcert=nowhere.pem", "no file"),
    ] {
        let found = errors(&url(bad));
        assert!(found.len() == 1 && found[0].contains("store.url") && found[0].contains(what), "{bad}: {found:?}");
    }
    for (risky, what) in [
        ("postgres://u:p@localhost/d", "literal secret"),
        ("postgres://u@db/d", "does not insist on TLS"),
        ("postgres://u@db/d?sslmode=prefer", "does not insist on TLS"),
        ("postgres://u@db/d?sslmode=require", "does not check who answers"),
    ] {
        let found = warnings(&url(risky));
        assert!(found.len() == 1 && found[0].contains(what), "{risky}: {found:?}");
    }
}
