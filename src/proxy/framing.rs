//! The head of an HTTP/1 message, read strictly (RFC 9112): what two parsers could read differently is refused here,
//! before pingora, which repairs some of it, sees a byte.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use memchr::memchr;

use crate::config::Limits;

/// Why the bytes of a connection are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not HTTP, or HTTP that could be read in two ways; says what, for the log.
    Malformed(&'static str),
    /// CONNECT, which is never tunnelled.
    Connect,
    /// Over one of the limits.
    TooLarge,
    /// Over the total deadline.
    TooSlow,
}

/// How a request's body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// By its length; 0 where there is no body.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// A request's head, judged.
#[derive(Debug)]
pub(crate) struct Head {
    /// The method as it came.
    pub(crate) method: Method,
    /// The target as it came, byte for byte.
    pub(crate) target: Bytes,
    /// HTTP/1.0 or 1.1.
    pub(crate) version: Version,
    /// The `Host` fields as they came.
    pub(crate) hosts: Vec<Bytes>,
    /// How the body ends.
    pub(crate) body: Delimiter,
    /// Whether there is an `Expect` field: the client may wait before it sends the body.
    pub(crate) expects: bool,
    /// Its fields but `Host`, as what serves it gets them.
    pub(crate) headers: HeaderMap,
    /// The head as pingora gets it: `/` for a target and no `Host`, since it would read and repair the real ones, and of the
    /// fields those that are about the connection; the others need not be read twice.
    pub(crate) wire: BytesMut,
}

/// Reads a head line by line as its bytes arrive.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    line: usize,
    searched: usize,
    fields: usize,
    /// Of all field lines, each with its CRLF.
    field_bytes: usize,
    skipped_empty: bool,
    start: Option<(Method, Bytes, Version)>,
    length: Option<u64>,
    chunked: bool,
    expects: bool,
    hosts: Vec<Bytes>,
    headers: HeaderMap,
    wire: BytesMut,
}

/// Room for the fields of most requests.
const USUAL: usize = 24;

impl HeadReader {
    /// The method, once the request line was read.
    pub(crate) fn method(&self) -> Option<Method> {
        self.start.as_ref().map(|(method, ..)| method.clone())
    }

    /// Takes the connection's bytes from the request's first on, all that have come so far; gives the head and its
    /// length once it is whole.
    pub(crate) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<(Head, usize)>, Fault> {
        while let Some(found) = bytes.get(self.searched..).and_then(|rest| memchr(b'\n', rest)) {
            let end = self.searched + found;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else { return Err(Fault::Malformed("a line ends in a bare LF")) };
            self.line = end + 1;
            self.searched = end + 1;
            if self.take_line(line, limits)? {
                return Ok(Some((self.finish()?, self.line)));
            }
        }
        self.searched = bytes.len();
        self.judge_partial(bytes.get(self.line..).unwrap_or_default(), limits)?;
        Ok(None)
    }

