//! The real binary in front of real backends, with real stores: what the contract promises, seen from outside.

mod answers;
mod cli;
mod demo;
mod echo;
mod gateway;
mod identity;
mod lifecycle;
mod logins;
mod outage;
mod readme;
#[path = "../support/redis.rs"]
mod redis;
mod revocation;
mod streaming;
