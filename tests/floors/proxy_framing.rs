//! Bytes that are no request, or that could be read as two: refused, and nothing of them reaches a backend.

use crate::backend::{self, Backend};
use crate::gateway::{Gateway, config, routes};

const HEAD: &str = "Host: a\r\nAuthorization: Bearer alice\r\n";

fn requests() -> Vec<(u16, String)> {
    let with = |line: &str, fields: &str, body: &str| format!("{line}\r\n{HEAD}{fields}\r\n{body}");
    let post = |fields: &str, body: &str| with("POST /open/x HTTP/1.1", fields, body);
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let mut all = vec![
        (400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (400, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        (400, with("POST /open/x HTTP/1.0", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (400, post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc")),
        (400, post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd")),
        (400, "GET /open/x HTTP/1.1\nHost: a\n\n".into()),
        (400, "GET /open/x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".into()),
        (400, with("GET /open/x HTTP/1.1", "X: a\r\n b\r\n", "")),
        (400, with("GET /open/x HTTP/1.1", "X : a\r\n", "")),
        (400, with("GET /open/x HTTP/1.1", "X: a\rb\r\n", "")),
        (400, with("GET /open/x HTTP/1.1", "X: a\0b\r\n", "")),
        (400, with("GET /open/x HTTP/1.1", "X(y): a\r\n", "")),
        (400, with("GET  /open/x HTTP/1.1", "", "")),
        (400, with("GET /open/a b HTTP/1.1", "", "")),
        (400, with("GET\t/open/x\tHTTP/1.1", "", "")),
        (400, with("GET /open/x", "", "")),
        (400, with("GET /open/x HTTP/0.9", "", "")),
        (400, with("GET /open/x HTTP/2.0", "", "")),
        (400, with("GET /open/x http/1.1", "", "")),
        (400, with("GET admin HTTP/1.1", "", "")),
        (400, with("GET http://b/open/x HTTP/1.1", "", "")),
        (400, with("GET /open/x HTTP/1.1", "Host: b\r\n", "")),
        (400, "GET /open/x HTTP/1.1\r\n\r\n".into()),
        (400, "GET /open/x HTTP/1.1\r\nHost:\r\n\r\n".into()),
        (400, "GET /open/x HTTP/1.1\r\nHost: a,b\r\n\r\n".into()),
        (400, "GET /open/x HTTP/1.1\r\nHost: h:abc\r\n\r\n".into()),
        (405, with("CONNECT a:443 HTTP/1.1", "", "")),
        (405, with("TRACE /open/x HTTP/1.1", "", "")),
        (405, with("TRACK /open/x HTTP/1.1", "", "")),
        (405, with("get /open/x HTTP/1.1", "", "")),
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".into()),
        (417, post("Expect: 200-ok\r\nContent-Length: 3\r\n", "")),
        (417, post("Expect: 100-continue, x\r\nContent-Length: 3\r\n", "")),
        (431, with("GET /open/x HTTP/1.1", &format!("X: {}\r\n", "a".repeat(20 << 10)), "")),
        (431, with("GET /open/x HTTP/1.1", &"X: y\r\n".repeat(200), "")),
        (431, with(&format!("GET /open/{} HTTP/1.1", "a".repeat(10 << 10)), "", "")),
        (431, with("GET /open/x HTTP/1.1", &format!("X: {}\r\n", "a".repeat(15 << 10)).repeat(5), "")),
    ];
    for length in
        ["", " ", " 3, 3", " +3", " -3", " 0x3", " 03", " 3 ", " 3;", " 18446744073709551615", " 9223372036854775808", " 3_0"]
    {
        all.push((400, post(&format!("Content-Length:{length}\r\n"), "abc")));
    }
    for coding in [
        " gzip",
        " chunked, chunked",
        " ,chunked",
        " identity, chunked",
        " gzip, chunked",
        " chunked\r\nTransfer-Encoding: chunked",
        " xchunked",
        " chunked;a",
        "\u{b}chunked",
        " identity",
        "",
    ] {
        all.push((400, post(&format!("Transfer-Encoding:{coding}\r\n"), "0\r\n\r\n")));
    }
    for sign in ["_", ".", "~"] {
        all.push((400, post(&format!("Content{sign}Length: 5\r\n"), "")));
        all.push((400, post(&format!("Transfer{sign}Encoding: chunked\r\n"), "")));
    }
    for body in [
        "+3\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "1_0\r\nabc\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX Y\r\n\r\n",
        "ffffffffffffffff\r\nabc",
        "\r\n0\r\n\r\n",
    ] {
        all.push((400, chunked(body)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_malformed_request_reaches_a_backend() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::with(config(), routes(&[&backend.address]));
    for (status, bytes) in requests() {
        let mut client = gateway.connect().await;
        // A second request behind each: it must not be served as one.
        client.write(format!("{bytes}GET /open/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{bytes:?} gave {answer:?}");
        assert!(answer.header("x-request-id").is_some(), "{bytes:?} gave {answer:?}");
        let closes = status == 400 && answer.header("connection").as_deref() == Some("close");
        if closes {
            assert!(client.rest().await.is_empty(), "{bytes:?}");
        }
        for seen in backend.seen() {
            assert_eq!(seen.line(), "GET /open/smuggled HTTP/1.1", "{bytes:?}");
        }
    }
    assert!(backend.seen().iter().all(|seen| seen.body.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_turns_malformed_is_cut_and_never_completed() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    let mut client = gateway.connect().await;
    client.write("POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    backend::until("the first chunk", || backend.seen().first().is_some_and(|seen| seen.body == b"abc")).await;
    client.write("zz\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    assert!(client.rest().await.is_empty());
    backend::until("the cut", || backend.closed() == 1).await;
    assert!(!backend.last().whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_pass_without_extensions_and_trailers() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    let mut client = gateway.connect().await;
    client.write("POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Auth-User: root\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    let seen = backend.last();
    assert_eq!((seen.body.as_slice(), seen.whole), (&b"abcde"[..], true));
    client.write("GET /open/next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(backend.last().target(), "/open/next");
    assert_eq!(backend.last().header("x-auth-user"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_may_come_one_by_one() {
    let backend = Backend::start("b").await;
    let gateway = Gateway::start(routes(&[&backend.address]));
    let mut client = gateway.connect().await;
    client.socket.set_nodelay(true).unwrap();
    for byte in b"\r\nPOST /open/x?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.write([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.status, 200);
    assert_eq!((backend.last().target(), backend.last().body.as_slice()), ("/open/x?q", &b"abc"[..]));
}
