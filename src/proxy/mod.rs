//! Floor 4: requests on their way to a backend and back. `Gateway` is pingora's side of it, phase by phase.

mod admin;
mod announced;
mod arrival;
mod assertion;
mod attempts;
mod backend;
mod bridge;
mod chunked;
mod connection;
mod context;
mod cors;
mod decide;
pub mod explain;
mod facts;
mod failure;
pub mod forwarded;
mod framing;
mod gateway;
pub mod identity;
mod line;
pub(crate) mod listener;
pub mod live;
mod patience;
mod redirect;
mod refuse;
mod request_id;
pub mod serve;
mod tls;
mod trip;
mod upstream;
mod wire;

pub use crate::policy::target;
pub(crate) use gateway::Gateway;
pub use live::{Live, Shared};
pub use serve::{Running, ServeError, start};
