//! Every refusal that is about the caller, on two routes that differ in `enforce` alone: what the one answers is what the
//! other logs, counts and lets pass.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Answer, Gateway, Setup};
use crate::observe::line;

/// Each path twice: below /on it is enforced, below /off observed.
fn routes(backend: std::net::SocketAddr) -> String {
    let mut all = format!("[defaults]\nbackend = \"http://{backend}\"\n");
    for (name, asks) in [
        ("scoped", "scopes = [\"a:b\"]"),
        ("staff", "roles = [\"admin\"]"),
        ("tenant", "where = { \"attributes.tenant\" = \"t\" }"),
        ("keys", "credentials = [\"api_key\"]"),
        ("maybe", "auth = \"optional\""),
        ("once", "rate_limit = \"1/1h\""),
        ("open", "auth = \"none\"\nrate_limit = \"1/1h\""),
    ] {
        for (below, enforce) in [("on", true), ("off", false)] {
            let path = format!("path = \"/{below}/{name}\"\nmethods = [\"GET\"]");
            writeln!(all, "[[route]]\nname = \"{name}-{below}\"\n{path}\nenforce = {enforce}\n{asks}").expect("a string");
        }
    }
    all
}

const FORGED: [(&str, &str); 4] =
    [("X-Auth-User", "root"), ("x_auth_roles", "admin"), ("HTTP_X_AUTH_SCOPES", "*"), ("Remote-User", "root")];

/// The same call to the enforced route and to the observed one.
async fn both(gateway: &Gateway, name: &str, fields: &[(&str, &str)]) -> (Answer, Answer) {
    let mut answers = Vec::new();
    for below in ["on", "off"] {
        let mut request = gateway.request("GET", &format!("/{below}/{name}"));
        for (name, value) in fields.iter().chain(&FORGED) {
            request = request.header(*name, *value);
        }
        answers.push(gateway.send(request).await);
    }
    let observed = answers.pop().expect("the second");
    (answers.pop().expect("the first"), observed)
}

/// What the backend of an observing route may get of a caller that the policy refuses: nobody, with the `Authorization` sent.
fn passes_as_nobody(answer: &Answer, fields: &[(&str, &str)], what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    let seen = &answer.json()["headers"];
    for name in seen.as_object().expect("fields").keys() {
        let folded = name.replace(['_', '.'], "-");
        let identity = ["x-auth-", "remote-", "http-x-auth", "x-api-key"].iter().any(|start| folded.starts_with(start));
        assert!(!identity, "{what}: {name} reached the backend");
    }
    assert!(!answer.body.contains("portcullis="), "{what}: {}", answer.body);
    let sent: Vec<&str> = fields.iter().filter(|(name, _)| *name == "Authorization").map(|(_, value)| *value).collect();
    let reached = seen["authorization"].as_str().unwrap_or_default();
    assert!(sent.iter().all(|value| reached.contains(value)), "{what}: {reached}");
}

/// Route, header fields, the status where it is enforced, and its code.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[tokio::test]
async fn every_refusal_of_a_caller_is_answered_where_enforced_and_else_observed() {
    let gateway = Gateway::start(Setup::routes(routes(echo().await)).with("[log]\nformat = \"json\"\n")).await;
    gateway.user("ann", &[]);
    let bearer = |tokens: &Value| format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
    let (ann, gone) = (bearer(&gateway.login("ann").await), gateway.login("ann").await);
    let left = gateway.post("/auth/logout", &json!({ "refresh_token": gone["refresh_token"] })).await;
    assert_eq!(left.status, 204);
    let gone = bearer(&gone);
    let key = gateway.cli(&["key", "create", "--owner", "ann", "--name", "k"], "").trim().to_owned();
    let (ann, gone) = (("Authorization", ann.as_str()), ("Authorization", gone.as_str()));
    let (key, basic, cookie) =
        (("X-API-Key", key.as_str()), ("Authorization", "Basic YTpi"), ("Cookie", "a=1; portcullis=stale"));
    let bad = ("Authorization", "Bearer nonsense");
    let cases: &[Case<'_>] = &[
        ("scoped", &[], 401, "missing_credential"),
        ("scoped", &[basic], 401, "missing_credential"),
        ("scoped", &[bad], 401, "invalid_token"),
        ("scoped", &[gone], 401, "invalid_token"),
        ("scoped", &[("Authorization", "Bearer")], 400, "invalid_request"),
        ("scoped", &[ann, key], 400, "invalid_request"),
        ("scoped", &[ann, bad], 400, "invalid_request"),
        ("scoped", &[("X-API-Key", "wrong")], 401, "invalid_api_key"),
        ("scoped", &[cookie], 401, "invalid_session"),
        ("scoped", &[ann], 403, "insufficient_scope"),
        ("scoped", &[key], 403, "insufficient_scope"),
        ("staff", &[ann], 403, "forbidden"),
        ("tenant", &[ann], 403, "forbidden"),
        ("keys", &[ann], 401, "missing_credential"),
        ("maybe", &[bad], 401, "invalid_token"),
    ];
    for (name, fields, status, code) in cases {
        let what = format!("{name} {code}");
        let (enforced, observed) = both(&gateway, name, fields).await;
        assert_eq!((enforced.status, enforced.code().as_str()), (*status, *code), "{what}");
        passes_as_nobody(&observed, fields, &what);
        let line = line(&gateway, &observed).await;
        assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("would_deny"), Some(*code)), "{line}");
        assert_eq!(line["detail"], enforced.json()["detail"], "{line}");
    }
    for (name, fields) in [("once", &[ann][..]), ("open", &[])] {
        let (first, also) = both(&gateway, name, fields).await;
        assert_eq!((first.status, also.status), (200, 200), "{name}");
        let (enforced, observed) = both(&gateway, name, fields).await;
        assert_eq!((enforced.status, observed.header("ratelimit")), (429, String::new()), "{name}");
        passes_as_nobody(&observed, fields, name);
        assert_eq!(line(&gateway, &observed).await["reason"], "rate_limited");
    }
    let metrics = gateway.metrics().await;
    for (route, reason, count) in [
        ("scoped-off", "missing_credential", 2),
        ("scoped-off", "invalid_token", 2),
        ("scoped-off", "invalid_request", 3),
        ("scoped-off", "invalid_session", 1),
        ("tenant-off", "forbidden", 1),
        ("once-off", "rate_limited", 1),
    ] {
        let counted = format!("portcullis_would_deny_total{{route=\"{route}\",reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&counted), "{counted} in\n{metrics}");
    }
    assert!(!metrics.contains("portcullis_would_deny_total{route=\"scoped-on\""), "{metrics}");
}

#[tokio::test]
async fn a_credential_that_nobody_can_judge_is_unavailable_where_enforced_and_else_observed() {
    let gateway = Gateway::start(Setup::routes(routes(echo().await)).with("[log]\nformat = \"json\"\n")).await;
    gateway.user("ann", &[]);
    let key = gateway.cli(&["key", "create", "--owner", "ann", "--name", "k"], "").trim().to_owned();
    gateway.take_store_away();
    let fields = [("X-API-Key", key.as_str())];
    let missed = || async { both(&gateway, "keys", &fields).await.0.status == 503 };
    gateway.until("the store is missed", missed).await;
    let (enforced, observed) = both(&gateway, "keys", &fields).await;
    assert_eq!(enforced.code(), "unavailable");
    passes_as_nobody(&observed, &fields, "without the store");
    assert_eq!(line(&gateway, &observed).await["reason"], "unavailable");
}
