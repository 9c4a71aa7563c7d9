//! `[passwords]`: what a new password has to be. A list of refused ones is read here, so that each reload reads it again.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::report::{Finding, Report};
use super::schema::{At, nearest};
use super::{Argon2Cost, raw};
use crate::domain::folded;

/// The most that a file of refused passwords may have, in bytes: about a million of them.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// `[passwords]`
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Code points.
    pub min_length: usize,
    /// Bytes.
    pub max_length: usize,
    /// Kinds of characters of which one at least must be there.
    pub require: Vec<Kind>,
    /// What is refused whatever it is made of.
    pub blocklist: Blocklist,
    /// Cost of new hashes.
    pub argon2: Argon2Cost,
}

/// A kind of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Upper-case letters.
    Uppercase,
    /// Lower-case letters.
    Lowercase,
    /// Digits.
    Digit,
    /// What is neither a letter nor a digit, spaces among it.
    Symbol,
}

/// Passwords that guessers try first.
#[derive(Clone, Default)]
pub enum Blocklist {
    /// Those that come with the program.
    #[default]
    Builtin,
    /// Those of a file, [`folded`].
    File(Arc<HashSet<Box<str>>>),
    /// None.
    Off,
}

impl fmt::Debug for Blocklist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("Builtin"),
            Self::File(list) => write!(f, "File of {}", list.len()),
            Self::Off => f.write_str("Off"),
        }
    }
}

/// Checks `[passwords]` but for its argon2; `folder` is what paths are relative to.
pub(crate) fn checked(raw: &raw::Passwords, argon2: Argon2Cost, folder: &Path, report: &mut Report) -> Passwords {
    let (min_length, max_length) = (raw.min_length.value.size(), raw.max_length.value.size());
    if min_length > max_length {
        let at = if raw.min_length.set { raw.min_length.span } else { raw.max_length.span };
        report.error(at, "`passwords.min_length` is more than `passwords.max_length` has room for");
    } else if min_length < 8 {
        let finding = Finding::new(format!("passwords of {min_length} characters can be guessed"));
        report.warning(raw.min_length.span, finding.help("NIST SP 800-63B-4 asks for 15 where there is no second factor"));
    }
    let require = raw.require.value.iter().map(|kind| match kind.value {
        raw::PasswordKind::Uppercase => Kind::Uppercase,
        raw::PasswordKind::Lowercase => Kind::Lowercase,
        raw::PasswordKind::Digit => Kind::Digit,
        raw::PasswordKind::Symbol => Kind::Symbol,
    });
    Passwords { min_length, max_length, require: require.collect(), blocklist: blocklist(&raw.blocklist, folder, report), argon2 }
}

fn blocklist(raw: &At<String>, folder: &Path, report: &mut Report) -> Blocklist {
    match raw.value.as_str() {
        "builtin" => Blocklist::Builtin,
        "off" => {
            let finding = Finding::new("passwords that everybody tries first are let in");
            report.warning(raw.span, finding.help("write blocklist = \"builtin\", or name a file of your own"));
            Blocklist::Off
        }
        name => match read(&folder.join(name)) {
            Ok(list) => Blocklist::File(Arc::new(list)),
            Err(why) => {
                let finding = Finding::new(format!("`passwords.blocklist`: {why}"));
                let help = match nearest(name, &["builtin", "off"]) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => "write \"builtin\", \"off\", or name a file with a password a line".to_owned(),
                };
                report.error(raw.span, finding.help(help));
                Blocklist::Builtin
            }
        },
    }
}

fn read(path: &Path) -> Result<HashSet<Box<str>>, String> {
    let mut bytes = Vec::new();
    let unreadable = |error| format!("`{}` can't be read: {error}", path.display());
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!(
            "`{}` has more than 16 MiB: the first hundred thousand passwords do most of the work",
            path.display()
        ));
    }
    // Lists of leaked passwords have lines in other encodings: nobody can type those here.
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let list: HashSet<_> = lines.map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()).map(fold).collect();
    if list.is_empty() { Err(format!("`{}` has no passwords in it", path.display())) } else { Ok(list) }
}

fn fold(line: &str) -> Box<str> {
    folded(line).into()
}
