use std::path::PathBuf;

use super::*;
use crate::policy::{AuthMode, ConditionSubject, ConditionValue, HostPattern, HostRewrite};

const GATEWAY: &str = r#"
[[backends]]
name = "orders"
servers = ["127.0.0.1:9001", "127.0.0.1:9002"]
[scopes]
"items:read" = "Read items"
[identity]
keep_client_headers = ["X-Own-User"]
"#;

fn folder(gateway: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("routes")).expect("a folder");
    for (name, text) in [("gateway.toml", gateway)].iter().chain(files) {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let path = folder.path().join("gateway.toml");
    (folder, path)
}

fn load_all(gateway: &str, files: &[(&str, &str)]) -> Result<Everything, Report> {
    let (_folder, path) = folder(gateway, files);
    let loaded = load(&path, &Environment::default());
    if loaded.is_ok() {
        // What loads is nowhere marked as wrong by an editor.
        for (name, text) in
            files.iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "toml"))
        {
            assert_eq!(json_schema::faults(&schema(), text), [""; 0], "{name}:\n{text}");
        }
    }
    loaded
}

fn good(routes: &str) -> Vec<RouteSpec> {
    let everything = load_all(GATEWAY, &[("routes/a.toml", routes)]).unwrap_or_else(|report| panic!("{report}"));
    everything.table.routes().iter().map(|route| route.spec().clone()).collect()
}

fn listed<'a>(findings: impl Iterator<Item = &'a crate::config::Diagnostic>) -> Vec<String> {
    findings.map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect()
}

fn errors(routes: &str) -> Vec<String> {
    let report = load_all(GATEWAY, &[("routes/a.toml", routes)]).expect_err("errors");
    listed(report.errors())
}

fn warnings(routes: &str) -> Vec<String> {
    let everything = load_all(GATEWAY, &[("routes/a.toml", routes)]).unwrap_or_else(|report| panic!("{report}"));
    listed(everything.report.warnings())
}

/// A route of one more line.
fn route(line: &str) -> String {
    format!("[[route]]\nname = \"r\"\npath = \"/api/{{id}}/**\"\nbackend = \"orders\"\n{line}\n")
}

#[test]
fn every_key_is_taken() {
    let specs = good(
        r#"
version = 1
[defaults]
auth = "optional"
[[route]]
name = "orders-write"
hosts = ["Shop.example.com", "*.example.com"]
path = "/api/tenants/{tenant}/orders/**"
methods = ["POST", "PUT", "DELETE"]
backend = "orders"
auth = "required"
credentials = ["bearer", "api_key"]
scopes = ["items:read"]
any_scopes = []
roles = ["user"]
where = { "attributes.tenant" = "{tenant}", claims.level = 3 }
enforce = true
on_unauthenticated = "challenge"
trailing_slash = "exact"
case = "insensitive"
allow_in_path = ["encoded_slash", "semicolon"]
strip_prefix = "/api"
add_prefix = "/v2"
host = "legacy.example.com"
request_headers = { "Authorization" = "Basic ${LEGACY:-eDp5}", "X-Debug" = "" }
response_headers = { "Server" = "" }
identity = { "Remote-User" = "{username}" }
forward_credential = true
timeout = "5s"
max_body = "10MiB"
stream_expiry = "token"
[[route]]
name = "rest"
path = "/rest/**"
backend = "http://127.0.0.1:9000/base"
"#,
    );
    let spec = &specs[0];
    assert_eq!(spec.hosts, [HostPattern::Exact("shop.example.com".into()), HostPattern::Wildcard(".example.com".into())]);
    assert_eq!(spec.auth, AuthMode::Required);
    assert!(spec.credentials.bearer && spec.credentials.api_key && !spec.credentials.session);
    assert_eq!(spec.backend.as_ref().map(|backend| backend.servers.len()), Some(2));
    assert!(spec.conditions.iter().any(|condition| {
        condition.subject == ConditionSubject::Attribute(vec!["tenant".into()])
            && condition.value == ConditionValue::Parameter("tenant".into())
    }));
    assert!(spec.conditions.iter().any(|condition| condition.value == ConditionValue::Literal(3.into())));
    assert!(matches!(&spec.host, HostRewrite::Name(name) if name == "legacy.example.com"));
    assert_eq!(spec.request_headers.iter().filter(|rule| rule.value.is_none()).count(), 1);
    assert_eq!(spec.identity.headers.len(), 1);
    assert_eq!(spec.max_body, Some(10 << 20));
    assert_eq!((spec.place.line, spec.place.column), (5, 1));
    assert!(spec.place.file.ends_with("routes/a.toml"));
    let rest = &specs[1];
    assert_eq!(rest.auth, AuthMode::Optional, "a default of the file");
    assert_eq!(rest.backend.as_ref().map(|backend| backend.base_path.as_str()), Some("/base"));
    assert_eq!(*rest.identity, crate::domain::IdentityTable::x_auth());
}

