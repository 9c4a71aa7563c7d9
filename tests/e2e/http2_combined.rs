//! HTTP/2 together with what else a gateway does, and clients that leave before there is an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::echo::echo;
use crate::encrypted;
use crate::gateway::{Gateway, PASSWORD, Setup, free_address};
use crate::http2::script;

#[tokio::test]
async fn what_works_over_http_1_works_over_http_2_on_every_kind_of_listener() {
    if crate::storage::on_postgres() {
        return; // The checks reach into SQLite's file.
    }
    let [plain, redirect, proxied, proxied_tls, backend] = std::array::from_fn(|_| free_address());
    let folder = tempfile::tempdir().expect("a folder");
    encrypted::write(folder.path(), "tls", &["localhost"]);
    let unix = folder.path().join("http.sock");
    let listen = format!(
        "[\"{plain}\", {{ address = \"{redirect}\", redirect_to_https = true }}, \
         {{ address = \"{proxied}\", proxy_protocol = true }}, \
         {{ address = \"{proxied_tls}\", proxy_protocol = true, tls = true }}, \"unix:{}\"]",
        unix.display()
    );
    let route = |path: &str, more: &str| {
        format!("[[route]]\nname = \"{path}\"\npath = \"/{path}/**\"\nbackend = \"http://{backend}\"\n{more}\n")
    };
    let routes = [
        route("open", "auth = \"none\""),
        route("closed", ""),
        route("limited", "auth = \"none\"\nrate_limit = \"2/1h\""),
        route("t.Limited", "auth = \"none\"\nrate_limit = \"1/1h\""),
        route("cors", "cors = { allow_origins = [\"https://app.example.com\"] }"),
        route("observed", "enforce = false"),
        route("small", "auth = \"none\"\nmax_body = \"1KiB\""),
    ];
    let setup = Setup::routes(routes.concat())
        .server("limits = { header_timeout = \"2s\" }")
        .with(&encrypted::entry(folder.path(), "tls"))
        .with("[login]\nrate_limit = \"1000/1m\"")
        .env("PORTCULLIS__SERVER__LISTEN", &listen);
    let gateway = Gateway::start(setup).await;
    gateway.user("alice", &["--email", "alice@example.com"]);
    let at = json!({
        "plain": plain.port(), "redirect": redirect.port(), "proxied": proxied.port(), "proxied_tls": proxied_tls.port(),
        "backend": backend.port(), "unix": unix, "store": gateway.folder().join("data/portcullis.db"), "password": PASSWORD,
    });
    let last = script("h2_combined.py", plain, &[at.to_string()]).await;
    assert!(last.ends_with("hold"), "{last}");
    let log = gateway.log();
    let line = |what: &str| log.lines().find(|line| line.contains(" access ") && line.contains(what)).expect("a line");
    assert!(line("path=/observed/x").contains("invalid_token") && line("path=/observed/x").contains("status=200"), "{log}");
    assert!(log.contains("client=203.0.113.9"), "{log}");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("portcullis_would_deny_total{route=\"observed\",reason=\"invalid_token\"} 1"), "{metrics}");
}

/// The h2 library at the other end of a connection.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    client
}

/// Calls, four at once on each connection, until told to stop. A goodbye is not a failure where no request is lost by it.
async fn calls(gateway: SocketAddr, tls: bool, going: Arc<AtomicBool>, made: Arc<AtomicU32>) -> Vec<String> {
    let mut failed = Vec::new();
    while going.load(Ordering::Relaxed) {
        let mut client = if tls {
            let mut config = encrypted::client(None);
            config.alpn_protocols = vec![b"h2".to_vec()];
            speak(encrypted::connect(gateway, "localhost", config).await.expect("a handshake")).await
        } else {
            speak(TcpStream::connect(gateway).await.expect("connected")).await
        };
        while going.load(Ordering::Relaxed) {
            let mut answers = Vec::new();
            for _ in 0..4 {
                let request = http::Request::get("http://a/open/x").body(()).expect("a request");
                match client.clone().ready().await {
                    Ok(ready) => client = ready,
                    Err(_) => break,
                }
                match client.send_request(request, true) {
                    Ok((answer, _)) => answers.push(answer),
                    Err(_) => break,
                }
            }
            let last = answers.len() < 4;
            for answer in answers {
                match whole(answer).await {
                    Ok(length) if length > 2 => drop(made.fetch_add(1, Ordering::Relaxed)),
                    other => failed.push(format!("tls {tls}: {other:?}")),
                }
            }
            if last {
                break;
            }
        }
    }
    failed
}

/// The length of an answer's body.
async fn whole(answer: h2::client::ResponseFuture) -> Result<usize, h2::Error> {
    let answer = answer.await?;
    assert_eq!(answer.status(), 200);
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        length += bytes.len();
        body.flow_control().release_capacity(bytes.len())?;
    }
    Ok(length)
}

