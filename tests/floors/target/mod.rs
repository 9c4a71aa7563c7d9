//! Request targets, paths and hosts: one canonical reading, or a refusal.

mod paths;
mod properties;
mod targets;

use http::{Method, Version};
use portcullis::domain::{AllowInPath, CanonicalPath, PathFault};
use portcullis::problem::Refusal;
use portcullis::proxy::target::{Authority, Target, check_method};

fn parse(path: &str) -> Result<CanonicalPath, PathFault> {
    CanonicalPath::parse(path.as_bytes())
}

fn read(raw: &str, hosts: &[&str], version: Version) -> Result<Target, Refusal> {
    let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
    Target::read(raw.as_bytes(), &hosts, version)
}
