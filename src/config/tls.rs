//! `[server.tls]`, checked: what its files hold is understood here, so that a broken one is found by `check` and refused by a
//! reload.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::report::{Finding, Report, Span};
use super::schema::At;
use super::{pem, raw};
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
    let chain = chain_file.and_then(|path| pem::certificates(&path, raw.certificate.span, report));
    let key = key_file.as_deref().and_then(|path| pem::key(path, raw.key.span, report));
    if let (Some(path), Some(_)) = (&key_file, &key) {
        warn_of_exposed(path, raw.key.span, report);
    }
    let (chain, key) = (chain?, key?);
    let names = about(chain.first()?, raw.certificate.span, report)?;
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

/// A key that everybody on the machine reads is nobody's secret.
fn warn_of_exposed(path: &Path, span: Span, report: &mut Report) {
    if fs::metadata(path).is_ok_and(|about| about.mode() & 0o007 != 0) {
        let finding = Finding::new(format!("everybody on this machine can read or change the key `{}`", path.display()));
        report.warning(span, finding.help(format!("chmod 600 {}", path.display())));
    }
}

/// The names of a certificate; warns of its dates.
fn about(der: &CertificateDer<'_>, span: Span, report: &mut Report) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| {
            report.error(span, Finding::new(format!("this is no certificate that can be understood: {error}")));
        })
        .ok()?;
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
    Some(names)
}

fn client_ca(raw: &At<String>, folder: &Path, report: &mut Report) -> Option<Arc<dyn ClientCertVerifier>> {
    let path = folder.join(&raw.value);
    let (_, roots) = pem::authorities(&path, raw.span, report)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider())).build();
    verifier.map_err(|error| report.error(raw.span, Finding::new(format!("`{}` can't be used: {error}", path.display())))).ok()
}
