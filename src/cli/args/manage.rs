//! What `user`, `key`, `client`, `session` and `signing-key` take.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ConfigArg, FormatArg};
use crate::domain::Rate;

/// `user …`
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add an account.
    Add(UserAdd),
    /// List all accounts.
    List(Listing),
    /// Show one account.
    Show(UserShow),
    /// Lock an account out: its tokens, sessions and keys are dead at once.
    Disable(UserName),
    /// Let a disabled account in again.
    Enable(UserName),
    /// Delete an account with its sessions and keys.
    Delete(UserName),
    /// Set a password; all sessions of the account end.
    SetPassword(UserSetPassword),
    /// Set the roles, comma-separated; "" takes all away.
    SetRoles(UserSetRoles),
    /// Set the scopes that the account has beside its roles', separated by spaces; "" takes all away.
    SetScopes(UserSetScopes),
    /// Set or remove attributes, which routes' conditions and identity headers can ask for; older access tokens are dead.
    SetAttribute(UserSetAttribute),
    /// Take accounts over from another application, with the hashes of their passwords; all or none.
    Import(UserImport),
}

/// A listing.
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct Listing {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
}

/// `user add`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserAdd {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// The username: 1 to 64 letters, digits and ._-+@
    pub name: String,
    /// The e-mail address; it counts as verified.
    #[arg(long, value_name = "E")]
    pub email: Option<String>,
    /// The full name.
    #[arg(long, value_name = "N")]
    pub full_name: Option<String>,
    /// Roles, comma-separated; without any, the default role of the configuration.
    #[arg(long, value_name = "A,B")]
    pub roles: Option<String>,
    /// Scopes beside the roles', separated by spaces.
    #[arg(long, value_name = "X Y")]
    pub scopes: Option<String>,
    /// An attribute; may be given several times, and with one name several times for a list.
    #[arg(long = "attribute", value_name = "K=V")]
    pub attributes: Vec<String>,
    /// A machine's account, without a password.
    #[arg(long, conflicts_with = "password_stdin")]
    pub service: bool,
    /// Read the password from the first line of stdin.
    #[arg(long)]
    pub password_stdin: bool,
}

/// `user show`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserShow {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// Username or e-mail address.
    pub name: String,
}

/// `user disable|enable|delete`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserName {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Username or e-mail address.
    pub name: String,
}

/// `user set-password`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserSetPassword {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Username or e-mail address.
    pub name: String,
    /// Read the password from the first line of stdin.
    #[arg(long)]
    pub password_stdin: bool,
}

/// `user set-roles`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserSetRoles {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Username or e-mail address.
    pub name: String,
    /// Roles, comma-separated.
    #[arg(value_name = "A,B")]
    pub roles: String,
}

/// `user set-scopes`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserSetScopes {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Username or e-mail address.
    pub name: String,
    /// Scopes, separated by spaces.
    #[arg(value_name = "X Y")]
    pub scopes: String,
}

/// `user set-attribute`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserSetAttribute {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Username or e-mail address.
    pub name: String,
    /// tenant=a1 sets a text, groups=a groups=b a list, tenant= removes; what begins with a bracket or brace is JSON.
    #[arg(value_name = "K=V", required = true)]
    pub attributes: Vec<String>,
}

/// `user import`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct UserImport {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The file; - is stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file is.
    #[arg(long, value_enum)]
    pub format: ImportFormat,
    /// Import what is good, and report what is not.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Say what would be imported, and import nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a file of accounts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// A name and a hash a line, as htpasswd writes them.
    Htpasswd,
    /// A table whose first line names its columns: username and others, which docs/import.md lists.
    Csv,
    /// A JSON object a line, with members of the same names.
    Jsonl,
}

/// `key …`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make an API key and print it: it is not shown again.
    Create(KeyCreate),
    /// Take over a key that clients have already, whatever its form: from stdin, kept as its hash. Prints its id.
    Import(KeyCreate),
    /// List API keys.
    List(Listing),
    /// Revoke an API key.
    Revoke(KeyRevoke),
}

/// `key create`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct KeyCreate {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// Whose rights bound it: username or e-mail address.
    #[arg(long, value_name = "NAME")]
    pub owner: String,
    /// What to call it.
    #[arg(long, value_name = "LABEL")]
    pub name: String,
    /// What it may do, separated by spaces; never more than its owner.
    #[arg(long, value_name = "X Y")]
    pub scopes: Option<String>,
    /// When it ends, such as 30d [default: never].
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub expires_in: Option<std::time::Duration>,
    /// A network it may be used from; may be given several times [default: any].
    #[arg(long = "allow", value_name = "CIDR", value_parser = network)]
    pub allow: Vec<String>,
    /// How often it may be used, such as 100/1m, beside what routes allow its owner [default: as often as they do].
    #[arg(long, value_name = "N/PERIOD")]
    pub rate_limit: Option<Rate>,
}

/// `key revoke`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct KeyRevoke {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The key's id: the 26 characters behind ptc_, or what `key import` printed.
    pub id: String,
}

/// `client …`
#[derive(Debug, Subcommand)]
pub enum Client {
    /// Make an OAuth client and print its id and its secret, which is not shown again.
    Create(ClientCreate),
    /// List OAuth clients.
    List(Listing),
    /// Delete an OAuth client: its tokens, and the sessions opened through it, are dead at once.
    Delete(ClientDelete),
}

/// `client create`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct ClientCreate {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// What to call it; unique without regard to case.
    pub name: String,
    /// How it may get tokens: `client_credentials` and so on.
    #[arg(
        long,
        value_name = "A,B",
        help = "How it may get tokens, comma-separated: client_credentials, password, refresh_token, authorization_code [default: \
                client_credentials; with --public password,refresh_token; with a redirect URI authorization_code,refresh_token]"
    )]
    pub grants: Option<String>,
    /// What its tokens may do at most, separated by spaces [default: nothing for one that acts as itself, else all that the
    /// user may].
    #[arg(long, value_name = "X Y")]
    pub scopes: Option<String>,
    /// Where codes may be sent; may be given several times.
    #[arg(long = "redirect-uri", value_name = "U")]
    pub redirect_uris: Vec<String>,
    /// It can't keep a secret, as in a browser or on a phone: it has none.
    #[arg(long)]
    pub public: bool,
}

/// `client delete`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct ClientDelete {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The client's id.
    pub id: String,
}

/// `session …`
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List live sessions.
    List(SessionList),
    /// End a session, or all of a user's.
    Revoke(SessionRevoke),
}

/// `session list`
#[derive(Args, Debug)]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct SessionList {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub format: FormatArg,
    /// Only this user's: username or e-mail address.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// `session revoke`
#[derive(Args, Debug)]
#[group(id = "which", required = true, multiple = false, args = ["id", "user"])]
#[expect(missing_docs, reason = "the fields' comments are the help texts of their types")]
pub struct SessionRevoke {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The session's id.
    pub id: Option<String>,
    /// All of this user's: username or e-mail address.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// `signing-key …`
#[derive(Debug, Subcommand)]
pub enum SigningKey {
    /// List the signing keys and what each does.
    List(Listing),
    /// Make a key that follows the others; running gateways read it at a reload.
    Rotate(Listing),
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if span.is_zero() => Err("write a span longer than zero, such as 30d".into()),
        Ok(span) => Ok(span),
        Err(_) => Err("write a number and a unit, such as 12h or 30d".into()),
    }
}

fn network(text: &str) -> Result<String, String> {
    let network = text.parse::<ipnet::IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into));
    network.map(|network| network.trunc().to_string()).map_err(|_| "write a network, such as 10.0.0.0/8".into())
}
