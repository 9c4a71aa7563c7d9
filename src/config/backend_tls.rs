//! TLS towards a backend: whose certificates are believed, which name they must have, and who the gateway is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretSlice};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::report::{Finding, Report, Span};
use super::schema::At;
use super::{Scheme, pem, raw};

/// What an https backend is verified by, and what the gateway shows it. The default is the server's own host name, verified
/// by the system's authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTls {
    /// The name that its certificate must have; the host of the server's address where there is none.
    pub server_name: Option<String>,
    /// The authorities that may have signed it, DER; the system's where there are none.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// The gateway's certificate.
    pub identity: Option<ClientIdentity>,
}

impl BackendTls {
    /// A digest of everything in it: connections made by different settings are never shared.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(self.server_name.as_deref().unwrap_or_default().as_bytes());
        for authority in self.authorities.iter().flatten() {
            part(authority);
        }
        part(b"identity");
        if let Some(identity) = &self.identity {
            identity.chain.iter().for_each(|certificate| part(certificate));
            part(identity.key.expose_secret());
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        bytes
    }
}

/// A certificate with its chain and key, which belong together.
#[derive(Clone)]
pub struct ClientIdentity {
    /// DER, the gateway's own certificate first.
    pub chain: Vec<Vec<u8>>,
    /// DER: PKCS #8, PKCS #1 or SEC 1.
    pub key: SecretSlice<u8>,
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl Eq for ClientIdentity {}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Checks `[backends].tls` of an https backend, and reads the files that it names.
pub(super) fn checked(raw: &raw::BackendTls, folder: &Path, report: &mut Report) -> BackendTls {
    let raw::BackendTls { server_name, ca, certificate, key } = raw;
    if !server_name.value.is_empty() {
        verifiable(&server_name.value, server_name.span, report);
    }
    let authorities = (!ca.value.is_empty()).then(|| authorities(ca, folder, report).unwrap_or_default());
    let identity = match (certificate.value.is_empty(), key.value.is_empty()) {
        (true, true) => None,
        (false, false) => identity(certificate, key, folder, report),
        (has_key, _) => {
            let (there, missing, span) =
                if has_key { ("key", "certificate", key.span) } else { ("certificate", "key", certificate.span) };
            let finding = Finding::new(format!("`{there}` without `{missing}` proves nothing to a backend"));
            report.error(span, finding.help(format!("add {missing} = \"tls/client-{missing}.pem\"")));
            None
        }
    };
    BackendTls {
        server_name: Some(server_name.value.to_ascii_lowercase()).filter(|name| !name.is_empty()),
        authorities,
        identity,
    }
}

/// Files that TLS settings are there for a backend without TLS.
pub(super) fn fits(raw: &raw::BackendTls, scheme: &Scheme, report: &mut Report) {
    if matches!(scheme, Scheme::Https(_)) {
        return;
    }
    for key in [&raw.server_name, &raw.ca, &raw.certificate, &raw.key].into_iter().filter(|key| !key.value.is_empty()) {
        report
            .error(key.span, Finding::new("there is no TLS to this backend").help("add scheme = \"https\", or leave `tls` out"));
    }
}

/// Files that a certificate can't be checked for `name`: pingora would look for another name, or for none.
pub(super) fn verifiable(name: &str, span: Span, report: &mut Report) {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if bare.contains('_') || ServerName::try_from(bare).is_err() {
        let finding = Finding::new(format!("no certificate can be verified for the name `{name}`"));
        report.error(span, finding.help("write the name that the certificate has: tls = { server_name = \"orders.internal\" }"));
    }
}

fn authorities(ca: &At<String>, folder: &Path, report: &mut Report) -> Option<Vec<Vec<u8>>> {
    let (found, _) = pem::authorities(&folder.join(&ca.value), ca.span, report)?;
    readable(&found, ca, report)
}

fn identity(certificate: &At<String>, key: &At<String>, folder: &Path, report: &mut Report) -> Option<ClientIdentity> {
    let ders = pem::certificates(&folder.join(&certificate.value), certificate.span, report);
    let secret = pem::key(&folder.join(&key.value), key.span, report);
    let (ders, secret) = (ders?, secret?);
    let chain = readable(&ders, certificate, report)?;
    // pingora tells the forms of keys apart by their bytes: so has it to be possible.
    if PrivateKeyDer::try_from(secret.secret_der()).is_err() {
        let finding = Finding::new(format!("`{}` holds a key of no form that is known", key.value));
        report.error(key.span, finding.help("make it PKCS#8: `openssl pkcs8 -topk8 -nodes -in key.pem -out pkcs8.pem`"));
        return None;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = builder
        .map(|builder| builder.with_root_certificates(RootCertStore::empty()))
        .and_then(|builder| builder.with_client_auth_cert(ders, secret.clone_key()));
    if let Err(error) = config {
        let finding = if matches!(error, rustls::Error::InconsistentKeys(_)) {
            Finding::new(format!("the key in `{}` is not that of the certificate in `{}`", key.value, certificate.value))
        } else {
            Finding::new(format!("`{}` with `{}` can't be used: {error}", certificate.value, key.value))
        };
        report.error(key.span, finding.help("name a certificate and the key that it was made for"));
        return None;
    }
    Some(ClientIdentity { chain, key: SecretSlice::from(secret.secret_der().to_vec()) })
}

/// pingora parses them again, with this library, where an error would end a thread.
fn readable(found: &[CertificateDer<'_>], file: &At<String>, report: &mut Report) -> Option<Vec<Vec<u8>>> {
    if !found.iter().all(|der| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())) {
        let finding = Finding::new(format!("`{}` holds a certificate that can't be read", file.value));
        report.error(file.span, finding.help("make the file anew from its certificates"));
        return None;
    }
    Some(found.iter().map(|der| der.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Diagnostic, load};
    use super::*;

    /// gateway.toml with one https backend of these keys, beside the files of a made-up operator.
    fn loaded(keys: &str) -> Result<Arc<BackendTls>, Vec<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        for name in ["one", "two"] {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
            write(&format!("{name}.pem"), &made.cert.pem());
            write(&format!("{name}.key"), &made.signing_key.serialize_pem());
        }
        write("text.pem", "hello");
        write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let text = format!("[[backends]]\nname = \"a\"\nservers = [\"10.0.0.1:443\"]\n{keys}\n");
        write("gateway.toml", &text);
        match load(&folder.path().join("gateway.toml"), &super::super::Environment::default()) {
            Ok(loaded) => match &loaded.config.backends["a"].scheme {
                Scheme::Https(tls) => Ok(Arc::clone(tls)),
                other @ (Scheme::Http | Scheme::H2c) => panic!("{other:?}"),
            },
            Err(report) => {
                let folder = format!("{}/", folder.path().display());
                let told = |error: &Diagnostic| format!("{}:{} {}", error.line, error.column, error.message.replace(&folder, ""));
                Err(report.errors().map(told).collect())
            }
        }
    }

    fn tls(keys: &str) -> Result<Arc<BackendTls>, Vec<String>> {
        loaded(&format!("scheme = \"https\"\ntls = {{ {keys} }}"))
    }

    #[test]
    fn files_are_read_beside_gateway_toml() {
        let all =
            tls(r#"server_name = "Orders.internal", ca = "one.pem", certificate = "two.pem", key = "two.key""#).expect("good");
        assert_eq!(all.server_name.as_deref(), Some("orders.internal"));
        assert_eq!(all.authorities.as_ref().map(Vec::len), Some(1));
        let identity = all.identity.as_ref().expect("a certificate");
        assert!(!format!("{identity:?}").contains(&format!("{:?}", identity.key.expose_secret())), "the key does not print");
        assert_eq!(*tls("").expect("the defaults"), BackendTls::default());
    }

    #[test]
    fn what_cant_be_used_is_said_where_it_stands() {
        for (keys, line) in [
            (r#"ca = "gone.pem""#, "5:14 there is no file `gone.pem`"),
            (r#"ca = "text.pem""#, "5:14 there is no certificate in `text.pem`"),
            (
                r#"ca = "broken.pem""#,
                "5:14 `broken.pem` holds what is no certificate of an authority: invalid peer certificate: BadEncoding",
            ),
            (r#"ca = "one.key""#, "5:14 there is no certificate in `one.key`"),
            (r#"certificate = "one.pem""#, "5:23 `certificate` without `key` proves nothing to a backend"),
            (r#"key = "one.key""#, "5:15 `key` without `certificate` proves nothing to a backend"),
            (
                r#"certificate = "one.pem", key = "two.key""#,
                "5:40 the key in `two.key` is not that of the certificate in `one.pem`",
            ),
            (r#"certificate = "one.pem", key = "one.pem""#, "5:40 there is no key in `one.pem`"),
            (r#"server_name = "a b""#, "5:23 no certificate can be verified for the name `a b`"),
            (r#"server_name = "a_b.example.com""#, "5:23 no certificate can be verified for the name `a_b.example.com`"),
        ] {
            assert_eq!(tls(keys).expect_err(keys), [line.to_owned()]);
        }
        assert_eq!(
            loaded("tls = { ca = \"one.pem\" }").expect_err("no TLS"),
            ["4:14 there is no TLS to this backend".to_owned()]
        );
    }

    #[test]
    fn settings_that_differ_in_anything_have_another_fingerprint() {
        let identity = |chain: u8, key: u8| ClientIdentity { chain: vec![vec![chain]], key: vec![key].into() };
        let of = |server_name: Option<&str>, authorities: Option<Vec<Vec<u8>>>, identity| {
            BackendTls { server_name: server_name.map(Into::into), authorities, identity }.fingerprint()
        };
        let all = [
            of(None, None, None),
            of(Some("a"), None, None),
            of(None, Some(vec![b"a".to_vec()]), None),
            of(None, Some(vec![b"a".to_vec(), b"b".to_vec()]), None),
            of(None, Some(vec![b"ab".to_vec()]), None),
            of(None, None, Some(identity(1, 1))),
            of(None, None, Some(identity(1, 2))),
            of(None, None, Some(identity(2, 1))),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(of(Some("a"), None, None), all[1]);
    }
}
