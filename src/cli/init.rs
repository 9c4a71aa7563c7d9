//! `init`: a folder to start from: configuration, an example route, signing keys and the first admin.
//!
//! Everything is made in a folder beside its place and moved when it is whole, so that a failure leaves nothing behind.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::args::{DEFAULT_CONFIG, Init, SchemaOf};
use super::editor::schema_text;
use super::output::put;
use super::{Failure, manage, password};
use crate::accounts::admin::NewUser;
use crate::config::{Algorithm, Environment, Passwords, Variable};
use crate::credential::KeyRing;
use crate::domain::secret::ExposeSecret;
use crate::domain::{Clock, SecretString, SystemClock, SystemEntropy};

const GATEWAY: &str = include_str!("init/gateway.toml");
const ROUTES: &str = include_str!("init/app.toml");
/// The first account, and its role.
const ADMIN: &str = "admin";
/// What must not be there yet, beside the configuration.
const TARGETS: [&str; 5] = ["routes/app.toml", "keys", "data/portcullis.db", GATEWAY_SCHEMA, ROUTES_SCHEMA];
/// What editors complete and check by: the files' `#:schema` lines name them.
const GATEWAY_SCHEMA: &str = ".portcullis/gateway.json";
const ROUTES_SCHEMA: &str = ".portcullis/routes.json";

/// Writes everything, or nothing.
pub(super) fn init(args: &Init) -> Result<(), Failure> {
    let file = file(args, &Environment::of_process());
    let dir = match file.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => return Err(Failure::wrong(format!("{} is no file that can be written", file.display()))),
    };
    for path in std::iter::once(file.clone()).chain(TARGETS.map(|target| dir.join(target))) {
        if path.symlink_metadata().is_ok() && !is_empty_folder(&path) {
            return Err(Failure::wrong(format!(
                "{} is there already, and init never overwrites; name another folder: portcullis init DIR \
                 (if only the keys are missing here: copy the DIR/keys that it makes)",
                path.display()
            )));
        }
    }
    let existed = dir.is_dir();
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    let result = fill(args, &file, dir);
    if result.is_err() && !existed {
        // It is empty: all that was made in it is gone again.
        let _ = fs::remove_dir(dir);
    }
    put(&result?)
}

/// The configuration to write: DIR/gateway.toml, else `-c`, else as for every other command.
fn file(args: &Init, env: &Environment) -> PathBuf {
    if let Some(dir) = &args.dir {
        return dir.join("gateway.toml");
    }
    let named = args.config.clone().filter(|file| !file.as_os_str().is_empty());
    named.unwrap_or_else(|| match env.get("PORTCULLIS_CONFIG") {
        Variable::Text(file) if !file.is_empty() => file.into(),
        Variable::Text(_) | Variable::Unset | Variable::NotText => DEFAULT_CONFIG.into(),
    })
}

/// Makes everything, and gives what there is to say about it.
fn fill(args: &Init, file: &Path, dir: &Path) -> Result<String, Failure> {
    let name = file.file_name().ok_or_else(|| Failure::wrong(format!("{} names no file", file.display())))?;
    let stage = tempfile::Builder::new().prefix(".init-").tempdir_in(dir).map_err(|error| failed(dir, &error))?;
    let at = |name: &str| stage.path().join(name);
    let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(|error| failed(&path, &error));
    let staged = stage.path().join(name);
    write(staged.clone(), GATEWAY)?;
    fs::create_dir(at("routes")).map_err(|error| failed(&at("routes"), &error))?;
    write(at("routes/app.toml"), ROUTES)?;
    fs::create_dir(at(".portcullis")).map_err(|error| failed(&at(".portcullis"), &error))?;
    write(at(GATEWAY_SCHEMA), &schema_text(SchemaOf::Gateway))?;
    write(at(ROUTES_SCHEMA), &schema_text(SchemaOf::Routes))?;
    let config = manage::load(&staged)?;
    let (password, made_up) = admin_password(&config.passwords, args.password_stdin)?;
    // HS256 has no key file: its secret is in the configuration.
    if config.tokens.algorithm != Algorithm::Hs256 {
        KeyRing::create(config.tokens.algorithm, &at("keys"), SystemClock::default().now()).map_err(Failure::could_not)?;
    }
    let new = NewUser {
        username: ADMIN.to_owned(),
        roles: Some(vec![ADMIN.to_owned()]),
        password: Some(password.clone()),
        ..NewUser::default()
    };
    manage::with_admin_of(config, async |admin| Ok(admin.create_user(new).await?))?;
    move_into(stage.path(), dir).map_err(|error| failed(dir, &error))?;

    let (place, file) = (dir.display(), file.display());
    let mut text =
        format!("Wrote {file}, {place}/routes/app.toml and a signing key in {place}/keys/.\nAdded the user `{ADMIN}`.\n");
    if made_up {
        // Writing to a string does not fail.
        let _ = writeln!(text, "Its password, shown only now: {}", password.expose_secret());
    }
    let _ = writeln!(text, "Next: portcullis run -c {file}");
    Ok(text)
}

/// The password, and whether it was made up and has to be shown.
fn admin_password(rules: &Passwords, stdin: bool) -> Result<(SecretString, bool), Failure> {
    if stdin || password::can_prompt() {
        return Ok((password::new(rules, ADMIN, None, stdin)?, false));
    }
    let password = password::generated(&SystemEntropy);
    password::judge(rules, [ADMIN], &password)?;
    Ok((password, true))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::could_not(format!("{}: {error}", path.display()))
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Moves what is in `from` into `to`, into folders that are there already; replaces no file.
fn move_into(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if target.is_dir() && !is_empty_folder(&target) {
            move_into(&entry.path(), &target)?;
        } else if entry.path().is_dir() {
            fs::rename(entry.path(), target)?;
        } else {
            // A link, unlike a rename, replaces nothing.
            fs::hard_link(entry.path(), &target)?;
        }
    }
    Ok(())
}
