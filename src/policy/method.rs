//! Which methods a route takes.

use std::collections::BTreeSet;

use http::Method;

/// Those of the IANA registry that carry a request through a gateway: all but CONNECT, TRACE and PRI.
///
/// A method that is not among them reaches a backend only through a route that names it: backends fold unknown ones,
/// `get` or `TRACK`, into what they know.
const REGISTERED: [&str; 37] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// What `Allow` says of a route that takes all: those that people use (RFC 9110 §9, RFC 5789).
pub const USUAL: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// What no route takes: CONNECT opens tunnels, the others show a client what the gateway added.
const NEVER: [&str; 4] = ["CONNECT", "TRACE", "TRACK", "DEBUG"];

/// Whether a method can match no route at all: CONNECT, TRACE and their like, and what is not in capitals.
#[must_use]
pub fn is_never_taken(method: &Method) -> bool {
    NEVER.contains(&method.as_str()) || !method.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}

/// A route's methods.
#[derive(Clone, Debug)]
pub(super) enum Methods {
    All,
    /// With HEAD where there is GET.
    These(Vec<Method>),
}

impl Methods {
    pub(super) fn new(methods: Option<&[Method]>) -> Self {
        let Some(methods) = methods else { return Self::All };
        let mut these: Vec<Method> = methods.iter().filter(|method| !is_never_taken(method)).cloned().collect();
        if these.contains(&Method::GET) && !these.contains(&Method::HEAD) {
            these.push(Method::HEAD);
        }
        Self::These(these)
    }

    pub(super) fn take(&self, method: &Method) -> bool {
        match self {
            Self::All => REGISTERED.contains(&method.as_str()),
            Self::These(these) => these.contains(method),
        }
    }

    pub(super) fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::These(these)) | (Self::These(these), Self::All) => {
                these.iter().any(|method| Self::All.take(method))
            }
            (Self::These(these), Self::These(other)) => these.iter().any(|method| other.contains(method)),
        }
    }

    /// Adds what `Allow` says.
    pub(super) fn list<'m>(&'m self, all: &mut BTreeSet<&'m str>) {
        match self {
            Self::All => all.extend(USUAL),
            Self::These(these) => all.extend(these.iter().map(Method::as_str)),
        }
    }
}

impl Methods {
    /// For people: `GET, HEAD`.
    pub(super) fn listed(&self) -> String {
        let mut all = BTreeSet::new();
        self.list(&mut all);
        all.into_iter().collect::<Vec<_>>().join(", ")
    }
}
