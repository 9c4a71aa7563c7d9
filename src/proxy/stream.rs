//! An answer that is still open: it ends when its credential or session is revoked, or has ended by itself.
//!
//! Short answers cost nothing here. One that can go on is watched from its header on; any other from the first piece of its
//! body that is not the last. The end by time is kept by a task of our own runtime, for streams that may be silent, and
//! looked at with every piece for the others.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::context::Ctx;
use super::line::{Cut, LastWord, Line};
use super::live::Shared;
use super::refuse;
use crate::domain::{Concern, KeyId, Rate, SessionId, Timestamp};
use crate::policy::StreamExpiry;
use crate::problem::Refusal;
use crate::revocation::{OnRevoked, Watch};

/// An answer of a known length up to this is watched only if it comes in pieces.
const SMALL: u64 = 64 * 1024;
/// From this age on a request is watched whatever its next piece is.
const YOUNG: Duration = Duration::from_millis(50);
/// The longest wait for an end, so that a clock that was set is noticed, and a stream that is gone.
const GLANCE: Duration = Duration::from_secs(30);
/// Who looks at the client sees the end of patience before this has passed.
const LATE: Duration = Duration::from_secs(2);
/// How long until a store that could not say how long a session lives is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// What a permitted request's credential is to be asked about for as long as the answer is open.
#[derive(Debug)]
pub(crate) struct Credential {
    pub(crate) concern: Concern,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) rate_limit: Option<Rate>,
}

impl Credential {
    /// The API key that it is and how often that may be used, where that is limited.
    pub(crate) fn limited_key(&self) -> Option<(&KeyId, Rate)> {
        self.concern.key.as_ref().zip(self.rate_limit)
    }
}

/// What ends an open answer; nothing does once this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    watch: Option<Watch>,
    guard: Option<Guard>,
    patrol: Option<Guard>,
}

