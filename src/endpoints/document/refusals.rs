//! The refusals that many endpoints share, put onto each operation by what it takes; each with what really would be sent.

use std::time::Duration;

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

use super::complete::operations;
use crate::config::Config;
use crate::problem::{Context, Document, Quota, Refusal};

const PROBLEM: &str = "application/problem+json";

/// Adds the schema of problem documents, the shared refusals as components, and both to the operations.
pub(super) fn add(document: &mut Value, config: &Config) {
    let shared = shared();
    let Some(document) = document.as_object_mut() else { return };
    let by_default = asks_credential(document.get("security"));
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for operation in operations(paths) {
            refine(operation, by_default, &shared);
        }
    }
    let Some(components) = document.entry("components").or_insert_with(|| json!({})).as_object_mut() else { return };
    if let Some(schemas) = components.entry("schemas").or_insert_with(|| json!({})).as_object_mut() {
        schemas.insert("Problem".to_owned(), serde_json::to_value(Document::schema()).unwrap_or_default());
    }
    let responses = shared.iter().map(|shared| (shared.name.to_owned(), shared.response(config)));
    components.insert("responses".to_owned(), responses.collect::<Map<_, _>>().into());
}

/// What decides which refusals an operation can meet.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations are possible")]
struct Takes {
    credential: bool,
    body: bool,
    in_path: bool,
    in_query: bool,
    /// It refuses in the JSON of a standard; only what refuses before it is reached says so in a problem document.
    is_of_oauth: bool,
}

/// Refusals of one status.
struct Shared {
    name: &'static str,
    description: &'static str,
    headers: &'static [(&'static str, &'static str)],
    meets: fn(&Takes) -> bool,
    refusals: Vec<Refusal>,
}

impl Shared {
    fn status(&self) -> Option<String> {
        Some(self.refusals.first()?.status().as_str().to_owned())
    }

    fn response(&self, config: &Config) -> Value {
        let context = Context {
            realm: &config.auth.realm,
            api_key_header: &config.api_keys.header,
            request_id: "019ab6f2-8d3c-7c41-9a53-0f1e2d3c4b5a",
        };
        let example = |refusal: &Refusal| {
            let body: Value = serde_json::from_slice(&refusal.answer(&context).body).unwrap_or_default();
            (refusal.code().to_owned(), json!({ "value": body }))
        };
        let examples: Map<String, Value> = self.refusals.iter().map(example).collect();
        let header = |(name, description): &(&str, &str)| {
            ((*name).to_owned(), json!({ "description": description, "schema": { "type": "string" } }))
        };
        let headers: Map<String, Value> = self.headers.iter().map(header).collect();
        json!({
            "description": self.description,
            "headers": headers,
            "content": { PROBLEM: { "schema": problem(), "examples": examples } },
        })
    }
}

fn problem() -> Value {
    json!({ "$ref": "#/components/schemas/Problem" })
}

/// Adds what `operation` does not say itself. A refusal that it tells of without its content is a problem document.
fn refine(operation: &mut Map<String, Value>, by_default: bool, shared: &[Shared]) {
    let has_parameter = |place: &str| {
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters.filter_map(|parameter| parameter.get("in")).any(|at| at == place)
    };
    let takes = Takes {
        credential: operation.get("security").map_or(by_default, |own| asks_credential(Some(own))),
        body: operation.contains_key("requestBody"),
        in_path: has_parameter("path"),
        in_query: has_parameter("query"),
        is_of_oauth: operation.get("tags").and_then(Value::as_array).is_some_and(|tags| tags.contains(&json!("oauth"))),
    };
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in responses.iter_mut() {
        if let Some(response) = response.as_object_mut()
            && status.starts_with(['4', '5'])
            && !response.contains_key("$ref")
        {
            let content = response.entry("content").or_insert_with(|| json!({}));
            if let Some(content) = content.as_object_mut()
                && (content.is_empty() || status == "400")
            {
                content.entry(PROBLEM).or_insert_with(|| json!({ "schema": problem() }));
            }
        }
    }
    for shared in shared.iter().filter(|shared| (shared.meets)(&takes)) {
        if let Some(status) = shared.status() {
            let reference = || json!({ "$ref": format!("#/components/responses/{}", shared.name) });
            responses.entry(status).or_insert_with(reference);
        }
    }
}

