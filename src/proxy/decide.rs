//! From facts to a permit, or a refusal: route, credential, revocation, policy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, Version};

use super::context::Ctx;
use super::facts::{self, Facts};
use super::framing::Fault;
use super::live::{Live, Shared};
use super::refuse::REQUEST_ID;
use super::request_id;
use super::stream::Credential;
use super::websocket;
use crate::credential::{Accepted, Identity, Presented, identify};
use crate::domain::{CredentialKind, Principal};
use crate::limit::{Caller, RouteLimit};
use crate::policy::{AuthMode, Matched, Permit};
use crate::problem::Refusal;
use crate::revocation::Standing;

/// Who and what: the origin is known even where the target is refused.
pub(crate) fn read(headers: &HeaderMap, version: Version, ctx: &mut Ctx, shared: &Shared) -> Result<Facts, Refusal> {
    let line = ctx.line.clone().ok_or(unavailable("The connection is gone."))?;
    let facts = Facts::read(&line, &ctx.live.config);
    let origin = facts::origin(&line, headers, facts.as_ref().ok().map(|facts| &facts.target), &ctx.live.config);
    let sent = headers.get(REQUEST_ID).map(http::HeaderValue::as_bytes);
    ctx.request_id = request_id::kept(sent, origin.trusted).unwrap_or_else(|| request_id::fresh(ctx.begun_at, &*shared.entropy));
    ctx.origin = Some(origin);
    match line.fault() {
        Some(Fault::TooLarge) => return Err(Refusal::HeadersTooLarge),
        Some(_) => return Err(Refusal::InvalidRequest("It is no request.")),
        None => {}
    }
    let facts = facts?;
    expectation(headers, version)?;
    Ok(facts)
}

/// Decides. What it learns on its way stays in `ctx`, for the log. Where the route only observes, who would be refused passes.
pub(crate) async fn decide(headers: &HeaderMap, facts: &Facts, ctx: &mut Ctx, shared: &Shared) -> Result<Permit, Refusal> {
    let live = Arc::clone(&ctx.live);
    let host = facts.target.host.as_deref();
    let matched = live.table.find(host, &facts.target.path, &facts.method).into_match().inspect_err(|_| {
        ctx.unmatched(&live.table.nearest(host, &facts.target.path));
    })?;
    ctx.matched(&matched.route);
    let judged = judge(headers, facts, &matched, ctx, shared).await;
    let (permit, refused) = match judged {
        Ok(permit) => (permit, None),
        Err(refusal) => match matched.route.observe(&refusal, &matched.params) {
            Some(permit) => (permit, Some(refusal)),
            None => return Err(refusal),
        },
    };
    fits(headers, &permit)?;
    ctx.upgrades = is_upgrade(headers, ctx)?;
    ctx.decision = "allow";
    if let Some(refusal) = refused {
        would_deny(&refusal, &matched, ctx, shared);
    }
    Ok(permit)
}

/// Takes note of a refusal that is not made.
fn would_deny(refusal: &Refusal, matched: &Matched, ctx: &mut Ctx, shared: &Shared) {
    shared.metrics.would_deny(&matched.route.spec().name, refusal.code());
    (ctx.decision, ctx.reason) = ("would_deny", Some(refusal.code()));
    ctx.detail = Some(refusal.detail().into_owned());
}

/// Lets a preflight pass that the backend answers itself: as nobody's, counted by address.
pub(crate) async fn pass(headers: &HeaderMap, matched: &Matched, ctx: &mut Ctx, shared: &Shared) -> Result<Permit, Refusal> {
    ctx.matched(&matched.route);
    let permit = matched.route.preflight(&matched.params).unwrap_or(Err(Refusal::NoRoute))?;
    let refused = limit(&permit, ctx).await.err();
    if let Some(refusal) = &refused
        && matched.route.observe(refusal, &matched.params).is_none()
    {
        return Err(refusal.clone());
    }
    fits(headers, &permit)?;
    ctx.decision = "allow";
    if let Some(refusal) = refused {
        would_deny(&refusal, matched, ctx, shared);
    }
    Ok(permit)
}

/// Whether the route lets this caller pass.
async fn judge(headers: &HeaderMap, facts: &Facts, matched: &Matched, ctx: &mut Ctx, shared: &Shared) -> Result<Permit, Refusal> {
    let live = Arc::clone(&ctx.live);
    let caller = match (matched.route.spec().auth, &ctx.origin) {
        (AuthMode::None, _) | (_, None) => None,
        (_, Some(origin)) => {
            let presented = facts.presented(headers, origin, &live.config);
            caller(&presented, matched, ctx, shared).await?
        }
    };
    if live.config.log.access {
        ctx.missing = caller.as_ref().and_then(|caller| matched.route.missing_scopes(caller));
    }
    let permit = matched.route.authorize(caller, &matched.params)?;
    if let (Ok(true), Some(origin)) = (is_upgrade(headers, ctx), &ctx.origin) {
        websocket::allowed_origin(headers, &permit, origin, ctx.cors.as_deref())?;
    }
    limit(&permit, ctx).await?;
    Ok(permit)
}

/// Whether it asks for a WebSocket.
fn is_upgrade(headers: &HeaderMap, ctx: &Ctx) -> Result<bool, Refusal> {
    ctx.line.as_ref().map_or(Ok(false), |line| websocket::is_asked(&line.request, headers))
}

