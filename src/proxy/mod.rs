//! Floor 4: requests on their way to a backend and back.

pub mod forwarded;
pub mod identity;
pub mod target;
