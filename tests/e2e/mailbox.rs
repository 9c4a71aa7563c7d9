//! A real mail server, and what the gateway sent it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http2::python;

/// aiosmtpd; killed when dropped.
pub(crate) struct Mailbox {
    child: Child,
    folder: TempDir,
}

impl Mailbox {
    /// Starts one at `address`, with `more` arguments, and waits until it listens.
    pub(crate) async fn start(address: SocketAddr, more: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/mailbox.py");
        let arguments = [address.port().to_string(), folder.path().display().to_string()];
        let mut command = Command::new(tokio::task::spawn_blocking(python).await.expect("Python"));
        command.arg(script).args(arguments).args(more).stdin(Stdio::null());
        let mailbox = Self { child: command.spawn().expect("it starts"), folder };
        for _ in 0..800 {
            if TcpStream::connect(address).is_ok() {
                return mailbox;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the mail server does not listen")
    }

    /// How many mails there are.
    pub(crate) fn count(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("the folder").count()
    }

    /// The `number`th mail, waited for.
    pub(crate) async fn mail(&self, number: usize) -> Value {
        let file = self.folder.path().join(format!("{number}.json"));
        for _ in 0..800 {
            if let Ok(mail) = std::fs::read(&file) {
                return serde_json::from_slice(&mail).expect("JSON");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no mail {number}, there are {}", self.count())
    }

    /// Where the link in the `number`th mail leads, from its path on.
    pub(crate) async fn link(&self, number: usize) -> String {
        let mail = self.mail(number).await;
        let text = mail["text"].as_str().expect("a text");
        let link = text.split_whitespace().find(|word| word.contains("?token=")).expect("a link");
        assert!(mail["html"].as_str().expect("HTML").contains(&format!("href=\"{link}\"")), "{mail}");
        link.strip_prefix("http://gateway.test").expect("on the public host").to_owned()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The secret in a link.
pub(crate) fn secret(link: &str) -> &str {
    link.split("?token=").nth(1).expect("a secret")
}
