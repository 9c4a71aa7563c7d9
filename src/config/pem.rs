//! The PEM files (RFC 7468) that TLS settings name: certificates, authorities, keys. What can't be used is filed where it is named.

use std::fs;
use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::report::{Finding, Report, Span};

/// The certificates in a file, in their order; one at least.
pub(super) fn certificates(path: &Path, span: Span, report: &mut Report) -> Option<Vec<CertificateDer<'static>>> {
    filed(chain(path), span, report)
}

/// The same, of authorities, with what is verified by them.
pub(super) fn authorities(path: &Path, span: Span, report: &mut Report) -> Option<(Vec<CertificateDer<'static>>, RootCertStore)> {
    let found = certificates(path, span, report)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        if let Err(error) = roots.add(certificate.clone()) {
            let finding = Finding::new(format!("`{}` holds what is no certificate of an authority: {error}", path.display()));
            report.error(span, finding.help("name a PEM file with the certificates of authorities"));
            return None;
        }
    }
    Some((found, roots))
}

/// The first key in a file: PKCS#8, PKCS#1 or SEC1.
pub(super) fn key(path: &Path, span: Span, report: &mut Report) -> Option<PrivateKeyDer<'static>> {
    filed(secret(path), span, report)
}

fn filed<T>(outcome: Result<T, Finding>, span: Span, report: &mut Report) -> Option<T> {
    outcome.map_err(|finding| report.error(span, finding)).ok()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Finding> {
    fs::read(path).map(Zeroizing::new).map_err(|error| {
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

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, Finding> {
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
