//! Which headers reach a backend: nothing that a client forged, all that the permit says.

#![expect(clippy::expect_used, reason = "a test that meets what it did not expect ends")]

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use portcullis::config::{self, Roles};
use portcullis::domain::{CanonicalPath, CredentialKind, IdentityTable, KeyId, Principal, ScopeSet, SystemEntropy};
use portcullis::policy::{AuthMode, Permit, RouteSpec, RouteTable};
use portcullis::proxy::identity::{Emitter, Identity, IdentityError, StripSet};
use proptest::prelude::*;

use crate::spec::spec;

fn table(headers: &[(&'static str, &str)]) -> IdentityTable {
    IdentityTable {
        headers: headers.iter().map(|&(name, template)| (HeaderName::from_static(name), template.to_owned())).collect(),
    }
}

fn strip(keep: &[&str]) -> StripSet {
    let keep: Vec<String> = keep.iter().map(|&name| name.to_owned()).collect();
    StripSet::build([&table(&[("x-tenant", "{attributes.tenant}")])], &keep, &["x-api-key"]).expect("a set")
}

/// Every name that is removed.
const REMOVED: [&str; 54] = [
    // Which id a client may keep is decided before; then it is the gateway's word, and no fold of it may stand beside.
    "X-Request-Id",
    "X-Auth-Subject",
    "X-Auth-User",
    "X-Auth-Name",
    "X-Auth-Email",
    "X-Auth-Roles",
    "X-Auth-Scopes",
    "X-Auth-Method",
    "X-Auth-Issuer",
    "X-Auth-Session",
    "X-Auth-Key",
    "X-Auth-Assertion",
    "X-Forwarded-User",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "Remote-User",
    "Remote-Name",
    "Remote-Email",
    "Remote-Groups",
    "X-Tenant",
    "X-API-Key",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Real-IP",
    "Forwarded",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Scheme",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-Method",
    "X-Original-Host",
    "X-Original-URI",
    "Proxy",
    "X-Forwarded-Protocol",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Forwarded-Path",
    "Script-Name",
];

/// What clients may well send.
const PASSED: [&str; 29] = [
    "Host",
    "Accept",
    "Accept-Language",
    "User-Agent",
    "Content-Type",
    "Content-Length",
    "Cookie",
    "Authorization",
    "Origin",
    "Referer",
    "X-Requested-With",
    "X-CSRF-Token",
    "X-Auth",
    "X-Auth-Userx",
    "X-Auth-Users",
    "X-AuthUser",
    "XX-Auth-User",
    "Not-X-Auth-User",
    "HTTP2-Settings",
    "HTTP",
    "If-Match",
    "Range",
    "Traceparent",
    "X-Forwarded",
    "X-Real",
    "Remote",
    "Remote-Users",
    "X-Auth-Request",
    "Proxy-Authorization",
];

#[test]
fn every_name_that_the_gateway_could_set_is_removed() {
    let strip = strip(&[]);
    for name in REMOVED {
        for spelling in [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.replace('-', "."),
            name.replace('-', "~"),
            name.replace('-', "\u{e4}").chars().map(|c| if c == '\u{e4}' { '|' } else { c }).collect(),
            name.replacen('-', "_", 1),
            format!("HTTP_{}", name.to_uppercase().replace('-', "_")),
            format!("http-{name}"),
            format!("Http.{name}"),
        ] {
            assert!(strip.removes(spelling.as_bytes()), "{spelling}");
        }
    }
    assert!(strip.removes(b"X\xe4Auth\xffUser"), "latin-1 letters fold too");
    assert!(strip.removes(b""), "a name that is none");
}

#[test]
fn what_clients_may_send_passes() {
    let strip = strip(&[]);
    for name in PASSED {
        assert!(!strip.removes(name.as_bytes()), "{name}");
        assert!(!strip.removes(name.to_lowercase().as_bytes()), "{name}");
    }
    assert!(!strip.removes(&vec![b'x'; 20_000]));
}

#[test]
fn a_long_configured_name_is_removed_as_well() {
    let long = format!("x-{}-user", "very-long-".repeat(20));
    let own = IdentityTable { headers: vec![(HeaderName::try_from(long.as_str()).expect("a name"), "{subject}".into())] };
    let strip = StripSet::build([&own], &[], &[]).expect("a set");
    assert!(strip.removes(long.to_uppercase().replace('-', "_").as_bytes()));
    assert!(strip.removes(format!("HTTP_{long}").as_bytes()));
}

#[test]
fn a_kept_name_is_kept_in_its_own_spelling_only() {
    let strip = strip(&["x-auth-user", "remote_user"]);
    assert!(!strip.removes(b"X-Auth-User"));
    assert!(!strip.removes(b"x-auth-user"));
    assert!(strip.removes(b"X_Auth_User"));
    assert!(strip.removes(b"HTTP_X_AUTH_USER"));
    assert!(!strip.removes(b"Remote_User"));
    assert!(strip.removes(b"Remote-User"));
    assert!(strip.removes(b"X-Auth-Email"));
}

#[test]
fn a_name_that_the_gateway_sets_can_not_be_kept() {
    for name in ["x-tenant", "X-Tenant", "x_tenant", "http_x_tenant", "x-forwarded-for", "x-api-key", "x-original-url"] {
        let own = table(&[("x-tenant", "{subject}")]);
        let built = StripSet::build([&own], &[name.to_owned()], &["x-api-key"]);
        assert_eq!(built.err(), Some(IdentityError::Kept(name.to_owned())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_fold_of_a_name_gets_through(
        name in prop::sample::select(REMOVED.to_vec()),
        signs in prop::collection::vec(prop::sample::select(b"-_. ~!#$%&'*+^`|:/\x80\xe4\xff\x00".to_vec()), 8),
        capitals: u64,
        http: bool,
    ) {
        let mut signs = signs.into_iter().cycle();
        let full = if http { format!("http-{name}") } else { name.to_owned() };
        let spelling: Vec<u8> = full
            .bytes()
            .enumerate()
            .map(|(i, byte)| match byte {
                b'-' => signs.next().unwrap_or(b'_'),
                letter if capitals >> (i % 64) & 1 == 1 => letter.to_ascii_uppercase(),
                letter => letter.to_ascii_lowercase(),
            })
            .collect();
        prop_assert!(strip(&[]).removes(&spelling), "{:?}", String::from_utf8_lossy(&spelling));
    }

    #[test]
    fn what_does_not_fold_into_a_name_passes(name in "[a-z][a-z0-9-]{0,20}") {
        let listed = REMOVED.iter().any(|removed| {
            let removed = removed.to_lowercase();
            name == removed || name.strip_prefix("http-") == Some(&removed)
        });
        prop_assume!(!listed && !name.starts_with("x-auth-request-"));
        // Names of the set that are not in the list above begin like these.
        prop_assume!(!["x-", "script-", "http-x-"].iter().any(|prefix| name.starts_with(prefix)));
        prop_assert!(!strip(&[]).removes(name.as_bytes()), "{name}");
    }
}

fn alice() -> Principal {
    Principal {
        username: Some("alice".into()),
        full_name: Some("Al\u{ed}ce\r\nX-Auth-Roles: admin".into()),
        roles: vec!["user".into(), "x,admin".into()],
        scopes: "items:read orders".parse::<ScopeSet>().expect("scopes"),
        key: Some(KeyId::generate(&SystemEntropy)),
        ..Principal::own("0190-1", CredentialKind::ApiKey)
    }
}

fn lines(headers: &[(HeaderName, HeaderValue)]) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect()
}

#[test]
fn the_default_headers_say_who_is_calling() {
    let alice = alice();
    let key = alice.key.as_ref().expect("a key").as_str();
    let emitter = Emitter::new(&IdentityTable::x_auth()).expect("a table");
    assert_eq!(
        lines(&emitter.emit(&alice)),
        [
            "x-auth-subject: 0190-1",
            "x-auth-user: alice",
            "x-auth-name: Al%C3%ADce%0D%0AX-Auth-Roles: admin",
            "x-auth-roles: user,x%2Cadmin",
            "x-auth-scopes: items:read orders",
            "x-auth-method: api_key",
            &format!("x-auth-key: {key}"),
        ]
    );
}

#[test]
fn a_template_that_cannot_work_names_its_header() {
    let error = Emitter::new(&table(&[("remote-user", "{user}")])).expect_err("no such placeholder");
    assert!(error.to_string().contains("remote-user") && error.to_string().contains("{user}"), "{error}");
}

fn route(name: &str, auth: AuthMode, identity: Arc<IdentityTable>) -> RouteSpec {
    RouteSpec { auth, identity, ..spec(name, &format!("/{name}")) }
}

fn permit(table: &RouteTable, name: &str, caller: Option<Principal>) -> Permit {
    let path = CanonicalPath::parse(format!("/{name}").as_bytes()).expect("a path");
    let matched = table.find(None, &path, &Method::GET).into_match().expect("a route");
    matched.route.authorize(caller.map(Arc::new), &matched.params).expect("a permit")
}

#[test]
fn each_route_has_its_own_table_and_every_name_of_all_is_removed_everywhere() {
    let own = Arc::new(table(&[("x-legacy-user", "{username}"), ("x-legacy-mail", "{email}")]));
    let routes = vec![
        route("default", AuthMode::Required, Arc::new(IdentityTable::x_auth())),
        route("legacy", AuthMode::Optional, own),
        route("quiet", AuthMode::Required, Arc::new(IdentityTable::default())),
        route("public", AuthMode::None, Arc::new(IdentityTable::x_auth())),
    ];
    let routes = RouteTable::build(routes, Roles::default()).expect("a table");
    let config = config::Identity {
        headers: Arc::new(table(&[("x-global", "{subject}")])),
        keep_client_headers: Vec::new(),
        forward_credential: false,
        assertion: config::Assertion::default(),
    };
    let identity = Identity::build(&routes, &config, &["X-API-Key"]).expect("identity");
    for name in ["x-legacy-user", "X_LEGACY_MAIL", "X-Global", "x.auth.user", "x_api_key"] {
        assert!(identity.removes(name.as_bytes()), "{name}");
    }
    assert_eq!(identity.emit(&permit(&routes, "default", Some(alice()))).len(), 7);
    assert_eq!(lines(&identity.emit(&permit(&routes, "legacy", Some(alice())))), ["x-legacy-user: alice"]);
    for (name, caller) in [("legacy", None), ("quiet", Some(alice())), ("public", Some(alice()))] {
        assert!(identity.emit(&permit(&routes, name, caller)).is_empty(), "{name}");
    }
}