#[test]
fn a_route_with_an_inline_url_is_enough() {
    let everything =
        load_all("", &[("routes/a.toml", "[[route]]\nname = \"a\"\npath = \"/**\"\nbackend = \"http://127.0.0.1:9000\"")]);
    assert_eq!(everything.unwrap_or_else(|report| panic!("{report}")).table.routes().len(), 1);
}

#[test]
fn errors_of_every_file_are_reported_at_once() {
    let report = load_all(
        "[server]\nthreds = 1",
        &[
            ("routes/a.toml", "[[route]]\nname = \"a\"\npath = \"a\"\nbackend = \"http://127.0.0.1:1\""),
            ("routes/b.toml", "[[rout]]\n"),
        ],
    )
    .expect_err("errors");
    let files: Vec<_> = report.errors().map(|error| error.file.rsplit('/').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(files, ["gateway.toml", "a.toml", "b.toml"], "{report}");
}

#[test]
fn what_is_wrong_with_a_route_is_one_error_each() {
    for (line, about) in [
        ("atuh = \"none\"", "unknown key `route.atuh`"),
        ("auth = \"requird\"", "`required`, `optional`, `none`"),
        ("strip_prefix = \"/ap\"", "strip_prefix"),
        ("strip_prefix = \"/api/{id}\"", "strip_prefix"),
        ("add_prefix = \"v2\"", "add_prefix"),
        ("add_prefix = \"/a/../b\"", "add_prefix"),
        ("where = { username = \"{user}\" }", "no parameter `{user}`"),
        ("where = { name = \"x\" }", "knows nothing called `name`"),
        ("where = { username = \"a{id}\" }", "stands alone"),
        ("where = { username = [\"a\"] }", "not an array"),
        ("roles = [\"admn\"]", "there is no role `admn`"),
        ("methods = [\"get\"]", "upper case"),
        ("methods = [\"CONNECT\"]", "never passed on"),
        ("methods = [\"TRACE\"]", "never passed on"),
        ("methods = []", "lists none"),
        ("credentials = []", "lists no kind"),
        ("credentials = [\"bear\"]", "`bearer`, `api_key`, `session`"),
        ("scopes = [\"a b\"]", "not a scope"),
        ("hosts = [\"shop.example.com:80\"]", "ports do not count"),
        ("hosts = [\"*\"]", "not a host"),
        ("hosts = [\"a.*.com\"]", "not a host"),
        ("hosts = [\"shop.example.com.\"]", "ends in a dot"),
        ("allow_in_path = [\"slash\"]", "allow_in_path"),
        ("host = \"preserv\"", "`preserve`"),
        ("request_headers = { \"Content-Length\" = \"1\" }", "frames the message"),
        ("request_headers = { \"Host\" = \"a\" }", "key of its own"),
        ("request_headers = { \"X_Auth_User\" = \"a\" }", "comes from the credential"),
        ("request_headers = { \"X-A\" = \"a\\r\\nb\" }", "can't stand in a header"),
        ("request_headers = { \"X A\" = \"a\" }", "not a header name"),
        ("response_headers = { \"Transfer-Encoding\" = \"x\" }", "frames the message"),
        ("identity = \"x-aut\"", "route.identity"),
        ("identity = { \"X-Own-User\" = \"{username}\" }", "keep_client_headers"),
        ("timeout = \"0s\"", "more than zero"),
        ("max_body = 10", "put it in quotes"),
        ("rate_limit = \"100\"", "not a rate"),
        ("rate_limit = \"0/1s\"", "not a rate"),
        ("enforce = \"false\"", "without quotes"),
        ("on_unauthenticated = \"login\"", "not available yet"),
        ("stream_expiry = \"key\"", "`session`"),
        ("cors = \"back\"", "`backend`"),
        ("cors = true", "a table"),
        ("cors = { allow_origin = [] }", "allow_origins"),
        ("cors = { allow_origins = [\"https://a.example.com/\"] }", "write \"https://a.example.com\""),
        ("cors = { allow_origins = [\"a.example.com\"] }", "write \"https://a.example.com\""),
        ("cors = { allow_origins = [\"*\"], allow_credentials = true }", "any page on the web"),
        ("cors = { allow_origins = [\"*\", \"https://a\"] }", "every origin"),
        ("cors = { allow_origins = [\"https://a\"], allow_credentials = true, allow_headers = [\"*\"] }", "list the headers"),
        ("cors = { allow_origins = [\"https://a\"], allow_methods = [\"get\"] }", "not one of the methods"),
        ("cors = { allow_origins = [\"https://a\"], expose_headers = [\"X A\"] }", "not one of the headers"),
    ] {
        let report = load_all(GATEWAY, &[("routes/a.toml", &route(line))]).expect_err(line);
        let found = listed(report.errors());
        assert_eq!(found.len(), 1, "{line}: {found:#?}");
        assert!(report.to_string().contains(about), "{line}: {report}");
        assert!(found[0].starts_with("5:"), "{found:#?}");
    }
}

#[test]
fn a_prefix_that_was_cut_can_be_told_to_the_backend() {
    let specs = good(&route("request_headers = { \"X-Forwarded-Prefix\" = \"/api\" }"));
    assert_eq!(specs[0].request_headers.len(), 1);
    for name in ["X-Forwarded-For", "X-Forwarded-User", "X_Forwarded_Host", "Forwarded"] {
        assert_eq!(errors(&route(&format!("request_headers = {{ \"{name}\" = \"x\" }}"))).len(), 1, "{name}");
    }
}

#[test]
fn patterns_that_can_not_match_are_refused() {
    for path in [
        "api", "/a*", "/*", "/**/a", "/{id", "/a{id}", "/{}", "/{a}/{a}", "/a/../b", "/a?b", "/a//b", "/a b", "/%zz", "/ä",
        "/a;b",
    ] {
        let found = errors(&format!("[[route]]\nname = \"r\"\npath = \"{path}\"\nbackend = \"orders\""));
        assert_eq!(found.len(), 1, "{path}: {found:#?}");
        assert!(found[0].starts_with("3:8 "), "{path}: {found:#?}");
    }
}

#[test]
fn the_gateways_own_paths_are_its_own() {
    for path in ["/auth", "/auth/login", "/auth/**", "/%61uth/x", "/.well-known/jwks.json", "/.well-known/jwks.json/**"] {
        let found = errors(&format!("[[route]]\nname = \"r\"\npath = \"{path}\"\nbackend = \"orders\""));
        assert!(found.len() == 1 && found[0].contains("the gateway's own"), "{path}: {found:#?}");
    }
    assert_eq!(errors("[[route]]\nname = \"r\"\npath = \"/AUTH/x\"\nbackend = \"orders\"\ncase = \"insensitive\"").len(), 1);
    for path in ["/authors", "/auth-x/**", "/.well-known/acme-challenge/{token}", "/**", "/{any}"] {
        assert_eq!(good(&format!("[[route]]\nname = \"r\"\npath = \"{path}\"\nbackend = \"orders\"")).len(), 1, "{path}");
    }
    let elsewhere =
        "[[route]]\nname = \"r\"\npath = \"/.well-known/jwks.json\"\nbackend = \"orders\"\nhosts = [\"other.example\"]";
    assert_eq!(good(elsewhere).len(), 1);
}

#[test]
fn no_route_stands_on_an_alias_of_the_gateways_own() {
    let gateway = format!(
        "{GATEWAY}[auth]\naliases = {{ \"/token\" = \"/auth/login\", \"/admin/users\" = \"/auth/admin/users\", \"/users/me\" = \"/auth/me\" }}"
    );
    let load = |path: &str| {
        load_all(&gateway, &[("routes/a.toml", &format!("[[route]]\nname = \"r\"\npath = \"{path}\"\nbackend = \"orders\""))])
    };
    for path in ["/token", "/token/**", "/%74oken", "/admin/users", "/admin/users/{id}", "/admin/users/**", "/users/me"] {
        let found = listed(load(path).expect_err("an error").errors());
        assert!(found.len() == 1 && found[0].contains("an alias of"), "{path}: {found:#?}");
    }
    for path in ["/token/x", "/tokens", "/admin/**", "/admin/usersX", "/users/{id}", "/users/me/items", "/**"] {
        assert!(load(path).is_ok(), "{path}");
    }
}

#[test]
fn nothing_is_asked_of_callers_that_nobody_looks_at() {
    for asked in
        ["scopes = [\"items:read\"]", "any_scopes = [\"items:read\"]", "roles = [\"user\"]", "where = { username = \"x\" }"]
    {
        let found = errors(&route(&format!("{asked}\nauth = \"none\"")));
        assert!(found.len() == 1 && found[0].contains("does not look at"), "{asked}: {found:#?}");
    }
}

#[test]
fn no_route_sets_the_header_of_the_assertion() {
    let gateway = format!("{GATEWAY}assertion = {{ enabled = true }}\n");
    let routes = route("identity = { \"X_Auth.Assertion\" = \"{username}\" }");
    let found = listed(load_all(&gateway, &[("routes/a.toml", &routes)]).expect_err("errors").errors());
    assert!(matches!(found.as_slice(), [one] if one.contains("the header of the assertion")), "{found:?}");
}

#[test]
fn two_routes_of_one_name_and_ties_name_both_places() {
    let same_name = "[[route]]\nname = \"r\"\npath = \"/a\"\nbackend = \"orders\"\n[[route]]\nname = \"r\"\npath = \"/b\"\nbackend = \"orders\"";
    let report = load_all(GATEWAY, &[("routes/a.toml", same_name)]).expect_err("a name twice");
    assert_eq!(listed(report.errors()), ["6:8 two routes are named `r`"]);
    assert!(report.to_string().contains("the first one"), "{report}");
    let a = "[[route]]\nname = \"one\"\npath = \"/a/{x}\"\nbackend = \"orders\"";
    let b = "\n\n[[route]]\nname = \"two\"\npath = \"/a/{y}\"\nbackend = \"orders\"";
    let report = load_all(GATEWAY, &[("routes/a.toml", a), ("routes/b.toml", b)]).expect_err("a tie");
    assert_eq!(report.errors().count(), 1, "{report}");
    let text = report.to_string();
    assert!(text.contains("routes/b.toml:3:1") && text.contains("routes/a.toml:1:1"), "{text}");
}

#[test]
fn unknown_backends_name_the_nearest() {
    let report = load_all(GATEWAY, &[("routes/a.toml", "[[route]]\nname = \"r\"\npath = \"/a\"\nbackend = \"ordes\"")]);
    let report = report.expect_err("no such backend");
    let error = report.errors().next().expect("an error");
    assert_eq!((error.message.as_str(), error.help.as_deref()), ("there is no backend `ordes`", Some("did you mean `orders`?")));
}

#[test]
fn defaults_can_not_say_what_is_each_routes_own() {
    assert_eq!(errors("[defaults]\nname = \"x\"").len(), 1);
    assert_eq!(errors("[defaults]\nauht = \"none\""), ["2:1 unknown key `defaults.auht`"]);
    let twice = "[defaults]\nauth = \"x\"\nbackend = \"orders\"\n[[route]]\nname = \"a\"\npath = \"/a\"\n[[route]]\nname = \"b\"\npath = \"/b\"";
    assert_eq!(errors(twice).len(), 1, "one finding a place");
}

#[test]
fn what_deserves_a_second_look_is_a_warning() {
    for (routes, about) in [
        ("[[route]]\nname = \"r\"\npath = \"/**\"\nbackend = \"orders\"\nauth = \"none\"".to_owned(), "public catch-all"),
        (route("scopes = [\"items:reed\"]"), "not declared"),
        ("[[route]]\nname = \"r\"\npath = \"/a\"".to_owned(), "leads nowhere"),
        ("[[route]]\nname = \"r\"\npath = \"/a\"\nbackend = \"http://10.0.0.1\"".to_owned(), "no TLS"),
        (route("request_headers = { \"Authorization\" = \"Basic abc\" }"), "literal secret"),
    ] {
        let found = warnings(&routes);
        assert!(found.len() == 1 && found[0].contains(about), "{about}: {found:#?}");
    }
}

#[test]
fn includes_that_find_nothing_are_told() {
    let everything = load_all("[routes]\ninclude = [\"none/*.toml\"]", &[]).unwrap_or_else(|report| panic!("{report}"));
    assert!(listed(everything.report.warnings())[0].contains("matches no file"));
    let report = load_all("[routes]\ninclude = [\"routes/none.toml\"]", &[]).expect_err("no such file");
    assert_eq!(listed(report.errors()), ["2:12 there is no route file `routes/none.toml`"]);
}

#[test]
fn a_literal_of_a_header_is_not_shown() {
    let report = load_all(
        GATEWAY,
        &[("routes/a.toml", &route("request_headers = { \"Authorization\" = \"Basic geheim\", \"a b\" = \"\" }"))],
    );
    let report = report.expect_err("an error");
    assert!(!report.to_string().contains("geheim"), "{report}");
}

#[test]
fn the_shipped_configuration_has_no_error_and_no_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml");
    let everything = load(&path, &Environment::default()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(everything.report.warnings().count(), 0, "{}", everything.report);
    let auths: Vec<AuthMode> = everything.table.routes().iter().map(|route| route.spec().auth).collect();
    for auth in [AuthMode::None, AuthMode::Optional, AuthMode::Required] {
        assert!(auths.contains(&auth), "{auth:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(96) })]

    #[test]
    fn whatever_is_written_the_report_can_be_shown(
        edits in proptest::collection::vec((0..10_000_usize, 0..8_usize, "[\\[\\]{}=\"'#$.\\\\ \nä€a1:/*-]{0,3}"), 1..6),
        in_routes: bool,
    ) {
        let shipped = |name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a shipped file");
        let mut texts = [shipped("gateway.toml"), shipped("routes/app.toml")];
        let text = &mut texts[usize::from(in_routes)];
        for (at, length, put) in edits {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at % chars.len();
            let end = (at + length).min(chars.len());
            chars.splice(at..end, put.chars());
            *text = chars.into_iter().collect();
        }
        match load_all(&texts[0], &[("routes/app.toml", &texts[1])]) {
            Ok(everything) => drop(everything.report.render(true)),
            Err(report) => {
                proptest::prop_assert!(!report.is_good());
                proptest::prop_assert!(report.to_string().starts_with("error: "));
                drop(report.to_json());
            }
        }
    }
}

/// A route that asks everything, and tests of it.
fn tested(tests: &str) -> String {
    let asking =
        "methods = [\"GET\"]\nscopes = [\"items:read\"]\nroles = [\"user\"]\nwhere = { \"attributes.tenant\" = \"{id}\" }";
    format!("{}\n{tests}", route(asking))
}

#[test]
fn every_key_of_a_policy_test_is_taken() {
    let text = tested(
        r#"
[[test]]
name = "all of it"
request = "GET https://shop.example.com/api/a1/x?y"
as = { scopes = ["items"], roles = ["admin"], attributes = { tenant = ["a1"], deep = { er = 1 } }, claims = { x = true }, subject = "s", username = "u", credential = "session" }
expect = "allow"
route = "r"
[[test]]
request = "GET /api/a1"
as = { roles = ["admin"], attributes.tenant = "a1", credential = "api_key" }
expect = "allow"
[[test]]
request = "GET /api/a1"
expect = "401"
[[test]]
request = "GET /api/a1"
as = "anonymous"
expect = 401
[[test]]
request = "GET /api/a1"
as = { scopes = ["items"], roles = ["admin"], attributes.tenant = "a2" }
expect = 403
[[test]]
request = "GET /api/%2e/a1"
expect = 400
[[test]]
request = "PUT /api/a1"
expect = 405
[[test]]
request = "get /api/a1"
expect = 405
[[test]]
request = "GET /nope"
expect = 404
"#,
    );
    let everything = load_all(GATEWAY, &[("routes/a.toml", &text)]).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(everything.tests.len(), 9);
    assert_eq!(listed(everything.report.warnings()), <[String; 0]>::default());
}

#[test]
fn scopes_that_are_given_are_what_the_credential_holds() {
    let text = tested(
        "[[test]]\nrequest = \"GET /api/a1\"\nas = { scopes = [], roles = [\"admin\"], attributes.tenant = \"a1\" }\nexpect = 403\n",
    );
    assert!(load_all(GATEWAY, &[("routes/a.toml", &text)]).is_ok(), "a narrowed token of an admin");
}

#[test]
fn what_is_wrong_with_a_policy_test_is_told() {
    let text = tested(
        r#"
[[test]]
request = "GET"
expect = 401
[[test]]
request = "GET shop.example.com/x"
expect = 200
[[test]]
requst = "GET /"
as = "anonymus"
[[test]]
request = "GET /"
as = { roles = ["usr"], scops = [], credential = "cookie" }
expect = 401
route = "x"
"#,
    );
    assert_eq!(
        errors(&text),
        [
            "12:11 `request` is a method and a URL: `GET` is one word",
            "15:11 `request` is a method and a URL: `shop.example.com/x` is neither a URL nor a path",
            "16:10 a policy does not answer `200`",
            "17:1 `request` is missing",
            "17:1 `expect` is missing",
            "18:1 unknown key `test.requst`",
            "19:6 `test.as` is `\"anonymous\"` or a table, not `anonymus`",
            "22:17 there is no role `usr`",
            "22:25 unknown key `test.as.scops`",
            "22:50 `test.as.credential` is one of `bearer`, `api_key`, `session`, not `cookie`",
            "24:9 there is no route `x`",
        ]
    );
}

#[test]
fn a_failing_policy_test_is_an_error_with_its_reason() {
    let text = tested(
        r#"
[[test]]
request = "GET /api/a1"
as = { roles = ["admin"], attributes.tenant = "a2" }
expect = "allow"
[[test]]
request = "GET /auth/me"
expect = 401
[[test]]
request = "GET /ap/a1"
expect = 404
route = "r"
"#,
    );
    let report = load_all(GATEWAY, &[("routes/a.toml", &text)]).expect_err("failures");
    let told: Vec<_> =
        report.errors().map(|one| format!("{}:{} {}", one.line, one.column, one.help.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        told,
        [
            "14:10 route `r` asks that attributes.tenant = {id}, which is \"a1\"; the caller has \"a2\"",
            "16:11 take the test out",
            "21:9 No route of the gateway matches this host and path; route `r` wants `api` as segment 1, not `ap`",
        ]
    );
}

/// `count` routes in one file, with a route that names its backend by a URL each.
fn many(count: usize) -> String {
    let routes = (0..count).map(|number| {
        format!("[[route]]\nname = \"r{number}\"\nhosts = [\"h{number}.example.com\"]\npath = \"/api/{{id}}/**\"\nbackend = \"http://127.0.0.1:9\"\n")
    });
    routes.collect()
}

/// Looking through the file for each absent key of each route took minutes here, and the runner ends what takes so long.
#[test]
fn a_file_of_thousands_of_routes_is_read_in_one_go() {
    let specs = good(&many(5000));
    assert_eq!(specs.len(), 5000);
    let last = specs.last().expect("routes");
    assert_eq!((&*last.name, last.place.line, last.place.column), ("r4999", 24_996, 1));
}

#[test]
fn routes_cost_no_reading_of_defaults() {
    let costs = |count| {
        let before = document::parses::so_far();
        let _ = good(&many(count));
        document::parses::so_far() - before
    };
    let _ = costs(1);
    assert_eq!(costs(2), costs(50));
}

#[test]
fn routes_of_one_url_share_its_backend_and_each_is_warned_of() {
    let backends: Vec<_> = good(&many(3)).into_iter().filter_map(|spec| spec.backend).collect();
    assert_eq!(backends.len(), 3);
    assert!(backends.iter().all(|backend| std::sync::Arc::ptr_eq(backend, &backends[0])));
    assert_eq!(warnings(&many(3).replace("127.0.0.1:9", "10.0.0.1:9")).len(), 3);
}
