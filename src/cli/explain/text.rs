//! The steps for people.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::Told;
use crate::cli::trace::{self, Paint};
use crate::domain::{CredentialKind, Principal, Timestamp};
use crate::limit::limited_prefix;
use crate::policy::blame::blame;
use crate::policy::policy_test::described;
use crate::policy::target::Target;
use crate::policy::{AuthMode, Matched};
use crate::problem::{Answer, Refusal};
use crate::proxy::explain::{Conclusion, Explanation, Limit, Observed, Sent};
use crate::revocation::Standing;
use crate::telemetry::{printable, scrub};

/// Behind a step's mark, number and name.
const INDENT: &str = "                ";

/// How a step went.
enum Went {
    Well,
    Badly,
    /// It says something and decides nothing.
    Told,
}

struct Steps {
    text: String,
    paint: Paint,
    number: u8,
}

impl Steps {
    fn step(&mut self, went: &Went, name: &str, says: &str) {
        self.number += 1;
        let mark = match went {
            Went::Well => self.paint.mark(true),
            Went::Badly => self.paint.mark(false),
            Went::Told => self.paint.dim("·"),
        };
        let name = self.paint.bold(&format!("{name:<11}"));
        let _ = writeln!(self.text, "{mark} {} {name} {says}", self.number);
    }

    fn more(&mut self, line: &str) {
        let _ = writeln!(self.text, "{INDENT}{line}");
    }
}

pub(super) fn render(told: &Told, colors: bool) -> String {
    let explanation = &told.answer.explanation;
    let caller = match &told.supposed {
        Some(supposed) => format!("supposed: {}", described(Some(supposed))),
        None if told.question.headers.is_empty() => "anonymous".to_owned(),
        None => "as its headers say".to_owned(),
    };
    let mut steps = Steps { text: String::new(), paint: Paint(colors), number: 0 };
    let _ = writeln!(steps.text, "{} {}, {}\n", told.question.method, printable(&told.url), printable(&caller));
    if target(told, &mut steps) && nobody_elses(explanation, &mut steps) {
        preflight(explanation, &mut steps);
        let is_decided = explanation.preflight.as_ref().is_none_or(|asked| asked.answered_by.is_none());
        if route(explanation, &mut steps) && is_decided {
            credential(told, &mut steps);
            asks(explanation, &mut steps);
        }
        limits(explanation, &mut steps);
    }
    result(explanation, &mut steps);
    steps.text
}

fn refusal(explanation: &Explanation) -> Option<&Refusal> {
    match &explanation.conclusion {
        Conclusion::Refused { refusal, .. } => Some(refusal),
        Conclusion::Own | Conclusion::Redirected(_) | Conclusion::Preflight(_) | Conclusion::Allowed(_) => None,
    }
}

fn target(told: &Told, steps: &mut Steps) -> bool {
    let explanation = &told.answer.explanation;
    let ambiguous = match refusal(explanation) {
        Some(Refusal::AmbiguousTarget(what)) => Some(*what),
        _ => None,
    };
    if let Some(Target { path, host, .. }) = &explanation.target {
        let host = host.as_deref().map_or_else(|| "no host in particular".to_owned(), |host| format!("host {host}"));
        let query = explanation.query.as_ref().map_or_else(String::new, |query| format!(", query {}", printable(query)));
        let went = if ambiguous.is_some() { Went::Badly } else { Went::Well };
        steps.step(&went, "target", &format!("{path} on {host}{query}"));
    } else {
        let why = refusal(explanation).map(|refusal| refusal.detail().into_owned()).unwrap_or_default();
        steps.step(&Went::Badly, "target", &why);
    }
    if let Some(what) = ambiguous {
        if explanation.target.is_some() {
            steps.more(&format!("it is refused: {what}"));
        }
        mark(&told.url, steps);
    }
    explanation.target.is_some()
}

/// Underlines the part of the URL that is at fault.
fn mark(url: &str, steps: &mut Steps) {
    let Some(blame) = blame(url) else { return };
    let (before, part) = (url.get(..blame.part.start).unwrap_or_default(), url.get(blame.part).unwrap_or_default());
    let width = |text: &str| printable(text).chars().count();
    steps.more(&printable(url));
    let carets = steps.paint.bad(&"^".repeat(width(part).max(1)));
    steps.more(&format!("{}{carets}", " ".repeat(width(before))));
    match blame.allow {
        Some(name) => {
            steps.more(&format!("a route with allow_in_path = [\"{name}\"] takes it; its backend must read it the same way"));
        }
        None => steps.more("no route can take it: backends do not read it alike"),
    }
}

