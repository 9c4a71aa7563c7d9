//! `[server.tls]`, checked: the files are read and understood here, so that a broken one is found by `check` and refused by a
//! reload.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::raw;
use super::report::{Finding, Report, Span};
use super::schema::At;
use crate::domain::{Clock as _, SystemClock, Timestamp};

/// From when on an end is warned of.
const SOON: Duration = Duration::from_hours(14 * 24);

/// `[server.tls]`
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `[[server.tls.certificates]]`, in their order.
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Who judges clients' certificates; they are required then.
    pub client_ca: Option<Arc<dyn ClientCertVerifier>>,
}

/// A certificate with its key, which belong together.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Its DNS names in lower case, `*.` before some.
    pub names: Vec<String>,
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
}

/// `server.tls.min_version`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// Checks `[server.tls]`; `folder` is what paths are relative to.
pub(crate) fn checked(raw: &raw::Tls, folder: &Path, report: &mut Report) -> Tls {
    let entries = raw.certificates.value.iter();
    let certificates = entries.filter_map(|entry| certificate(&entry.value, folder, report)).collect();
    let min_version = match raw.min_version.value {
        raw::TlsVersion::Tls12 => TlsVersion::Tls12,
        raw::TlsVersion::Tls13 => TlsVersion::Tls13,
    };
    let client_ca = (!raw.client_ca.value.is_empty()).then(|| client_ca(&raw.client_ca, folder, report)).flatten();
    Tls { certificates, min_version, client_ca }
}

fn certificate(raw: &raw::Certificate, folder: &Path, report: &mut Report) -> Option<Certificate> {
    let path_of = |key: &At<super::wrapped::Required<String>>| key.value.0.as_ref().map(|path| folder.join(path));
    let (chain_file, key_file) = (path_of(&raw.certificate), path_of(&raw.key));
    // Both are looked at: every error at once.
    let chain = chain_file.and_then(|path| filed(chain(&path), raw.certificate.span, report));
    let key = key_file.as_deref().and_then(|path| filed(key(path), raw.key.span, report));
    if let (Some(path), Some(_)) = (&key_file, &key) {
        warn_of_exposed(path, raw.key.span, report);
    }
    let (chain, key) = (chain?, key?);
    let names =
        chain.first().and_then(|first| filed(about(first, raw.certificate.span, report), raw.certificate.span, report))?;
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Some(Certificate { names, key: Arc::new(key) }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let finding =
                Finding::new("this key is not the one of its certificate").also(raw.certificate.span, "the certificate");
            report.error(raw.key.span, finding.help("name the key that the certificate was made with; the certificate comes first in its file, its authorities after it"));
            None
        }
        Err(error) => {
            let finding = Finding::new(format!("this key can't be used: {error}"));
            report.error(raw.key.span, finding.help("take an ECDSA (P-256, P-384), Ed25519 or RSA (2048 bits and more) key"));
            None
        }
    }
}

fn filed<T>(outcome: Result<T, Finding>, span: Span, report: &mut Report) -> Option<T> {
    outcome.map_err(|finding| report.error(span, finding)).ok()
}

fn read(path: &Path) -> Result<Vec<u8>, Finding> {
    fs::read(path).map_err(|error| {
        let shown = path.display();
        if error.kind() == io::ErrorKind::NotFound {
            return Finding::new(format!("there is no file `{shown}`")).help("paths are relative to the folder of this file");
        }
        Finding::new(format!("the file `{shown}` can't be read: {error}")).help("let the user that runs portcullis read it")
    })
}

fn not_pem(path: &Path, error: &pem::Error) -> Finding {
    Finding::new(format!("`{}` is not PEM: {error}", path.display())).help("take the file that begins with -----BEGIN")
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let chain = chain.map_err(|error| not_pem(path, &error))?;
    if chain.is_empty() {
        let finding = Finding::new(format!("there is no certificate in `{}`", path.display()));
        return Err(finding.help("take a PEM file with -----BEGIN CERTIFICATE-----: the certificate, then its authorities"));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Finding> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if !matches!(error, pem::Error::NoItemsFound) {
            not_pem(path, &error)
        } else if text.windows(9).any(|word| word == b"ENCRYPTED") {
            Finding::new(format!("the key in `{}` is encrypted", path.display())).help(
                "take its passphrase off: `openssl pkey -in key.pem -out plain.pem`, and keep that file for this user alone",
            )
        } else {
            Finding::new(format!("there is no key in `{}`", path.display()))
                .help("take a PEM file with -----BEGIN PRIVATE KEY-----")
        }
    })
}

/// A key that everybody on the machine reads is nobody's secret.
fn warn_of_exposed(path: &Path, span: Span, report: &mut Report) {
    if fs::metadata(path).is_ok_and(|about| about.mode() & 0o007 != 0) {
        let finding = Finding::new(format!("everybody on this machine can read or change the key `{}`", path.display()));
        report.warning(span, finding.help(format!("chmod 600 {}", path.display())));
    }
}

/// The names of a certificate; warns of its dates.
fn about(der: &CertificateDer<'_>, span: Span, report: &mut Report) -> Result<Vec<String>, Finding> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| Finding::new(format!("this is no certificate that can be understood: {error}")))?;
    let now = SystemClock::default().now();
    let validity = certificate.validity();
    let (from, until) =
        (Timestamp::from_secs(validity.not_before.timestamp()), Timestamp::from_secs(validity.not_after.timestamp()));
    let renew = "renew it: a reload (SIGHUP) takes the new file over";
    if until < now {
        report.warning(span, Finding::new(format!("this certificate expired at {until}: clients refuse it")).help(renew));
    } else if until < now.plus(SOON) {
        report.warning(span, Finding::new(format!("this certificate expires soon, at {until}")).help(renew));
    } else if from > now {
        report.warning(span, Finding::new(format!("this certificate counts from {from} only: clients refuse it before")));
    }
    let names: Vec<String> = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|names| {
            let dns = names.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
                GeneralName::OtherName(..)
                | GeneralName::RFC822Name(_)
                | GeneralName::X400Address(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EDIPartyName(_)
                | GeneralName::URI(_)
                | GeneralName::IPAddress(_)
                | GeneralName::RegisteredID(_) => None,
            });
            dns.collect()
        })
        .unwrap_or_default();
    Ok(names)
}

fn client_ca(raw: &At<String>, folder: &Path, report: &mut Report) -> Option<Arc<dyn ClientCertVerifier>> {
    let path = folder.join(&raw.value);
    let chain = filed(chain(&path), raw.span, report)?;
    let mut roots = RootCertStore::empty();
    for der in chain {
        if let Err(error) = roots.add(der) {
            let finding = Finding::new(format!("`{}` holds what is no certificate of an authority: {error}", path.display()));
            report.error(raw.span, finding);
            return None;
        }
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider())).build();
    filed(verifier.map_err(|error| Finding::new(format!("`{}` can't be used: {error}", path.display()))), raw.span, report)
}
