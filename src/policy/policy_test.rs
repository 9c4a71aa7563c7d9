//! Policy tests: what a `[[test]]` of a route file says, judged by the very functions that judge requests.

use std::fmt;
use std::sync::Arc;

use http::{Method, Version};

use super::ask::Ask;
use super::own;
use super::permit::Permit;
use super::route::{AuthMode, Place};
use super::table::{Matched, RouteTable};
use super::target::{Target, check_method};
use crate::config::Config;
use crate::config::report::Span;
use crate::domain::{CredentialKind, Principal};
use crate::problem::Refusal;

/// One `[[test]]`.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// What its writer calls it.
    pub name: Option<String>,
    /// Where its `request` stands.
    pub place: Place,
    /// The method of its `request`.
    pub method: Method,
    /// The URL of its `request`, as it is written: a path is for any host.
    pub url: String,
    /// Who calls; nobody is an anonymous caller.
    pub caller: Option<Principal>,
    /// What comes of it.
    pub expect: Expect,
    /// Which route must match.
    pub route: Option<Arc<str>>,
    /// Where `request`, `expect` and `route` stand.
    pub(crate) spans: Spans,
}

/// Where the parts of a test stand, for what is told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    pub(crate) request: Span,
    pub(crate) expect: Span,
    pub(crate) route: Span,
}

/// What a test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The request goes to the backend.
    Allow,
    /// It is refused with this status.
    Refused(u16),
}

/// What the policy says of a test's request.
#[derive(Debug)]
pub struct Ruling {
    /// What the request is for, where that can be told.
    pub target: Option<Target>,
    /// The route that takes it.
    pub matched: Option<Matched>,
    /// What comes of it.
    pub outcome: Outcome,
}

/// What comes of a test's request.
#[derive(Debug)]
pub enum Outcome {
    /// The route lets it pass.
    Allowed(Box<Permit>),
    /// It is refused.
    Refused(Refusal),
    /// The gateway answers itself: no route is asked.
    Own,
}

impl PolicyTest {
    /// Judges the request: its target, which route takes it, whether that lets the caller pass.
    ///
    /// It is the policy that is judged: whether the route observes only, its rate limit and its backend do not count.
    #[must_use]
    pub fn judge(&self, config: &Config, table: &RouteTable) -> Ruling {
        // As HTTP/1.0 may, the URL itself says the host, or nobody does.
        let read = Target::read(self.url.as_bytes(), &[], Version::HTTP_10);
        let target = match read.and_then(|target| check_method(&self.method).map(|()| target)) {
            Ok(target) => target,
            Err(refusal) => return Ruling { target: None, matched: None, outcome: Outcome::Refused(refusal) },
        };
        if own::answers(config, own::public_host(config).as_deref(), table, &target, &self.method) {
            return Ruling { target: Some(target), matched: None, outcome: Outcome::Own };
        }
        let (matched, outcome) = match table.find(target.host.as_deref(), &target.path, &self.method).into_match() {
            Ok(matched) => {
                let outcome = match matched.route.authorize(self.caller.clone().map(Arc::new), &matched.params) {
                    Ok(permit) => Outcome::Allowed(Box::new(permit)),
                    Err(refusal) => Outcome::Refused(refusal),
                };
                (Some(matched), outcome)
            }
            Err(refusal) => (None, Outcome::Refused(refusal)),
        };
        Ruling { target: Some(target), matched, outcome }
    }

    /// What is wrong with a ruling, in a line; nothing where it is as expected.
    #[must_use]
    pub fn mismatch(&self, ruling: &Ruling) -> Option<Mismatch> {
        let as_expected = match (&ruling.outcome, self.expect) {
            (Outcome::Allowed(_), Expect::Allow) => true,
            (Outcome::Refused(refusal), Expect::Refused(status)) => refusal.status().as_u16() == status,
            (Outcome::Allowed(_) | Outcome::Refused(_) | Outcome::Own, _) => false,
        };
        let winner = ruling.matched.as_ref().map(|matched| matched.route.name());
        let wanted = self.route.as_deref();
        if !as_expected {
            Some(Mismatch::Outcome)
        } else if wanted.is_some() && wanted != winner {
            Some(Mismatch::Route)
        } else {
            None
        }
    }

    /// `GET /a as anonymous`
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {} as {}", self.method, self.url, described(self.caller.as_ref()))
    }
}

/// In what a ruling is not what the test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Allowed or refused otherwise.
    Outcome,
    /// As expected, but by another route.
    Route,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Refused(status) => status.fmt(f),
        }
    }
}

