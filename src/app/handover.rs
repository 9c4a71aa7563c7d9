//! `run --upgrade`: the listeners of a running gateway go to the one that takes its place, by a Unix socket between the two.
//!
//! The new one is ready before it asks, and has all listeners before it says "go"; it accepts once the old one has heard that.
//! Until then the old one goes on as if nobody had asked: whatever comes of the new one, one of them serves.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    sockopt,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::{Config, Environment, Variable};
use crate::domain::secret::ExposeSecret as _;
use crate::proxy::listener::{stand_in, unchecked_stand_in};
use crate::proxy::serve::{Inherited, Lendable, name_of, name_of_admin};

/// How long either waits for the other's next word.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a gateway that is leaving is asked again: another may just be taking its place.
const AGAIN: (u32, Duration) = (50, Duration::from_millis(100));
/// How often nobody is there before one that was there is known to have died.
const SILENT: u32 = 10;
/// The longest word, in bytes.
const WORD: usize = 64 * 1024;
/// The most descriptors that one word carries (the kernel's `SCM_MAX_FD`).
const DESCRIPTORS: usize = 253;
/// Who may connect: the owner.
const MODE: u32 = 0o600;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// The new one: these are wanted.
    Want(Vec<String>),
    /// The old one: here are these, in the order of their descriptors.
    Have(Vec<String>),
    /// The new one: all is well, this process can serve.
    Go(u32),
    /// The old one: so be it, from now on it does.
    Gone,
}

/// Where the gateway of this configuration can be asked, the best first.
fn places(config: &Config, environment: &Environment) -> Vec<PathBuf> {
    let file = fs::canonicalize(&config.file).unwrap_or_else(|_| config.file.clone());
    let hash = digest(&SHA256, file.as_os_str().as_encoded_bytes());
    let name = format!("upgrade-{}.sock", URL_SAFE_NO_PAD.encode(hash.as_ref().get(..6).unwrap_or_default()));
    let runtime = match environment.get("RUNTIME_DIRECTORY") {
        Variable::Text(folders) => folders.split(':').next().filter(|folder| folder.starts_with('/')).map(PathBuf::from),
        Variable::Unset | Variable::NotText => None,
    };
    let database = config.store_url.expose_secret().strip_prefix("sqlite://").map(PathBuf::from);
    let beside = |file: &Path| file.parent().map(Path::to_path_buf);
    let folders = [runtime, database.and_then(|file| beside(&file)), beside(&file)];
    folders.into_iter().flatten().map(|folder| folder.join(&name)).collect()
}

/// What another process may take: it is heard on a thread of its own, for as long as this process lives.
pub(super) struct Offer {
    socket: UnixListener,
    made: PathBuf,
    path: PathBuf,
}

impl Offer {
    /// Makes the socket, beside where it is going to be. `replaces`: of a gateway that is left.
    ///
    /// A gateway that can't be asked serves all the same: that is a warning.
    pub(super) fn new(config: &Config, environment: &Environment, replaces: bool) -> Option<Self> {
        let mut why = Vec::new();
        for path in places(config, environment) {
            let made = if replaces { unchecked_stand_in(&path, MODE) } else { stand_in(&path, MODE) };
            match made {
                Ok((socket, made)) => return Some(Self { socket, made, path }),
                Err(error) => why.push(format!("{}: {error}", path.display())),
            }
        }
        tracing::warn!("`run --upgrade` can't take this gateway's place: {}", why.join("; "));
        None
    }

    /// Listens from now on. What is taken is told to `taken`, once.
    pub(super) fn open(self, lendable: Lendable, taken: mpsc::Sender<u32>) -> Option<Open> {
        if let Err(error) = fs::rename(&self.made, &self.path) {
            tracing::warn!("`run --upgrade` can't take this gateway's place: {}: {error}", self.path.display());
            return None;
        }
        let given = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&given);
        let (socket, path) = (self.socket.try_clone().ok()?, self.path.clone());
        let spawned = thread::Builder::new().name("upgrade".into()).spawn(move || {
            for stream in socket.incoming() {
                let Ok(stream) = stream else {
                    // Out of descriptors, mostly.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                match lend(&stream, &lendable, &told) {
                    // Another replica beside this one, which looks whether somebody is here.
                    Ok(None) => {}
                    Ok(Some(process)) => {
                        // The one who waits for it may be at its end already.
                        let _ = taken.blocking_send(process);
                        return;
                    }
                    Err(error) => {
                        told.store(false, Ordering::Release);
                        lendable.kept();
                        tracing::warn!("an upgrade came to nothing, and this gateway goes on: {error}");
                    }
                }
            }
        });
        let identity = identity(&path);
        spawned.is_ok().then_some(Open { path, identity, given })
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        // It stands elsewhere by now, unless it was never opened.
        let _ = fs::remove_file(&self.made);
    }
}