/// Whether neither the listener nor an endpoint answers it.
fn nobody_elses(explanation: &Explanation, steps: &mut Steps) -> bool {
    if matches!(explanation.conclusion, Conclusion::Redirected(_)) {
        steps.step(&Went::Told, "listener", "redirect_to_https: it sends every request to HTTPS, and asks nothing more");
        return false;
    }
    let own = matches!(explanation.conclusion, Conclusion::Own);
    let says = match (own, &explanation.alias) {
        (true, Some(target)) => format!("an alias of {target}, the gateway's own path: it answers itself, and asks no route"),
        (true, None) => "the gateway's own path: it answers itself, and asks no route".to_owned(),
        (false, _) => "not a path of the gateway's own".to_owned(),
    };
    steps.step(&if own { Went::Told } else { Went::Well }, "own", &says);
    !own
}

fn preflight(explanation: &Explanation, steps: &mut Steps) {
    let Some(asked) = &explanation.preflight else { return };
    let says = match asked.answered_by {
        Some("gateway") => "the route's cors answers it, without asking for a credential",
        Some(_) => "cors = \"backend\": it is passed on as nobody's, without asking for a credential",
        None => "no route with cors takes that: it is an ordinary OPTIONS request",
    };
    steps.step(&Went::Told, "preflight", &format!("for {}: {says}", printable(asked.method.as_str())));
}

fn limits(explanation: &Explanation, steps: &mut Steps) {
    if let Some(rate) = explanation.key_limit {
        steps.step(&Went::Told, "limit", &format!("{rate} for this API key; what was counted so far only the gateway knows"));
    }
    let Some(Limit { rate, principal }) = &explanation.limit else { return };
    let by = match (principal.as_deref(), explanation.client) {
        (Some(""), _) => "for this caller".to_owned(),
        (Some(principal), _) => format!("for the principal {}", printable(principal)),
        (None, Some(client @ IpAddr::V6(_))) => format!("for the addresses {}/64", limited_prefix(client)),
        (None, Some(client)) => format!("for the address {client}"),
        (None, None) => "for the address".to_owned(),
    };
    steps.step(&Went::Told, "limit", &format!("{rate} {by}; what was counted so far only the gateway knows"));
}

fn route(explanation: &Explanation, steps: &mut Steps) -> bool {
    if let Some(matched) = &explanation.matched {
        let spec = matched.route.spec();
        steps.step(&Went::Well, "route", &format!("{} ({}) {}", spec.name, trace::at(&spec.place), spec.path));
        for segment in spec.path.split('/') {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            if let Some((name, value)) = name.and_then(|name| Some((name, matched.params.get(name)?))) {
                steps.more(&format!("{{{name}}} is \"{}\"", printable(&value)));
            }
        }
    } else {
        let why = refusal(explanation).map(|refusal| refusal.detail().into_owned()).unwrap_or_default();
        steps.step(&Went::Badly, "route", &why);
    }
    if !explanation.losers.is_empty() {
        let title = if explanation.matched.is_some() { "not these:" } else { "the nearest:" };
        steps.more(title);
        let losers = trace::losers(&explanation.losers, &format!("{INDENT}  "), steps.paint);
        steps.text.push_str(&losers);
    }
    explanation.matched.is_some()
}

fn credential(told: &Told, steps: &mut Steps) {
    let explanation = &told.answer.explanation;
    let Some(Matched { route, .. }) = &explanation.matched else { return };
    let kinds = [CredentialKind::Bearer, CredentialKind::ApiKey, CredentialKind::Session];
    let kinds: Vec<_> =
        kinds.into_iter().filter(|kind| route.spec().credentials.contains(*kind)).map(CredentialKind::as_str).collect();
    let looks = format!("it looks at {}", kinds.join(", "));
    if route.spec().auth == AuthMode::None {
        steps.step(&Went::Well, "credential", "auth = \"none\": nobody looks at it");
        return;
    }
    match &explanation.accepted {
        Some(accepted) => {
            let (went, standing) = match explanation.standing {
                Some(Standing::Live) | None => (Went::Well, ""),
                Some(Standing::Revoked) => (Went::Badly, ", and was revoked"),
                Some(Standing::Unknown) => (Went::Badly, ", and nobody can say whether it was revoked"),
            };
            let what = if told.supposed.is_some() { "supposed to be good" } else { "verified" };
            steps.step(&went, "credential", &format!("{}: {what}{standing}", accepted.principal.method));
            steps.more(&printable(&described(Some(&shown(&accepted.principal)))));
            if let Some(end) = accepted.expires_at {
                steps.more(&format!("it ends {end} ({})", distance(end)));
            }
        }
        None if explanation.presented.is_empty() => {
            let went = if route.spec().auth == AuthMode::Required { Went::Badly } else { Went::Well };
            steps.step(&went, "credential", &format!("none; auth = {}, and {looks}", auth(route.spec().auth)));
        }
        None => {
            let why = refusal(explanation).map(|refusal| refusal.detail().into_owned()).unwrap_or_default();
            let came: Vec<_> = explanation.presented.iter().map(|kind| kind.as_str()).collect();
            steps.step(&Went::Badly, "credential", &format!("{}: {why}", came.join(" and ")));
            if let Some(why) = told.answer.api_key {
                steps.more(&format!("the key: {why}"));
            }
            if let Some((header, claims)) = told.token() {
                unverified(&header, &claims, steps);
            }
        }
    }
}

