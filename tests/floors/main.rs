//! Each floor of the library by itself, the proxy on sockets, and the command line: what needs no gateway of its own process.
//! One program, because each that is linked holds the whole library once more.

mod api_keys;
#[path = "../support/backend.rs"]
mod backend;
mod cli;
mod client_address;
mod docs;
mod editor;
#[path = "../support/gateway.rs"]
mod gateway;
mod identity_headers;
mod limits;
#[path = "../support/log.rs"]
mod log;
mod policy;
#[path = "../support/ports.rs"]
#[expect(clippy::expect_used, reason = "without a port there is no test")]
mod ports;
mod proxy_answers;
mod proxy_backends;
mod proxy_balancing;
mod proxy_connections;
mod proxy_framing;
mod proxy_identity;
mod proxy_property;
mod proxy_streams;
mod proxy_tls_backends;
#[path = "../support/redis.rs"]
mod redis;
mod revocation;
#[path = "../support/secure.rs"]
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
mod secure;
mod signing_keys;
#[path = "../support/spec.rs"]
mod spec;
mod target;
mod token_algorithms;
mod tokens;
