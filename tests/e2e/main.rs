//! The real binary in front of real backends, with real stores: what operators, clients and backends rely on, seen from outside.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test can't go on without fails the test"
)]

mod administration;
mod answers;
mod api_docs;
mod assertion;
mod attributes;
mod backends;
mod cli;
mod config;
mod cors;
mod credentials;
mod demo;
mod deploy;
mod echo;
mod encrypted;
mod explain;
#[path = "../issuers/forge.rs"]
mod forge;
mod gateway;
mod guides;
mod http2;
mod http2_combined;
mod identity;
mod imported_keys;
mod issuer;
mod issuers;
mod key_limits;
mod lifecycle;
mod listeners;
mod logins;
mod mail;
mod mailbox;
mod oauth;
mod observe;
mod observed;
mod observing;
mod oidc_provider;
mod on_postgres;
mod order;
mod outage;
mod password_rules;
mod pasted;
mod policy_tests;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/postgres.rs"]
mod postgres;
mod postgres_server;
mod presets;
mod readme;
mod ready;
#[path = "../support/redis.rs"]
mod redis;
mod replicas;
mod revocation;
mod route_limits;
#[path = "../support/secure.rs"]
#[expect(dead_code, reason = "shared by tests that each use a part")]
mod secure;
mod secure_sockets;
mod signing_keys;
mod sockets;
mod storage;
mod streaming;
mod streams_end;
mod tls;
mod upgrade;
mod upgrade_hazards;
mod upgrade_streams;
mod user_import;
mod watch;
mod websocket;
