//! Portcullis: an authentication gateway for services that have no login of their own.
//!
#![doc = include_str!("ARCHITECTURE.md")]

pub mod accounts;
pub mod app;
pub mod cli;
pub mod config;
pub mod credential;
pub mod domain;
pub mod endpoints;
pub mod limit;
pub mod mail;
pub mod password;
pub mod policy;
pub mod problem;
pub mod proxy;
pub mod revocation;
pub mod store;
pub mod telemetry;
