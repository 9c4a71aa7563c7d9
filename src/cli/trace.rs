//! How `test` and `explain` show which route won, what it asks, and why the others lost.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::policy::{Check, Loss, Place, Route};
use crate::telemetry::printable;

/// More losers than these are only counted.
const SHOWN: usize = 8;

/// Colours for a terminal, or nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.wrap("31;1", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn mark(self, good: bool) -> String {
        if good { self.good("✓") } else { self.bad("✗") }
    }
}

/// `routes/app.toml:12:1`
pub(super) fn at(place: &Place) -> String {
    format!("{}:{}:{}", place.file, place.line, place.column)
}

/// A line for each check, with `indent` before it.
pub(super) fn checks(checks: &[Check], indent: &str, paint: Paint) -> String {
    let mut text = String::new();
    for check in checks {
        let kind = check.kind.replace("any_scope", "one of the scopes");
        let held = match (&check.held, check.kind) {
            (Some(held), _) => format!("the caller has {held}"),
            (None, "where") => "the caller has no such value".to_owned(),
            (None, _) => "the caller has none".to_owned(),
        };
        let _ = writeln!(text, "{indent}{} {kind} {}: {}", paint.mark(check.met), printable(&check.wanted), printable(&held));
    }
    text
}

/// A line for each of the nearest losers, with `indent` before it.
pub(super) fn losers(losers: &[(Arc<Route>, Loss)], indent: &str, paint: Paint) -> String {
    let mut text = String::new();
    let near = losers.iter().filter(|(_, loss)| !matches!(loss, Loss::Both(_)));
    let shown: Vec<_> = near.chain(losers.iter().filter(|(_, loss)| matches!(loss, Loss::Both(_)))).take(SHOWN).collect();
    for (route, loss) in &shown {
        let place = paint.dim(&format!("({})", at(&route.spec().place)));
        let _ = writeln!(text, "{indent}{} {place} {}", route.name(), printable(&loss.to_string()));
    }
    match losers.len() - shown.len() {
        0 => {}
        more => {
            let _ = writeln!(text, "{indent}and {more} more, further away");
        }
    }
    text
}

fn route_members(route: &Route) -> Map<String, Value> {
    let Place { file, line, column } = &route.spec().place;
    let members = [
        ("name", route.name().into()),
        ("path", route.spec().path.as_str().into()),
        ("file", (&**file).into()),
        ("line", (*line).into()),
        ("column", (*column).into()),
    ];
    members.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect()
}

/// A route and where it is written.
pub(super) fn route_json(route: &Route) -> Value {
    route_members(route).into()
}

/// All losers.
pub(super) fn losers_json(losers: &[(Arc<Route>, Loss)]) -> Vec<Value> {
    let one = |(route, loss): &(Arc<Route>, Loss)| {
        let mut members = route_members(route);
        members.insert("lost_by".to_owned(), loss.kind().into());
        members.insert("why".to_owned(), loss.to_string().into());
        Value::Object(members)
    };
    losers.iter().map(one).collect()
}

/// All checks.
pub(super) fn checks_json(checks: &[Check]) -> Vec<Value> {
    let one = |check: &Check| json!({ "asks": check.kind, "wanted": check.wanted, "held": check.held, "met": check.met });
    checks.iter().map(one).collect()
}
