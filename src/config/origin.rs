//! Web origins as `allow_origins` lists them (RFC 6454 §6.2).

use super::backends::is_host;
use super::report::Finding;

/// Which origins may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// `*`
    Any,
    /// These.
    These(Vec<Origin>),
}

/// One that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// As browsers send it, byte for byte.
    Exact(String),
    /// `https://*.example.com:8443`: what stands before the star, and what follows it.
    Below {
        /// `https://`
        scheme: String,
        /// `.example.com:8443`
        rest: String,
    },
}

impl Origins {
    /// Whether a page of `origin` may call.
    #[must_use]
    pub fn allow(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::These(these) => these.iter().any(|one| one.is(origin)),
        }
    }
}

impl Origin {
    /// Reads one; what is wrong comes with what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, Finding> {
        let wrong = |why: &str| Finding::new(format!("`{text}` is not an origin: {why}"));
        let example = "write \"https://app.example.com\"";
        if text == "null" {
            return Ok(Self::Exact(text.to_owned()));
        }
        let lower = text.to_ascii_lowercase();
        let Some((scheme, authority)) = lower.split_once("://") else {
            return Err(wrong("it has no scheme").help(format!("write \"https://{lower}\"")));
        };
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(wrong("its scheme is none").help(example));
        }
        if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
            return Err(wrong("it has a path").help(format!("write \"{scheme}://{authority}\"")));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        match (scheme, port) {
            ("https", Some("443")) | ("http", Some("80")) => {
                let finding = wrong("browsers leave a scheme's own port out");
                return Err(finding.help(format!("write \"{scheme}://{host}\"")));
            }
            (_, Some(port)) if port.parse::<u16>().is_err() || port.starts_with(['0', '+']) => {
                return Err(wrong("its port is none").help(example));
            }
            _ => {}
        }
        let below = host.strip_prefix("*.");
        if !is_host(below.unwrap_or(host)) || below.is_some_and(|domain| !domain.bytes().any(|byte| byte.is_ascii_alphabetic())) {
            return Err(wrong("its host is none").help(format!("{example}, or \"https://*.example.com\"")));
        }
        match authority.strip_prefix('*') {
            Some(rest) => Ok(Self::Below { scheme: format!("{scheme}://"), rest: rest.to_owned() }),
            None => Ok(Self::Exact(lower)),
        }
    }

    fn is(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == origin,
            Self::Below { scheme, rest } => {
                let labels = origin.strip_prefix(scheme.as_bytes()).and_then(|host| host.strip_suffix(rest.as_bytes()));
                // What stands for the star is labels: nothing that could end a host's name and begin another.
                labels.and_then(|labels| std::str::from_utf8(labels).ok()).is_some_and(is_host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(all: &[&str]) -> Origins {
        Origins::These(all.iter().map(|text| Origin::parse(text).expect("an origin")).collect())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_and_no_other_is_it() {
        let these =
            origins(&["https://app.example.com", "http://localhost:3000", "https://[2001:db8::1]:8443", "capacitor://localhost"]);
        for good in ["https://app.example.com", "http://localhost:3000", "https://[2001:db8::1]:8443", "capacitor://localhost"] {
            assert!(these.allow(good.as_bytes()), "{good}");
        }
        for bad in [
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com.evil.test",
            "https://evil-app.example.com",
            "https://app.example.comx",
            "https://xapp.example.com",
            "http://localhost",
            "null",
            "",
            "*",
        ] {
            assert!(!these.allow(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_for_labels_and_for_nothing_else() {
        let these = origins(&["https://*.example.com:8443"]);
        for good in ["https://a.example.com:8443", "https://a.b-c.example.com:8443"] {
            assert!(these.allow(good.as_bytes()), "{good}");
        }
        for bad in [
            "https://example.com:8443",
            "https://.example.com:8443",
            "https://a.example.com",
            "http://a.example.com:8443",
            "https://evil.test/.example.com:8443",
            "https://evil.test:1.example.com:8443",
            "https://evil.test#.example.com:8443",
            "https://u@a.example.com:8443",
            "https://a..example.com:8443",
        ] {
            assert!(!these.allow(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn what_no_browser_would_send_is_refused_with_what_to_write_instead() {
        for (text, help) in [
            ("app.example.com", "\"https://app.example.com\""),
            ("https://app.example.com/", "\"https://app.example.com\""),
            ("https://app.example.com/path", "\"https://app.example.com\""),
            ("https://app.example.com:443", "\"https://app.example.com\""),
            ("http://a:80", "\"http://a\""),
            ("https://*", "*.example.com"),
            ("https://*.10", "*.example.com"),
            ("https://a.*.com", "*.example.com"),
            ("https://a:x", "https://app"),
            ("https://bücher.de", "https://app"),
            ("://a", "https://app"),
        ] {
            let finding = Origin::parse(text).expect_err(text);
            assert!(format!("{finding:?}").replace("\\\"", "\"").contains(help), "{text}: {finding:?}");
        }
    }
}
