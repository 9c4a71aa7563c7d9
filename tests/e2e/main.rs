//! The real binary in front of real backends, with real stores: what operators, clients and backends rely on, seen from outside.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test can't go on without fails the test"
)]

mod answers;
mod cli;
mod config;
mod credentials;
mod demo;
mod echo;
mod gateway;
mod http2;
mod identity;
mod lifecycle;
mod logins;
mod observing;
mod outage;
mod pasted;
#[path = "../support/ports.rs"]
mod ports;
mod readme;
#[path = "../support/redis.rs"]
mod redis;
mod replicas;
mod revocation;
mod streaming;
