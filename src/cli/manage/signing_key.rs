//! `signing-key …`: on the key files, without the store.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::Failure;
use super::super::args::{Format, Listing, SigningKey};
use super::super::output::{json as print, list, put};
use super::load;
use crate::config::{Config, Tokens};
use crate::credential::keys::ListedKey;
use crate::credential::{KeyError, KeyRing};
use crate::domain::{Clock as _, SystemClock, Timestamp};

pub(super) fn run(command: &SigningKey) -> Result<(), Failure> {
    match command {
        SigningKey::List(args) => listed(args),
        SigningKey::Rotate(args) => rotate(args),
    }
}

fn listed(args: &Listing) -> Result<(), Failure> {
    let config = load(&args.config.config)?;
    let ring = KeyRing::load(&config.tokens).map_err(|error| failure(error, &config))?;
    let keys: Vec<Value> = of(&ring, &config.tokens, SystemClock::default().now()).iter().map(shown).collect();
    match args.format.format {
        Format::Json => list(Format::Json, &keys, &[]),
        Format::Text => list(
            Format::Text,
            &keys,
            &[
                ("KID", "kid"),
                ("ALGORITHM", "algorithm"),
                ("CREATED", "created_at"),
                ("STATE", "state"),
                ("SIGNS FROM", "signs_from"),
                ("DELETABLE FROM", "deletable_from"),
            ],
        ),
    }
}

fn rotate(args: &Listing) -> Result<(), Failure> {
    let config = load(&args.config.config)?;
    let tokens = &config.tokens;
    let now = SystemClock::default().now();
    let (file, ring) = KeyRing::rotate(tokens, now).map_err(|error| failure(error, &config))?;
    let keys = of(&ring, tokens, now);
    let Some((new, old)) = keys
        .iter()
        .rev()
        .find(|key| key.file.as_deref() == Some(&*file))
        .map(|new| (new, keys.iter().filter(|key| key.file.is_some() && key.kid != new.kid).collect::<Vec<_>>()))
    else {
        return Err(Failure::could_not(format!("{} was made and is gone again", file.display())));
    };
    let signs_from = new.signs_from.unwrap_or(now);
    // Whichever signs until then.
    let last = signs_from.plus(lifetime(tokens));
    let deletable = |key: &ListedKey| key.deletable_from.map_or(last, |at| at.min(last));
    if args.format.format == Format::Json {
        let mut made = shown(new);
        if let Some(members) = made.as_object_mut() {
            members.insert("signs_from".to_owned(), signs_from.to_string().into());
            let old = old.iter().map(|key| json!({ "file": key.file, "deletable_from": deletable(key).to_string() }));
            members.insert("older".to_owned(), old.collect());
        }
        return print(&made);
    }
    let mut text = format!("Wrote {} for {}.\n", file.display(), new.algorithm.name());
    // Writing to a string does not fail.
    let _ = match signs_from {
        at if at > now => writeln!(text, "It verifies and is published once it is read, and signs from {at} on."),
        _ => writeln!(text, "It signs once it is read."),
    };
    let _ = writeln!(text, "{}", distribution(&config, signs_from > now));
    for key in old {
        let _ = writeln!(text, "Delete {} {}.", name(key.file.as_deref()), when(deletable(key), now));
    }
    put(&text)
}

fn distribution(config: &Config, has_time: bool) -> &'static str {
    match (config.is_single(), has_time) {
        (true, _) => "Reload the gateway: send it SIGHUP, unless it runs with --watch.",
        (false, true) => {
            "Before that, copy it into the keys folder of every replica (mode 600) and reload each: send it SIGHUP, unless it runs \
             with --watch."
        }
        (false, false) => {
            "Copy it into the keys folder of every replica (mode 600) and reload each: send it SIGHUP, unless it runs with --watch."
        }
    }
}

fn when(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "whenever you like: no token of it is left".to_owned() } else { format!("after {at}, not before") }
}

fn name(file: Option<&Path>) -> String {
    file.map(|file| file.display().to_string()).unwrap_or_default()
}

fn of(ring: &KeyRing, tokens: &Tokens, now: Timestamp) -> Vec<ListedKey> {
    ring.listed(now, lifetime(tokens))
}

/// For how long a token is accepted at most.
fn lifetime(tokens: &Tokens) -> std::time::Duration {
    tokens.access_ttl.saturating_add(tokens.leeway)
}

fn shown(key: &ListedKey) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm.name(),
        "file": key.file,
        "created_at": time(key.created_at),
        "state": key.state.name(),
        "signs_from": time(key.signs_from),
        "deletable_from": time(key.deletable_from),
    })
}

fn failure(error: KeyError, config: &Config) -> Failure {
    match error {
        KeyError::None(folder) => Failure::wrong(format!(
            "{} holds no signing key yet: `portcullis signing-key rotate -c {}` makes one",
            folder.display(),
            config.file.display()
        )),
        error @ KeyError::Io { .. } => Failure::could_not(error),
        error @ (KeyError::Exposed { .. }
        | KeyError::Bad { .. }
        | KeyError::Secret
        | KeyError::Sign
        | KeyError::Generate
        | KeyError::Shared) => Failure::wrong(error),
    }
}
