//! The folder of signing keys: `<UTC timestamp>-<kid>.pem`, each a PKCS#8 PEM.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use zeroize::Zeroizing;

use super::keys::KeyError;
use crate::domain::Timestamp;

/// Sorts as text as it sorts in time: `20261122T153000Z`.
const STAMP: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// The PEM label of PKCS#8 (RFC 7468 §10).
const LABEL: &str = "PRIVATE KEY";
/// No key of ours is anywhere near this long.
const MAX_BYTES: u64 = 64 * 1024;

/// A key file as it was read; its key is not looked into yet.
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// What its name says: when it was made.
    pub(super) made: Timestamp,
    /// What its name says: which key it is.
    pub(super) kid: String,
    /// The PKCS#8 document.
    pub(super) pkcs8: Zeroizing<Vec<u8>>,
}

/// All `*.pem` of `dir`, ordered by name. A folder that is not there holds none.
pub(super) fn read_all(dir: &Path) -> Result<Vec<KeyFile>, KeyError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(KeyError::io(dir, error)),
    };
    let about = fs::metadata(dir).map_err(|error| KeyError::io(dir, error))?;
    if about.mode() & 0o022 != 0 && !is_read_only(dir) {
        return Err(KeyError::Exposed { path: dir.to_owned(), what: "can be changed by others", mode: "700" });
    }
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| KeyError::io(dir, error))?;
    paths.retain(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("pem")));
    paths.sort_unstable();
    paths.into_iter().map(read).collect()
}

/// Whether nobody here can change anything in `dir`, whatever its mode says. Secrets that Kubernetes mounts are in a folder
/// for everybody (1777), of a file system that is mounted to be read.
fn is_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|about| about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn read(path: PathBuf) -> Result<KeyFile, KeyError> {
    let named = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('-'));
    let Some((made, kid)) = named.and_then(|(stamp, kid)| Some((parse_stamp(stamp)?, kid.to_owned()))) else {
        return Err(KeyError::bad(&path, "is not named <UTC timestamp>-<kid>.pem, such as 20261122T153000Z-….pem"));
    };
    let file = File::open(&path).map_err(|error| KeyError::io(&path, error))?;
    let about = file.metadata().map_err(|error| KeyError::io(&path, error))?;
    // As PostgreSQL has it: root may lend a key to our group (that is how Kubernetes mounts secrets), nobody else may.
    let lent = about.uid() == 0 && !rustix::process::geteuid().is_root();
    if about.mode() & (if lent { 0o037 } else { 0o077 }) != 0 {
        return Err(KeyError::Exposed { path, what: "can be read by others", mode: "600" });
    }
    if about.len() > MAX_BYTES {
        return Err(KeyError::bad(&path, "is too large to be a key"));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX)));
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| KeyError::io(&path, error))?;
    let mut blocks = pem::parse_many(&*text).map_err(|_| KeyError::bad(&path, "is not PEM"))?;
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) if block.tag() == LABEL => {
            Ok(KeyFile { made, kid, pkcs8: Zeroizing::new(block.into_contents()), path })
        }
        (Some(block), true) if ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"].contains(&block.tag()) => {
            Err(KeyError::bad(&path, "holds a public key only: copy the whole key file of the gateway that signs with it"))
        }
        _ => Err(KeyError::bad(
            &path,
            "does not hold exactly one PKCS#8 key (BEGIN PRIVATE KEY); `openssl pkcs8 -topk8 -nocrypt` turns other forms into one",
        )),
    }
}

/// Writes a key so that it is whole and durable or not there at all, and says where.
pub(super) fn write(dir: &Path, now: Timestamp, kid: &str, pkcs8: &[u8]) -> Result<PathBuf, KeyError> {
    let stamp = OffsetDateTime::from_unix_timestamp(now.as_secs())
        .ok()
        .and_then(|moment| moment.format(STAMP).ok())
        .ok_or_else(|| KeyError::bad(dir, "can't name a key: the clock is out of range"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| KeyError::io(dir, error))?;
    let path = dir.join(format!("{stamp}-{kid}.pem"));
    let unfinished = dir.join(format!(".{stamp}-{kid}.new"));
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = Zeroizing::new(pem::encode_config(&pem::Pem::new(LABEL, pkcs8), config));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            give_to_owner_of(dir, &file)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&unfinished, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    if let Err(error) = written {
        // What is left over is no key file by its name; that it can't be removed changes nothing.
        let _ = fs::remove_file(&unfinished);
        return Err(KeyError::io(&path, error));
    }
    Ok(path)
}

/// What root makes is for the gateway, which is not root: for whom the folder is.
fn give_to_owner_of(dir: &Path, file: &File) -> io::Result<()> {
    let owner = fs::metadata(dir)?;
    if rustix::process::geteuid().is_root() && owner.uid() != 0 {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn parse_stamp(text: &str) -> Option<Timestamp> {
    let moment = PrimitiveDateTime::parse(text, STAMP).ok()?;
    Some(Timestamp::from_secs(moment.assume_utc().unix_timestamp()))
}