    /// One whole line without its CRLF; true when it ends the head.
    fn take_line(&mut self, line: &[u8], limits: &Limits) -> Result<bool, Fault> {
        if self.start.is_none() {
            if line.is_empty() && !self.skipped_empty {
                // RFC 9112 §2.2: one empty line before a request is forgiven.
                self.skipped_empty = true;
                return Ok(false);
            }
            return self.request_line(line, limits).map(|()| false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.fields += 1;
        self.field_bytes = self.field_bytes.saturating_add(line.len() + 2);
        if line.len() > limits.header || self.field_bytes > limits.headers || self.fields > limits.header_count {
            return Err(Fault::TooLarge);
        }
        self.field(line)?;
        Ok(false)
    }

    /// A line that has not ended yet: refused as early as it is known to be wrong.
    fn judge_partial(&self, line: &[u8], limits: &Limits) -> Result<(), Fault> {
        let limit = if self.start.is_some() { limits.header } else { limits.request_line };
        if line.len() > limit.saturating_add(1) {
            return Err(Fault::TooLarge);
        }
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if self.start.is_none() && any(text, is_control) {
            return Err(Fault::Malformed("control bytes in the request line"));
        }
        Ok(())
    }

    fn request_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), Fault> {
        if line.len() > limits.request_line {
            return Err(Fault::TooLarge);
        }
        if any(line, is_control) {
            return Err(Fault::Malformed("control bytes in the request line"));
        }
        let mut parts = line.split(|&b| b == b' ');
        let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Fault::Malformed("a request line is `METHOD TARGET HTTP/1.1`"));
        };
        let version = match version {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            _ => return Err(Fault::Malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
        };
        if method.is_empty() || any(method, |byte| !is_token(byte)) {
            return Err(Fault::Malformed("the method is no token"));
        }
        if target.is_empty() {
            return Err(Fault::Malformed("there is no target"));
        }
        if method == b"CONNECT" {
            return Err(Fault::Connect);
        }
        self.wire.reserve(128);
        self.wire.put_slice(method);
        self.wire.put_slice(if version == Version::HTTP_11 { b" / HTTP/1.1\r\n" } else { b" / HTTP/1.0\r\n" });
        let method = Method::from_bytes(method).map_err(|_| Fault::Malformed("the method is no token"))?;
        self.start = Some((method, Bytes::copy_from_slice(target), version));
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::Malformed("a folded header field"));
        }
        let Some((name, value)) = memchr(b':', line).and_then(|at| line.split_at_checked(at)) else {
            return Err(Fault::Malformed("a header field without a colon"));
        };
        let value = value.get(1..).unwrap_or_default();
        if name.is_empty() || any(name, |byte| !is_token(byte)) {
            return Err(Fault::Malformed("a header field's name is no token"));
        }
        if any(value, |byte| is_control(byte) && byte != b'\t') {
            return Err(Fault::Malformed("control bytes in a header field"));
        }
        let mut concerns_connection = false;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts.push(Bytes::copy_from_slice(value.trim_ascii()));
                return Ok(());
            }
            6 if name.eq_ignore_ascii_case(b"expect") => (self.expects, concerns_connection) = (true, true),
            7 if name.eq_ignore_ascii_case(b"upgrade") => concerns_connection = true,
            10 if name.eq_ignore_ascii_case(b"connection") => concerns_connection = true,
            14 if folds_to(name, b"content-length")? => {
                (self.length, concerns_connection) = (Some(self.content_length(value)?), true);
            }
            17 if folds_to(name, b"transfer-encoding")? => {
                self.transfer_encoding(value)?;
                concerns_connection = true;
            }
            _ => {}
        }
        if concerns_connection {
            self.wire.extend_from_slice(line);
            self.wire.extend_from_slice(b"\r\n");
        }
        // Both were looked at above, as far as they are particular about it.
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) else {
            return Err(Fault::Malformed("a header field that can't be passed on"));
        };
        if self.headers.is_empty() {
            self.headers.reserve(USUAL);
        }
        // A map has an end, wherever the limit is.
        self.headers.try_append(name, value).map_err(|_| Fault::TooLarge)?;
        Ok(())
    }

    /// RFC 9112 §6.2, less every form that some parser reads differently.
    fn content_length(&self, value: &[u8]) -> Result<u64, Fault> {
        if self.length.is_some() {
            return Err(Fault::Malformed("Content-Length is repeated or odd"));
        }
        read_length(value.strip_prefix(b" ").unwrap_or(value))
    }

    /// RFC 9112 §6.1, less all codings but `chunked` alone.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        let coding = value.strip_prefix(b" ").unwrap_or(value);
        if self.chunked || coding != b"chunked" {
            return Err(Fault::Malformed("Transfer-Encoding is repeated or not exactly `chunked`"));
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(&mut self) -> Result<Head, Fault> {
        let Some((method, target, version)) = self.start.take() else {
            return Err(Fault::Malformed("there is no request line"));
        };
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Fault::Malformed("Content-Length with Transfer-Encoding")),
            (None, true) if version != Version::HTTP_11 => return Err(Fault::Malformed("Transfer-Encoding on HTTP/1.0")),
            (None, true) => Delimiter::Chunked,
            (length, false) => Delimiter::Length(length.unwrap_or(0)),
        };
        let mut wire = std::mem::take(&mut self.wire);
        wire.put_slice(b"\r\n");
        let (hosts, headers) = (std::mem::take(&mut self.hosts), std::mem::take(&mut self.headers));
        Ok(Head { method, target, version, hosts, body, expects: self.expects, headers, wire })
    }
}

/// The value of a `Content-Length` field (RFC 9110 §8.6), less every form that some parser reads differently.
pub(crate) fn read_length(digits: &[u8]) -> Result<u64, Fault> {
    let odd = !matches!(digits.len(), 1..=19)
        || !digits.iter().all(u8::is_ascii_digit)
        || (digits.len() > 1 && digits.starts_with(b"0"));
    let length = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) if !odd && i64::try_from(length).is_ok() => Ok(length),
        _ => Err(Fault::Malformed("Content-Length is repeated or odd")),
    }
}

/// Whether one of `bytes` is such. No way out in the middle: so many are looked at at once.
fn any(bytes: &[u8], is_such: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |any, &byte| any | is_such(byte))
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// tchar (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}

