//! All routes, and which of them a request takes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;

use crate::config::Roles;
use crate::domain::CanonicalPath;
use crate::problem::Refusal;

use super::matcher::{Key, Tree};
use super::pattern::Params;
use super::permit::{Route, RouteError};
use super::route::{HostPattern, Place, RouteSpec};

/// What is wrong with a table; nothing of it is used then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two routes match the same request equally well.
    Tie {
        /// The later one.
        route: (Arc<str>, Place),
        /// The earlier one.
        other: (Arc<str>, Place),
        /// The host pattern and path of the later one.
        what: String,
    },
    /// Two routes have one name.
    Name {
        /// The name.
        name: Arc<str>,
        /// The later one.
        place: Place,
        /// The earlier one.
        other: Place,
    },
    /// A route that can't work by itself.
    Route {
        /// Which.
        route: (Arc<str>, Place),
        /// What is wrong.
        error: RouteError,
    },
}

impl Conflict {
    /// Where the error is to be mended.
    #[must_use]
    pub const fn place(&self) -> &Place {
        match self {
            Self::Tie { route: (_, place), .. } | Self::Route { route: (_, place), .. } | Self::Name { place, .. } => place,
        }
    }

    /// The other place that it is about.
    #[must_use]
    pub const fn other(&self) -> Option<&Place> {
        match self {
            Self::Tie { other: (_, other), .. } | Self::Name { other, .. } => Some(other),
            Self::Route { .. } => None,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |place: &Place| format!("{}:{}:{}", place.file, place.line, place.column);
        match self {
            Self::Tie { route, other, what } => write!(
                f,
                "routes `{}` ({}) and `{}` ({}) match the same requests: {what}; give them different methods, hosts or paths",
                route.0,
                at(&route.1),
                other.0,
                at(&other.1)
            ),
            Self::Name { name, place, other } => {
                write!(f, "two routes are named `{name}`: {} and {}", at(place), at(other))
            }
            Self::Route { route, error } => write!(f, "route `{}` ({}): {error}", route.0, at(&route.1)),
        }
    }
}

/// Every route.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    exact: HashMap<String, Tree>,
    /// By what follows the star: `.example.com`.
    wildcard: HashMap<String, Tree>,
    any: Tree,
}

/// What a request leads to.
#[derive(Debug)]
pub enum Found {
    /// This route.
    Match(Matched),
    /// Routes that do not take the method.
    MethodNotAllowed {
        /// What they take, sorted: the value of `Allow`.
        allow: String,
    },
    /// A path with an oddity that its route does not allow, or that no route matches; its name in route files.
    Ambiguous(&'static str),
    /// No route.
    None,
}

/// A route that takes a request, and the parameters of its path.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The route.
    pub route: Arc<Route>,
    /// Its parameters.
    pub params: Params,
}

impl Found {
    /// The match, or the refusal that answers for its absence.
    pub fn into_match(self) -> Result<Matched, Refusal> {
        match self {
            Self::Match(matched) => Ok(matched),
            Self::MethodNotAllowed { allow } => Err(Refusal::MethodNotAllowed(allow)),
            Self::Ambiguous(oddity) => Err(Refusal::AmbiguousTarget(explain(oddity))),
            Self::None => Err(Refusal::NoRoute),
        }
    }
}

