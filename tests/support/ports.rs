//! Ports for servers that are told where to listen, which no other test is given and no outgoing connection takes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections (from 32768 on Linux).
const FIRST: u16 = 12_000;
/// Ports of one process: the first is held for as long as it lives, which keeps other processes from the block.
const BLOCK: u16 = 50;
/// How many blocks there are.
const BLOCKS: u16 = 400;

/// A loopback address where nobody listens, not given to anybody else while this process lives.
pub(crate) fn free_address() -> SocketAddr {
    static HELD: OnceLock<TcpListener> = OnceLock::new();
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let held = HELD.get_or_init(hold_a_block);
    let base = held.local_addr().expect("its address").port();
    (1..BLOCK)
        .map(|_| loopback(base + 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (BLOCK - 1)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port in the block of this process")
}

fn hold_a_block() -> TcpListener {
    let start = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("below BLOCKS");
    (0..BLOCKS)
        .map(|step| loopback(FIRST + (start + step) % BLOCKS * BLOCK))
        .find_map(|base| TcpListener::bind(base).ok())
        .expect("a free block of ports")
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
