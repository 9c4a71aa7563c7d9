//! The same as one object; docs/explain.md says what its members mean.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::Told;
use super::text::distance;
use crate::cli::trace;
use crate::config::Scheme;
use crate::domain::Timestamp;
use crate::policy::blame::blame;
use crate::problem::{Answer, Refusal};
use crate::proxy::explain::{Conclusion, Explanation, Sent};
use crate::revocation::Standing;
use crate::telemetry::scrub;

pub(super) fn render(told: &Told) -> Value {
    let explanation = &told.answer.explanation;
    let (decision, status, code, answer, backend) = match &explanation.conclusion {
        Conclusion::Own => ("own", None, None, Value::Null, Value::Null),
        Conclusion::Redirected(answer) => ("redirect", None, None, answer_json(answer), Value::Null),
        Conclusion::Preflight(answer) => ("preflight", None, None, answer_json(answer), Value::Null),
        Conclusion::Allowed(sent) => ("allow", None, None, Value::Null, sent_json(sent)),
        Conclusion::Refused { refusal, answer } => {
            ("deny", Some(refusal.status().as_u16()), Some(refusal.code()), answer_json(answer), Value::Null)
        }
    };
    json!({
        "allowed": decision != "deny",
        "would_deny": explanation.observed.as_ref().map(|observed| observed.code),
        "would_deny_detail": explanation.observed.as_ref().map(|observed| &observed.detail),
        "decision": decision,
        "status": status,
        "code": code,
        "request": {
            "method": told.question.method.as_str(),
            "url": told.url,
            "client": explanation.client.map(|client| client.to_string()),
        },
        "target": target(told),
        "own": matches!(explanation.conclusion, Conclusion::Own),
        "alias_of": explanation.alias,
        "preflight": explanation.preflight.as_ref().map(|asked| json!({
            "method": asked.method.as_str(),
            "answered_by": asked.answered_by,
        })),
        "route": explanation.matched.as_ref().map(|matched| trace::route_json(&matched.route)),
        "losers": trace::losers_json(&explanation.losers),
        "credential": credential(told),
        "checks": trace::checks_json(&explanation.checks),
        "limit": explanation.limit.as_ref().map(|limit| json!({
            "rate": limit.rate.to_string(),
            "by": if limit.principal.is_some() { "principal" } else { "address" },
        })),
        "key_limit": explanation.key_limit.map(|rate| rate.to_string()),
        "backend": backend,
        "answer": answer,
    })
}

fn answer_json(answer: &Answer) -> Value {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let headers = fields(answer.headers.iter().map(|(name, value)| (name, Some(value))));
    json!({ "status": answer.status.as_u16(), "headers": headers, "body": body })
}

fn target(told: &Told) -> Value {
    let explanation = &told.answer.explanation;
    let fault = match &explanation.conclusion {
        Conclusion::Refused { refusal: Refusal::AmbiguousTarget(what), .. } => {
            let blame = blame(&told.url);
            json!({
                "why": what,
                "part": blame.as_ref().and_then(|blame| told.url.get(blame.part.clone())),
                "allow_in_path": blame.and_then(|blame| blame.allow),
            })
        }
        Conclusion::Own
        | Conclusion::Redirected(_)
        | Conclusion::Preflight(_)
        | Conclusion::Allowed(_)
        | Conclusion::Refused { .. } => Value::Null,
    };
    let target = explanation.target.as_ref();
    json!({
        "path": target.map(|target| target.path.as_str()),
        "query": explanation.query,
        "host": target.and_then(|target| target.host.as_deref()),
        "fault": fault,
    })
}

fn credential(told: &Told) -> Value {
    let explanation: &Explanation = &told.answer.explanation;
    let caller = explanation.accepted.as_ref().map(|accepted| {
        let principal = &accepted.principal;
        json!({
            "kind": principal.method.as_str(),
            "subject": principal.shown(&principal.subject),
            "username": principal.username,
            "roles": principal.roles,
            "scopes": principal.scopes.to_string(),
            "attributes": principal.attributes,
            "claims": principal.claims,
            "expires_at": accepted.expires_at.map(|end| end.to_string()),
            "session": principal.session.map(|id| id.to_string()),
            "key": principal.key.as_ref().map(crate::domain::KeyId::as_str),
        })
    });
    let refused = explanation.accepted.is_none();
    json!({
        "supposed": told.supposed.is_some(),
        "presented": explanation.presented.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "caller": caller,
        "revocation": explanation.standing.map(|standing| match standing {
            Standing::Live => "live",
            Standing::Revoked => "revoked",
            Standing::Unknown => "unknown",
        }),
        "api_key_refused": told.answer.api_key,
        "unverified_token": told.token().filter(|_| refused).map(|(header, claims)| {
            let end = claims.get("exp").and_then(Value::as_i64).map(Timestamp::from_secs);
            json!({ "header": header, "claims": claims, "expires": end.map(distance) })
        }),
    })
}

fn sent_json(sent: &Sent) -> Value {
    let spec = sent.permit.route().spec();
    json!({
        "name": spec.backend.as_ref().map(|backend| backend.name.as_str()),
        "url": upstream(sent),
        "host": sent.host,
        "set": fields(sent.set.iter().map(|(name, value)| (name, value.as_ref()))),
        "removed": sent.removed.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
        "replaced": sent.replaced.iter().map(HeaderName::as_str).collect::<Vec<_>>(),
    })
}

/// Where the request goes: its first server, and the path after the rewrite.
pub(super) fn upstream(sent: &Sent) -> String {
    let backend = sent.permit.route().spec().backend.as_ref();
    let server = backend.and_then(|backend| Some((scheme(&backend.scheme), backend.servers.first()?)));
    server.map_or_else(|| sent.target.clone(), |(scheme, server)| format!("{scheme}://{}{}", server.address, sent.target))
}

/// Several fields of one name stand in one value.
fn fields<'a>(all: impl Iterator<Item = (&'a HeaderName, Option<&'a HeaderValue>)>) -> Map<String, Value> {
    let mut members: Map<String, Value> = Map::new();
    for (name, value) in all {
        let value =
            value.map_or_else(|| "***".to_owned(), |value| scrub(&String::from_utf8_lossy(value.as_bytes())).into_owned());
        let whole = match members.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value,
        };
        members.insert(name.as_str().to_owned(), whole.into());
    }
    members
}

const fn scheme(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::Http | Scheme::H2c => "http",
        Scheme::Https(_) => "https",
    }
}