/// Whether one of `requirements` is a credential: an empty one stands for none.
fn asks_credential(requirements: Option<&Value>) -> bool {
    let requirements = requirements.and_then(Value::as_array).into_iter().flatten();
    requirements.filter_map(Value::as_object).any(|requirement| !requirement.is_empty())
}

const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "What to send (RFC 6750 §3).");
const RETRY_AFTER: (&str, &str) = ("Retry-After", "When to try again, in seconds.");

fn shared() -> Vec<Shared> {
    let moment = Duration::from_secs(1);
    let quota = Quota { policy: "login", limit: 5, window: Duration::from_mins(1), retry_after: moment };
    vec![
        Shared {
            name: "BadRequest",
            description: "A target that could be read in two ways, two credentials, or one that is malformed.",
            headers: &[CHALLENGE],
            meets: |_| true,
            refusals: vec![Refusal::InvalidRequest("Send one credential."), Refusal::AmbiguousTarget("an empty segment")],
        },
        Shared {
            name: "Unauthorized",
            description: "No credential, or none that is good.",
            headers: &[CHALLENGE],
            meets: |takes| takes.credential && !takes.is_of_oauth,
            refusals: vec![
                Refusal::MissingCredential(None),
                Refusal::InvalidToken("The token has expired."),
                Refusal::InvalidApiKey,
                Refusal::InvalidSession,
            ],
        },
        Shared {
            name: "Forbidden",
            description: "A scope or a role is missing, or this account may not do it.",
            headers: &[CHALLENGE],
            meets: |takes| takes.credential && !takes.is_of_oauth,
            refusals: vec![
                Refusal::InsufficientScope(crate::domain::Scope::ACCOUNT.to_owned()),
                Refusal::Forbidden("This account may not do that."),
            ],
        },
        Shared {
            name: "NotFound",
            description: "There is no such thing, or it is somebody else's.",
            headers: &[],
            meets: |takes| takes.in_path,
            refusals: vec![Refusal::NotFound("thing"), Refusal::NoRoute],
        },
        Shared {
            name: "MethodNotAllowed",
            description: "The path takes other methods.",
            headers: &[("Allow", "The methods that it takes.")],
            meets: |_| true,
            refusals: vec![Refusal::MethodNotAllowed("GET, HEAD".to_owned())],
        },
        Shared {
            name: "RequestTimeout",
            description: "The body did not arrive in time.",
            headers: &[],
            meets: |takes| takes.body,
            refusals: vec![Refusal::RequestTimeout],
        },
        Shared {
            name: "ContentTooLarge",
            description: "The body is over 16 KiB.",
            headers: &[],
            meets: |takes| takes.body,
            refusals: vec![Refusal::BodyTooLarge(16 * 1024)],
        },
        Shared {
            name: "UnsupportedMediaType",
            description: "The body comes in a format that is not taken.",
            headers: &[],
            meets: |takes| takes.body,
            refusals: vec![Refusal::UnsupportedMediaType("application/json")],
        },
        Shared {
            name: "UnprocessableContent",
            description: "A field or parameter is missing, of another type, or not what it may be: `field` names it.",
            headers: &[],
            meets: |takes| (takes.body || takes.in_query) && !takes.is_of_oauth,
            refusals: vec![Refusal::InvalidBody { field: "name".into(), detail: "`name` is missing.".into() }],
        },
        Shared {
            name: "TooManyRequests",
            description: "A rate limit is used up.",
            headers: &[
                RETRY_AFTER,
                ("RateLimit", "What is left (draft-ietf-httpapi-ratelimit-headers)."),
                ("RateLimit-Policy", "What there is of it."),
            ],
            meets: |takes| takes.credential || takes.body,
            refusals: vec![Refusal::RateLimited(quota)],
        },
        Shared {
            name: "HeadersTooLarge",
            description: "The header fields are too large or too many.",
            headers: &[],
            meets: |_| true,
            refusals: vec![Refusal::HeadersTooLarge],
        },
        Shared {
            name: "Unavailable",
            description: "What is needed to decide can't be asked at the moment.",
            headers: &[RETRY_AFTER],
            meets: |_| true,
            refusals: vec![Refusal::Unavailable { detail: "The store can't be reached. Try again.", retry_after: moment }],
        },
    ]
}
