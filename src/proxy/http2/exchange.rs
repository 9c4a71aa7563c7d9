//! One stream as pingora sees it: a request and its answer.
//!
//! pingora has an HTTP/2 session of its own, made by a loop of its own that answers by itself what it finds odd, knows no
//! deadlines, and loses a refusal whose request goes on sending. This one is driven by pingora like any other session.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Response, StatusCode, Version};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_error::ErrorType::{H2Error, InternalError, ReadError, ReadTimedout, WriteError, WriteTimedout};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::proxy::line::{Cut, LastWord, Line};
use crate::proxy::patience::Alarm;

/// What of a request's body is kept for another try, as pingora keeps of others.
const RETRY: usize = 64 * 1024;

/// What became of a stream, for who serves the connection.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    left: AtomicBool,
}

impl Outcome {
    /// Whether the client gave the stream up before it was answered.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// A request's body kept, as far as it is short enough.
#[derive(Debug)]
enum Kept {
    Nothing,
    Bytes(BytesMut),
    TooMuch,
}

/// One request and its answer.
pub(super) struct Exchange {
    pub(super) header: RequestHeader,
    line: Arc<Line>,
    outcome: Arc<Outcome>,
    /// There until the exchange ends.
    body: Option<RecvStream>,
    /// Read ahead.
    ahead: Option<Bytes>,
    body_ended: bool,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    pub(super) answer: Option<Box<ResponseHeader>>,
    pub(super) ended: bool,
    pub(super) received: usize,
    pub(super) sent: usize,
    kept: Kept,
    alarm: Alarm,
    pub(super) write_timeout: Option<Duration>,
    /// Where a body that goes on after its answer is left.
    rest: Option<oneshot::Sender<RecvStream>>,
}

impl Exchange {
    /// An exchange, and where the rest of its body will be found if it is answered before its end.
    pub(super) fn new(
        header: RequestHeader,
        line: Arc<Line>,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        outcome: Arc<Outcome>,
    ) -> (Self, oneshot::Receiver<RecvStream>) {
        let (rest, left) = oneshot::channel();
        let exchange = Self {
            header,
            line,
            outcome,
            body_ended: body.is_end_stream(),
            body: Some(body),
            ahead: None,
            respond,
            send: None,
            answer: None,
            ended: false,
            received: 0,
            sent: 0,
            kept: Kept::Nothing,
            alarm: Alarm::default(),
            write_timeout: None,
            rest: Some(rest),
        };
        (exchange, left)
    }

    /// Gives a body whose length is announced a moment to come: one that turns out to be of another length at once reaches no
    /// backend. False where it is so.
    pub(super) async fn look_ahead(&mut self, within: Duration) -> bool {
        match timeout(within, poll_fn(|cx| self.poll_data(cx))).await {
            Ok(Some(Ok(bytes))) => {
                self.ahead = Some(bytes);
                true
            }
            Ok(Some(Err(_))) => false,
            Ok(None) | Err(_) => true,
        }
    }

    pub(super) const fn is_body_done(&self) -> bool {
        self.body_ended && self.ahead.is_none()
    }

    pub(super) async fn read(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_body(cx)).await
    }

