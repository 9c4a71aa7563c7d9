//! Floor 2: which route a request takes, what that route asks, and the one function that lets a request pass.

pub mod condition;
pub mod file;
mod matcher;
pub mod method;
pub mod pattern;
pub mod permit;
pub mod rewrite;
pub mod route;
pub mod table;

pub use pattern::{Params, Pattern, PatternError};
pub use permit::{Permit, Route, RouteError};
pub use rewrite::RewriteError;
pub use route::{
    AllowInPath, AuthMode, Case, Condition, ConditionSubject, ConditionValue, HeaderRule, HostPattern, HostRewrite, Place,
    RouteSpec, StreamExpiry, TrailingSlash,
};
pub use table::{Conflict, Found, Matched, RouteTable};
