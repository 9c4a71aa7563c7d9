//! `schema` and `completions`: what editors and shells know of the files and of the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Failure;
use super::args::{Cli, SchemaOf};
use super::output::put;
use crate::{config, policy};

/// The schema of a file as it is printed and written.
pub(super) fn schema_text(file: SchemaOf) -> String {
    let schema = match file {
        SchemaOf::Gateway => config::gateway_schema(),
        SchemaOf::Routes => policy::file::schema(),
    };
    format!("{schema:#}\n")
}

/// Prints a schema.
pub(super) fn schema(file: SchemaOf) -> Result<(), Failure> {
    put(&schema_text(file))
}

/// Prints a completion script.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    put(&String::from_utf8_lossy(&script))
}