#[tokio::test]
async fn upgrades_under_load_fail_no_request_of_http_2() {
    let (backend, encrypted) = (echo().await, free_address());
    let folder = tempfile::tempdir().expect("a folder");
    encrypted::write(folder.path(), "tls", &["localhost"]);
    let routes = format!("[[route]]\nname = \"open\"\npath = \"/open/**\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n");
    let setup = Setup::routes(routes).server("drain_timeout = \"10s\"").with(&encrypted::entry(folder.path(), "tls"));
    let mut gateway = Gateway::start(setup).await;
    let file = gateway.own_folder().join("gateway.toml");
    let config = std::fs::read_to_string(&file).expect("the configuration");
    let listen = format!("listen = [\"{}\", {{ address = \"{encrypted}\", tls = true }}]", gateway.address);
    std::fs::write(&file, config.replacen(&format!("listen = [\"{}\"]", gateway.address), &listen, 1)).expect("written");
    // The second listener comes with the first of them.
    let mut old = vec![gateway.upgrade()];
    gateway.until("it took over", || async { gateway.log().contains("took the listeners over") }).await;
    gateway.until("both listen", || async { TcpStream::connect(encrypted).await.is_ok() }).await;
    let (going, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let callers: Vec<_> = [(gateway.address, false), (gateway.address, false), (encrypted, true), (encrypted, true)]
        .into_iter()
        .map(|(address, tls)| tokio::spawn(calls(address, tls, going.clone(), made.clone())))
        .collect();
    for round in 2..=4 {
        let so_far = made.load(Ordering::Relaxed);
        gateway.until("it is called", || async { made.load(Ordering::Relaxed) > so_far + 40 }).await;
        old.push(gateway.upgrade());
        gateway.until("it took over", || async { gateway.log().matches("took the listeners over").count() == round }).await;
    }
    for mut old in old {
        let ended = || old.try_wait().expect("its state").is_some();
        let ended = std::cell::RefCell::new(ended);
        gateway.until("the old one ends while it is called", || async { (ended.borrow_mut())() }).await;
    }
    going.store(false, Ordering::Relaxed);
    let mut failed = Vec::new();
    for caller in callers {
        failed.extend(caller.await.expect("a caller"));
    }
    let made = made.load(Ordering::Relaxed);
    assert!(failed.is_empty(), "{} of {made} failed: {:#?}", failed.len(), failed.first());
}

/// A backend that answers nothing; says when it has got a request, and when whoever sent it has gone.
async fn silent() -> (SocketAddr, mpsc::UnboundedReceiver<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, (say, said)) = (listener.local_addr().expect("its address"), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let say = say.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    say.send("asked").ok();
                }
                say.send("gone").ok();
            });
        }
    });
    (address, said)
}

/// What the backend says next, long before anybody's patience with it has ended.
async fn next(said: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    tokio::time::timeout(Duration::from_secs(30), said.recv()).await.expect("something is said").expect("it lives")
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_takes_its_request_with_it() {
    let (backend, mut said) = silent().await;
    let route = "name = \"open\"\npath = \"/**\"\nauth = \"none\"\ntimeout = \"10m\"";
    let gateway = Gateway::start(Setup::routes(format!("[[route]]\n{route}\nbackend = \"http://{backend}\"\n"))).await;

    let mut plain = TcpStream::connect(gateway.address).await.expect("connected");
    plain.write_all(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert_eq!(next(&mut said).await, "asked");
    drop(plain);
    // It could have closed its own side only, so this takes a while.
    assert_eq!(next(&mut said).await, "gone", "of HTTP/1.1");

    let mut client = speak(TcpStream::connect(gateway.address).await.expect("connected")).await;
    for (path, body) in [("second", None), ("third", Some("body"))] {
        let request = http::Request::post(format!("http://a/{path}")).body(()).expect("a request");
        let (answer, mut sending) = client.send_request(request, body.is_none()).expect("sent");
        if let Some(body) = body {
            sending.send_data(body.into(), true).expect("sent");
        }
        assert_eq!(next(&mut said).await, "asked");
        // Its stream ends; the connection stays.
        sending.send_reset(h2::Reason::CANCEL);
        drop(answer);
        while next(&mut said).await != "gone" {}
    }
    let ended = || {
        let log = gateway.log();
        let left = |path: &str| log.lines().any(|line| line.contains(path) && line.contains("status=499"));
        ["path=/first ", "path=/second ", "path=/third "].into_iter().all(left)
    };
    gateway.until("all of them are in the log", || async { ended() }).await;
    let metrics = gateway.metrics().await;
    assert!(!metrics.contains("outcome=\"silent\"} 1"), "no fault of the backend's: {metrics}");
}
