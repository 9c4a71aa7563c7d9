//! A chunked body, read strictly and passed on in one plain form (RFC 9112 §7.1): no extensions, no trailers.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr;

use super::framing::Fault;

/// The longest line of a chunked body, extensions included, in bytes.
const LINE: usize = 1024;
/// The most bytes of trailers, which are read and dropped.
const TRAILERS: usize = 8 * 1024;
/// What is over one of them; it is no field of the head, so 431 would point the wrong way.
const LONG: Fault = Fault::Malformed("a chunked body's lines or trailers are too long");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    Done,
}

/// Where in a chunked body a connection is.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
}

impl Chunks {
    /// At its beginning.
    pub(crate) const fn new() -> Self {
        Self { state: State::Size }
    }

    /// Whether the last chunk and the trailers were read.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what it can from `input` and appends its plain form to `output`; stops at the body's end, and once
    /// `output` holds `enough`.
    pub(crate) fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut, enough: usize) -> Result<(), Fault> {
        while output.len() < enough {
            match self.state {
                State::Size => {
                    let Some(line) = take_line(input, LINE)? else { return Ok(()) };
                    let size = chunk_size(&line)?;
                    if size == 0 {
                        self.state = State::Trailers(0);
                    } else {
                        output.put_slice(format!("{size:x}\r\n").as_bytes());
                        self.state = State::Data(size);
                    }
                }
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(());
                    }
                    let now = input.len().min(usize::try_from(left).unwrap_or(usize::MAX)).min(enough - output.len());
                    output.put_slice(&input.split_to(now));
                    let left = left - now as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                }
                State::DataEnd => {
                    match (input.first(), input.get(1)) {
                        (Some(b'\r'), Some(b'\n')) => input.advance(2),
                        (None, _) | (Some(b'\r'), None) => return Ok(()),
                        _ => return Err(Fault::Malformed("no CRLF behind a chunk's data")),
                    }
                    output.put_slice(b"\r\n");
                    self.state = State::Size;
                }
                State::Trailers(seen) => {
                    let Some(line) = take_line(input, TRAILERS)? else { return Ok(()) };
                    if line.is_empty() {
                        output.put_slice(b"0\r\n\r\n");
                        self.state = State::Done;
                    } else {
                        judge_trailer(&line)?;
                        let seen = seen + line.len();
                        if seen > TRAILERS {
                            return Err(LONG);
                        }
                        self.state = State::Trailers(seen);
                    }
                }
                State::Done => return Ok(()),
            }
        }
        Ok(())
    }
}

/// A line without its CRLF, if it has come.
fn take_line(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, Fault> {
    let Some(end) = memchr(b'\n', input) else {
        return if input.len() > limit { Err(LONG) } else { Ok(None) };
    };
    if end > limit {
        return Err(LONG);
    }
    let mut line = input.split_to(end + 1).freeze();
    line.truncate(end);
    if !line.ends_with(b"\r") {
        return Err(Fault::Malformed("a line of a chunked body ends in a bare LF"));
    }
    line.truncate(end - 1);
    if line.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(Fault::Malformed("control bytes in a chunked body's line"));
    }
    Ok(Some(line))
}

/// `chunk-size [ chunk-ext ]`: 1 to 16 hexadecimal digits, and nothing before a `;`.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    let plain = matches!(digits.len(), 1..=16) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
    match size {
        Some(size) if plain && i64::try_from(size).is_ok() => Ok(size),
        _ => Err(Fault::Malformed("a chunk's size is odd")),
    }
}

fn judge_trailer(line: &[u8]) -> Result<(), Fault> {
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    if name.len() == line.len() || name.is_empty() || name.iter().any(|&b| b <= b' ') {
        return Err(Fault::Malformed("a trailer is no field"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(body: &[u8]) -> Result<(BytesMut, bool, BytesMut), Fault> {
        let (mut input, mut output, mut chunks) = (BytesMut::from(body), BytesMut::new(), Chunks::new());
        chunks.advance(&mut input, &mut output, usize::MAX)?;
        Ok((output, chunks.is_done(), input))
    }

    #[test]
    fn a_body_ends_where_it_ends_and_loses_extensions_and_trailers() {
        let (output, done, rest) = plain(b"3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Admin: 1\r\n\r\nGET").unwrap();
        assert_eq!(&output[..], b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n");
        assert!(done);
        assert_eq!(&rest[..], b"GET");
    }

    #[test]
    fn single_bytes_make_the_same_body() {
        let body = b"3\r\nabc\r\n0\r\n\r\n";
        let (mut input, mut output, mut chunks) = (BytesMut::new(), BytesMut::new(), Chunks::new());
        for byte in body {
            assert!(!chunks.is_done());
            input.put_u8(*byte);
            chunks.advance(&mut input, &mut output, usize::MAX).unwrap();
        }
        assert!(chunks.is_done());
        assert_eq!(&output[..], body);
    }

    #[test]
    fn odd_chunks_are_refused() {
        for body in [
            "+3\r\nabc\r\n",
            "-3\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "1_0\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "\r\n",
            "3\nabc\r\n",
            "3;a\nb\r\nabc\r\n",
            "3\r\nabcX",
            "3\r\nabc\nX",
            "3\r\nabcd\r\n",
            "00000000000000003\r\nabc\r\n",
            "ffffffffffffffff\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\n a: b\r\n\r\n",
            "0\r\na: b\n\r\n",
            "3;\0\r\n",
            "3;a\rb\r\n",
            "g\r\n",
        ] {
            assert!(plain(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        assert_eq!(plain("1;".repeat(1024).as_bytes()).unwrap_err(), LONG);
        assert_eq!(plain(format!("0\r\n{}", "a: b\r\n".repeat(3000)).as_bytes()).unwrap_err(), LONG);
    }
}
