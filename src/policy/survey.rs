//! Why a request takes the route it takes, and not another: the same walk as [`RouteTable::find`], not stopped at the winner.

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::domain::CanonicalPath;

use super::matcher::Key;
use super::pattern::{Pattern, Segment};
use super::permit::Route;
use super::route::{Case, HostPattern, TrailingSlash};
use super::table::{Found, RouteTable};

/// What a request leads to, and how every route fared.
#[derive(Debug)]
pub struct Survey {
    /// What [`RouteTable::find`] says.
    pub found: Found,
    /// Every route but the winner, the nearest first.
    pub losers: Vec<(Arc<Route>, Loss)>,
}

/// Why a route does not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It has the most specific path, and does not take the method; what it takes.
    Method(String),
    /// It has the most specific path and the method, but not this oddity in `allow_in_path`.
    Oddity(&'static str),
    /// It matches, and this route's host or path is more specific.
    LessSpecific(Arc<str>),
    /// Its path matches, its hosts do not.
    Host(Vec<String>),
    /// Its hosts match, its path does not.
    Path(Divergence),
    /// Neither matches.
    Both(Divergence),
}

/// Where a path leaves a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// How many segments match before.
    pub matched: usize,
    /// What the pattern has then.
    pub wanted: Wanted,
    /// What the path has then; nothing where it ends.
    pub given: Option<String>,
}

/// What a pattern has where a path leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A literal.
    Literal(String),
    /// A literal that the path has in another case.
    Case(String),
    /// A parameter, which is never empty.
    Param(String),
    /// The end.
    End,
    /// A final slash.
    Slash,
}

impl Loss {
    /// Its kind, for programs: `method`, `oddity`, `less_specific`, `host`, `path` or `host_and_path`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::Oddity(_) => "oddity",
            Self::LessSpecific(_) => "less_specific",
            Self::Host(_) => "host",
            Self::Path(_) => "path",
            Self::Both(_) => "host_and_path",
        }
    }

    /// How near it was: lower is nearer.
    fn distance(&self) -> (u8, std::cmp::Reverse<usize>) {
        let (rank, matched) = match self {
            Self::Method(_) => (0, 0),
            Self::Oddity(_) => (1, 0),
            Self::LessSpecific(_) => (2, 0),
            Self::Host(_) => (3, 0),
            Self::Path(at) => (4, at.matched),
            Self::Both(at) => (5, at.matched),
        };
        (rank, std::cmp::Reverse(matched))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(takes) => write!(f, "takes {takes} only"),
            Self::Oddity(name) => write!(f, "does not have \"{name}\" in allow_in_path"),
            Self::LessSpecific(winner) => write!(f, "matches, but `{winner}` is more specific"),
            Self::Host(hosts) => write!(f, "is for {} only", hosts.join(", ")),
            Self::Path(at) => at.fmt(f),
            Self::Both(at) => write!(f, "is for another host, and {at}"),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.matched + 1;
        match (&self.wanted, &self.given) {
            (Wanted::Literal(wanted), Some(given)) => write!(f, "wants `{wanted}` as segment {number}, not `{given}`"),
            (Wanted::Case(wanted), Some(given)) => write!(f, "wants `{wanted}` as segment {number} in this case, not `{given}`"),
            (Wanted::Literal(wanted) | Wanted::Case(wanted), None) => write!(f, "goes on with `/{wanted}`, where the path ends"),
            (Wanted::Param(name), Some(_)) => write!(f, "wants something for `{{{name}}}` as segment {number}"),
            (Wanted::Param(name), None) => write!(f, "goes on with `/{{{name}}}`, where the path ends"),
            (Wanted::End, Some(given)) if given.is_empty() => f.write_str("ends without the final slash"),
            (Wanted::End, Some(given)) => write!(f, "ends where the path goes on with `/{given}`"),
            (Wanted::End, None) => f.write_str("does not match"),
            (Wanted::Slash, _) => f.write_str("ends with a slash"),
        }
    }
}