/// Counts the call: by its key, where that has a limit of its own, and for the route by its principal, else by its address.
async fn limit(permit: &Permit, ctx: &mut Ctx) -> Result<(), Refusal> {
    let of_key = ctx.held.as_ref().and_then(Credential::limited_key);
    if permit.route().spec().rate_limit.is_none() && of_key.is_none() {
        return Ok(());
    }
    let live = Arc::clone(&ctx.live);
    let of_route = of_route(permit, ctx.client(), &live)?;
    if let Some((key, rate)) = of_key {
        // What the route's limit is known to refuse uses nothing of the key's up.
        if let Some((limit, caller)) = of_route {
            limit.look(caller).map_err(Refusal::RateLimited)?;
        }
        let limits = live.key_limits.as_ref().ok_or(UNCOUNTED)?;
        ctx.key_allowance = Some(limits.take(key, rate).await.map_err(Refusal::RateLimited)?);
    }
    if let Some((limit, caller)) = of_route {
        ctx.allowance = Some(limit.take(caller).await.map_err(Refusal::RateLimited)?);
    }
    Ok(())
}

/// The route's limit and who is counted, where it has one.
fn of_route<'a>(
    permit: &'a Permit,
    client: Option<IpAddr>,
    live: &'a Live,
) -> Result<Option<(&'a RouteLimit, Caller<'a>)>, Refusal> {
    let route = permit.route();
    if route.spec().rate_limit.is_none() {
        return Ok(None);
    }
    let caller = match (permit.principal(), client) {
        (Some(principal), _) => Some(Caller::Principal(&principal.issuer, &principal.subject)),
        (None, address) => address.map(Caller::Address),
    };
    let limit = live.limits.get(route.index()).and_then(Option::as_deref);
    limit.zip(caller).map(Some).ok_or(UNCOUNTED)
}

const UNCOUNTED: Refusal = unavailable("The call can't be counted right now.");

/// Who calls: verified, and not revoked.
async fn caller(
    presented: &Presented<'_>,
    matched: &Matched,
    ctx: &mut Ctx,
    shared: &Shared,
) -> Result<Option<Arc<Principal>>, Refusal> {
    let spec = matched.route.spec();
    let live = Arc::clone(&ctx.live);
    match identify(&live.schemes, presented, spec.credentials, spec.auth == AuthMode::Required).await {
        Ok(Identity::Anonymous { stale_cookie }) => {
            ctx.stale_cookie = stale_cookie;
            Ok(None)
        }
        Ok(Identity::Known(accepted)) => standing(accepted, ctx, shared).await.map(Some),
        Err(refusal) => {
            ctx.credential = presented_kind(&refusal);
            ctx.stale_cookie = refusal == Refusal::InvalidSession;
            shared.metrics.auth(ctx.credential.map_or("none", CredentialKind::as_str), outcome(&refusal));
            // The route knows which scopes to ask for.
            let asked = || matched.route.authorize(None, &matched.params).err();
            let told = if refusal == Refusal::MissingCredential(None) { asked() } else { None };
            Err(told.unwrap_or(refusal))
        }
    }
}

async fn standing(accepted: Accepted, ctx: &mut Ctx, shared: &Shared) -> Result<Arc<Principal>, Refusal> {
    let method = accepted.principal.method;
    ctx.credential = Some(method);
    if ctx.live.config.log.access {
        ctx.principal = Some(accepted.principal.id());
    }
    let (outcome, result) = match shared.revocations.standing(&accepted.concern).await {
        Standing::Live => ("accepted", Ok(accepted.principal)),
        Standing::Revoked => ("revoked", Err(revoked(method))),
        Standing::Unknown => ("unavailable", Err(unavailable("Whether the credential was revoked can't be told right now."))),
    };
    ctx.held = Some(Credential { concern: accepted.concern, expires_at: accepted.expires_at, rate_limit: accepted.rate_limit });
    shared.metrics.auth(method.as_str(), outcome);
    if outcome == "revoked" && method == CredentialKind::Session {
        ctx.stale_cookie = true;
    }
    result
}

const fn revoked(method: CredentialKind) -> Refusal {
    match method {
        CredentialKind::Bearer => Refusal::InvalidToken("The token was revoked."),
        CredentialKind::ApiKey => Refusal::InvalidApiKey,
        CredentialKind::Session => Refusal::InvalidSession,
    }
}

/// What is missing can be there again in a moment.
pub(crate) const fn unavailable(detail: &'static str) -> Refusal {
    Refusal::Unavailable { detail, retry_after: Duration::from_secs(1) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about one credential")]
const fn presented_kind(refusal: &Refusal) -> Option<CredentialKind> {
    match refusal {
        Refusal::InvalidToken(_) => Some(CredentialKind::Bearer),
        Refusal::InvalidApiKey => Some(CredentialKind::ApiKey),
        Refusal::InvalidSession => Some(CredentialKind::Session),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are rejections")]
const fn outcome(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::MissingCredential(_) => "missing",
        Refusal::Unavailable { .. } => "unavailable",
        _ => "rejected",
    }
}

/// What is asked of any request before it may go on: an expectation that can be met.
pub(crate) fn expectation(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut fields = headers.get_all(EXPECT).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if version >= Version::HTTP_11 && one.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        _ => Err(Refusal::ExpectationFailed),
    }
}

/// The permitted request has to fit its route: a size within its limit.
fn fits(headers: &HeaderMap, permit: &Permit) -> Result<(), Refusal> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
    match permit.route().spec() {
        spec if spec.backend.is_none() => Err(Refusal::NoRoute),
        spec if spec.max_body.is_some_and(|limit| length > limit) => Err(Refusal::BodyTooLarge(spec.max_body.unwrap_or(0))),
        _ => Ok(()),
    }
}
