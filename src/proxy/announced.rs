//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a load balancer says whose connection it passes on.

use std::net::IpAddr;

use bytes::{Buf as _, BytesMut};
use ipnet::IpNet;
use ppp::{PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;

use super::forwarded::holds;
use super::socket::Socket;

/// The longest header that is taken, in bytes: addresses, and what else load balancers add.
const LIMIT: usize = 4096;
/// The same of version 1, which is a line.
const LINE: usize = 107;

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The beginning of a header.
    More,
    /// A header of so many bytes; whose connection it is, where that is not the balancer's own.
    Header { length: usize, client: Option<IpAddr> },
    /// None, and none to come.
    Malformed,
}

/// Whether somebody at `peer` may say so: those of `trusted_proxies`, or anybody where there are none.
pub(crate) fn may_say(peer: IpAddr, proxies: &[IpNet]) -> bool {
    proxies.is_empty() || proxies.iter().any(|net| holds(net, peer))
}

/// Reads the header that a connection begins with. What follows it stays in `stream`.
///
/// `None`: there is none. `Some(None)`: the connection is the balancer's own.
pub(crate) async fn client(stream: &mut Socket) -> Option<Option<IpAddr>> {
    let mut bytes = BytesMut::with_capacity(512);
    loop {
        match read(&bytes) {
            Step::Header { length, client } => {
                bytes.advance(length);
                stream.put_back(bytes);
                return Some(client);
            }
            Step::More if bytes.len() < LIMIT && stream.read_buf(&mut bytes).await.ok()? > 0 => {}
            Step::More | Step::Malformed => return None,
        }
    }
}

fn read(bytes: &[u8]) -> Step {
    if begins(bytes, v2::PROTOCOL_PREFIX) { binary(bytes) } else { line(bytes) }
}

/// Whether `bytes` begin with `mark`, as far as they go.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.iter().zip(mark).all(|(one, other)| one == other)
}

/// Version 1. The parser sees whole lines only: it takes half of one for a wrong one.
fn line(bytes: &[u8]) -> Step {
    let Some(end) = bytes.iter().take(LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE && begins(bytes, b"PROXY ") { Step::More } else { Step::Malformed };
    };
    let Ok(v1::Header { header, addresses }) = v1::Header::try_from(bytes.get(..=end).unwrap_or_default()) else {
        return Step::Malformed;
    };
    let client = match addresses {
        v1::Addresses::Tcp4(of) => Some(IpAddr::from(of.source_address)),
        v1::Addresses::Tcp6(of) => Some(IpAddr::from(of.source_address)),
        v1::Addresses::Unknown => None,
    };
    found(header.len(), client)
}

/// Version 2.
fn binary(bytes: &[u8]) -> Step {
    let announced = bytes.get(14..16).and_then(|length| length.try_into().ok()).map(u16::from_be_bytes);
    if announced.is_some_and(|length| 16 + usize::from(length) > LIMIT) {
        return Step::Malformed;
    }
    let header = match v2::Header::try_from(bytes) {
        Ok(header) => header,
        Err(error) if error.is_incomplete() => return Step::More,
        Err(_) => return Step::Malformed,
    };
    let client = match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) | (_, _, v2::Addresses::Unspecified) => None,
        // There are no datagrams here.
        (_, v2::Protocol::Datagram, _) => return Step::Malformed,
        (_, _, v2::Addresses::IPv4(of)) => Some(IpAddr::from(of.source_address)),
        (_, _, v2::Addresses::IPv6(of)) => Some(IpAddr::from(of.source_address)),
        (_, _, v2::Addresses::Unix(_)) => None,
    };
    found(header.header.len(), client)
}

