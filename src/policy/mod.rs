//! Floor 2: which route a request takes, what that route asks, and the one function that lets a request pass.

mod ask;
pub mod blame;
pub mod condition;
pub mod file;
mod matcher;
pub mod method;
pub mod own;
pub mod pattern;
pub mod permit;
pub mod policy_test;
pub mod rewrite;
pub mod route;
pub mod survey;
pub mod table;
pub mod target;

pub use ask::{Ask, Check};
pub use pattern::{Params, Pattern, PatternError};
pub use permit::{Permit, Route, RouteError};
pub use policy_test::{Expect, PolicyTest, Ruling};
pub use rewrite::RewriteError;
pub use route::{
    AllowInPath, AuthMode, Case, Condition, ConditionSubject, ConditionValue, HeaderRule, HostPattern, HostRewrite, Place,
    RouteCors, RouteSpec, StreamExpiry, TrailingSlash,
};
pub use survey::{Loss, Survey};
pub use table::{Conflict, Found, Matched, RouteTable};
