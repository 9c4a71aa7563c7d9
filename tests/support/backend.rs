//! A backend on a raw socket: it records every byte it gets, and answers as it is told.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test whose stage does not stand has to fail"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// std's mutex, without poison.
mod parking {
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);
    impl<T> Mutex<T> {
        pub(crate) fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
            act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
        }
    }
}

/// What a request looked like on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether all of the body came.
    pub(crate) whole: bool,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let field = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        self.head.lines().skip(1).filter_map(field).filter(|(n, _)| n == name).map(|(_, v)| v).collect()
    }
}

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// `200` with its name, after the whole request.
    Ok,
    /// These bytes, then the connection goes on.
    Bytes(Vec<u8>),
    /// These bytes one after the other, each when told by `Backend::next`, then the connection closes.
    Steps(Vec<Vec<u8>>),
    /// Nothing, ever.
    Silent,
    /// It closes once it has read the head.
    Close,
    /// Answers at once, without reading the body.
    Early(Vec<u8>),
}

pub(crate) struct Backend {
    pub(crate) address: String,
    accepting: tokio::task::JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    bytes: AtomicUsize,
    connections: AtomicUsize,
    closed: AtomicUsize,
    largest: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    script: Mutex<Option<Script>>,
    step: tokio::sync::Notify,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        let (shared, own) = (Arc::clone(&state), name.to_owned());
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (state, name) = (Arc::clone(&shared), own.clone());
                tokio::spawn(async move {
                    serve(socket, &state, &name).await;
                    state.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, accepting, state }
    }

    /// Takes no connection any more.
    pub(crate) fn leave(&self) {
        self.accepting.abort();
    }

    pub(crate) fn answer(&self, script: Script) {
        self.state.script.with(|now| *now = Some(script));
    }

    /// Lets a `Steps` script send its next bytes.
    pub(crate) fn next(&self) {
        self.state.step.notify_one();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.state.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn closed(&self) -> usize {
        self.state.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.with(|seen| seen.clone())
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().last().cloned().expect("a request reached the backend")
    }
}

/// Waits until `holds`, or fails after a generous while.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

async fn serve(mut socket: TcpStream, state: &State, name: &str) {
    let mut buffer = Vec::new();
    loop {
        let Some(end) = fill_until(&mut socket, state, &mut buffer, b"\r\n\r\n").await else { return };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let index = state.seen.with(|seen| {
            seen.push(Seen { head: head.clone(), ..Seen::default() });
            seen.len() - 1
        });
        let script = state.script.with(|script| script.clone()).unwrap_or(Script::Ok);
        match &script {
            Script::Close => return,
            Script::Early(bytes) => {
                let _ = socket.write_all(bytes).await;
            }
            _ => {}
        }
        if read_body(&mut socket, state, &mut buffer, index, &head).await.is_none() {
            return;
        }
        match script {
            Script::Ok => {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Backend: {name}\r\n\r\n{name}", name.len());
                let answer =
                    if head.starts_with("HEAD ") { answer.strip_suffix(name).unwrap_or_default() } else { answer.as_str() };
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Script::Bytes(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Script::Steps(steps) => {
                for step in steps {
                    state.step.notified().await;
                    if socket.write_all(&step).await.is_err() {
                        return;
                    }
                }
                return;
            }
            Script::Silent => {
                let mut one = [0; 1];
                let _ = socket.read(&mut one).await;
                return;
            }
            Script::Close | Script::Early(_) => {}
        }
    }
}

async fn fill(socket: &mut TcpStream, state: &State, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = vec![0; 64 * 1024];
    let count = socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
    state.bytes.fetch_add(count, Ordering::SeqCst);
    state.largest.fetch_max(count, Ordering::SeqCst);
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

async fn fill_until(socket: &mut TcpStream, state: &State, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            return Some(at + mark.len());
        }
        fill(socket, state, buffer).await?;
    }
}

/// Keeps at most 1 MiB of a body.
async fn read_body(socket: &mut TcpStream, state: &State, buffer: &mut Vec<u8>, index: usize, head: &str) -> Option<()> {
    let request = Seen { head: head.to_owned(), ..Seen::default() };
    let keep = |bytes: &[u8], whole: bool| {
        state.seen.with(|seen| {
            if seen[index].body.len() < 1 << 20 {
                seen[index].body.extend_from_slice(bytes);
            }
            seen[index].whole = whole;
        });
    };
    if request.header("transfer-encoding").is_some() {
        loop {
            let end = fill_until(socket, state, buffer, b"\r\n").await?;
            let size = usize::from_str_radix(String::from_utf8_lossy(&buffer[..end - 2]).trim(), 16).ok()?;
            while buffer.len() < end + size + 2 {
                fill(socket, state, buffer).await?;
            }
            keep(&buffer[end..end + size], size == 0);
            buffer.drain(..end + size + 2);
            if size == 0 {
                return Some(());
            }
        }
    }
    let mut left: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while left > 0 {
        if buffer.is_empty() {
            fill(socket, state, buffer).await?;
        }
        let now = left.min(buffer.len());
        left -= now;
        keep(&buffer[..now], left == 0);
        buffer.drain(..now);
    }
    keep(&[], true);
    Some(())
}