fn found(length: usize, client: Option<IpAddr>) -> Step {
    Step::Header { length, client: client.map(|address| address.to_canonical()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(length: usize, client: &str) -> Step {
        Step::Header { length, client: client.parse().ok() }
    }

    fn version2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a short one").to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, payload].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x10, 0, 0x01, 0xbb];

    #[test]
    fn a_header_says_whose_connection_it_is() {
        assert_eq!(read(b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\nGET"), header(40, "192.0.2.7"));
        assert_eq!(read(b"PROXY TCP6 2001:db8::7 ::1 4096 443\r\n"), header(37, "2001:db8::7"));
        assert_eq!(read(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4096 443\r\n"), header(42, "192.0.2.7"), "mapped is IPv4");
        assert_eq!(read(&version2(0x21, 0x11, &V4)), header(28, "192.0.2.7"));
        assert_eq!(read(&version2(0x21, 0x11, &[&V4[..], &[0x03, 0, 2, 1, 2]].concat())), header(33, "192.0.2.7"), "with a TLV");
        assert_eq!(read(&version2(0x21, 0x11, &[&V4[..], &[0x03, 0xff]].concat())), header(30, "192.0.2.7"), "with half of one");
        let mapped = [&[0; 10], &[0xff, 0xff, 192, 0, 2, 7][..], &[0; 16], &[0; 4]].concat();
        assert_eq!(read(&version2(0x21, 0x21, &mapped)), header(52, "192.0.2.7"));
    }

    #[test]
    fn a_connection_of_the_balancer_itself_keeps_its_address() {
        let own = |length| Step::Header { length, client: None };
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), own(15));
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), own(43));
        assert_eq!(read(&version2(0x20, 0x11, &V4)), own(28));
        assert_eq!(read(&version2(0x20, 0x00, &[])), own(16));
        assert_eq!(read(&version2(0x21, 0x00, &[1, 2, 3])), own(19));
        assert_eq!(read(&version2(0x21, 0x31, &[b'x'; 216])), own(232));
    }

    #[test]
    fn what_is_no_header_is_refused_at_once() {
        for hostile in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01".to_vec(),
            b"proxy TCP4 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
            b"PROXY\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY TCP4\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4096\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443 \r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\rX\n".to_vec(),
            b"PROXY UNKNOWN\r\r\n".to_vec(),
            b"PROXY UNKNOWN\rX\r\n".to_vec(),
            b"PROXY  TCP4 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.07 10.0.0.1 4096 443\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 4096 443\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7,10.1.1.1 10.0.0.1 4096 443\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 4000]].concat(),
            version2(0x11, 0x11, &V4),
            version2(0x22, 0x11, &V4),
            version2(0x21, 0x41, &V4),
            version2(0x21, 0x12, &V4),
            version2(0x21, 0x13, &V4),
            version2(0x21, 0x11, &V4[..11]),
            version2(0x21, 0x21, &V4),
            version2(0x21, 0x11, &[&V4[..], &[0; 5000]].concat()),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
        ] {
            assert_eq!(read(&hostile), Step::Malformed, "{:?}", String::from_utf8_lossy(&hostile));
        }
    }

    proptest! {
        #[test]
        fn wherever_it_is_split_nothing_is_decided_early(cut in 0_usize..60, which in 0_usize..4) {
            let whole = [
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
                b"PROXY TCP6 2001:db8::7 ::1 4096 443\r\n".to_vec(),
                b"PROXY UNKNOWN\r\n".to_vec(),
                version2(0x21, 0x11, &[&V4[..], &[0x03, 0, 2, 1, 2]].concat()),
            ][which].clone();
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(read(&whole[..cut]), Step::More);
            let and_more = [&whole[..], b"\x16\x03\x01 and more"].concat();
            prop_assert_eq!(read(&whole), read(&and_more), "what follows is not its business");
        }

        #[test]
        fn no_bytes_are_more_than_it_can_take(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let prefixed = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &bytes].concat();
            let line = [b"PROXY TCP".as_slice(), &bytes].concat();
            for bytes in [bytes, prefixed, line] {
                if let Step::Header { length, .. } = read(&bytes) {
                    prop_assert!(length <= bytes.len());
                }
            }
        }
    }
}
