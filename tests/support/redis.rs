//! A real `redis-server` of one's own, to be killed, paused and emptied.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::ports::free_address;

/// A server on a free port of the loopback, with a folder of its own; ends when dropped. Every write is on disk before it
/// is answered, so that a restart with its data loses none.
pub(crate) struct RedisServer {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let mut server = Self { port: free_address().port(), folder: tempfile::tempdir().expect("a folder"), process: None };
        assert!(server.spawn(), "redis-server does not start");
        server
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("ours to kill");
            process.wait().expect("ours to wait for");
        }
    }

    /// Starts again what was killed, on the same port, with its data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.spawn(), "redis-server does not start again");
    }

    /// The same, without its data.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        self.folder = tempfile::tempdir().expect("a folder");
        self.restart();
    }

    /// `SIGSTOP`: connections stay, nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// `SIGCONT`.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends one command and gives the answer as it comes over the wire.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).expect("Redis answers")
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("ours to signal");
    }

    fn spawn(&mut self) -> bool {
        let mut process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian: redis-server)");
        for _ in 0..1000 {
            if process.try_wait().expect("ours").is_some() {
                return false;
            }
            if self.try_command(&["PING"]).is_ok_and(|answer| answer.starts_with("+PONG")) {
                self.process = Some(process);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = process.kill();
        let _ = process.wait();
        false
    }

    fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut request = Vec::new();
        for command in [words, &["QUIT"]] {
            write!(request, "*{}\r\n", command.len())?;
            for word in command {
                write!(request, "${}\r\n{word}\r\n", word.len())?;
            }
        }
        connection.write_all(&request)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
