//! `where`: whether a principal meets what a route asks of its claims and attributes.

use serde_json::Value;

use crate::domain::Principal;
use crate::domain::template::{lookup, scalar_text};

use super::pattern::Params;
use super::route::{Condition, ConditionSubject, ConditionValue};

impl Condition {
    /// Whether it holds. What is missing on either side never equals anything; an array matches by membership.
    ///
    /// Another issuer's subject and username are compared as backends see them, behind the issuer's name.
    #[must_use]
    pub fn holds(&self, principal: &Principal, params: &Params) -> bool {
        match &self.subject {
            ConditionSubject::Subject => self.value.is_text(&principal.shown(&principal.subject), params),
            ConditionSubject::Username => {
                principal.username.as_deref().is_some_and(|name| self.value.is_text(&principal.shown(name), params))
            }
            ConditionSubject::Claim(path) => lookup(&principal.claims, path).is_some_and(|held| self.value.is(held, params)),
            ConditionSubject::Attribute(path) => {
                lookup(&principal.attributes, path).is_some_and(|held| self.value.is(held, params))
            }
        }
    }
}

impl ConditionValue {
    fn is(&self, held: &Value, params: &Params) -> bool {
        if let Value::Array(items) = held {
            items.iter().any(|item| self.is_one(item, params))
        } else {
            self.is_one(held, params)
        }
    }

    /// Literals are equal in type too; a parameter is text, so numbers and booleans are compared as text with it.
    fn is_one(&self, held: &Value, params: &Params) -> bool {
        match self {
            Self::Literal(literal) => !held.is_null() && held == literal,
            Self::Parameter(name) => {
                scalar_text(held).is_some_and(|held| params.get(name).is_some_and(|given| !given.is_empty() && given == held))
            }
        }
    }

    fn is_text(&self, held: &str, params: &Params) -> bool {
        !held.is_empty()
            && match self {
                Self::Literal(literal) => literal.as_str() == Some(held),
                Self::Parameter(name) => params.get(name).is_some_and(|given| given == held),
            }
    }
}