/// A socket where this process can be asked; its file goes with it, unless another stands there by then.
pub(super) struct Open {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    /// Whether all was given away: the file is the successor's to replace, at any moment.
    given: Arc<AtomicBool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.given.load(Ordering::Acquire) && self.identity.is_some() && self.identity == identity(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of what stands at `path`.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// Gives to who asks, if it is one of ours; the process that serves from now on. Nothing where nobody asked: whoever looks
/// whether somebody is here says no word.
fn lend(stream: &UnixStream, lendable: &Lendable, given: &AtomicBool) -> io::Result<Option<u32>> {
    ours(stream)?;
    let names = match hear(stream) {
        Ok((Word::Want(names), _)) => names,
        Ok(_) => return Err(unexpected()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let lent = lendable.lend(&names)?;
    let (names, shared): (Vec<String>, Vec<OwnedFd>) = lent.into_iter().unzip();
    let descriptors: Vec<BorrowedFd<'_>> = shared.iter().map(OwnedFd::as_fd).collect();
    say(stream, &Word::Have(names), &descriptors)?;
    let (Word::Go(process), _) = hear(stream)? else { return Err(unexpected()) };
    given.store(true, Ordering::Release);
    // Who is gone by now does not hear it, and does not serve.
    say(stream, &Word::Gone, &[])?;
    Ok(Some(process))
}

/// Listeners of a gateway that waits for "go".
pub(super) struct Taken {
    stream: UnixStream,
    /// By their names.
    listeners: Inherited,
}

impl Taken {
    /// Asks the gateway that runs on this configuration; `None`: none does.
    pub(super) fn ask(config: &Config, environment: &Environment) -> io::Result<Option<Self>> {
        let places = places(config, environment);
        let names: Vec<String> = config
            .server
            .listen
            .iter()
            .map(|listener| name_of(&listener.address))
            .chain([name_of_admin(config.server.admin_listen)])
            .collect();
        let (mut last, mut nobody) = (None, 0);
        for _ in 0..AGAIN.0 {
            match places.iter().find_map(|path| UnixStream::connect(path).ok()) {
                Some(stream) => match Self::from(stream, names.clone()) {
                    Ok(taken) => return Ok(Some(taken)),
                    Err(error) => last = Some(error),
                },
                None if last.is_none() || nobody == SILENT => return Ok(None),
                // Somebody was there: who takes its place may not be heard yet.
                None => nobody += 1,
            }
            thread::sleep(AGAIN.1);
        }
        last.map_or(Ok(None), Err)
    }

    fn from(stream: UnixStream, names: Vec<String>) -> io::Result<Self> {
        ours(&stream)?;
        say(&stream, &Word::Want(names), &[])?;
        let (Word::Have(names), descriptors) = hear(&stream)? else { return Err(unexpected()) };
        if names.len() != descriptors.len() {
            return Err(io::Error::other("not every listener came along"));
        }
        Ok(Self { stream, listeners: names.into_iter().zip(descriptors).collect() })
    }

    /// The listeners, and whom to tell when they are served.
    pub(super) fn split(self) -> (Inherited, UnixStream) {
        (self.listeners, self.stream)
    }
}

/// Tells the old one that this process can serve. An error: the old one goes on.
pub(super) fn go(stream: &UnixStream, config: &Config, environment: &Environment) -> io::Result<()> {
    let error = match say(stream, &Word::Go(std::process::id()), &[]).and_then(|()| hear(stream)) {
        Ok((Word::Gone, _)) => return Ok(()),
        Ok(_) => unexpected(),
        Err(error) => error,
    };
    // It may have died meanwhile, or have waited for too long and goes on: then it, or who took its place, can be asked.
    if places(config, environment).iter().any(|path| UnixStream::connect(path).is_ok()) {
        return Err(error);
    }
    tracing::warn!("the gateway that ran before ended by itself: {error}");
    Ok(())
}

/// Refuses what runs as somebody else; root may do all.
fn ours(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let other = sockopt::socket_peercred(stream)?;
    if other.uid == rustix::process::geteuid() || other.uid.is_root() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("process {} runs as another user", other.pid.as_raw_nonzero())))
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it said something else than was expected")
}

/// Says one word, a line, with descriptors beside it.
fn say(mut stream: &UnixStream, word: &Word, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS {
        return Err(io::Error::other(format!("there are more than {DESCRIPTORS} listeners")));
    }
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("there is no room for the descriptors"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(&line)], &mut beside, SendFlags::NOSIGNAL)?;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

/// Hears one word, with the descriptors beside it.
fn hear(mut stream: &UnixStream) -> io::Result<(Word, Vec<OwnedFd>)> {
    let mut line = vec![0; WORD];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    // With a deadline a signal interrupts it, a stop and its end too.
    let heard = retry_on_intr(|| recvmsg(stream, &mut [IoSliceMut::new(&mut line)], &mut beside, RecvFlags::CMSG_CLOEXEC))?;
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut length = heard.bytes;
    while length > 0 && line.get(length - 1) != Some(&b'\n') {
        match stream.read(line.get_mut(length..).unwrap_or_default())? {
            0 => break,
            more => length += more,
        }
    }
    if length == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has gone"));
    }
    let word = serde_json::from_slice(line.get(..length).unwrap_or_default())?;
    Ok((word, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_looks_whether_somebody_is_here_is_no_upgrade_that_failed() {
        let asked = |word: Option<&Word>| {
            let (here, there) = UnixStream::pair().expect("a pair");
            if let Some(word) = word {
                say(&there, word, &[]).expect("said");
            }
            drop(there);
            lend(&here, &Lendable::default(), &AtomicBool::new(false))
        };
        assert!(matches!(asked(None), Ok(None)));
        assert!(asked(Some(&Word::Gone)).is_err(), "a word that asks for nothing");
        assert!(asked(Some(&Word::Want(Vec::new()))).is_err(), "one that left after it had asked");
    }
}
