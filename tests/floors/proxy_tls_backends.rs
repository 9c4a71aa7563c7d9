//! https and h2c backends: what is verified, what is spoken, and that nothing reaches a server that is not the right one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use portcullis::config::{Backend, BackendTls, ClientIdentity, Scheme};
use portcullis::policy::{AuthMode, HostRewrite, RouteSpec};

use crate::gateway::{Gateway, route};
use crate::secure::{self, Authority, Leaf, Server};

const GET: &str = "GET /open/x?q=1 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";

fn https(address: SocketAddr, tls: BackendTls) -> Backend {
    Backend { scheme: Scheme::Https(Arc::new(tls)), ..Backend::plain("secure", &[&address.to_string()]) }
}

fn h2c(address: SocketAddr) -> Backend {
    Backend { scheme: Scheme::H2c, ..Backend::plain("h2c", &[&address.to_string()]) }
}

fn by(authority: &Authority) -> BackendTls {
    BackendTls { authorities: Some(vec![authority.der.clone()]), ..BackendTls::default() }
}

fn named(authority: &Authority, name: &str) -> BackendTls {
    BackendTls { server_name: Some(name.into()), ..by(authority) }
}

fn shown(leaf: &Leaf) -> ClientIdentity {
    ClientIdentity { chain: leaf.chain.clone(), key: leaf.key.serialize_der().into() }
}

