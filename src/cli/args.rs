//! What may be typed, as clap sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod manage;

pub use manage::{
    Client, ClientCreate, ClientDelete, ImportFormat, Key, KeyCreate, KeyRevoke, Listing, Session, SessionList, SessionRevoke,
    SigningKey, User, UserAdd, UserImport, UserName, UserSetAttribute, UserSetPassword, UserSetRoles, UserSetScopes, UserShow,
};

/// Where the configuration is if nobody says so.
pub const DEFAULT_CONFIG: &str = "./gateway.toml";

/// An authentication gateway for services that have no login of their own.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway.
    Run(Run),
    /// Ask the running gateway whether it is ready: 0 if so, 1 if not, 3 if none answers.
    Ready(Ready),
    /// Try it: gateway, sample backend, a user and an API key in one process that leaves nothing behind.
    Demo(Demo),
    /// Write gateway.toml, routes/, signing keys and the first admin into a folder; never overwrites.
    Init(Init),
    /// Load configuration and routes without serving, and print every error and warning.
    Check(Check),
    /// Print the resolved route table.
    Routes(Listing),
    /// Say what would become of a request, step by step, and why; nothing is sent.
    Explain(Explain),
    /// Run the policy tests: the `[[test]]` entries of the route files.
    Test(Test),
    /// Print the JSON Schema of gateway.toml or of route files: editors complete and check by it.
    Schema(Schema),
    /// Print the completion script of a shell.
    Completions(Completions),
    /// Print the manual page: `portcullis man | man -l -`.
    Man(Man),
    /// Manage accounts.
    #[command(subcommand)]
    User(User),
    /// Manage API keys.
    #[command(subcommand)]
    Key(Key),
    /// Manage OAuth clients.
    #[command(subcommand)]
    Client(Client),
    /// See and end sessions.
    #[command(subcommand)]
    Session(Session),
    /// See and replace the keys that access tokens are signed with.
    #[command(subcommand)]
    SigningKey(SigningKey),
}

/// Which gateway.toml.
#[derive(Args, Clone, Debug)]
pub struct ConfigArg {
    /// The configuration file.
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "PORTCULLIS_CONFIG",
        hide_env_values = true,
        default_value = DEFAULT_CONFIG,
        // An empty variable is an unset one.
        value_parser = OsStringValueParser::new().map(|given| if given.is_empty() { DEFAULT_CONFIG.into() } else { PathBuf::from(given) })
    )]
    pub config: PathBuf,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `--format`.
#[derive(Args, Clone, Copy, Debug)]
pub struct FormatArg {
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `run`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Run {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Take the listeners over from the gateway that runs on this configuration, without a failed request.
    #[arg(long)]
    pub upgrade: bool,
    /// Reload when gateway.toml, a route file, a signing key or another file that they name has changed.
    #[arg(long)]
    pub watch: bool,
}

/// `ready`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Ready {
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Where to listen; 127.0.0.1:8080, or a free port where that is taken.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Taken as by every command, and not read: the demo makes a configuration of its own.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `init`
#[derive(Args, Debug)]
pub struct Init {
    /// The folder, made if need be [default: that of `PORTCULLIS_CONFIG`, else .].
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The configuration file to write, in the folder where all else goes [default: gateway.toml].
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "dir")]
    pub config: Option<PathBuf>,
    /// Read the admin's password from the first line of stdin.
    #[arg(long)]
    pub password_stdin: bool,
}

/// `check`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Check {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// Fail on warnings too.
    #[arg(long)]
    pub strict: bool,
}

/// `explain`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Explain {
    /// The method.
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// The URL, or a path: then only routes of any host match, but for a `--header 'Host: …'`.
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// Suppose a caller whose credential holds these scopes, separated by spaces [default: all that the roles give].
    #[arg(long, value_name = "A B")]
    pub scopes: Option<String>,
    /// Suppose a caller with these roles, comma-separated.
    #[arg(long, value_name = "A,B")]
    pub roles: Option<String>,
    /// Suppose a caller with this attribute; may be given several times.
    #[arg(long = "attribute", value_name = "K=V")]
    pub attributes: Vec<String>,
    /// Suppose a token with this claim; may be given several times.
    #[arg(long = "claim", value_name = "K=V")]
    pub claims: Vec<String>,
    /// Suppose a caller with this subject: the id of an account.
    #[arg(long, value_name = "ID")]
    pub subject: Option<String>,
    /// Suppose a caller with this username.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Suppose that the caller comes with a credential of this kind [default: bearer].
    #[arg(long, value_enum, value_name = "KIND")]
    pub credential: Option<CredentialArg>,
    /// Suppose nobody: no credential, which is so without any of these options too.
    #[arg(
        long,
        conflicts_with_all = ["scopes", "roles", "attributes", "claims", "subject", "username", "credential", "token"]
    )]
    pub anonymous: bool,
    /// Come with this bearer token and have it judged; `-` reads it from the first line of stdin.
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with_all = ["scopes", "roles", "attributes", "claims", "subject", "username", "credential"]
    )]
    pub token: Option<String>,
    /// Come with this header field, as in curl; may be given several times.
    #[arg(long = "header", short = 'H', value_name = "K: V")]
    pub headers: Vec<String>,
    /// Who connects.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub client: std::net::IpAddr,
    /// To which of `server.listen`, which may send to HTTPS [default: one that does not; TLS as the URL says].
    #[arg(long, value_name = "ADDRESS")]
    pub listener: Option<String>,
}

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum CredentialArg {
    /// `Authorization: Bearer`.
    Bearer,
    /// An API key.
    ApiKey,
    /// The session cookie.
    Session,
}

impl From<CredentialArg> for crate::domain::CredentialKind {
    fn from(kind: CredentialArg) -> Self {
        match kind {
            CredentialArg::Bearer => Self::Bearer,
            CredentialArg::ApiKey => Self::ApiKey,
            CredentialArg::Session => Self::Session,
        }
    }
}

/// `test`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Test {
    /// Only tests with this in their request, name, route or file.
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
}

/// `-c` of commands that need no configuration.
#[derive(Args, Clone, Debug)]
pub struct UnreadConfigArg {
    /// Taken as by every command, and not read.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `schema`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Schema {
    #[command(flatten)]
    pub config: UnreadConfigArg,
    /// Which file's.
    #[arg(value_enum, value_name = "FILE")]
    pub file: SchemaOf,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// gateway.toml
    Gateway,
    /// routes/*.toml
    Routes,
}

/// `completions`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Completions {
    #[command(flatten)]
    pub config: UnreadConfigArg,
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `man`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Man {
    #[command(flatten)]
    pub config: UnreadConfigArg,
}
