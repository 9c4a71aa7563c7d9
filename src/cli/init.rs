//! `init`: a folder to start from: configuration, an example route, signing keys and the first admin.
//!
//! Everything is made in a folder beside its place and moved when it is whole, so that a failure leaves nothing behind.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use super::args::Init;
use super::output::put;
use super::{Failure, manage, password};
use crate::accounts::admin::NewUser;
use crate::config::Passwords;
use crate::credential::KeyRing;
use crate::domain::secret::ExposeSecret;
use crate::domain::{Clock, SecretString, SystemClock, SystemEntropy};

const GATEWAY: &str = include_str!("init/gateway.toml");
const ROUTES: &str = include_str!("init/app.toml");
/// The first account, and its role.
const ADMIN: &str = "admin";
/// What must not be there yet.
const TARGETS: [&str; 4] = ["gateway.toml", "routes/app.toml", "keys", "data/portcullis.db"];

/// Writes everything, or nothing.
pub(super) fn init(args: &Init) -> Result<(), Failure> {
    let dir = &args.dir;
    for path in TARGETS.map(|target| dir.join(target)) {
        if path.symlink_metadata().is_ok() && !is_empty_folder(&path) {
            return Err(Failure::wrong(format!(
                "{} is there already, and init never overwrites; name another folder: portcullis init DIR",
                path.display()
            )));
        }
    }
    let existed = dir.is_dir();
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    let result = fill(args);
    if result.is_err() && !existed {
        // It is empty: all that was made in it is gone again.
        let _ = fs::remove_dir(dir);
    }
    put(&result?)
}

/// Makes everything, and gives what there is to say about it.
fn fill(args: &Init) -> Result<String, Failure> {
    let dir = &args.dir;
    let stage = tempfile::Builder::new().prefix(".init-").tempdir_in(dir).map_err(|error| failed(dir, &error))?;
    let at = |name: &str| stage.path().join(name);
    let write = |name: &str, text: &str| fs::write(at(name), text).map_err(|error| failed(&at(name), &error));
    write("gateway.toml", GATEWAY)?;
    fs::create_dir(at("routes")).map_err(|error| failed(&at("routes"), &error))?;
    write("routes/app.toml", ROUTES)?;
    let config = manage::load(&at("gateway.toml"))?;
    let (password, made_up) = admin_password(&config.passwords, args.password_stdin)?;
    KeyRing::create(&at("keys"), SystemClock::default().now()).map_err(Failure::could_not)?;
    let new = NewUser {
        username: ADMIN.to_owned(),
        roles: Some(vec![ADMIN.to_owned()]),
        password: Some(password.clone()),
        ..NewUser::default()
    };
    manage::with_admin_of(config, async |admin| Ok(drop(admin.create_user(new).await?)))?;
    move_into(stage.path(), dir).map_err(|error| failed(dir, &error))?;

    let place = dir.display();
    let mut text = format!(
        "Wrote {place}/gateway.toml, {place}/routes/app.toml and a signing key in {place}/keys/.\nAdded the user `{ADMIN}`.\n"
    );
    if made_up {
        // Writing to a string does not fail.
        let _ = writeln!(text, "Its password, shown only now: {}", password.expose_secret());
    }
    let _ = writeln!(text, "Next: portcullis run -c {place}/gateway.toml");
    Ok(text)
}

/// The password, and whether it was made up and has to be shown.
fn admin_password(rules: &Passwords, stdin: bool) -> Result<(SecretString, bool), Failure> {
    if stdin || password::can_prompt() {
        return Ok((password::new(rules, ADMIN, stdin)?, false));
    }
    let password = password::generated(&SystemEntropy);
    password::judge(rules, ADMIN, &password)?;
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
