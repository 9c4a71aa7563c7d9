//! Backends over TLS as an operator configures them: files beside gateway.toml, read again at a reload.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::gateway::{Gateway, Setup};
use crate::secure::{Authority, Server};

fn setup(server: &Server) -> Setup {
    let backend = format!(
        "[[backends]]\nname = \"orders\"\nservers = [\"localhost:{}\"]\nscheme = \"https\"\n\
         tls = {{ server_name = \"orders.internal\", ca = \"ca.pem\", certificate = \"client.pem\", key = \"client.key\" }}\n",
        server.address.port()
    );
    Setup::routes("[[route]]\nname = \"open\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"orders\"\n").with(&backend)
}

#[tokio::test]
async fn certificates_towards_a_backend_are_read_again_at_a_reload() {
    let (authority, stranger, clients) = (Authority::new(), Authority::new(), Authority::new());
    let server = Server::tls(authority.leaf(&["orders.internal"]).server(&["h2", "http/1.1"], Some(&clients))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let client = clients.leaf(&["gateway"]);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("ca.pem", &stranger.pem);
    write("client.pem", &client.pem);
    write("client.key", &client.key.serialize_pem());
    let gateway = Gateway::start_with_keys(setup(&server), folder).await;
    assert_eq!(gateway.get("/x").await.status, 502);
    gateway.until("the log says why", || async { gateway.log().contains("invalid peer certificate") }).await;
    assert!(server.seen().is_empty());
    let own = |name: &str| gateway.own_folder().join(name);
    std::fs::write(own("ca.pem"), &authority.pem).expect("written");
    gateway.signal("HUP");
    gateway.until("the right authority is believed", || async { gateway.get("/x").await.status == 200 }).await;
    // What can't be used stays out, and the old goes on.
    std::fs::write(own("client.key"), clients.leaf(&["gateway"]).key.serialize_pem()).expect("written");
    gateway.signal("HUP");
    gateway.until("the reload is refused", || async { gateway.log().contains("is not that of the certificate") }).await;
    assert_eq!(gateway.get("/x").await.status, 200);
    let check = crate::gateway::portcullis_in(gateway.own_folder(), &["check"], "");
    let said = String::from_utf8_lossy(&check.stderr).into_owned() + &String::from_utf8_lossy(&check.stdout);
    assert!(!check.status.success() && said.contains("client.key"), "{said}");
}

/// A gateway that reads what the system believes, and finds nonsense, does not even start.
#[tokio::test]
async fn the_systems_authorities_are_read_once_a_backend_is_verified_by_them() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (plain, folder) = (Server::clear().await, tempfile::tempdir().expect("a folder"));
    let authorities = folder.path().join("authorities.pem");
    let started =
        |routes: String| Gateway::start(Setup::routes(routes).env("SSL_CERT_FILE", authorities.to_str().expect("a path")));
    let route = |name: &str, backend: &str| {
        format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nauth = \"none\"\nbackend = \"{backend}\"\n")
    };
    std::fs::write(&authorities, "-----BEGIN CERTIFICATE-----\naGFsbG8=\n-----END CERTIFICATE-----\n").expect("written");
    let gateway = started(route("plain", &format!("http://{}", plain.address))).await;
    assert_eq!(gateway.get("/plain").await.status, 200);

    std::fs::write(&authorities, &authority.pem).expect("written");
    let (mut routes, mut servers) = (String::new(), Vec::new());
    for (name, by) in [("known", &authority), ("unknown", &stranger)] {
        let server = Server::tls(by.leaf(&["localhost"]).server(&["h2", "http/1.1"], None)).await;
        routes += &route(name, &format!("https://localhost:{}", server.address.port()));
        servers.push(server);
    }
    std::fs::write(gateway.own_folder().join("routes/test.toml"), format!("version = 1\n{routes}")).expect("written");
    gateway.signal("HUP");
    gateway.until("it is reached", || async { gateway.get("/known").await.status == 200 }).await;
    let from_the_start = started(routes).await;
    assert_eq!(from_the_start.get("/known").await.status, 200);
    for gateway in [gateway, from_the_start] {
        assert_eq!(gateway.get("/unknown").await.status, 502);
    }
    assert!(servers.last().is_some_and(|stranger| stranger.seen().is_empty()));
}

#[tokio::test]
async fn a_route_names_an_https_or_h2c_backend_by_its_url() {
    let server = Server::clear().await;
    let gateway = Gateway::start(Setup::routes(format!(
        "[defaults]\nauth = \"none\"\n[[route]]\nname = \"a\"\npath = \"/a\"\nbackend = \"h2c://{0}\"\n\
         [[route]]\nname = \"b\"\npath = \"/b\"\nbackend = \"https://{0}\"\n\
         [[route]]\nname = \"c\"\npath = \"/c\"\nbackend = \"http://{0}\"\n",
        server.address
    )))
    .await;
    assert_eq!(gateway.get("/a").await.body, "HTTP/2.0 on 0");
    assert_eq!(gateway.get("/b").await.status, 502, "there is no TLS there");
    assert_eq!(gateway.get("/c").await.body, "HTTP/1.1 on 2");
}

#[tokio::test]
async fn a_header_that_is_no_utf8_reaches_the_client_as_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 2\r\n\r\nok").await;
        }
    });
    let routes = format!("[[route]]\nname = \"all\"\npath = \"/**\"\nauth = \"none\"\nbackend = \"http://{address}\"\n");
    for level in ["info", "trace"] {
        let gateway = Gateway::start(Setup::routes(&routes).env("RUST_LOG", level)).await;
        let answer = gateway.http.get(format!("{}/x", gateway.url)).send().await.expect("an answer");
        assert_eq!(answer.headers().get("x-name").map(http::HeaderValue::as_bytes), Some(&b"caf\xe9"[..]), "{level}");
        assert_eq!(answer.text().await.expect("a body"), "ok");
        assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    }
}
