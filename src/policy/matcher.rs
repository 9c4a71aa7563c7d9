//! The routes of one host pattern as a tree of segments: the most specific pattern is found first.
//!
//! Keys are in lower case, so that routes of either `case` share a node; whoever ends at a node is then compared letter by letter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::pattern::Segment;
use super::permit::Route;
use super::route::{Case, TrailingSlash};

/// A tree of patterns.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Self>,
    param: Option<Box<Self>>,
    /// Patterns that end here.
    here: Vec<Arc<Route>>,
    /// Patterns that end here in `**`.
    rest: Vec<Arc<Route>>,
}

/// A path as the tree looks at it.
pub(super) struct Key<'p> {
    text: &'p str,
    folded: Cow<'p, str>,
}

impl<'p> Key<'p> {
    /// Of a path's [`match_key`](crate::domain::CanonicalPath::match_key).
    pub(super) fn new(text: &'p str) -> Self {
        let capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        Self { text, folded: if capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) } }
    }

    /// Whether the route's literals are spelled as it wants them, where its shape already matches.
    pub(super) fn suits(&self, route: &Route) -> bool {
        route.spec().case == Case::Insensitive
            || route.pattern().segments.iter().zip(self.text.split('/').skip(1)).all(|(own, given)| match own {
                Segment::Literal(literal) => literal == given,
                Segment::Param(_) => true,
            })
    }
}

impl Tree {
    /// Adds a route; gives those that it ties with.
    pub(super) fn insert(&mut self, route: &Arc<Route>) -> Vec<Arc<Route>> {
        let pattern = route.pattern();
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(literal.to_ascii_lowercase().into()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
            };
        }
        let mut ties = Vec::new();
        if pattern.rest {
            add(&mut node.rest, route, &mut ties);
            return ties;
        }
        let either =
            route.spec().trailing_slash == TrailingSlash::Either && matches!(pattern.segments.last(), Some(Segment::Literal(_)));
        if either || !pattern.slash {
            add(&mut node.here, route, &mut ties);
        }
        if either || pattern.slash {
            add(&mut node.literals.entry("".into()).or_default().here, route, &mut ties);
        }
        ties
    }

    /// The routes of the most specific pattern that matches; those that [suit](Key::suits) of them are meant.
    pub(super) fn find(&self, key: &Key<'_>) -> Option<&[Arc<Route>]> {
        match self.walk(key, &mut ControlFlow::Break) {
            ControlFlow::Break(routes) => Some(routes),
            ControlFlow::Continue(()) => None,
        }
    }

    /// Shows `visit` the routes of each pattern that matches, the most specific first, until it has seen enough.
    pub(super) fn walk<'t, B>(
        &'t self,
        key: &Key<'_>,
        visit: &mut impl FnMut(&'t [Arc<Route>]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        // Every path starts with a slash: behind it stands the first segment.
        match key.folded.strip_prefix('/') {
            Some(first) => self.root.walk(Some(first), key, visit),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Node {
    /// `rest` is what is left of the path behind a slash; nothing where the path ended.
    ///
    /// Each node is visited once at most: a path leads to it in one way only.
    fn walk<'t, B>(
        &'t self,
        rest: Option<&str>,
        key: &Key<'_>,
        visit: &mut impl FnMut(&'t [Arc<Route>]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(rest) = rest else {
            offer(&self.here, key, visit)?;
            return offer(&self.rest, key, visit);
        };
        let (segment, behind) = match rest.split_once('/') {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (rest, None),
        };
        if let Some(node) = self.literals.get(segment) {
            node.walk(behind, key, visit)?;
        }
        if let Some(node) = self.param.as_ref().filter(|_| !segment.is_empty()) {
            node.walk(behind, key, visit)?;
        }
        offer(&self.rest, key, visit)
    }
}

fn offer<'t, B>(
    routes: &'t [Arc<Route>],
    key: &Key<'_>,
    visit: &mut impl FnMut(&'t [Arc<Route>]) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if routes.iter().any(|route| key.suits(route)) { visit(routes) } else { ControlFlow::Continue(()) }
}

fn add(routes: &mut Vec<Arc<Route>>, route: &Arc<Route>, ties: &mut Vec<Arc<Route>>) {
    ties.extend(routes.iter().find(|other| overlap(route, other)).cloned());
    routes.push(Arc::clone(route));
}

/// Whether two routes of one shape have a path and a method in common.
fn overlap(one: &Route, other: &Route) -> bool {
    let fold = one.spec().case == Case::Insensitive || other.spec().case == Case::Insensitive;
    let spelled_alike = one.pattern().segments.iter().zip(&other.pattern().segments).all(|pair| match pair {
        (Segment::Literal(one), Segment::Literal(other)) => fold || one == other,
        _ => true,
    });
    spelled_alike && one.methods().overlap(other.methods())
}