fn open(backend: Backend) -> Vec<RouteSpec> {
    vec![route("open", "/open/**", AuthMode::None, backend)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_https_backend_is_spoken_to_in_the_version_that_it_chooses() {
    let authority = Authority::new();
    let leaf = authority.leaf(&["orders.internal"]);
    for (alpn, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"][..], Version::HTTP_11), (&[][..], Version::HTTP_11)]
    {
        let server = Server::tls(leaf.server(alpn, None)).await;
        let gateway = Gateway::start(open(https(server.address, named(&authority, "orders.internal"))));
        let answer = gateway.send(GET).await;
        assert_eq!((answer.status, answer.text()), (200, format!("{version:?} on 0")), "{alpn:?}");
        let seen = server.last();
        assert_eq!(seen.version, version);
        let host = seen.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
        if version == Version::HTTP_2 {
            assert_eq!((seen.uri.as_str(), host), ("https://shop.example.com/open/x?q=1", None));
        } else {
            assert_eq!((seen.uri.as_str(), host.as_deref()), ("/open/x?q=1", Some("shop.example.com")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_a_server_whose_certificate_is_not_the_right_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let past = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let future = |params: &mut rcgen::CertificateParams| params.not_before = rcgen::date_time_ymd(3020, 1, 1);
    let wrong = [
        ("another name", authority.leaf(&["other.internal"])),
        ("another address", authority.leaf(&["127.0.0.2"])),
        ("another authority", stranger.leaf(&["orders.internal", "127.0.0.1"])),
        ("nobody", Leaf::self_signed(&["orders.internal", "127.0.0.1"])),
        ("expired", authority.leaf_with(&["orders.internal", "127.0.0.1"], past)),
        ("of the future", authority.leaf_with(&["orders.internal", "127.0.0.1"], future)),
    ];
    for (what, leaf) in wrong {
        for alpn in [&["h2"][..], &["http/1.1"][..]] {
            let server = Server::tls(leaf.server(alpn, None)).await;
            // By a name, by the server's own address, and by the system's authorities, which know none of these.
            for tls in [named(&authority, "orders.internal"), by(&authority), BackendTls::default()] {
                let gateway = Gateway::start(open(https(server.address, tls)));
                let answer = gateway.send(GET).await;
                assert_eq!((answer.status, answer.code().as_str()), (502, "bad_gateway"), "{what}");
            }
            assert_eq!((server.connections(), server.seen().len()), (0, 0), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_name_is_verified_by_its_address() {
    let authority = Authority::new();
    let server = Server::tls(authority.leaf(&["127.0.0.1"]).server(&["h2"], None)).await;
    let gateway = Gateway::start(open(https(server.address, by(&authority))));
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_the_clear_gets_nothing_of_an_https_call() {
    let server = Server::clear().await;
    let gateway = Gateway::start(open(https(server.address, BackendTls::default())));
    assert_eq!(gateway.send(GET).await.status, 502);
    assert!(server.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = Server::tls(authority.leaf(&["orders.internal"]).server(&["h2", "http/1.1"], Some(&clients))).await;
    let tls = |identity| BackendTls { identity, ..named(&authority, "orders.internal") };
    let good = Gateway::start(open(https(server.address, tls(Some(shown(&clients.leaf(&["gateway"])))))));
    assert_eq!(good.send(GET).await.status, 200);
    let before = server.seen().len();
    for identity in [None, Some(shown(&authority.leaf(&["gateway"])))] {
        let gateway = Gateway::start(open(https(server.address, tls(identity))));
        assert_eq!(gateway.send(GET).await.status, 502);
    }
    assert_eq!(server.seen().len(), before, "nothing of these calls was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_not_shared_between_different_tls_settings() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for alpn in ["h2", "http/1.1"] {
        let server = Server::tls(authority.leaf(&["orders.internal"]).server(&[alpn], Some(&clients))).await;
        let backend = |name: &str, identity| Backend {
            name: name.into(),
            ..https(server.address, BackendTls { identity, ..named(&authority, "orders.internal") })
        };
        let a = shown(&clients.leaf(&["a"]));
        let strict = BackendTls { identity: Some(a.clone()), ..named(&Authority::new(), "orders.internal") };
        let gateway = Gateway::start(vec![
            route("a", "/a", AuthMode::None, backend("a", Some(a))),
            route("d", "/d", AuthMode::None, Backend { name: "d".into(), ..https(server.address, strict) }),
            route("b", "/b", AuthMode::None, backend("b", Some(shown(&clients.leaf(&["b"]))))),
            route("c", "/c", AuthMode::None, backend("c", None)),
        ]);
        let send = async |path: &str| gateway.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        for path in ["/a", "/b", "/a", "/b"] {
            assert_eq!(send(path).await.status, 200);
        }
        let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(connections, [0, 1, 0, 1], "{alpn}");
        assert_eq!(
            send("/c").await.status,
            502,
            "{alpn}: without a certificate nothing passes, over others' connections neither"
        );
        assert_eq!(send("/a").await.status, 200);
        assert_eq!(send("/d").await.status, 502, "{alpn}: what another authority has verified is not verified");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2c_backend_is_spoken_to_in_http2_at_once() {
    let server = Server::clear().await;
    let gateway = Gateway::start(open(h2c(server.address)));
    for number in 1..=3 {
        let answer = gateway.send(GET).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "HTTP/2.0 on 0"));
        assert_eq!(server.seen().len(), number);
    }
    assert_eq!(server.last().uri, "http://shop.example.com/open/x?q=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_reaches_an_http2_backend_whole_however_it_was_framed() {
    let server = Server::clear().await;
    let gateway = Gateway::start(open(h2c(server.address)));
    let chunked = "POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n\
                   TE: trailers\r\nKeep-Alive: 5\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(gateway.send(chunked).await.status, 200);
    let seen = server.last();
    assert_eq!(seen.body, "abcde");
    for name in ["transfer-encoding", "connection", "keep-alive", "x-hop", "content-length", "host"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    assert_eq!(gateway.send("PUT /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde").await.status, 200);
    let seen = server.last();
    assert_eq!((seen.body.as_ref(), seen.headers.get("content-length").unwrap().as_bytes()), (&b"abcde"[..], &b"5"[..]));
    let large = vec![b'x'; 3 << 20];
    let mut request = format!("PUT /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", large.len()).into_bytes();
    request.extend_from_slice(&large);
    assert_eq!(gateway.send(request).await.status, 200);
    assert_eq!(server.last().body.len(), large.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_towards_an_http2_backend_is_the_routes_choice() {
    let server = Server::clear().await;
    let own = server.address.to_string();
    for (host, expected) in [
        (HostRewrite::Preserve, "shop.example.com"),
        (HostRewrite::Backend, own.as_str()),
        (HostRewrite::Name("legacy.internal".parse().unwrap()), "legacy.internal"),
    ] {
        let gateway = Gateway::start(vec![RouteSpec { host, ..route("open", "/open/**", AuthMode::None, h2c(server.address)) }]);
        assert_eq!(gateway.send(GET).await.status, 200);
        assert_eq!(server.last().uri, format!("http://{expected}/open/x?q=1"));
    }
    // HTTP/1.0 may name no host, HTTP/2 may not do without.
    let gateway = Gateway::start(open(h2c(server.address)));
    assert_eq!(gateway.send("GET /open/x HTTP/1.0\r\n\r\n").await.status, 200);
    assert_eq!(server.last().uri, format!("http://{own}/open/x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_trailers_arrives_whole() {
    let server = Server::clear().await;
    let gateway = Gateway::start(open(h2c(server.address)));
    let answer = gateway.send("GET /open/trailers HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "HTTP/2.0 on 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_no_chunks_of_an_http2_backend() {
    let server = Server::clear().await;
    let gateway = Gateway::start(open(h2c(server.address)));
    for more in ["", "Connection: keep-alive\r\n"] {
        // An answer without a length.
        let answer = gateway.send(format!("GET /open/trailers HTTP/1.0\r\n{more}\r\n")).await;
        assert_eq!(
            (answer.status, answer.header("transfer-encoding"), answer.header("connection")),
            (200, None, Some("close".into()))
        );
        assert!(answer.text().starts_with("HTTP/2.0 on "), "{}", answer.text());
    }
    let head = gateway.send("HEAD /open/trailers HTTP/1.0\r\n\r\n").await;
    assert_eq!((head.status, head.header("transfer-encoding"), head.text().as_str()), (200, None, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_http2_backend_is_given_up_and_its_connection_serves_others() {
    let server = Server::clear().await;
    let backend = Backend { timeout: Duration::from_millis(200), ..h2c(server.address) };
    let gateway = Gateway::start(open(backend));
    let answer = gateway.send("GET /open/silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "gateway_timeout"));
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_backend_that_stalls_in_its_answer_is_cut_off() {
    let server = Server::clear().await;
    let backend = Backend { read_timeout: Duration::from_millis(200), ..h2c(server.address) };
    let gateway = Gateway::start(open(backend));
    let mut client = gateway.connect().await;
    client.write("GET /open/stalls HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.until("on 0").await;
    let rest = client.rest().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer must not look whole");
    assert_eq!(gateway.send(GET).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_share_connections_to_an_http2_backend() {
    let server = Server::clear().await;
    let gateway = Arc::new(Gateway::start(open(h2c(server.address))));
    assert_eq!(gateway.send(GET).await.status, 200);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.send(GET).await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert!(server.connections() < 100, "{}", server.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_it_did_nothing_of_is_sent_again_whatever_its_method() {
    let gateway = Gateway::start(open(h2c(secure::refusing_once().await)));
    let answer = gateway.send("POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "abcde"));
}