/// What is odd, to follow "The request target is refused:".
fn explain(oddity: &'static str) -> &'static str {
    match oddity {
        "encoded_slash" => "it has an encoded slash",
        "semicolon" => "it has a semicolon",
        "empty_segment" => "it has an empty segment",
        "double_encoding" => "it has a double encoding",
        "trailing_dot" => "it has a segment that ends in a dot or a space",
        other => other,
    }
}

impl RouteTable {
    /// Puts a table together, or says everything that is wrong with it.
    pub fn build(specs: Vec<RouteSpec>, roles: impl Into<Arc<Roles>>) -> Result<Self, Vec<Conflict>> {
        let roles = roles.into();
        let mut table = Self::default();
        let mut conflicts = Vec::new();
        let mut names: HashMap<Arc<str>, Place> = HashMap::new();
        for spec in specs {
            let (name, place) = (Arc::clone(&spec.name), spec.place.clone());
            match Route::new(spec, table.routes.len(), Arc::clone(&roles)) {
                Ok(route) => conflicts.extend(table.insert(Arc::new(route))),
                Err(error) => conflicts.push(Conflict::Route { route: (Arc::clone(&name), place.clone()), error }),
            }
            match names.get(&name) {
                Some(other) => conflicts.push(Conflict::Name { name, place, other: other.clone() }),
                None => _ = names.insert(name, place),
            }
        }
        if conflicts.is_empty() { Ok(table) } else { Err(conflicts) }
    }

    fn insert(&mut self, route: Arc<Route>) -> Option<Conflict> {
        let mut tie = None;
        let mut seen = BTreeSet::new();
        let spec = route.spec();
        let mut add = |tree: &mut Tree, host: &str| {
            if let Some(other) = tree.insert(&route).first()
                && tie.is_none()
            {
                let other = other.spec();
                tie = Some(Conflict::Tie {
                    route: (Arc::clone(&spec.name), spec.place.clone()),
                    other: (Arc::clone(&other.name), other.place.clone()),
                    what: format!("`{}` on {host}", spec.path),
                });
            }
        };
        if spec.hosts.is_empty() {
            add(&mut self.any, "any host");
        }
        for host in &spec.hosts {
            let (trees, key, shown) = match host {
                HostPattern::Exact(host) => (&mut self.exact, host, format!("`{host}`")),
                HostPattern::Wildcard(suffix) => (&mut self.wildcard, suffix, format!("`*{suffix}`")),
            };
            if seen.insert(shown.clone()) {
                add(trees.entry(key.clone()).or_default(), &shown);
            }
        }
        self.routes.push(route);
        tie
    }

    /// The routes, in the order of their files.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The route that a request takes: the path chooses first, the method second.
    ///
    /// `host` is in lower case, without port and final dot; `None` (HTTP/1.0) matches routes of any host only.
    #[must_use]
    pub fn find(&self, host: Option<&str>, path: &CanonicalPath, method: &Method) -> Found {
        let oddities = path.oddities();
        let text = path.match_key();
        let key = Key::new(&text);
        let Some(routes) = self.trees(host).find_map(|tree| tree.find(&key)) else {
            return oddities.first_name().map_or(Found::None, Found::Ambiguous);
        };
        let suiting = || routes.iter().filter(|route| key.suits(route));
        if let Some(route) = suiting().find(|route| route.methods().take(method)) {
            return match oddities.without(route.spec().allow_in_path).first_name() {
                Some(oddity) => Found::Ambiguous(oddity),
                None => Found::Match(Matched {
                    route: Arc::clone(route),
                    params: Params { path: path.clone(), pattern: Arc::clone(route.pattern()) },
                }),
            };
        }
        if let Some(oddity) = suiting().find_map(|route| oddities.without(route.spec().allow_in_path).first_name()) {
            return Found::Ambiguous(oddity);
        }
        let mut allow = BTreeSet::new();
        suiting().for_each(|route| route.methods().list(&mut allow));
        Found::MethodNotAllowed { allow: allow.into_iter().collect::<Vec<_>>().join(", ") }
    }

    /// The routes of the most specific pattern that host and path match, whatever their methods.
    #[must_use]
    pub fn nearest<'t>(&'t self, host: Option<&'t str>, path: &CanonicalPath) -> Vec<&'t Arc<Route>> {
        let text = path.match_key();
        let key = Key::new(&text);
        let nearest = self.trees(host).find_map(|tree| tree.find(&key)).unwrap_or_default();
        nearest.iter().filter(|route| key.suits(route)).collect()
    }

    /// Every route that host and path lead to, the most specific pattern first: what [`Self::find`] would see if it went on.
    pub(super) fn candidates<'t>(&'t self, host: Option<&'t str>, key: &Key<'_>) -> Vec<&'t [Arc<Route>]> {
        let mut all = Vec::new();
        for tree in self.trees(host) {
            let _ = tree.walk(key, &mut |routes| {
                all.push(routes);
                ControlFlow::<()>::Continue(())
            });
        }
        all
    }

    /// The trees that a host's requests are looked up in, the most specific first.
    fn trees<'t>(&'t self, host: Option<&'t str>) -> impl Iterator<Item = &'t Tree> {
        let exact = host.and_then(|host| self.exact.get(host));
        let wild = host.filter(|_| !self.wildcard.is_empty()).into_iter().flat_map(move |host| {
            // From the left: the longest suffix comes first.
            host.match_indices('.')
                .filter(|&(dot, _)| dot > 0)
                .filter_map(move |(dot, _)| self.wildcard.get(host.get(dot..).unwrap_or_default()))
        });
        exact.into_iter().chain(wild).chain(std::iter::once(&self.any))
    }
}
