//! A request's way through the gateway without sending it: the same functions in the same order as in
//! `Gateway`, with what each saw kept for people to read.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::{Ctx, Recorded};
use super::cors::{self, Preflight};
use super::facts::{Facts, split_query};
use super::line::{Line, Peer, Request};
use super::live::Shared;
use super::patience::Patience;
use super::way::Way;
use super::{decide, redirect, refuse, upstream};
use crate::config::{Config, Rate};
use crate::credential::{Accepted, Identity, identify};
use crate::domain::{CredentialKind, Principal};
use crate::policy::target::Target;
use crate::policy::{AuthMode, Check, Found, Loss, Matched, Permit, Route};
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
    /// Whether it comes to a listener that sends every request to HTTPS.
    pub redirect: bool,
}

impl Question {
    /// Whether there is a credential to be judged.
    #[must_use]
    pub fn presents_something(&self, config: &Config) -> bool {
        let query = self.target.splitn(2, |&byte| byte == b'?').nth(1).and_then(|query| std::str::from_utf8(query).ok());
        let (_, keys) = split_query(query, config.api_keys.query_parameter.as_deref());
        !keys.is_empty() || self.headers.contains_key(AUTHORIZATION) || self.headers.contains_key(config.api_keys.header.as_str())
    }
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
    /// The path of the gateway's own that its path is an alias of.
    pub alias: Option<String>,
    /// What it asks for, where it is a preflight for a route.
    pub preflight: Option<Asked>,
    /// The route that takes it, or that a preflight is for.
    pub matched: Option<Matched>,
    /// Why the other routes do not, the nearest first.
    pub losers: Vec<(Arc<Route>, Loss)>,
    /// The kinds of credential that came with it and that the route looks at.
    pub presented: Vec<CredentialKind>,
    /// Whom the credential proves.
    pub accepted: Option<Accepted>,
    /// What is known of its revocation.
    pub standing: Option<Standing>,
    /// What the route asks, one by one.
    pub checks: Vec<Check>,
    /// The limit that it counts for, where it comes to that.
    pub limit: Option<Limit>,
    /// The limit of the API key's own, where it comes to that.
    pub key_limit: Option<Rate>,
    /// What a route which only observes does not make of it.
    pub observed: Option<Observed>,
    /// What becomes of it.
    pub conclusion: Conclusion,
}

/// A preflight.
#[derive(Debug)]
pub struct Asked {
    /// The method that it asks for.
    pub method: Method,
    /// Whose business it is: `gateway` or `backend`; nothing where it is an ordinary request.
    pub answered_by: Option<&'static str>,
}

/// A route's `rate_limit`, and for whom a call counts. What was counted already nobody knows here.
#[derive(Debug)]
pub struct Limit {
    /// How many in what time.
    pub rate: Rate,
    /// The principal; nothing where calls count by address.
    pub principal: Option<String>,
}

