//! `run --watch`: sees that a file of the configuration has changed.
//!
//! What counts is how the files are, not what was told of them: an event only makes the next look come sooner. So editors that
//! write in several steps, a `ConfigMap` that swaps a link, and file systems that tell nothing are all the same here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::load::draft;
use crate::config::watched::{Watched, watched_files};
use crate::config::{Config, Environment};

/// How often the files are looked at when nothing is told of them.
const LOOK: Duration = Duration::from_secs(2);
/// For how long nothing may change before what is there is taken for whole.
const QUIET: Duration = Duration::from_millis(150);
/// Files that never rest are taken as they are after this many looks.
const PATIENCE: u32 = 20;
/// How many changed files the log names.
const NAMED: usize = 5;

/// A file as far as it can be told from another without reading it; links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Its owner and mode count too: a key that others can read is refused.
    changed: (i64, i64),
}

impl State {
    fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        Some(Self {
            device: about.dev(),
            inode: about.ino(),
            length: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

/// All files at one moment.
type Look = BTreeMap<PathBuf, Option<State>>;

/// Watches the files of one configuration.
#[derive(Debug)]
pub struct Watch {
    file: PathBuf,
    environment: Environment,
    /// The last one that could be read: where its routes and keys are.
    config: Option<Config>,
    seen: Look,
}

impl Watch {
    /// Looks at the files as they are. To be made before they are loaded, so that no change is missed.
    #[must_use]
    pub fn of(file: &Path, environment: &Environment) -> Self {
        let mut watch = Self { file: file.to_owned(), environment: environment.clone(), config: None, seen: Look::new() };
        watch.seen = watch.look().0;
        watch
    }

    /// Tells `changed` of changes, on a thread of its own, until nobody listens.
    pub(super) fn start(self, changed: Sender<()>) -> io::Result<()> {
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || self.run(&changed)).map(drop)
    }

    fn run(mut self, changed: &Sender<()>) {
        let (sender, events) = mpsc::channel();
        // Our own reading is no news.
        let handler = move |event: notify::Result<notify::Event>| {
            let is_news = !matches!(&event, Ok(event) if is_reading(event.kind));
            if is_news {
                let _ = sender.send(());
            }
        };
        let mut folders = Folders { watcher: notify::recommended_watcher(handler).ok(), known: BTreeSet::new() };
        if folders.watcher.is_none() {
            tracing::warn!("the system tells nothing of changed files: they are looked at every {LOOK:?}");
        }
        while !changed.is_closed() {
            let (now, watched) = self.look();
            folders.watch(&watched);
            if now != self.seen {
                let now = self.settled(now);
                tracing::info!("{} changed", names(&self.seen, &now));
                self.seen = now;
                if let Err(TrySendError::Closed(())) = changed.try_send(()) {
                    return;
                }
            }
            match events.recv_timeout(LOOK) {
                Ok(()) => while events.try_recv().is_ok() {},
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // Without a watcher there is nobody to tell anything.
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
        }
    }

    /// The files as they are now, and where they are.
    fn look(&mut self) -> (Look, Watched) {
        // A configuration with errors still says where its files are; one that is being replaced says nothing.
        if let Ok(draft) = draft(&self.file, &self.environment) {
            self.config = Some(draft.config);
        }
        let watched = self.config.as_ref().map(|config| watched_files(config, &self.environment)).unwrap_or_default();
        let mut look: Look = watched.files.iter().map(|file| (file.clone(), State::of(file))).collect();
        look.entry(self.file.clone()).or_insert_with(|| State::of(&self.file));
        (look, watched)
    }

    /// The files once they rest.
    fn settled(&mut self, mut last: Look) -> Look {
        for _ in 0..PATIENCE {
            std::thread::sleep(QUIET);
            let now = self.look().0;
            if now == last {
                break;
            }
            last = now;
        }
        last
    }
}

fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The folders that the system tells of.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    /// With their inodes: a folder that was made anew is another.
    known: BTreeSet<(PathBuf, u64)>,
}

impl Folders {
    fn watch(&mut self, watched: &Watched) {
        let Some(system) = &mut self.watcher else { return };
        // Where a link leads to as well: what it shows can change there.
        let real = watched.files.iter().filter_map(|file| fs::canonicalize(file).ok()?.parent().map(Path::to_owned));
        let folders = watched.folders.iter().cloned().chain(real);
        let wanted: BTreeSet<_> = folders.filter_map(|folder| Some((folder.clone(), fs::metadata(folder).ok()?.ino()))).collect();
        for (gone, _) in self.known.difference(&wanted) {
            let _ = system.unwatch(gone);
        }
        let mut known: BTreeSet<_> = self.known.intersection(&wanted).cloned().collect();
        for new in wanted.difference(&self.known) {
            // What can't be watched is looked at all the same.
            if system.watch(&new.0, RecursiveMode::NonRecursive).is_ok() {
                known.insert(new.clone());
            }
        }
        self.known = known;
    }
}

fn names(before: &Look, now: &Look) -> String {
    let all: BTreeSet<&PathBuf> = before.keys().chain(now.keys()).collect();
    let changed: Vec<_> = all.into_iter().filter(|file| before.get(*file) != now.get(*file)).collect();
    let mut text = changed.iter().take(NAMED).map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    if changed.len() > NAMED {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn other_rights_and_another_file_in_its_place_are_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("key.pem"), folder.path().join("other"));
        fs::write(&path, "same").expect("written");
        let first = State::of(&path);
        assert!(first.is_some() && first == State::of(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("other rights");
        let second = State::of(&path);
        assert_ne!(first, second);
        fs::write(&other, "same").expect("written");
        fs::rename(&other, &path).expect("replaced");
        assert_ne!(second, State::of(&path));
        fs::remove_file(&path).expect("removed");
        assert_eq!(State::of(&path), None);
    }
}
