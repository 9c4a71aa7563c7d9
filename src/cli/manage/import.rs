//! `user import`: a file of another application's accounts, read, judged whole, and added in one transaction.

mod fields;
mod file;

use std::io::{self, Read as _};
use std::path::Path;

use super::super::Failure;
use super::super::args::UserImport;
use super::super::output::{put, tell};
use super::{AdminError, with_admin};
use crate::accounts::admin::{Admin, Fate, ImportedUser};
use crate::domain::User;
use crate::telemetry::printable;

/// The most that a file may have, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A line that tells of an account, or why it does not.
type Line = (u64, Result<ImportedUser, String>);

pub(super) fn run(args: &UserImport) -> Result<(), Failure> {
    let name = if args.file == Path::new("-") { "stdin".to_owned() } else { printable(&args.file.display().to_string()) };
    let bytes = read(&args.file, &name)?;
    let lines = file::lines(&bytes, args.format).map_err(|(line, why)| Failure::wrong(format!("{name}:{line}: {why}")))?;
    if lines.is_empty() {
        return Err(Failure::wrong(format!("there are no accounts in {name}: is its format {}?", file::called(args.format))));
    }
    with_admin(&args.config, async |admin| import(admin, args, &name, lines).await)
}

fn read(file: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let done = if file == Path::new("-") {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
    };
    match done {
        Err(error) => Err(Failure::wrong(format!("{name} can't be read: {error}"))),
        Ok(size) if size as u64 > MAX_FILE => Err(Failure::wrong(format!("{name} has more than 64 MiB: divide it"))),
        Ok(_) => Ok(bytes),
    }
}

/// What is said at the end of it all.
#[derive(Default)]
struct Report {
    done: Vec<String>,
    existing: usize,
    refused: usize,
}

async fn import(admin: &Admin, args: &UserImport, name: &str, lines: Vec<Line>) -> Result<(), Failure> {
    let (mut report, mut users) = (Report::default(), Vec::new());
    let (mut accounts, mut unread) = (Vec::new(), Vec::new());
    for (line, account) in lines {
        match account {
            Ok(account) => accounts.push(account),
            Err(why) => unread.push((line, None, why)),
        }
    }
    let total = accounts.len() + unread.len();
    let fates = admin.judge(&accounts).await?;
    let imported = if args.dry_run { "would be imported" } else { "imported" };
    for (account, fate) in accounts.iter().zip(fates) {
        let place = format!("{name}:{}: {}", account.line, account.username);
        match fate {
            Fate::New { user, scheme } => {
                report.done.push(format!("{place}: {imported} ({})\n", scheme.unwrap_or("service account")));
                users.push(*user);
            }
            Fate::Exists => {
                report.done.push(format!("{place}: exists already, left as it is\n"));
                report.existing += 1;
            }
            // What is no username is not shown: it may be a hash in a wrong place.
            Fate::Refused(why) => unread.push((account.line, is_shown(&account.username).then_some(&account.username), why)),
        }
    }
    unread.sort_by_key(|(line, ..)| *line);
    for (line, username, why) in &unread {
        let whose = username.map_or(String::new(), |username| format!("{username}: "));
        tell(&format!("{name}:{line}: {whose}{why}\n"));
    }
    report.refused = unread.len();
    finish(admin, args, &report, &users, total).await
}

async fn finish(admin: &Admin, args: &UserImport, report: &Report, users: &[User], total: usize) -> Result<(), Failure> {
    if report.refused > 0 && !args.skip_invalid {
        return Err(Failure::wrong(format!(
            "nothing was imported: {} of {total} accounts can't be; mend them, or leave them out with --skip-invalid",
            report.refused
        )));
    }
    Admin::fit_at_once(users)?;
    if !args.dry_run && !users.is_empty() {
        admin.import(users).await.map_err(|error| match error {
            AdminError::Taken(why) => {
                Failure::wrong(format!("nothing was imported: {why}; it was free a moment ago, so try again"))
            }
            error @ (AdminError::Invalid(_) | AdminError::NotFound(_) | AdminError::Unavailable(_)) => error.into(),
        })?;
    }
    let done = if args.dry_run { "would be imported" } else { "imported" };
    put(&format!("{}{} {done}, {} existing, {} refused\n", report.done.concat(), users.len(), report.existing, report.refused))
}

fn is_shown(username: &str) -> bool {
    username.len() <= 64 && username.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@".contains(c))
}
