//! Asking an issuer for its keys, over HTTP: one URL that the operator named, or that the issuer's metadata names by the same
//! rules. No redirect is followed and no proxy of the environment is used, so that nobody else says where keys come from.

use std::error::Error;
use std::time::Duration;

use headers::{Age, CacheControl, HeaderMapExt as _};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use tokio::time::timeout;

use super::super::strict_json;
use super::key_set::KeySet;
use crate::config::{FetchUrl, IssuerKeys};

/// For metadata and keys together, from the first byte to the last.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// A longer answer is refused, in bytes. Sets of a hundred keys with their certificates are a quarter of it.
const MAX_LENGTH: usize = 512 * 1024;
/// How long keys count as fresh at least, at most, and where the issuer does not say.
const MIN_FRESH: Duration = Duration::from_mins(1);
const MAX_FRESH: Duration = Duration::from_hours(1);
const USUAL_FRESH: Duration = Duration::from_mins(10);

/// Why there are no keys; for the log.
pub(super) type Fault = String;

/// Keys that were fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// How long they count as fresh.
    pub(super) fresh: Duration,
}

/// Fetches keys.
#[derive(Debug)]
pub(super) struct Fetcher {
    /// Or why there can be none.
    client: Result<Client, Fault>,
}

impl Fetcher {
    pub(super) fn new() -> Self {
        let client = Client::builder()
            .user_agent("portcullis")
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // Minutes lie between two questions.
            .pool_max_idle_per_host(0)
            .build();
        Self { client: client.map_err(|error| chain(&error)) }
    }

    /// The keys of the issuer that is called `iss`.
    pub(super) async fn keys(&self, iss: &str, from: &IssuerKeys) -> Result<Fetched, Fault> {
        timeout(DEADLINE, self.ask(iss, from)).await.unwrap_or_else(|_| Err(format!("no whole answer within {DEADLINE:?}")))
    }

    async fn ask(&self, iss: &str, from: &IssuerKeys) -> Result<Fetched, Fault> {
        let discovered;
        let url = match from {
            IssuerKeys::Url(url) => url,
            IssuerKeys::Discovery(metadata) => {
                discovered = self.discover(iss, metadata).await?;
                &discovered
            }
            IssuerKeys::File { .. } | IssuerKeys::Secret(_) => return Err("they are not to be fetched".to_owned()),
        };
        let (body, fresh) = self.get(url).await?;
        let keys = KeySet::read(&body).map_err(|why| format!("what {} answers {why}", url.as_str()))?;
        Ok(Fetched { keys, fresh })
    }

    /// Where the issuer's metadata says that its keys are (`OpenID` Connect Discovery 1.0 §4.3).
    async fn discover(&self, iss: &str, metadata: &FetchUrl) -> Result<FetchUrl, Fault> {
        let (body, _) = self.get(metadata).await?;
        let about = |why: &str| format!("what {} answers {why}", metadata.as_str());
        let document = strict_json::object(body.trim_ascii_start()).ok_or_else(|| about("is no JSON object"))?;
        let named = document.get("issuer").and_then(Value::as_str);
        if named != Some(iss) {
            return Err(about(&format!("is the metadata of {:.128?}, not of {iss:?}", named.unwrap_or_default())));
        }
        let url = document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| about("has no jwks_uri"))?;
        let url = FetchUrl::parse(url).map_err(|why| about(&format!("has a jwks_uri that {why}")))?;
        // Who answers from elsewhere must not send us to what listens on this machine.
        if url.is_plain() && !metadata.is_plain() {
            return Err(about("has a jwks_uri on this machine"));
        }
        Ok(url)
    }

    async fn get(&self, url: &FetchUrl) -> Result<(Vec<u8>, Duration), Fault> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let about = |why: &str| format!("{} {why}", url.as_str());
        let asked = client.get(url.as_str()).header("accept", "application/json, application/jwk-set+json");
        let mut answer =
            asked.send().await.map_err(|error| about(&format!("can't be reached: {}", chain(&error.without_url()))))?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => {
                return Err(about(&format!("answers {status}: redirects are not followed, name the place itself")));
            }
            status => return Err(about(&format!("answers {status}"))),
        }
        let fresh = freshness(&answer);
        let mut body = Vec::new();
        loop {
            let piece = answer.chunk().await.map_err(|error| about(&format!("breaks off: {}", chain(&error.without_url()))))?;
            let Some(piece) = piece else { return Ok((body, fresh)) };
            if body.len() + piece.len() > MAX_LENGTH {
                return Err(about("answers more than 512 KiB"));
            }
            body.extend_from_slice(&piece);
        }
    }
}

/// How long an answer counts as fresh (RFC 9111 §4.2), within bounds.
fn freshness(answer: &Response) -> Duration {
    let headers = answer.headers();
    let Some(rules) = headers.typed_get::<CacheControl>() else { return USUAL_FRESH };
    if rules.no_store() || rules.no_cache() {
        return MIN_FRESH;
    }
    let age = headers.typed_get::<Age>().map(|age| Duration::from_secs(age.as_secs())).unwrap_or_default();
    rules.max_age().map_or(USUAL_FRESH, |max_age| max_age.saturating_sub(age)).clamp(MIN_FRESH, MAX_FRESH)
}

/// An error with what is behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
