//! `demo`: the whole thing in one process, in a folder that is gone afterwards.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::args::Demo;
use super::output::{put, tell};
use super::{Failure, manage, run};
use crate::accounts::admin::{Admin, NewKey, NewUser};
use crate::app::{self, Succession};
use crate::domain::entropy::random_text;
use crate::domain::{ScopeSet, SystemEntropy};

const USER: &str = "alice";

/// What the demo made, for the commands that it prints.
struct Made {
    password: String,
    key: String,
}

/// Runs the demo until Ctrl-C.
pub(super) fn demo(args: &Demo) -> Result<(), Failure> {
    if let Some(file) = &args.config {
        tell(&format!("note: the demo makes a configuration of its own; {} is not read\n", file.display()));
    }
    let folder = tempfile::Builder::new()
        .prefix("portcullis-demo-")
        .tempdir()
        .map_err(|error| Failure::could_not(format!("no temporary folder can be made: {error}")))?;
    let listen = free(args.listen)?;
    let backend = app::start_sample().map_err(|error| Failure::could_not(format!("the sample backend can't start: {error}")))?;
    let file = folder.path().join("gateway.toml");
    write(folder.path(), listen, backend.address())
        .map_err(|error| Failure::could_not(format!("{}: {error}", folder.path().display())))?;
    let made = manage::with_admin_of(manage::load(&file)?, make)?;
    run::serve(&file, Succession::Alone, false, |gateway| {
        let url = gateway.listeners().first().map_or_else(|| format!("http://{listen}"), ToString::to_string);
        put(&shown(&url, &made))
    })
}

/// The address asked for; where it is the default and taken, any free one of that interface.
fn free(asked: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    let address = asked.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    match TcpListener::bind(address) {
        Ok(listener) => listener.local_addr().map_err(Failure::could_not),
        Err(_) if asked.is_none() => free(Some(SocketAddr::new(address.ip(), 0))),
        Err(error) => Err(Failure::could_not(format!("cannot listen on {address}: {error}; choose another with --listen"))),
    }
}

fn write(folder: &Path, listen: SocketAddr, backend: SocketAddr) -> std::io::Result<()> {
    fs::create_dir(folder.join("routes"))?;
    fs::write(
        folder.join("gateway.toml"),
        format!(
            "version = 1\n\
             [server]\nlisten = [\"{listen}\"]\nadmin_listen = \"127.0.0.1:0\"\npublic_url = \"http://{listen}\"\n\
             [scopes]\n\"items:read\" = \"Read items\"\n\"items:write\" = \"Change items\"\n"
        ),
    )?;
    fs::write(
        folder.join("routes/demo.toml"),
        format!(
            "version = 1\n\
             [defaults]\nbackend = \"http://{backend}\"\n\
             [[route]]\nname = \"public\"\npath = \"/public/**\"\nauth = \"none\"\n\
             [[route]]\nname = \"items-read\"\npath = \"/items/**\"\nmethods = [\"GET\"]\nscopes = [\"items:read\"]\n\
             [[route]]\nname = \"items-write\"\npath = \"/items/**\"\nmethods = [\"POST\", \"PUT\", \"DELETE\"]\nscopes = [\"items:write\"]\n\
             [[route]]\nname = \"everything-else\"\npath = \"/**\"\n"
        ),
    )
}

/// Makes the user, who may read items but not write them, and an API key of his.
async fn make(admin: &Admin) -> Result<Made, Failure> {
    let password = random_text(&SystemEntropy, b"abcdefghijkmnpqrstuvwxyz23456789", 20);
    let scopes: ScopeSet = "items:read".parse().map_err(Failure::could_not)?;
    admin
        .create_user(NewUser {
            username: USER.to_owned(),
            email: Some("alice@example.com".to_owned()),
            full_name: Some("Alice Liddell".to_owned()),
            scopes,
            password: Some(password.clone().into()),
            ..NewUser::default()
        })
        .await?;
    let key = admin.create_key(NewKey { owner: USER.to_owned(), name: "demo".to_owned(), ..NewKey::default() }).await?;
    Ok(Made { password, key: key.key.expose().to_owned() })
}

/// What is printed once it runs.
fn shown(url: &str, made: &Made) -> String {
    let Made { password, key } = made;
    format!(
        r#"
Portcullis stands at {url}, in front of a backend that answers with what reaches it.
The user is {USER}, his password {password}, and he may read items but not write them.
Paste these into another terminal, in this order:

Without a credential: 401, and the backend hears nothing.
  $ curl -s -w '\n' {url}/items/1

Log in, and keep both tokens.
  $ TOKENS=$(curl -s {url}/auth/login -d 'username={USER}&password={password}')
  $ ACCESS=$(printf %s "$TOKENS" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  $ REFRESH=$(printf %s "$TOKENS" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/')

With the access token: 200, and the backend is told who calls. A forged header does not reach it, nor does the token.
  $ curl -s {url}/items/1 -H "Authorization: Bearer $ACCESS" -H "X-Auth-User: root"

A scope that {USER} does not have: 403.
  $ curl -s -w '\n' {url}/items/1 -H "Authorization: Bearer $ACCESS" -X DELETE

The same with an API key.
  $ curl -s {url}/items/1 -H "X-API-Key: {key}"

Refresh: both tokens are replaced.
  $ TOKENS=$(curl -s {url}/auth/refresh -d "refresh_token=$REFRESH")
  $ ACCESS=$(printf %s "$TOKENS" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  $ curl -s -w '\n' {url}/auth/me -H "Authorization: Bearer $ACCESS"

Log out: 204, and from then on 401.
  $ curl -s {url}/auth/logout -X POST -H "Authorization: Bearer $ACCESS" -o /dev/null -w '%{{http_code}}\n'
  $ curl -s -w '\n' {url}/items/1 -H "Authorization: Bearer $ACCESS"

Every call is logged below. Ctrl-C ends the demo and leaves nothing behind.

"#
    )
}
