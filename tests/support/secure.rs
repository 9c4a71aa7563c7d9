//! Backends that speak TLS and HTTP/2, with certificates made for the test.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test whose stage does not stand has to fail")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for `names`, which may be addresses.
    pub(crate) fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| {})
    }

    pub(crate) fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![certificate.der().to_vec()], pem: certificate.pem(), key }
    }
}

impl Leaf {
    /// One that nobody else has signed.
    pub(crate) fn self_signed(names: &[&str]) -> Self {
        let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().to_vec()], pem: certificate.pem(), key }
    }

    /// What a server with it offers, in this order.
    pub(crate) fn server(&self, alpn: &[&str], clients_of: Option<&Authority>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from(authority.der.clone())).unwrap();
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A request as it reached the backend.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) version: Version,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The number of the connection it came by.
    pub(crate) connection: usize,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    health: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

/// A backend that answers 200 with the version that it was asked in; `/trailers` ends with one, `/silent` never answers,
/// `/stalls` not to its end.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

impl Server {
    /// In the clear, HTTP/1.1 or HTTP/2 with prior knowledge.
    pub(crate) async fn clear() -> Self {
        Self::start(None).await
    }

    pub(crate) async fn tls(config: Arc<ServerConfig>) -> Self {
        Self::start(Some(config)).await
    }

    async fn start(config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, config) = (Arc::clone(&shared), config.clone());
                connections.spawn(async move {
                    match config {
                        None => serve(socket, state).await,
                        Some(config) => {
                            if let Ok(stream) = TlsAcceptor::from(config).accept(socket).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, state, serving }
    }

    /// Ends it with all of its connections, as SIGKILL would.
    pub(crate) fn kill(&self) {
        self.serving.abort();
    }

    /// What it answers health checks with.
    pub(crate) fn health(&self, status: u16) {
        self.state.health.store(usize::from(status), Ordering::SeqCst);
    }

    /// How many connections came to speaking HTTP.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let connection = state.connections.fetch_add(1, Ordering::SeqCst);
    let service = hyper::service::service_fn(move |request| answer(request, connection, Arc::clone(&state)));
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, connection: usize, state: Arc<State>) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path == "/healthz" {
        // As nginx does: HTTP/2 without a scheme and an authority is no request.
        let is_whole = parts.version != Version::HTTP_2 || (parts.uri.scheme().is_some() && parts.uri.authority().is_some());
        let status = if is_whole { u16::try_from(state.health.load(Ordering::SeqCst)).unwrap() } else { 400 };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        return Ok(Response::builder().status(status).body(Full::new(Bytes::new()).boxed()).unwrap());
    }
    let seen = Seen {
        method: parts.method.to_string(),
        version: parts.version,
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
        connection,
    };
    let text = format!("{:?} on {connection}", seen.version);
    state.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    if path.ends_with("/silent") {
        std::future::pending::<()>().await;
    }
    if path.ends_with("/stalls") {
        use futures_util::StreamExt as _;
        let frames = futures_util::stream::iter([Ok(Frame::data(Bytes::from(text)))]).chain(futures_util::stream::pending());
        return Ok(Response::new(BoxBody::new(StreamBody::new(frames))));
    }
    if path.ends_with("/trailers") {
        let mut trailers = HeaderMap::new();
        trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        let frames = [Ok(Frame::data(Bytes::from(text))), Ok(Frame::trailers(trailers))];
        return Ok(Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed()));
    }
    Ok(Response::new(Full::new(Bytes::from(text)).boxed()))
}

/// An HTTP/2 server that refuses the first stream, and answers the others with their bodies.
pub(crate) async fn refusing_once() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut refused = false;
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if !std::mem::replace(&mut refused, true) {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    continue;
                }
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let mut all = Vec::new();
                    while let Some(Ok(data)) = body.data().await {
                        all.extend_from_slice(&data);
                    }
                    let mut send = respond.send_response(Response::new(()), false).unwrap();
                    send.send_data(all.into(), true).unwrap();
                });
            }
        }
    });
    address
}
