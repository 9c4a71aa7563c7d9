//! A place to listen: bound before anything claims to be ready, or taken over from a gateway that ran before.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::line::Peer;
use super::serve::ServeError;
use super::socket;
use crate::config::{ListenAddress, Listener};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
/// Who may connect to a Unix socket: its owner and its group.
const MODE: u32 = 0o660;

/// A listener that is bound.
pub(crate) struct Bound {
    /// What it is for, with the port that it got.
    pub(crate) config: Arc<Listener>,
    /// What it is called between gateways: its address as it was configured.
    pub(crate) name: String,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A Unix socket's file, which goes when nobody listens any more.
struct SocketFile {
    path: PathBuf,
    /// Device and inode: what stands there later may be another's.
    identity: Option<(u64, u64)>,
    /// Whether somebody else listens there now.
    lent: AtomicBool,
}

impl Bound {
    /// The next connection, and who made it.
    pub(crate) async fn accept(&self) -> io::Result<(socket::Socket, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting for more to fill a segment only delays them.
                let _ = stream.set_nodelay(true);
                Ok((stream.into(), Peer::plain(peer)))
            }
            Socket::Unix(listener, _) => Ok((listener.accept().await?.0.into(), Peer::local())),
        }
    }

    /// The same listener once more, to be given away.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Socket::Unix(listener, _) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Whether another process listens there too: its file stays when this one ends.
    pub(crate) fn lend(&self, lent: bool) {
        if let Socket::Unix(_, file) = &self.socket {
            file.lent.store(lent, Ordering::Relaxed);
        }
    }

    /// Nobody finds it any more: its file goes now, and not when the last task that held it has come to its end.
    pub(crate) fn withdraw(&self) {
        if let Socket::Unix(_, file) = &self.socket {
            file.remove();
        }
    }
}

/// Binds `listener`, or takes it over.
pub(crate) fn bind(listener: &Listener, name: String, taken: Option<OwnedFd>) -> Result<Bound, ServeError> {
    let refused = |source| ServeError::Bind { address: listener.address.clone(), source };
    match &listener.address {
        ListenAddress::Tcp(address) => {
            let socket = taken.map_or_else(|| bind_tcp(*address), |taken| take_tcp(taken, *address)).map_err(refused)?;
            let bound = socket.local_addr().map_err(refused)?;
            let config = Arc::new(Listener { address: ListenAddress::Tcp(bound), ..listener.clone() });
            Ok(Bound { config, name, socket: Socket::Tcp(socket) })
        }
        ListenAddress::Unix(path) => {
            let socket = taken.map_or_else(|| bind_unix(path), |taken| Ok(unix::UnixListener::from(taken)));
            let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
            let socket = socket.and_then(UnixListener::from_std).map_err(refused)?;
            let identity = fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()));
            let file = SocketFile { path: path.clone(), identity, lent: AtomicBool::new(false) };
            Ok(Bound { config: Arc::new(listener.clone()), name, socket: Socket::Unix(socket, file) })
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn take_tcp(taken: OwnedFd, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(taken);
    let bound = socket.local_addr()?;
    if bound.ip() != address.ip() || (bound.port() != address.port() && address.port() != 0) {
        return Err(io::Error::other(format!("what was handed over listens on {bound}")));
    }
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Binds a Unix socket in place of one where nobody listens any more, and of nothing else.
///
/// It is made under another name, so that it never stands there with the wrong rights.
pub(crate) fn bind_unix(path: &Path) -> io::Result<unix::UnixListener> {
    let made = stand_in(path, MODE)?;
    fs::rename(&made.1, path).inspect_err(|_| drop(fs::remove_file(&made.1)))?;
    Ok(made.0)
}

/// A Unix socket beside `path`, to be renamed to it; refused where that would replace what is in use, or no socket.
pub(crate) fn stand_in(path: &Path, mode: u32) -> io::Result<(unix::UnixListener, PathBuf)> {
    match fs::symlink_metadata(path) {
        Ok(about) if !about.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if unix::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    unchecked_stand_in(path, mode)
}

/// The same where what is in use is meant to be replaced.
pub(crate) fn unchecked_stand_in(path: &Path, mode: u32) -> io::Result<(unix::UnixListener, PathBuf)> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let stand_in = PathBuf::from(name);
    // A process of that number, long gone, may have left one.
    let _ = fs::remove_file(&stand_in);
    let listener = unix::UnixListener::bind(&stand_in)?;
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(mode)).inspect_err(|_| drop(fs::remove_file(&stand_in)))?;
    Ok((listener, stand_in))
}

impl SocketFile {
    /// Removes the file where it is still ours alone.
    fn remove(&self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|about| (about.dev(), about.ino()));
        if !self.lent.load(Ordering::Relaxed) && self.identity.is_some() && now == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("http.sock");
        drop(unix::UnixListener::bind(&path).expect("a socket that is left behind"));
        let listener = Listener::plain(ListenAddress::Unix(path.clone()));
        let bound = bind(&listener, String::new(), None).expect("replaced");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, MODE);
        assert!(bind(&listener, String::new(), None).is_err(), "somebody listens");
        bound.lend(true);
        drop(bound);
        assert!(path.exists(), "it belongs to another now");
        drop(bind(&listener, String::new(), None).expect("nobody listens"));
        assert!(!path.exists(), "it goes with its listener");
        let bound = bind(&listener, String::new(), None).expect("bound");
        bound.withdraw();
        assert!(!path.exists(), "it goes at once where that is asked");
        drop(bound);
        fs::write(&path, "precious").expect("a file");
        assert!(bind(&listener, String::new(), None).is_err(), "no file is replaced");
        assert_eq!(fs::read(&path).expect("still there"), b"precious");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_file_that_took_the_place_of_ours_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("http.sock");
        let listener = Listener::plain(ListenAddress::Unix(path.clone()));
        let bound = bind(&listener, String::new(), None).expect("bound");
        fs::remove_file(&path).expect("removed");
        let other = unix::UnixListener::bind(&path).expect("another's");
        drop(bound);
        assert!(path.exists());
        drop(other);
    }
}
