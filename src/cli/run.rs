//! `run`: the gateway itself.

use std::path::Path;

use super::args::Run;
use super::{Exit, Failure, manage};
use crate::app::{self, Gateway, StartError, Succession, Watch};
use crate::config::Environment;
use crate::telemetry;

/// Runs the gateway until it is told to stop.
pub(super) fn run(args: &Run) -> Result<(), Failure> {
    let succession = if args.upgrade { Succession::Replaces } else { Succession::Replaceable };
    serve(&args.config.config, succession, args.watch, |gateway| {
        for listener in gateway.listeners() {
            tracing::info!("listening on {listener}");
        }
        Ok(())
    })
}

/// Starts a gateway on the configuration at `file`, calls `started`, and serves until the end.
pub(super) fn serve(
    file: &Path,
    succession: Succession,
    watch: bool,
    started: impl FnOnce(&Gateway) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let watch = watch.then(|| Watch::of(file, &environment));
    let loaded = app::load(file, &environment).map_err(|report| manage::bad(file, &report))?;
    let _log = telemetry::init(&loaded.config.log);
    app::warn(&loaded.report);
    let (gateway, signals) = Gateway::start(file, &environment, loaded, succession).map_err(|error| failure(&error))?;
    started(&gateway)?;
    gateway.until_told_to_end(signals, watch);
    Ok(())
}

/// What is wrong with the files is the asker's to mend; what the machine does not give may come.
fn failure(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Config(_)
        | StartError::Store(_)
        | StartError::Keys(_)
        | StartError::Issuers(_)
        | StartError::Identity(_)
        | StartError::Mail(_)
        | StartError::Redis(_) => Exit::Wrong,
        StartError::Serve(_) | StartError::Upgrade(_) | StartError::System(_) => Exit::CouldNot,
    };
    Failure { exit, message: app::told(error) }
}
