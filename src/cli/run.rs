//! `run`: the gateway itself.

use super::Failure;
use super::args::Run;

/// Runs the gateway until it is told to stop.
pub(super) fn run(_args: &Run) -> Result<(), Failure> {
    Err(Failure::could_not("the gateway is not wired up"))
}
