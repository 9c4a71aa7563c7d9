//! A request's way through the gateway without sending it: the same functions in the same order as in
//! [`Gateway`](super::Gateway), with what each saw kept for people to read.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use pingora_http::RequestHeader;

use super::context::{Ctx, Recorded};
use super::decide;
use super::facts::Facts;
use super::line::{Line, Peer, Request};
use super::live::Shared;
use super::patience::Patience;
use super::refuse::context;
use super::upstream;
use crate::credential::{Accepted, Identity, identify};
use crate::domain::CredentialKind;
use crate::policy::target::Target;
use crate::policy::{AuthMode, Check, Loss, Matched, Permit, Route};
use crate::problem::{Answer, Refusal};
use crate::revocation::Standing;

/// A request that is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its method.
    pub method: Method,
    /// Its target as it would stand in the request line.
    pub target: Bytes,
    /// Its `Host` fields; none is HTTP/1.0, where the target may say it all.
    pub hosts: Vec<Bytes>,
    /// Its other header fields.
    pub headers: HeaderMap,
    /// Who connects.
    pub client: IpAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// What becomes of it, and why.
#[derive(Debug)]
pub struct Explanation {
    /// What it is for; nothing where its target is refused.
    pub target: Option<Target>,
    /// Its query, less an API key.
    pub query: Option<String>,
    /// Who is taken for the client.
    pub client: Option<IpAddr>,
    /// The route that takes it.
    pub matched: Option<Matched>,
    /// Why the other routes do not, the nearest first.
    pub losers: Vec<(Arc<Route>, Loss)>,
    /// The kinds of credential that came with it and that the route looks at.
    pub presented: Vec<CredentialKind>,
    /// Whom the credential proves.
    pub accepted: Option<Box<Accepted>>,
    /// What is known of its revocation.
    pub standing: Option<Standing>,
    /// What the route asks, one by one.
    pub checks: Vec<Check>,
    /// The code of the refusal that a route which only observes does not make of it.
    pub observed: Option<&'static str>,
    /// What becomes of it.
    pub conclusion: Conclusion,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Conclusion {
    /// The gateway answers it itself.
    Own,
    /// It goes to a backend.
    Allowed(Box<Sent>),
    /// It is refused.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What the client gets.
        answer: Box<Answer>,
    },
}

/// What a backend gets.
#[derive(Debug)]
pub struct Sent {
    /// The permit.
    pub permit: Permit,
    /// Path and query towards the backend.
    pub target: String,
    /// `Host` towards the backend.
    pub host: Option<String>,
    /// Fields that the gateway sets; a value that is a secret is nothing here.
    pub set: Vec<(HeaderName, Option<HeaderValue>)>,
    /// The client's fields that do not reach it.
    pub removed: Vec<HeaderName>,
    /// Those in whose place the gateway sets its own.
    pub replaced: Vec<HeaderName>,
}

/// Judges `question` as the gateway would, and says why.
pub async fn explain(shared: &Arc<Shared>, question: &Question) -> Explanation {
    let mut ctx = Ctx::new(shared);
    // A question is no request: the log has nothing of it.
    ctx.recorded = Recorded::Done;
    let version = if question.hosts.is_empty() { Version::HTTP_10 } else { Version::HTTP_11 };
    let request =
        Request { method: question.method.clone(), target: question.target.clone(), version, hosts: question.hosts.clone() };
    let peer = Peer { tls: question.tls, ..Peer::at(question.client) };
    ctx.line = Some(Line::new(peer, request, Arc::new(Patience::new())));
    let read = decide::read(&question.headers, version, &mut ctx, shared);
    let mut told = Explanation {
        target: None,
        query: None,
        client: ctx.client(),
        matched: None,
        losers: Vec::new(),
        presented: Vec::new(),
        accepted: None,
        standing: None,
        checks: Vec::new(),
        observed: None,
        conclusion: Conclusion::Own,
    };
    let facts = match read {
        Ok(facts) => facts,
        Err(refusal) => {
            told.conclusion = refused(refusal, &ctx);
            return told;
        }
    };
    told.target = Some(facts.target.clone());
    told.query.clone_from(&facts.query);
    if ctx.live.is_own(&facts) {
        return told;
    }
    told.look(question, &facts, &ctx, shared).await;
    let decided = decide::decide(&question.headers, &facts, &mut ctx, shared).await;
    ctx.facts = Some(facts);
    told.observed = ctx.reason.filter(|_| decided.is_ok() && ctx.decision == "would_deny");
    told.conclusion = match decided.and_then(|permit| sent(permit, question, &mut ctx)) {
        Ok(sent) => Conclusion::Allowed(Box::new(sent)),
        Err(refusal) => refused(refusal, &ctx),
    };
    told
}

