//! HTTP/2 and gRPC by the clients that people use: curl, the h2 library of Python, and gRPC's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::echo::{echo, held};
use crate::encrypted;
use crate::gateway::{Gateway, PASSWORD, Setup, free_address};

/// A folder with what `scripts/clients` installs under that name; made once, beside what is built.
pub(crate) fn clients(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    must(Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/clients")).arg(all).arg(name));
    all.join(name)
}

/// The Python that has the clients.
pub(crate) fn python() -> PathBuf {
    clients("clients").join("venv/bin/python")
}

/// Runs it; it has to succeed.
pub(crate) fn must(command: &mut Command) -> Output {
    let output = command.output().expect("started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    output
}

/// Runs a script of `tests/clients` against the gateway at a port; gives its last line.
pub(crate) async fn script(name: &str, gateway: SocketAddr, more: &[String]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let (gateway, more) = (gateway.port().to_string(), more.to_vec());
    let output = tokio::task::spawn_blocking(move || must(Command::new(python()).arg(file).arg(gateway).args(more)));
    let output = String::from_utf8(output.await.expect("it ran").stdout).expect("text");
    output.lines().last().expect("a line").to_owned()
}

fn curl(args: &[&str]) -> String {
    let output = must(Command::new("curl").args(["-sS", "--max-time", "20"]).args(args));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn http_2_is_spoken_as_its_standard_wants_and_attacks_on_it_are_bounded() {
    let backend = free_address();
    let gateway = Gateway::start(
        Setup::routes(format!(
            "[[route]]\nname = \"open\"\npath = \"/open/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n\
             [[route]]\nname = \"closed\"\npath = \"/closed/**\"\nbackend = \"http://{backend}\"\n"
        ))
        .server("limits = { header_timeout = \"1s\", keepalive_timeout = \"3s\", h2_streams = 20 }"),
    )
    .await;
    let before = gateway.resident_kib();
    let last = script("http2_checks.py", gateway.address, &[backend.port().to_string()]).await;
    assert!(last.ends_with("checks hold"), "{last}");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "grew by {grown} KiB");
}

#[tokio::test]
async fn grpc_passes_in_every_kind_of_call_and_refusals_have_its_codes() {
    let backend = free_address();
    let route =
        |name: &str, more: &str| format!("[[route]]\nname = \"{name}\"\npath = \"/t.{name}/**\"\nbackend = \"grpc\"\n{more}\n");
    let routes = [
        route("Open", "auth = \"none\""),
        route("Closed", "scopes = [\"x:y\"]"),
        route("Limited", "auth = \"none\"\nmax_body = \"1KiB\""),
        route("Quick", "auth = \"none\"\ntimeout = \"1s\""),
        route("Away", "auth = \"none\"").replace("\"grpc\"", &format!("\"http://{}\"", free_address())),
    ];
    let gateway =
        Gateway::start(Setup::routes(routes.concat()).with(&format!(
            "[[backends]]\nname = \"grpc\"\nservers = [\"{backend}\"]\nscheme = \"h2c\"\n[scopes]\n\"x:y\" = \"x\""
        )))
        .await;
    let last = script("grpc_calls.py", gateway.address, &[backend.port().to_string()]).await;
    assert!(last.ends_with("hold"), "{last}");
    let log = gateway.log();
    let line = |what: &str| log.lines().find(|line| line.contains(" access ") && line.contains(what)).map(str::to_owned);
    assert!(line("reason=missing_credential").is_some_and(|line| line.contains("decision=deny")), "{log}");
    // A deadline of the client's is its leaving, unless the server, which is told of it too, is quicker to end the call.
    assert!(line("path=/t.Open/Slow").is_some_and(|line| line.contains("status=499") || line.contains("bytes_out=0 ")), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_logs_in_and_calls_and_is_refused_over_http_2() {
    let backend = echo().await;
    let gateway =
        Gateway::start(Setup::routes(format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{backend}\"\n")))
            .await;
    gateway.user("alice", &[]);
    let h2 = |path: &str, more: &[&str]| {
        let url = format!("{}{path}", gateway.url);
        curl(&[&["--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", &url], more].concat())
    };
    let login = format!("{{\"username\":\"alice\",\"password\":\"{PASSWORD}\"}}");
    let answer = h2("/auth/login", &["-H", "Content-Type: application/json", "-d", &login]);
    assert!(answer.ends_with("\n2 200"), "{answer}");
    let token: serde_json::Value = serde_json::from_str(answer.lines().next().expect("a body")).expect("JSON");
    let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().expect("a token"));
    let answer = h2("/x?y=1", &["-H", &bearer]);
    assert!(answer.ends_with("\n2 200") && answer.to_lowercase().contains("x-auth-user"), "{answer}");
    let large = gateway.own_folder().join("large");
    std::fs::write(&large, vec![b'x'; 10_000_000]).expect("written");
    let upload = format!("@{}", large.display());
    let answer = h2("/x", &["--data-binary", &upload]);
    assert!(answer.ends_with("\n2 401") && answer.contains("\"code\":\"missing_credential\""), "{answer}");
    let answer = h2("/auth/login", &["-H", "Content-Type: application/json", "--data-binary", &upload]);
    assert!(answer.ends_with("\n2 413") && answer.contains("\"code\":\"body_too_large\""), "{answer}");
    let answer = h2("/x", &["-H", &bearer, "--data-binary", &upload, "-H", "Expect: 100-continue"]);
    assert!(answer.ends_with("\n2 200"), "{answer}");
}

#[tokio::test]
async fn streams_end_with_their_credential_or_with_a_backend_that_does_nothing_and_not_before() {
    let (events, grpc, deaf) = (free_address(), free_address(), free_address());
    let route = |path: &str, backend: &str, auth: &str| {
        format!("[[route]]\nname = \"{path}\"\npath = \"/{path}/**\"\nbackend = \"{backend}\"\nauth = \"{auth}\"\n")
    };
    let backend = |name: &str, address: SocketAddr, more: &str| {
        format!("[[backends]]\nname = \"{name}\"\nservers = [\"{address}\"]\n{more}\n")
    };
    let (h2c, quick) = ("scheme = \"h2c\"", "timeout = \"1s\"\nread_timeout = \"1s\"");
    let routes = [
        route("events", "events", "required"),
        route("t.Closed", "grpc", "required"),
        route("t.Quick", "quick", "none"),
        route("deaf", "deaf", "none"),
        route("deaf2", "deaf2", "none"),
    ];
    let backends = [
        backend("events", events, ""),
        backend("grpc", grpc, h2c),
        backend("quick", grpc, &[h2c, quick].join("\n")),
        backend("deaf", deaf, quick),
        backend("deaf2", deaf, &[h2c, quick].join("\n")),
    ];
    let gateway = Gateway::start(Setup::routes(routes.concat()).with(&backends.concat())).await;
    gateway.user("alice", &[]);
    let ports = [events, grpc, deaf].map(|address| address.port().to_string());
    let last = script("ends.py", gateway.address, &[&ports[..], &[PASSWORD.to_owned()]].concat()).await;
    assert!(last.ends_with("hold"), "{last}");
    let log = gateway.log();
    let line = |what: &str| log.lines().find(|line| line.contains(" access ") && line.contains(what)).expect("a line");
    assert!(line("path=/events/x").contains("reason=revoked") && line("path=/t.Closed/Both").contains("reason=revoked"), "{log}");
    assert_eq!(log.matches("status=504 decision=error reason=gateway_timeout").count(), 5, "{log}");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("portcullis_streams_ended_total{reason=\"revoked\"} 3"), "{metrics}");
    assert!(metrics.contains("portcullis_backend_requests_total{backend=\"deaf2\",outcome=\"silent\"} 3"), "{metrics}");
}

#[tokio::test]
async fn over_tls_clients_agree_on_http_2_and_get_their_refusals() {
    let (address, folder) = (free_address(), tempfile::tempdir().expect("a folder"));
    encrypted::write(folder.path(), "tls", &["localhost"]);
    let setup = Setup::routes("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://127.0.0.1:9\"\n")
        .with(&encrypted::entry(folder.path(), "tls"))
        .env("PORTCULLIS__SERVER__LISTEN", &format!("[{{ address = \"{address}\", tls = true }}]"));
    let gateway = Gateway::start(setup).await;
    let certificate = folder.path().join("tls.pem").display().to_string();
    assert_eq!(script("tls_clients.py", address, std::slice::from_ref(&certificate)).await, "both hold");
    let large = gateway.own_folder().join("large");
    std::fs::write(&large, vec![b'x'; 10_000_000]).expect("written");
    let (upload, url) = (format!("@{}", large.display()), format!("https://localhost:{}/x", address.port()));
    let answer = curl(&["--cacert", &certificate, "-w", "\n%{http_version} %{http_code}", "--data-binary", &upload, &url]);
    assert!(answer.ends_with("\n2 401") && answer.contains("\"code\":\"missing_credential\""), "{answer}");
}

#[tokio::test]
async fn sigterm_says_goodbye_and_lets_streams_end() {
    let (backend, arrived, go) = held().await;
    let mut gateway = Gateway::start(Setup::routes(format!(
        "[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n"
    )))
    .await;
    let url = format!("{}/slow", gateway.url);
    let call =
        tokio::task::spawn_blocking(move || curl(&["--http2-prior-knowledge", "-w", " %{http_version} %{http_code}", &url]));
    arrived.notified().await;
    gateway.signal("TERM");
    gateway.until("it accepts no more", || async { tokio::net::TcpStream::connect(gateway.address).await.is_err() }).await;
    go.notify_one();
    assert_eq!(call.await.expect("curl ran"), "done 2 200");
    assert_eq!(gateway.ended().await, Some(0));
}
