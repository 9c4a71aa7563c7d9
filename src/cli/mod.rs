//! Floor 6: the command line. Results go to stdout, errors to stderr with a way to mend them.

use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

pub mod args;
pub mod check;
mod demo;
mod editor;
mod explain;
mod init;
mod man;
mod manage;
mod output;
mod password;
mod ready;
pub mod routes;
mod run;
pub mod test;
mod trace;

use crate::config::Environment;
use args::{Cli, Command};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The thing asked is wrong: a bad configuration, denied, not found.
    Wrong = 1,
    /// It was asked in a wrong way.
    Usage = 2,
    /// It could not be done now: the store can't be reached.
    CouldNot = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command was not done: what goes to stderr, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, where, and what to do about it; empty where that was printed already.
    pub message: String,
}

impl Failure {
    /// The thing asked is wrong.
    pub fn wrong(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Wrong, message: message.to_string() }
    }

    /// It could not be done now.
    pub fn could_not(message: impl fmt::Display) -> Self {
        Self { exit: Exit::CouldNot, message: message.to_string() }
    }
}

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows where each is printed. A closed stdout can't be told anybody.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::tell(&format!("error: {}\n", failure.message));
            }
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let colors = Colors::of_process();
    match command {
        Command::Run(args) => run::run(&args),
        Command::Ready(args) => ready::ready(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Init(args) => init::init(&args),
        Command::Check(args) => {
            let format = args.format.format.into();
            report(&check::check(&args.config.config, format, args.strict, colors.err, &Environment::of_process()))
        }
        Command::Routes(args) => {
            let format = args.format.format.into();
            report(&routes::routes(&args.config.config, format, colors.err, &Environment::of_process()))
        }
        Command::Explain(args) => explain::explain(&args, colors),
        Command::Test(args) => {
            let (format, filter) = (args.format.format.into(), args.filter.as_deref());
            report(&test::test(&args.config.config, filter, format, colors, &Environment::of_process()))
        }
        Command::Schema(args) => editor::schema(args.file),
        Command::Completions(args) => editor::completions(args.shell),
        Command::Man(_) => man::man(),
        Command::User(command) => manage::user(command),
        Command::Key(command) => manage::key(command),
        Command::Client(command) => manage::client(command),
        Command::Session(command) => manage::session(command),
        Command::SigningKey(command) => manage::signing_key(&command),
    }
}

/// Where colours may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// On stdout.
    pub out: bool,
    /// On stderr.
    pub err: bool,
}

impl Colors {
    fn of_process() -> Self {
        // https://no-color.org: set to anything, it says no.
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { out: wanted && std::io::stdout().is_terminal(), err: wanted && std::io::stderr().is_terminal() }
    }
}

/// Prints what a command that only reads has to say.
fn report(outcome: &check::Outcome) -> Result<(), Failure> {
    output::put(&outcome.out)?;
    output::tell(&outcome.err);
    match outcome.code {
        0 => Ok(()),
        _ => Err(Failure { exit: Exit::Wrong, message: String::new() }),
    }
}

impl From<args::Format> for check::Format {
    fn from(format: args::Format) -> Self {
        match format {
            args::Format::Text => Self::Text,
            args::Format::Json => Self::Json,
        }
    }
}