impl RouteTable {
    /// What [`Self::find`] says, and why each other route is not the one. For people: it allocates as it likes.
    #[must_use]
    pub fn survey(&self, host: Option<&str>, path: &CanonicalPath, method: &Method) -> Survey {
        let found = self.find(host, path, method);
        let text = path.match_key();
        let key = Key::new(&text);
        let candidates = self.candidates(host, &key);
        let nearest = candidates.first().copied().unwrap_or_default();
        let leader = nearest.iter().find(|route| key.suits(route)).map(|route| &route.spec().name);
        let mut losers = Vec::new();
        for route in self.routes() {
            let is_in = |group: &[Arc<Route>]| key.suits(route) && group.iter().any(|other| Arc::ptr_eq(route, other));
            let loss = if is_in(nearest) {
                match &found {
                    Found::Match(matched) if Arc::ptr_eq(&matched.route, route) => continue,
                    Found::Ambiguous(oddity) if route.methods().take(method) => Loss::Oddity(oddity),
                    Found::Match(_) | Found::MethodNotAllowed { .. } | Found::Ambiguous(_) | Found::None => {
                        Loss::Method(route.methods().listed())
                    }
                }
            } else if candidates.iter().any(|group| is_in(group)) {
                let winner = match &found {
                    Found::Match(matched) => Some(&matched.route.spec().name),
                    Found::MethodNotAllowed { .. } | Found::Ambiguous(_) | Found::None => leader,
                };
                Loss::LessSpecific(winner.map_or_else(|| "".into(), Arc::clone))
            } else {
                let hosts = &route.spec().hosts;
                match (hosts.is_empty() || hosts.iter().any(|own| own.matches(host)), divergence(route, &text)) {
                    (true, Some(at)) => Loss::Path(at),
                    (false, None) => Loss::Host(hosts.iter().map(ToString::to_string).collect()),
                    (false, Some(at)) => Loss::Both(at),
                    // Never so: what matches is a candidate, and a test holds that.
                    (true, None) => Loss::Path(Divergence { matched: 0, wanted: Wanted::End, given: None }),
                }
            };
            losers.push((Arc::clone(route), loss));
        }
        losers.sort_by_key(|(_, loss)| loss.distance());
        Survey { found, losers }
    }
}

/// Where `text`, a path as patterns are compared with it, leaves the pattern of `route`; nothing where it matches.
fn divergence(route: &Route, text: &str) -> Option<Divergence> {
    let Pattern { segments, rest, slash } = &**route.pattern();
    let given: Vec<&str> = text.split('/').skip(1).collect();
    let at = |matched: usize, wanted: Wanted| {
        Some(Divergence { matched, wanted, given: given.get(matched).map(|&segment| segment.to_owned()) })
    };
    for (number, own) in segments.iter().enumerate() {
        match (own, given.get(number)) {
            (Segment::Literal(literal), Some(given)) if literal == given => {}
            (Segment::Literal(literal), Some(given)) if literal.eq_ignore_ascii_case(given) => {
                if route.spec().case == Case::Sensitive {
                    return at(number, Wanted::Case(literal.clone()));
                }
            }
            (Segment::Literal(literal), _) => return at(number, Wanted::Literal(literal.clone())),
            (Segment::Param(_), Some(given)) if !given.is_empty() => {}
            (Segment::Param(name), _) => return at(number, Wanted::Param(name.clone())),
        }
    }
    let either = route.spec().trailing_slash == TrailingSlash::Either && matches!(segments.last(), Some(Segment::Literal(_)));
    match given.get(segments.len()..).unwrap_or_default() {
        _ if *rest => None,
        [] if either || !slash => None,
        [""] if either || *slash => None,
        [] => at(segments.len(), Wanted::Slash),
        _ => at(segments.len(), Wanted::End),
    }
}

impl HostPattern {
    /// Whether it is for `host`, in lower case and without port.
    #[must_use]
    pub fn matches(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (_, None) => false,
            (Self::Exact(own), Some(host)) => own == host,
            (Self::Wildcard(suffix), Some(host)) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

/// As route files write it.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}
