//! A service as the guides of `FastAPI` teach it, and the same service without that code behind a gateway: its client can't tell.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::gateway::{Gateway, PASSWORD, Setup, free_address, until_or};
use crate::http2::{must, python};
use crate::pasted::{blocks, document};

/// Names the accounts' password to the scripts.
const PASSWORD_VARIABLE: &str = "PORTCULLIS_TEST_PASSWORD";

fn clients(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script)
}

/// A service of `tests/clients` on a free port; ended when dropped.
struct Service(Child, SocketAddr);

impl Service {
    async fn start(script: &str) -> Self {
        let address = free_address();
        let mut command = Command::new(python());
        command.arg(clients(script)).arg(address.port().to_string()).env(PASSWORD_VARIABLE, PASSWORD);
        let service = Self(command.spawn().expect("started"), address);
        until_or("it listens", || async { TcpStream::connect(address).is_ok() }, || script.to_owned()).await;
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What the client of the service notes of each of its calls.
fn noted_of(service: SocketAddr) -> Vec<String> {
    let mut client = Command::new(python());
    let output = must(client.arg(clients("guides_client.py")).arg(service.port().to_string()).env(PASSWORD_VARIABLE, PASSWORD));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_service_that_does_it_by_hand_is_served_the_same_by_configuration_alone() {
    let by_hand = noted_of(Service::start("guides_app.py").await.1);

    let service = Service::start("guides_service.py").await;
    let guide = document("docs/from-fastapi.md").replace("127.0.0.1:8000", &service.1.to_string());
    let [sections, routes] = blocks(&guide, "toml").try_into().expect("gateway.toml and the routes");
    let gateway = Gateway::start(Setup::routes(routes.trim_start_matches("version = 1\n")).with(&sections)).await;
    for (name, role, scopes) in
        [("admin", "admin", "items:read items:write"), ("alice", "user", "items:read"), ("vera", "viewer", "")]
    {
        gateway.user(name, &["--roles", role, "--scopes", scopes, "--email", &format!("{name}@example.com")]);
    }
    let address = gateway.address;
    let behind = tokio::task::spawn_blocking(move || noted_of(address)).await.expect("it ran");

    assert!(by_hand.len() > 50 && by_hand.iter().any(|line| line.contains("too many logins")), "{by_hand:#?}");
    for (hand, gate) in by_hand.iter().zip(&behind) {
        assert_eq!(hand, gate, "{}", gateway.log());
    }
    assert_eq!(by_hand.len(), behind.len());
}