fn refused(refusal: Refusal, ctx: &Ctx) -> Conclusion {
    let answer = Box::new(refusal.answer(&context(&ctx.live.config, &ctx.request_id)));
    Conclusion::Refused { refusal, answer }
}

impl Explanation {
    /// Sees what the decision sees.
    async fn look(&mut self, question: &Question, facts: &Facts, ctx: &Ctx, shared: &Shared) {
        let live = &ctx.live;
        let survey = live.table.survey(facts.target.host.as_deref(), &facts.target.path, &facts.method);
        self.losers = survey.losers;
        let (Ok(matched), Some(origin)) = (survey.found.into_match(), &ctx.origin) else { return };
        let spec = matched.route.spec();
        if spec.auth != AuthMode::None {
            let presented = facts.presented(&question.headers, origin, &live.config);
            let came = [
                (CredentialKind::Bearer, !presented.authorization.is_empty()),
                (CredentialKind::ApiKey, !presented.api_keys.is_empty()),
                (CredentialKind::Session, !presented.cookies.is_empty()),
            ];
            self.presented =
                came.into_iter().filter(|(kind, came)| *came && spec.credentials.contains(*kind)).map(|(kind, _)| kind).collect();
            if let Ok(Identity::Known(accepted)) = identify(&live.schemes, &presented, spec.credentials, true).await {
                self.standing = Some(shared.revocations.standing(&accepted.concern).await);
                self.accepted = Some(accepted);
            }
        }
        self.checks = matched.checks(self.accepted.as_ref().map(|accepted| &accepted.principal));
        self.matched = Some(matched);
    }
}

/// The request as the backend would get it.
fn sent(permit: Permit, question: &Question, ctx: &mut Ctx) -> Result<Sent, Refusal> {
    let broken = |_| decide::unavailable("The request can't be made.");
    // Any server of the backend will do, where its address is what the backend is called.
    ctx.server = permit.route().spec().backend.as_ref().and_then(|backend| Some(backend.servers.first()?.address.clone()));
    ctx.assertion = ctx.live.assertion(&permit)?;
    ctx.permit = Some(permit.clone());
    let mut request = RequestHeader::build(question.method.clone(), b"/", None).map_err(broken)?;
    for (name, value) in &question.headers {
        request.append_header(name.clone(), value.clone()).map_err(broken)?;
    }
    upstream::nominated(&question.headers, &mut request);
    upstream::request(ctx, &mut request).map_err(broken)?;
    let secret = |name: &HeaderName| permit.route().spec().request_headers.iter().any(|rule| rule.name == *name);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = request.headers.get(HOST).map(text);
    let is_new = |name: &HeaderName, value: &HeaderValue| !question.headers.get_all(name).iter().any(|old| old == value);
    let set = request.headers.iter().filter(|(name, value)| *name != HOST && is_new(name, value));
    let set = set.map(|(name, value)| (name.clone(), (!secret(name)).then(|| value.clone()))).collect();
    let removed = question.headers.keys().filter(|name| !request.headers.contains_key(*name)).cloned().collect();
    let replaced = question.headers.keys().filter(|name| {
        let mut left = request.headers.get_all(*name).iter().peekable();
        left.peek().is_some() && left.all(|value| is_new(name, value))
    });
    let replaced = replaced.cloned().collect();
    let target = String::from_utf8_lossy(request.raw_path()).into_owned();
    Ok(Sent { permit, target, host, set, removed, replaced })
}
