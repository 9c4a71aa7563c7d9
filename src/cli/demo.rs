//! `demo`: the whole thing in one process.

use super::Failure;
use super::args::Demo;

/// Runs gateway, sample backend, user and key in a temporary folder until Ctrl-C.
pub(super) fn demo(_args: &Demo) -> Result<(), Failure> {
    Err(Failure::could_not("the demo is not wired up"))
}