/// A refusal that is not made.
#[derive(Debug)]
pub struct Observed {
    /// Its code.
    pub code: &'static str,
    /// What the client would have been told.
    pub detail: String,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Conclusion {
    /// An endpoint of the gateway answers it.
    Own,
    /// The listener answers it: it sends to HTTPS.
    Redirected(Box<Answer>),
    /// The gateway answers the preflight.
    Preflight(Box<Answer>),
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
    let peer = Peer { tls: question.tls, redirect: question.redirect, ..Peer::at(question.client) };
    ctx.line = Some(Line::new(peer, request, Arc::new(Patience::new()), Arc::default()));
    let read = decide::read(&question.headers, version, &mut ctx, shared);
    let mut told = Explanation {
        target: None,
        query: None,
        client: ctx.client(),
        alias: None,
        preflight: None,
        matched: None,
        losers: Vec::new(),
        presented: Vec::new(),
        accepted: None,
        standing: None,
        checks: Vec::new(),
        limit: None,
        key_limit: None,
        observed: None,
        conclusion: Conclusion::Own,
    };
    let facts = match read {
        Ok(facts) => facts,
        Err(refusal) => {
            told.conclusion = refused(refusal, question, &ctx);
            return told;
        }
    };
    told.target = Some(facts.target.clone());
    told.query.clone_from(&facts.query);
    let way = Way::of(&question.headers, &facts, &ctx);
    told.preflight = asked(&way, question);
    let decided = match way {
        Way::Own => {
            told.alias = ctx.live.config.auth.alias(facts.target.path.as_str()).map(Cow::into_owned);
            return told;
        }
        Way::ToHttps => {
            let answer = redirect::elsewhere(&facts, &ctx.live.config.server.public_url);
            told.conclusion =
                answer.map_or(told.conclusion, |answer| Conclusion::Redirected(Box::new(whole(answer, question, &ctx))));
            return told;
        }
        Way::Route(Preflight::Answered(matched, cors, methods)) => {
            let head = cors::head(&question.headers, &ctx, &cors, &methods).map(|head| as_answer(&head)).ok();
            told.conclusion = head.map_or(told.conclusion, |answer| Conclusion::Preflight(Box::new(answer)));
            told.is_for(matched, &facts, &ctx);
            return told;
        }
        Way::Route(Preflight::Passed(matched)) => {
            let decided = decide::pass(&question.headers, &matched, &mut ctx, shared).await;
            told.is_for(matched, &facts, &ctx);
            decided
        }
        Way::Route(Preflight::Ordinary) => {
            told.look(question, &facts, &ctx, shared).await;
            decide::decide(&question.headers, &facts, &mut ctx, shared).await
        }
    };
    ctx.facts = Some(Arc::new(facts));
    told.decided(decided, question, &mut ctx);
    told
}

fn asked(way: &Way, question: &Question) -> Option<Asked> {
    let Way::Route(preflight) = way else { return None };
    let answered_by = match preflight {
        Preflight::Ordinary => None,
        Preflight::Answered(..) => Some("gateway"),
        Preflight::Passed(_) => Some("backend"),
    };
    Some(Asked { method: cors::asked_method(&question.method, &question.headers)?, answered_by })
}

fn refused(refusal: Refusal, question: &Question, ctx: &Ctx) -> Conclusion {
    let answer = Box::new(whole(refuse::answer_to(&refusal, ctx), question, ctx));
    Conclusion::Refused { refusal, answer }
}

/// An answer with all that the client gets of its head.
fn whole(answer: Answer, question: &Question, ctx: &Ctx) -> Answer {
    let head = refuse::head(&question.headers, ctx, &answer);
    head.map(|head| Answer { body: answer.body.clone(), ..as_answer(&head) }).unwrap_or(answer)
}

fn as_answer(head: &ResponseHeader) -> Answer {
    let headers = head.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Answer { status: head.status, headers, body: Vec::new() }
}

impl Explanation {
    /// Sees which route there is for `method`, and why it is not another.
    fn survey(&mut self, facts: &Facts, method: &Method, ctx: &Ctx) -> Found {
        let survey = ctx.live.table.survey(facts.target.host.as_deref(), &facts.target.path, method);
        self.losers = survey.losers;
        survey.found
    }

    /// Takes note of the route that a preflight is for.
    fn is_for(&mut self, matched: Matched, facts: &Facts, ctx: &Ctx) {
        if let Some(method) = self.preflight.as_ref().map(|asked| asked.method.clone()) {
            self.survey(facts, &method, ctx);
        }
        self.matched = Some(matched);
    }

    /// Takes note of what was decided.
    fn decided(&mut self, decided: Result<Permit, Refusal>, question: &Question, ctx: &mut Ctx) {
        if let Ok(permit) = &decided
            && let (Some(rate), Some(_)) = (permit.route().spec().rate_limit, &ctx.allowance)
        {
            self.limit = Some(Limit { rate, principal: permit.principal().map(Principal::id) });
        }
        if decided.is_ok() && ctx.key_allowance.is_some() {
            self.key_limit = self.accepted.as_ref().and_then(|accepted| accepted.rate_limit);
        }
        if let (Ok(_), "would_deny", Some(code)) = (&decided, ctx.decision, ctx.reason) {
            self.observed = Some(Observed { code, detail: ctx.detail.clone().unwrap_or_default() });
        }
        self.conclusion = match decided.and_then(|permit| sent(permit, question, ctx)) {
            Ok(sent) => Conclusion::Allowed(Box::new(sent)),
            Err(refusal) => refused(refusal, question, ctx),
        };
    }

    /// Sees what the decision sees.
    async fn look(&mut self, question: &Question, facts: &Facts, ctx: &Ctx, shared: &Shared) {
        let live = &ctx.live;
        let (Ok(matched), Some(origin)) = (self.survey(facts, &facts.method, ctx).into_match(), &ctx.origin) else { return };
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
        self.checks = matched.checks(self.accepted.as_ref().map(|accepted| &*accepted.principal));
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