/// A task that ends with its stream.
#[derive(Debug)]
struct Guard(JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether an answer is a stream of events, which may be silent for as long as nothing happens.
pub(crate) fn is_events(response: &ResponseHeader) -> bool {
    let value = response.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = value.and_then(|value| value.split(|&b| b == b';').next()).unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// The header of an answer has come.
///
/// # Errors
/// When the stream was cut.
pub(crate) fn begins(ctx: &mut Ctx, response: &ResponseHeader, shared: &Arc<Shared>) -> Result<()> {
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let endless = ctx.upgrades || is_events(response);
    if endless || length.is_none_or(|length| length > SMALL) || is_old(ctx, shared) {
        watch(ctx, shared);
    }
    if endless {
        guard(ctx, shared);
    }
    ctx.status = Some(response.status);
    judge(ctx)
}

/// A piece of a body is about to pass, up or down.
///
/// # Errors
/// When the stream was cut.
pub(crate) fn goes_on(ctx: &mut Ctx, is_last: bool, shared: &Arc<Shared>) -> Result<()> {
    // A moment ago it was good, and it ends with this piece.
    if is_last && !is_old(ctx, shared) {
        return judge(ctx);
    }
    if ctx.leash.watch.is_none() {
        watch(ctx, shared);
    }
    if ctx.leash.guard.is_none() && until(ctx, shared).is_some_and(|until| until <= shared.clock.now()) {
        guard(ctx, shared);
    }
    judge(ctx)
}

fn is_old(ctx: &Ctx, shared: &Shared) -> bool {
    shared.clock.monotonic().saturating_sub(ctx.started) > YOUNG
}

/// A piece of `request` is about to pass. While a backend takes none of it nobody looks at the client, nor at the time.
///
/// # Errors
/// When what the client would be told can't be said.
pub(crate) fn uploads(ctx: &mut Ctx, request: &RequestHeader, is_last: bool, shared: &Shared) -> Result<()> {
    if let (false, None, Some(line)) = (is_last, &ctx.leash.patrol, &ctx.line) {
        // Now: by then nobody has the request any more.
        let last_word = refuse::last_word(request, ctx, &Refusal::GatewayTimeout)?;
        ctx.leash.patrol = Some(Guard(shared.runtime.spawn(patrol(Arc::downgrade(line), last_word))));
    }
    Ok(())
}

/// Cuts the line where patience has long ended, and the client is not what is waited for.
async fn patrol(line: Weak<Line>, last_word: LastWord) {
    while let Some(held) = line.upgrade() {
        let now = Instant::now();
        let next = match held.patience.deadline() {
            None => now + GLANCE,
            Some(deadline) if now < deadline + LATE => deadline + LATE,
            Some(_) if held.waits_for_client() => now + LATE,
            Some(_) => return held.give_up(last_word),
        };
        drop(held);
        sleep_until(next).await;
    }
}

fn judge(ctx: &Ctx) -> Result<()> {
    match ctx.line.as_ref().and_then(|line| line.is_cut()) {
        None => Ok(()),
        Some(_) => Err(Error::explain(ErrorType::ConnectionClosed, "its credential has ended").into_down()),
    }
}

/// What the answer lives by: nothing, where nobody was let in by a credential.
fn credential(ctx: &Ctx) -> Option<&Credential> {
    ctx.permit.as_ref()?.principal()?;
    ctx.held.as_ref()
}

fn watch(ctx: &mut Ctx, shared: &Shared) {
    let Some((held, line)) = credential(ctx).zip(ctx.line.clone()) else { return };
    let watch = shared.revocations.watch(&held.concern, &(line as Arc<dyn OnRevoked>));
    ctx.leash.watch = watch;
}

/// When the credential ends by itself. Within the leeway for clocks that go wrong it is good to the end of that.
fn until(ctx: &Ctx, shared: &Shared) -> Option<Timestamp> {
    let end = credential(ctx)?.expires_at?;
    Some(if ctx.begun_at < end { end } else { end.plus(shared.live.load().config.tokens.leeway) })
}

fn guard(ctx: &mut Ctx, shared: &Arc<Shared>) {
    let (Some(end), Some(line), Some(held), Some(permit)) = (until(ctx, shared), &ctx.line, credential(ctx), &ctx.permit) else {
        return;
    };
    let session = held.concern.session.filter(|_| permit.route().spec().stream_expiry == StreamExpiry::Session);
    if session.is_none() && end <= shared.clock.now() {
        line.cut(Cut::Expired);
        return;
    }
    let work = wait(Arc::clone(shared), Arc::downgrade(line), end, session);
    ctx.leash.guard = Some(Guard(shared.runtime.spawn(work)));
}

/// Cuts the line when its time has come: at `end`, or when `session` has ended, which is asked from then on.
async fn wait(shared: Arc<Shared>, line: Weak<Line>, mut end: Timestamp, session: Option<SessionId>) {
    while line.strong_count() > 0 {
        let now = shared.clock.now();
        if now < end {
            tokio::time::sleep(end.since(now).min(GLANCE)).await;
            continue;
        }
        match lives(&shared, session).await {
            Lives::Until(later) => end = later,
            // Whether it was refreshed can't be told: what is revoked ends the stream all the same.
            Lives::Unknown => end = now.plus(AGAIN),
            Lives::NoMore => {
                if let Some(line) = line.upgrade() {
                    line.cut(Cut::Expired);
                }
                return;
            }
        }
    }
}

enum Lives {
    Until(Timestamp),
    Unknown,
    NoMore,
}

async fn lives(shared: &Shared, session: Option<SessionId>) -> Lives {
    let (Some(session), Some(sessions)) = (session, &shared.sessions) else { return Lives::NoMore };
    match sessions.session(session).await {
        Ok(Some(session)) if session.ended_at.is_none() && session.expires_at > shared.clock.now() => {
            Lives::Until(session.expires_at)
        }
        Ok(_) => Lives::NoMore,
        Err(error) => {
            tracing::debug!(%error, "whether an open stream's session lives can't be told");
            Lives::Unknown
        }
    }
}
