//! Certificates that tests make, and a client that takes any and says which it was shown.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::secure::{Authority, Leaf};

/// Writes `<stem>.pem` and `<stem>.key` for `names`; gives the certificate in DER.
pub(crate) fn write(folder: &Path, stem: &str, names: &[&str]) -> Vec<u8> {
    let mut made = Leaf::self_signed(names);
    put(folder, stem, &made.pem, &made.key.serialize_pem());
    made.chain.remove(0)
}

/// The same with a key of another kind.
pub(crate) fn write_with(folder: &Path, stem: &str, names: &[&str], kind: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(kind).expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect("parameters").self_signed(&key).expect("a certificate");
    put(folder, stem, &certificate.pem(), &key.serialize_pem());
    certificate.der().to_vec()
}

fn put(folder: &Path, stem: &str, certificate: &str, key: &str) {
    std::fs::write(folder.join(format!("{stem}.pem")), certificate).expect("written");
    std::fs::write(folder.join(format!("{stem}.key")), key).expect("written");
}

/// `[[server.tls.certificates]]` of what [`write`] wrote.
pub(crate) fn entry(folder: &Path, stem: &str) -> String {
    let folder = folder.display();
    format!("[[server.tls.certificates]]\ncertificate = \"{folder}/{stem}.pem\"\nkey = \"{folder}/{stem}.key\"\n")
}

/// Writes an authority to `<stem>.pem`; gives a certificate of a client that it has signed, with its key.
pub(crate) fn authority(folder: &Path, stem: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let authority = Authority::new();
    std::fs::write(folder.join(format!("{stem}.pem")), &authority.pem).expect("written");
    let mut client = authority.leaf(&["client.test"]);
    let key = PrivateKeyDer::try_from(client.key.serialize_der()).expect("a key");
    (client.chain.remove(0).into(), key)
}

/// A client that takes any certificate, and has one itself where it is given.
pub(crate) fn client(own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) -> ClientConfig {
    client_of(default_provider().signature_verification_algorithms.supported_schemes(), own)
}

/// One that takes signatures of these schemes only.
fn client_of(schemes: Vec<SignatureScheme>, own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(schemes)));
    match own {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).expect("a client's certificate"),
        None => builder.with_no_client_auth(),
    }
}

/// Shakes hands, asking for `name`; an address asks for none.
pub(crate) async fn connect(
    address: SocketAddr,
    name: &str,
    config: impl Into<Arc<ClientConfig>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(config.into()).connect(ServerName::try_from(name.to_owned()).expect("a name"), socket).await
}

/// The certificate that is shown to a client that asks for `name`.
pub(crate) async fn shown(address: SocketAddr, name: &str) -> Vec<u8> {
    shown_for(address, name, default_provider().signature_verification_algorithms.supported_schemes()).await
}

/// The same for one who takes signatures of these schemes only.
pub(crate) async fn shown_for(address: SocketAddr, name: &str, schemes: Vec<SignatureScheme>) -> Vec<u8> {
    let stream = connect(address, name, client_of(schemes, None)).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
}

/// One request on an open connection, and its answer's head.
pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>, host: &str) -> String {
    let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 16 * 1024];
    let count = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