/// `allow`, `403 insufficient_scope` or `own`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(_) => f.write_str("allow"),
            Self::Refused(refusal) => write!(f, "{} {}", refusal.status().as_u16(), refusal.code()),
            Self::Own => f.write_str("own"),
        }
    }
}

impl Ruling {
    /// Why it came out so, in one sentence without its stop.
    #[must_use]
    pub fn reason(&self, caller: Option<&Principal>) -> String {
        match (&self.outcome, &self.matched) {
            (Outcome::Own, _) => "the gateway answers this path itself, so no route decides it".to_owned(),
            (Outcome::Allowed(_), Some(matched)) => allowed(matched),
            (Outcome::Refused(Refusal::MissingCredential(_)), Some(matched)) => uncredited(matched, caller),
            (Outcome::Refused(refusal), Some(matched)) => {
                unmet(matched, caller).unwrap_or_else(|| refusal.detail().trim_end_matches('.').to_owned())
            }
            (Outcome::Refused(refusal), None) => refusal.detail().trim_end_matches('.').to_owned(),
            (Outcome::Allowed(_), None) => String::new(),
        }
    }
}

fn allowed(matched: &Matched) -> String {
    let (name, spec) = (matched.route.name(), matched.route.spec());
    match (spec.auth, matched.route.asks().next().is_some()) {
        (AuthMode::None, _) => format!("route `{name}` has auth = \"none\": it lets everybody pass"),
        (AuthMode::Optional, false) => format!("route `{name}` has auth = \"optional\" and asks nothing more"),
        (AuthMode::Required, false) => format!("route `{name}` asks for a credential and nothing more"),
        (AuthMode::Required | AuthMode::Optional, true) => format!("the caller meets all that route `{name}` asks"),
    }
}

/// Why a caller counts as nobody.
pub(crate) fn uncredited(matched: &Matched, caller: Option<&Principal>) -> String {
    let (name, kinds) = (matched.route.name(), matched.route.spec().credentials);
    match caller {
        Some(caller) if !kinds.contains(caller.method) => {
            let all = [CredentialKind::Bearer, CredentialKind::ApiKey, CredentialKind::Session];
            let taken: Vec<_> = all.into_iter().filter(|kind| kinds.contains(*kind)).map(CredentialKind::as_str).collect();
            format!("route `{name}` looks at {} only, not at {}", taken.join(" and "), caller.method)
        }
        _ => format!("route `{name}` asks for a credential, and there is none"),
    }
}

/// The first thing asked that is not met.
fn unmet(matched: &Matched, caller: Option<&Principal>) -> Option<String> {
    let (route, caller) = (&matched.route, caller?);
    let ask = route.asks().find(|ask| !route.meets(*ask, caller, &matched.params))?;
    Some(format!("route `{}` {}", route.name(), shortfall(ask, matched, caller)))
}

/// `asks the scope a:b; the caller holds c`
pub(crate) fn shortfall(ask: Ask<'_>, matched: &Matched, caller: &Principal) -> String {
    let (wanted, held) = (ask.wanted(&matched.params), ask.held(caller));
    let held = held.as_deref();
    match ask {
        Ask::Scope(_) => format!("asks the scope {wanted}; the caller holds {}", held.unwrap_or("no scope")),
        Ask::AnyScope(_) => format!("asks one of the scopes {wanted}; the caller holds {}", held.unwrap_or("no scope")),
        Ask::Role(_) => format!("asks the role {wanted}; the caller has {}", held.unwrap_or("no role")),
        Ask::Where(_) => format!("asks that {wanted}; the caller has {}", held.unwrap_or("no such value")),
    }
}

/// A caller in a few words: `bearer with scopes "a b", roles user`.
#[must_use]
pub fn described(caller: Option<&Principal>) -> String {
    let Some(caller) = caller else { return "anonymous".to_owned() };
    let mut parts = Vec::new();
    if let Some(name) = &caller.username {
        parts.push(format!("username {name}"));
    }
    if !caller.subject.is_empty() {
        parts.push(format!("subject {}", caller.subject));
    }
    if !caller.roles.is_empty() {
        parts.push(format!("roles {}", caller.roles.join(",")));
    }
    if !caller.scopes.is_empty() {
        parts.push(format!("scopes \"{}\"", caller.scopes));
    }
    parts.extend(caller.attributes.iter().map(|(name, value)| format!("{name}={value}")));
    parts.extend(caller.claims.iter().map(|(name, value)| format!("claims.{name}={value}")));
    let with = if parts.is_empty() { "no scopes".to_owned() } else { parts.join(", ") };
    format!("{} with {with}", caller.method)
}
