//! One thing that a route asks of a caller, and how people read it.

use std::fmt;

use serde_json::Value;

use crate::domain::template::lookup;
use crate::domain::{Principal, Scope};

use super::pattern::Params;
use super::route::{Condition, ConditionSubject, ConditionValue};
use super::table::Matched;

/// One thing that a route asks of a caller.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'r> {
    /// This scope, of `scopes`.
    Scope(&'r Scope),
    /// One of these: `any_scopes`.
    AnyScope(&'r [Scope]),
    /// One of these: `roles`.
    Role(&'r [String]),
    /// An entry of `where`.
    Where(&'r Condition),
}

impl Ask<'_> {
    /// What kind it is, for programs: `scope`, `any_scope`, `role` or `where`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Scope(_) => "scope",
            Self::AnyScope(_) => "any_scope",
            Self::Role(_) => "role",
            Self::Where(_) => "where",
        }
    }

    /// What is asked: `orders:write`, `a or b`, `attributes.tenant = {tenant}`, with the parameter's value behind it.
    #[must_use]
    pub fn wanted(&self, params: &Params) -> String {
        match self {
            Self::Scope(scope) => scope.to_string(),
            Self::AnyScope(scopes) => scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" or "),
            Self::Role(roles) => roles.join(" or "),
            Self::Where(condition) => match &condition.value {
                ConditionValue::Literal(value) => format!("{} = {value}", condition.subject),
                ConditionValue::Parameter(name) => {
                    let given = params.get(name).map_or(Value::Null, |value| Value::from(value.into_owned()));
                    format!("{} = {{{name}}}, which is {given}", condition.subject)
                }
            },
        }
    }

    /// What the caller has of that kind; nothing where there is nothing.
    #[must_use]
    pub fn held(&self, caller: &Principal) -> Option<String> {
        let text = match self {
            Self::Scope(_) | Self::AnyScope(_) => caller.scopes.to_string(),
            Self::Role(_) => caller.roles.join(", "),
            Self::Where(condition) => return condition.held(caller).map(|value| value.to_string()),
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Condition {
    /// What of `caller` it compares.
    fn held(&self, caller: &Principal) -> Option<Value> {
        match &self.subject {
            ConditionSubject::Subject => Some(caller.shown(&caller.subject)).filter(|text| !text.is_empty()).map(Into::into),
            ConditionSubject::Username => caller.username.as_deref().map(|name| caller.shown(name).into()),
            ConditionSubject::Claim(path) => lookup(&caller.claims, path).cloned(),
            ConditionSubject::Attribute(path) => lookup(&caller.attributes, path).cloned(),
        }
    }
}

/// As route files write it.
impl fmt::Display for ConditionSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject => f.write_str("subject"),
            Self::Username => f.write_str("username"),
            Self::Claim(path) => write!(f, "claims.{}", path.join(".")),
            Self::Attribute(path) => write!(f, "attributes.{}", path.join(".")),
        }
    }
}

/// One thing asked, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `scope`, `any_scope`, `role` or `where`.
    pub kind: &'static str,
    /// What is asked.
    pub wanted: String,
    /// What the caller has of that kind.
    pub held: Option<String>,
    /// Whether that is enough.
    pub met: bool,
}

impl Matched {
    /// Each thing that the route asks, judged one by one, in the order in which [`Route::authorize`](super::Route::authorize)
    /// asks them. Nobody meets any of them.
    #[must_use]
    pub fn checks(&self, caller: Option<&Principal>) -> Vec<Check> {
        let check = |ask: Ask<'_>| Check {
            kind: ask.kind(),
            wanted: ask.wanted(&self.params),
            held: caller.and_then(|caller| ask.held(caller)),
            met: caller.is_some_and(|caller| self.route.meets(ask, caller, &self.params)),
        };
        self.route.asks().map(check).collect()
    }
}
