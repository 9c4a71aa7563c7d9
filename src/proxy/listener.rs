//! A place to listen: bound before anything claims to be ready.

use std::io;
use std::net::SocketAddr;

use pingora_core::protocols::l4::stream::Stream;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::line::Peer;
use super::serve::ServeError;
use crate::config::{ListenAddress, Listener};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// A listener that is bound.
pub(crate) struct Bound {
    /// What it is for, with the port that it got.
    pub(crate) config: Listener,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// The next connection, and who made it.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting for more to fill a segment only delays them.
                let _ = stream.set_nodelay(true);
                Ok((stream.into(), Peer::plain(peer)))
            }
            Socket::Unix(listener) => Ok((listener.accept().await?.0.into(), Peer::local())),
        }
    }
}

/// Binds a listener.
pub(crate) fn bind(listener: &Listener) -> Result<Bound, ServeError> {
    match &listener.address {
        ListenAddress::Tcp(address) => {
            let (socket, bound) = bind_tcp(*address)?;
            let config = Listener { address: ListenAddress::Tcp(bound), ..listener.clone() };
            Ok(Bound { config, socket: Socket::Tcp(socket) })
        }
        ListenAddress::Unix(path) => {
            let socket =
                UnixListener::bind(path).map_err(|source| ServeError::Bind { address: listener.address.clone(), source })?;
            Ok(Bound { config: listener.clone(), socket: Socket::Unix(socket) })
        }
    }
}

/// A TCP listener, and the address that it got.
pub(crate) fn bind_tcp(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| ServeError::Bind { address: ListenAddress::Tcp(address), source })
}
