//! What `[[issuers]]` is made of: where a claim lies, what keys may be fetched from, what tokens may be signed with.

use std::net::IpAddr;

use http::Uri;
use serde_json::{Map, Value};

use crate::config::backends::is_host;
use crate::config::raw;
use crate::domain::template::lookup;

/// Where a claim lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a path: names with dots between. A name may hold dots itself: the longest that is there counts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        (!names.iter().any(String::is_empty)).then_some(Self(names))
    }

    /// What lies there.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        lookup(claims, &self.0)
    }
}

/// A URL that keys may be fetched from: https, or http on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchUrl {
    text: String,
    plain: bool,
}

impl FetchUrl {
    /// Reads one; else what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is not a whole URL");
        };
        if authority.as_str().contains('@') {
            return Err("holds a user name");
        }
        if !is_host(authority.host()) || authority.as_str().ends_with(':') {
            return Err("names no host");
        }
        if text.contains('#') {
            return Err("has a fragment");
        }
        let plain = match scheme.to_ascii_lowercase().as_str() {
            "https" => false,
            "http" if is_loopback(authority.host()) => true,
            "http" => return Err("is plain HTTP to another machine: who sits between could give us keys"),
            _ => return Err("begins with https://"),
        };
        Ok(Self { text: text.to_owned(), plain })
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is plain HTTP on this machine.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.plain
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

/// What an issuer's tokens may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registered names, RFC 7518 §3.1 and RFC 8037 §3.1")]
pub enum IssuerAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Es256,
    Es384,
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
}

impl IssuerAlgorithm {
    /// Its registered name: what `alg` says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// How many bytes its secret has at least (RFC 7518 §3.2); `None` for an algorithm of key pairs.
    #[must_use]
    pub const fn secret_length(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            Self::Es256
            | Self::Es384
            | Self::EdDsa
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512 => None,
        }
    }
}

pub(super) const fn algorithm(raw: raw::IssuerAlgorithm) -> IssuerAlgorithm {
    match raw {
        raw::IssuerAlgorithm::Hs256 => IssuerAlgorithm::Hs256,
        raw::IssuerAlgorithm::Hs384 => IssuerAlgorithm::Hs384,
        raw::IssuerAlgorithm::Hs512 => IssuerAlgorithm::Hs512,
        raw::IssuerAlgorithm::Es256 => IssuerAlgorithm::Es256,
        raw::IssuerAlgorithm::Es384 => IssuerAlgorithm::Es384,
        raw::IssuerAlgorithm::EdDsa => IssuerAlgorithm::EdDsa,
        raw::IssuerAlgorithm::Rs256 => IssuerAlgorithm::Rs256,
        raw::IssuerAlgorithm::Rs384 => IssuerAlgorithm::Rs384,
        raw::IssuerAlgorithm::Rs512 => IssuerAlgorithm::Rs512,
        raw::IssuerAlgorithm::Ps256 => IssuerAlgorithm::Ps256,
        raw::IssuerAlgorithm::Ps384 => IssuerAlgorithm::Ps384,
        raw::IssuerAlgorithm::Ps512 => IssuerAlgorithm::Ps512,
    }
}

/// A `typ` as it is compared: without case, and without the prefix that may be left out (RFC 7515 §4.1.9).
pub(crate) fn bare_typ(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for url in ["http://127.0.0.1:1/a", "http://[::1]/a", "http://localhost:8080/a", "HTTPS://A/b"] {
            assert!(FetchUrl::parse(url).is_ok(), "{url}");
        }
        for url in
            ["http://127.0.0.1.nip.io/", "http://localhost.evil.example/", "http://0.0.0.0/", "http://[::]/", "http://10.0.0.1/"]
        {
            assert!(FetchUrl::parse(url).is_err(), "{url}");
        }
    }
}
