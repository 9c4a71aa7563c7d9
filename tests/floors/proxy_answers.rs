//! Answers that the client can read, whatever version the backend speaks and whatever the client still sends.

use std::time::Duration;

use portcullis::policy::AuthMode;

use crate::backend::{Backend, Script};
use crate::gateway::{self, Gateway, route, routes};

async fn world() -> (Backend, Gateway) {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    (backend, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_backend_is_answered_for_in_http_1_1() {
    let (backend, gateway) = world().await;
    for (method, fields) in [("GET", "Content-Length: 2\r\n"), ("GET", ""), ("HEAD", "Content-Length: 2\r\n"), ("HEAD", "")] {
        let body = if method == "GET" { "ok" } else { "" };
        backend.answer(Script::Steps(vec![format!("HTTP/1.0 200 OK\r\n{fields}\r\n{body}").into_bytes()]));
        let mut client = gateway.connect().await;
        client.write(format!("{method} /open/x HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        backend.next();
        let answer = client.answer_to(method).await;
        assert!(answer.head.starts_with("HTTP/1.1 200 "), "{method} {fields}: {answer:?}");
        assert_eq!(answer.text(), body);
        // The connection is in step, and goes on.
        backend.answer(Script::Ok);
        client.write("GET /open/next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "b", "{method} {fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_repeated_survives_a_backend_that_closes_what_it_promised_to_keep() {
    let (backend, gateway) = world().await;
    // One answer that promises to go on, then the end.
    backend.answer(Script::Steps(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()]));
    let mut client = gateway.connect().await;
    for count in 0..50 {
        client.write("PUT /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        backend.next();
        assert_eq!(client.answer().await.status, 200, "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_content_has_no_length() {
    let (backend, gateway) = world().await;
    backend.answer(Script::Bytes(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let answer = gateway.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("content-length")), (204, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_target_or_host_ends_the_connection() {
    let (backend, gateway) = world().await;
    for head in [
        "GET /open/x HTTP/1.1\r\n\r\n",
        "GET /open/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /open/x HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET /open/../x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /open//x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b/open/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = gateway.connect().await;
        client.write(format!("{head}GET /open/next HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous_target"), "{head}");
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{head}");
        assert!(client.rest().await.is_empty(), "{head}");
    }
    assert_eq!(backend.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_read_on_so_that_its_answer_can_be_read() {
    let (backend, gateway) = world().await;
    let block = vec![b'a'; 1 << 20];
    for (target, status) in [("/items/1", 401), ("/open/../x", 400)] {
        let mut client = gateway.connect().await;
        client.write(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 64 << 20)).await;
        // It looks up only once it has sent all: nothing may break before.
        for sent in 0..64 {
            assert!(tokio::io::AsyncWriteExt::write_all(&mut client.socket, &block).await.is_ok(), "{target}: {sent} MiB");
        }
        assert_eq!(client.answer().await.status, status, "{target}");
    }
    assert_eq!(backend.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_in_its_body_is_told_so_and_the_backend_is_not_blamed() {
    let backend = Backend::start("b").await;
    let mut spec = gateway::backend(&[&backend.address]);
    (spec.timeout, spec.read_timeout) = (Duration::from_millis(150), Duration::from_millis(150));
    let gateway = Gateway::start(vec![route("open", "/**", AuthMode::None, spec)]);
    for head in ["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"] {
        let answer = gateway.send(format!("POST /x HTTP/1.1\r\nHost: a\r\n{head}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "{head}");
    }
    assert!(!gateway.admin("/metrics").await.text().contains("silent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_end_could_be_read_in_two_ways_is_none() {
    let (backend, gateway) = world().await;
    let chunks = "2\r\nok\r\n0\r\n\r\n";
    for (fields, body) in [
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks),
        ("Transfer-Encoding: chunked, chunked", chunks),
        ("Transfer-Encoding: gzip, chunked", chunks),
        ("Transfer-Encoding: xchunked", chunks),
        ("Transfer-Encoding: identity", "ok"),
        ("Content-Length: 2\r\nContent-Length: 3", "ok"),
        ("Content-Length: +2", "ok"),
        ("Content-Length: -1", "ok"),
    ] {
        backend.answer(Script::Bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}").into_bytes()));
        let answer = gateway.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"), "{fields}");
    }
    // Where all say the same, one does.
    for fields in ["Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2, 2"] {
        backend.answer(Script::Bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok").into_bytes()));
        let answer = gateway.send("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((answer.headers("content-length"), answer.text().as_str()), (vec!["2".to_owned()], "ok"), "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_says_behind_its_answer_is_no_answer_to_the_next_request() {
    let (backend, gateway) = world().await;
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    ] {
        backend.answer(Script::Bytes(format!("{answer}{smuggled}").into_bytes()));
        let mut client = gateway.connect().await;
        client.write("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!([200, 204, 304].contains(&client.answer().await.status));
        backend.answer(Script::Ok);
        client.write("GET /open/next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "b", "{answer}");
    }
}