    /// Reads on, or, where nothing more is to come, waits for the client to leave and for patience to end.
    pub(super) async fn read_or_idle(&mut self, nothing_more: bool) -> Result<Option<Bytes>> {
        if !nothing_more && !self.is_body_done() {
            return self.read().await;
        }
        poll_fn(|cx| self.poll_idle(cx)).await
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let bytes = if let Some(ahead) = self.ahead.take() {
            ahead
        } else {
            loop {
                let polled = self.poll_data(cx);
                self.line.set_starved(polled.is_pending());
                if polled.is_pending() {
                    ready!(self.alarm.poll(&self.line.patience, cx));
                    return Poll::Ready(Err(Error::explain(ReadTimedout, "neither client nor backend says anything")));
                }
                match ready!(polled) {
                    None => return Poll::Ready(Ok(None)),
                    Some(Err(error)) => return Poll::Ready(Err(Error::because(ReadError, "the request's body ended", error))),
                    // As a chunk it would end the body, which ends once more behind it.
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => break bytes,
                }
            }
        };
        self.received += bytes.len();
        self.line.patience.touch();
        self.keep(&bytes);
        Poll::Ready(Ok(Some(bytes)))
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        if self.line.is_cut().is_some() {
            return Poll::Ready(Some(Err(Reason::CANCEL.into())));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match ready!(body.poll_data(cx)) {
            Some(Ok(bytes)) => {
                // Who reads takes it at once; more is let come for that.
                let _ = body.flow_control().release_capacity(bytes.len());
                self.body_ended = body.is_end_stream();
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Err(error)) => {
                if error.is_library() && error.is_reset() {
                    // Its length is another than was announced, say.
                    self.line.set_broken();
                } else {
                    self.outcome.left.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Some(Err(error)))
            }
            None => {
                // A request's trailers go no further: pingora has no place for them.
                match ready!(body.poll_trailers(cx)) {
                    Ok(_) => {
                        self.body_ended = true;
                        Poll::Ready(None)
                    }
                    Err(error) => {
                        self.line.set_broken();
                        Poll::Ready(Some(Err(error)))
                    }
                }
            }
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        match reset {
            Poll::Ready(Ok(_) | Err(_)) => {
                self.outcome.left.store(true, Ordering::Relaxed);
                Poll::Ready(Err(Error::explain(H2Error, "the client gave the stream up")))
            }
            Poll::Pending => {
                ready!(self.alarm.poll(&self.line.patience, cx));
                Poll::Ready(Err(Error::explain(ReadTimedout, "the backend is silent")))
            }
        }
    }

    /// Keeps what is read from now on.
    pub(super) fn keep_body(&mut self) {
        if matches!(self.kept, Kept::Nothing) {
            self.kept = Kept::Bytes(BytesMut::new());
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        match &mut self.kept {
            Kept::Bytes(kept) if kept.len() + bytes.len() <= RETRY => kept.extend_from_slice(bytes),
            Kept::Bytes(_) => self.kept = Kept::TooMuch,
            Kept::Nothing | Kept::TooMuch => {}
        }
    }

    pub(super) const fn kept_is_cut(&self) -> bool {
        matches!(self.kept, Kept::TooMuch)
    }

    pub(super) fn kept(&self) -> Option<Bytes> {
        match &self.kept {
            Kept::Bytes(kept) if !kept.is_empty() => Some(Bytes::copy_from_slice(kept)),
            Kept::Bytes(_) | Kept::Nothing | Kept::TooMuch => None,
        }
    }

    /// Writes the answer's head; `end` where nothing follows. Of informational ones only 100 goes out, which the gateway says.
    pub(super) fn write_head(&mut self, mut head: Box<ResponseHeader>, end: bool) -> Result<()> {
        let failed = |error: h2::Error| Error::because(WriteError, "the answer's head can't be written", error).into_down();
        if head.status.is_informational() {
            if head.status == StatusCode::CONTINUE && self.answer.is_none() {
                let mut early = Response::new(());
                *early.status_mut() = StatusCode::CONTINUE;
                self.respond.send_informational(early).map_err(failed)?;
            }
            return Ok(());
        }
        if self.answer.is_some() {
            return Ok(());
        }
        for name in [TRANSFER_ENCODING, CONNECTION, UPGRADE] {
            head.remove_header(&name);
        }
        for name in ["keep-alive", "proxy-connection"].map(HeaderName::from_static) {
            head.remove_header(&name);
        }
        head.insert_header(DATE, get_cached_date())?;
        let mut response = Response::from_parts(head.as_owned_parts(), ());
        *response.version_mut() = Version::HTTP_2;
        self.send = Some(self.respond.send_response(response, end).map_err(failed)?);
        self.answer = Some(head);
        self.ended = end;
        Ok(())
    }

    /// Writes some of the answer's body, as the client takes it.
    pub(super) async fn write(&mut self, mut bytes: Bytes, end: bool) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let (limit, outcome) = (self.write_timeout, Arc::clone(&self.outcome));
        let failed = |error: h2::Error| {
            outcome.left.store(true, Ordering::Relaxed);
            Error::because(WriteError, "the answer's body can't be written", error).into_down()
        };
        let Some(send) = &mut self.send else { return Error::e_explain(InternalError, "a body before its head") };
        while !bytes.is_empty() {
            if self.line.is_cut().is_some() {
                return Err(Error::explain(WriteError, "the stream is cut").into_down());
            }
            send.reserve_capacity(bytes.len());
            let line = &self.line;
            let capacity = poll_fn(|cx| {
                let polled = send.poll_capacity(cx);
                line.set_full(polled.is_pending());
                polled
            });
            let capacity = match limit {
                Some(limit) => timeout(limit, capacity)
                    .await
                    .map_err(|_| Error::explain(WriteTimedout, "the client takes nothing").into_down())?,
                None => capacity.await,
            };
            let Some(capacity) = capacity else {
                outcome.left.store(true, Ordering::Relaxed);
                return Err(Error::explain(WriteError, "the client gave the stream up").into_down());
            };
            let part = bytes.split_to(capacity.map_err(failed)?.min(bytes.len()));
            self.sent += part.len();
            send.send_data(part, end && bytes.is_empty()).map_err(failed)?;
            self.ended = end && bytes.is_empty();
        }
        if end && !self.ended {
            send.send_data(Bytes::new(), true).map_err(failed)?;
            self.ended = true;
        }
        Ok(())
    }

    /// Ends the answer with trailers.
    pub(super) fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let Some(send) = &mut self.send else { return Error::e_explain(InternalError, "trailers before their head") };
        send.send_trailers(trailers)
            .map_err(|error| Error::because(WriteError, "the trailers can't be written", error).into_down())?;
        self.ended = true;
        Ok(())
    }

    /// Ends the answer, if it has begun.
    pub(super) async fn end(&mut self) -> Result<()> {
        if self.send.is_some() { self.write(Bytes::new(), true).await } else { Ok(()) }
    }

    /// Answers where nobody waits any more for it to be written: the engine holds it until the client takes it.
    fn say_last_word(&mut self) {
        let line = Arc::clone(&self.line);
        let Some(LastWord { head, body }) = line.last_word() else { return };
        let whole = body.is_empty();
        if self.write_head(Box::new(head.clone()), whole).is_ok()
            && let (false, Some(send)) = (whole, &mut self.send)
        {
            self.ended = send.send_data(body.clone(), true).is_ok();
        }
    }

    /// Breaks an answer off that has not ended, so that nobody takes it for a whole one.
    pub(super) fn break_off(&mut self) {
        if !self.ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let cut = self.line.is_cut();
        if cut == Some(Cut::Silent) && self.answer.is_none() {
            self.say_last_word();
        } else if cut.is_some() {
            // What waits to be sent is not sent either.
            self.respond.send_reset(Reason::CANCEL);
            return;
        }
        // An answer that came before the body's end is not to be lost for what the client still sends (RFC 9113 §8.1).
        if self.ended
            && !self.body_ended
            && let (Some(rest), Some(body)) = (self.rest.take(), self.body.take())
        {
            let _ = rest.send(body);
        }
    }
}
