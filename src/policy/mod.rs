//! Floor 2: which route a request takes, what that route asks, and the one function that lets a request pass.

pub mod file;
pub mod route;

pub use route::{
    AllowInPath, AuthMode, Case, Condition, ConditionSubject, ConditionValue, HeaderRule, HostPattern, HostRewrite, Place,
    RouteSpec, TrailingSlash,
};