/// Whether `name` is `field`; a name that only some readers fold into it is refused: they would see another message.
pub(crate) fn folds_to(name: &[u8], field: &[u8]) -> Result<bool, Fault> {
    if name.eq_ignore_ascii_case(field) {
        return Ok(true);
    }
    let folds = name.len() == field.len()
        && name.iter().zip(field).all(|(&a, &b)| a.eq_ignore_ascii_case(&b) || (b == b'-' && !a.is_ascii_alphanumeric()));
    if folds { Err(Fault::Malformed("a framing field's name is misspelled")) } else { Ok(false) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> Limits {
        Limits {
            request_line: 64,
            header: 64,
            headers: 256,
            header_count: 5,
            header_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            keepalive_timeout: Duration::ZERO,
            connections: 1,
            h2_streams: 1,
        }
    }

    fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
        HeadReader::default().advance(bytes, &limits())
    }

    #[test]
    fn a_head_is_read_whole_and_by_single_bytes_alike() {
        let bytes = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let (head, length) = read(bytes).unwrap().unwrap();
        assert_eq!((head.method, &head.target[..], head.body), (Method::POST, &b"/a?b"[..], Delimiter::Length(3)));
        assert_eq!(&head.wire[..], b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(length, bytes.len() - 3);
        let mut reader = HeadReader::default();
        for end in 1..length {
            assert!(reader.advance(&bytes[..end], &limits()).unwrap().is_none(), "{end}");
        }
        assert_eq!(reader.advance(bytes, &limits()).unwrap().unwrap().1, length);
    }

    #[test]
    fn a_chunked_body_is_known() {
        let (head, _) = read(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.body, Delimiter::Chunked);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for bytes in [
            "GET / HTTP/1.1\nHost: x\n\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA\r\n\r\n",
            "GET / HTTP/1.1\r\nA(b: c\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET\t/\tHTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET /\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET / HTTP/1.2\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/01.1\r\n\r\n",
            "G@T / HTTP/1.1\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(matches!(read(bytes.as_bytes()), Err(Fault::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn odd_lengths_are_refused() {
        for value in [
            "",
            " ",
            " 1, 1",
            " +1",
            " -1",
            " 0x1",
            " 01",
            " 1 ",
            "  1",
            "\t1",
            " 9223372036854775808",
            " 1\r\nContent-Length: 1",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\nContent-Length:{value}\r\n\r\n");
            assert!(matches!(read(bytes.as_bytes()), Err(Fault::Malformed(_))), "{value:?}");
        }
    }

    #[test]
    fn codings_other_than_chunked_are_refused() {
        for value in [
            "",
            " gzip",
            " chunked, chunked",
            " ,chunked",
            " identity, chunked",
            " gzip, chunked",
            " xchunked",
            " \"chunked\"",
            " Chunked",
            "\tchunked",
            " chunked\t",
            " chunked;q=1",
            " chunked\r\nTransfer-Encoding: chunked",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding:{value}\r\n\r\n");
            assert!(matches!(read(bytes.as_bytes()), Err(Fault::Malformed(_))), "{value:?}");
        }
    }

    #[test]
    fn names_that_fold_into_framing_are_refused() {
        for sign in "_.~!#$%&'*+^`|".chars() {
            for field in [format!("Content{sign}Length: 1"), format!("TRANSFER{sign}encoding: chunked")] {
                let bytes = format!("POST / HTTP/1.1\r\n{field}\r\n\r\n");
                assert!(matches!(read(bytes.as_bytes()), Err(Fault::Malformed(_))), "{field}");
            }
        }
        assert!(read(b"POST / HTTP/1.1\r\nContentXLength: 1\r\n\r\n").is_ok());
    }

    #[test]
    fn limits_hold_before_a_line_ends_too() {
        let long = "a".repeat(80);
        for bytes in [
            format!("GET /{long} HTTP/1.1\r\n\r\n"),
            format!("GET /{long}"),
            format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nA: {long}"),
            format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(6)),
            format!("GET / HTTP/1.1\r\n{}\r\n", format!("A: {}\r\n", "a".repeat(47)).repeat(5)),
        ] {
            assert_eq!(read(bytes.as_bytes()).unwrap_err(), Fault::TooLarge, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_exactly_at_a_limit_passes() {
        let field = |length: usize| format!("A: {}\r\n", "a".repeat(length - 5));
        for bytes in [
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 - 14)),
            format!("GET / HTTP/1.1\r\n{}\r\n", field(66)),
            format!("GET / HTTP/1.1\r\n{}{}\r\n", field(64).repeat(3), field(32).repeat(2)),
        ] {
            assert!(read(bytes.as_bytes()).unwrap().is_some(), "{bytes:?}");
        }
    }

    #[test]
    fn a_tunnel_is_never_opened() {
        assert_eq!(read(b"CONNECT a:1 HTTP/1.1\r\n\r\n").unwrap_err(), Fault::Connect);
    }
}