/// A principal as it is described: a token's standard claims are said otherwise already.
pub(super) fn shown(principal: &Principal) -> Principal {
    const SAID: [&str; 15] = [
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "nbf",
        "jti",
        "sid",
        "client_id",
        "scope",
        "roles",
        "gen",
        "preferred_username",
        "attributes",
        "auth_time",
    ];
    let mut principal = principal.clone();
    principal.claims.retain(|name, _| !SAID.contains(&name.as_str()));
    principal
}

/// What a token that was refused says of itself.
fn unverified(header: &Map<String, Value>, claims: &Map<String, Value>, steps: &mut Steps) {
    let say = |members: &Map<String, Value>, names: &[&str]| {
        let said = names.iter().filter_map(|name| Some(format!("{name} {}", members.get(*name)?)));
        printable(&said.collect::<Vec<_>>().join(", "))
    };
    steps.more(&format!("the token says of itself: {}", say(header, &["alg", "typ", "kid"])));
    steps.more(&format!("  {}", say(claims, &["iss", "aud", "sub", "preferred_username", "scope"])));
    if let Some(end) = claims.get("exp").and_then(Value::as_i64) {
        let end = Timestamp::from_secs(end);
        steps.more(&format!("  exp {end} ({})", distance(end)));
    }
}

/// `in 14m`, `3h 2m ago`
pub(super) fn distance(moment: Timestamp) -> String {
    use crate::domain::Clock as _;
    let now = crate::domain::SystemClock::default().now();
    let whole = |span: Duration| humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    if moment > now { format!("in {}", whole(moment.since(now))) } else { format!("{} ago", whole(now.since(moment))) }
}

const fn auth(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::Required => "\"required\"",
        AuthMode::Optional => "\"optional\"",
        AuthMode::None => "\"none\"",
    }
}

fn asks(explanation: &Explanation, steps: &mut Steps) {
    if explanation.checks.is_empty() {
        steps.step(&Went::Well, "asks", "nothing of the caller");
        return;
    }
    let unmet = explanation.checks.iter().filter(|check| !check.met).count();
    let (went, says) = match (explanation.accepted.is_some(), unmet) {
        (false, _) => (Went::Told, "of a caller that is known:".to_owned()),
        (true, 0) => (Went::Well, "all is met:".to_owned()),
        (true, unmet) => (Went::Badly, format!("{unmet} of {} not met:", explanation.checks.len())),
    };
    steps.step(&went, "asks", &says);
    let checks = trace::checks(&explanation.checks, INDENT, steps.paint);
    steps.text.push_str(&checks);
}

fn result(explanation: &Explanation, steps: &mut Steps) {
    match &explanation.conclusion {
        Conclusion::Own => steps.step(&Went::Well, "result", "the gateway answers itself"),
        Conclusion::Redirected(given) => answer(&Went::Well, "sent to HTTPS", given, steps),
        Conclusion::Preflight(given) => answer(&Went::Well, "the gateway answers the preflight", given, steps),
        Conclusion::Allowed(sent) => {
            allowed(sent, explanation.observed.as_ref(), steps);
        }
        Conclusion::Refused { refusal, answer: given } => answer(&Went::Badly, refusal.code(), given, steps),
    }
}

fn answer(went: &Went, says: &str, answer: &Answer, steps: &mut Steps) {
    steps.step(went, "result", &format!("{} {says}", answer.status.as_u16()));
    for (name, value) in &answer.headers {
        steps.more(&field(name, Some(value)));
    }
    if !answer.body.is_empty() {
        steps.more(&String::from_utf8_lossy(&answer.body));
    }
}

fn allowed(sent: &Sent, observed: Option<&Observed>, steps: &mut Steps) {
    let spec = sent.permit.route().spec();
    let (name, url) = match &spec.backend {
        Some(backend) => (backend.name.as_str(), super::json::upstream(sent)),
        None => ("none", sent.target.clone()),
    };
    steps.step(&Went::Well, "result", &format!("allow: to backend `{name}`"));
    if let Some(Observed { code, detail }) = observed {
        steps.more("only because the route observes (enforce = false): it passes as nobody's, and counts as would_deny");
        steps.more(&format!("enforced it would be refused as {code}: {}", printable(detail)));
    }
    steps.more(&format!("URL {}", printable(&url)));
    if let Some(host) = &sent.host {
        steps.more(&format!("Host: {host}"));
    }
    for (name, value) in &sent.set {
        steps.more(&field(name, value.as_ref()));
    }
    for (what, names) in [("removed from", &sent.removed), ("replaced in", &sent.replaced)] {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
            steps.more(&format!("{what} what the client sent: {}", names.join(", ")));
        }
    }
}

fn field(name: &HeaderName, value: Option<&HeaderValue>) -> String {
    let value = value.map_or_else(|| "***".to_owned(), |value| printable(&scrub(&String::from_utf8_lossy(value.as_bytes()))));
    format!("{name}: {value}")
}
