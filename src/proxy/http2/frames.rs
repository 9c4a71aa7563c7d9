//! Walks over the frames that a client sends (RFC 9113 §4.1) by their nine-byte headers, reading nothing inside: enough to
//! know whether a header block is under way, and to count frames that cost work and carry nothing.

use std::time::Duration;

use tokio::time::Instant;

/// The client's preface (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's header.
const HEADER: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Something that comes back with time and with honest work, up to a bound.
#[derive(Debug)]
pub(super) struct Budget {
    left: f64,
    most: f64,
    /// A second.
    refill: f64,
    since: Instant,
}

impl Budget {
    pub(super) fn new(most: u32, refill: u32) -> Self {
        Self { left: most.into(), most: most.into(), refill: refill.into(), since: Instant::now() }
    }

    pub(super) fn earn(&mut self, amount: f64) {
        self.left = (self.left + amount).min(self.most);
    }

    /// Takes one; false when there is none.
    pub(super) fn spend(&mut self) -> bool {
        if self.left < 1.0 {
            let now = Instant::now();
            let passed = now.duration_since(std::mem::replace(&mut self.since, now)).min(Duration::from_mins(1));
            self.earn(passed.as_secs_f64() * self.refill);
        }
        self.left -= 1.0;
        self.left >= 0.0
    }
}

/// Where in the client's frames its bytes have come to.
#[derive(Debug)]
pub(super) struct Frames {
    /// Of the preface or of a frame's payload, still to come.
    rest: usize,
    header: [u8; HEADER],
    have: usize,
    /// `HEADERS` that no `END_HEADERS` has ended yet.
    block: bool,
    /// What is under way ends the block with its last byte.
    ends: bool,
    budget: Budget,
}

impl Frames {
    /// From the preface on.
    pub(super) fn new() -> Self {
        Self {
            rest: PREFACE.len(),
            header: [0; HEADER],
            have: 0,
            block: false,
            ends: false,
            // Browsers and gRPC clients send hundreds a second where much is downloaded, and earn them.
            budget: Budget::new(10_000, 100),
        }
    }

    /// Whether some of a header block came, and its end did not.
    pub(super) const fn in_header_block(&self) -> bool {
        self.block
    }

    /// Bytes that were written: they are answered by window updates, and by pings that measure.
    #[expect(clippy::cast_precision_loss, reason = "a budget is no exact number")]
    pub(super) fn earn(&mut self, bytes: usize) {
        self.budget.earn(bytes as f64 / 512.0);
    }

    /// The next bytes; false when there was too much of what carries nothing.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let count = self.rest.min(bytes.len());
                bytes = bytes.get(count..).unwrap_or_default();
                self.rest -= count;
            } else {
                let count = (HEADER - self.have).min(bytes.len());
                let (head, tail) = bytes.split_at(count);
                if let Some(place) = self.header.get_mut(self.have..self.have + count) {
                    place.copy_from_slice(head);
                }
                bytes = tail;
                self.have += count;
                if self.have < HEADER {
                    return true;
                }
                self.have = 0;
                if !self.begin() {
                    return false;
                }
            }
            if self.rest == 0 && self.ends {
                (self.block, self.ends) = (false, false);
            }
        }
        true
    }

    /// A frame begins.
    fn begin(&mut self) -> bool {
        let [a, b, c, kind, flags, ..] = self.header;
        self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            HEADERS | CONTINUATION => {
                self.block = true;
                self.ends = flags & END_HEADERS != 0;
                // A request; the limit on fields stands elsewhere.
                kind == HEADERS || self.budget.spend()
            }
            DATA if self.rest > 0 || flags & END_STREAM != 0 => {
                self.earn(self.rest);
                true
            }
            _ => self.budget.spend(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(payload).unwrap(), kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + payload, b'x');
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        assert!(frames.advance(PREFACE));
        frames
    }

    #[tokio::test]
    async fn a_header_block_is_under_way_from_its_first_frame_to_the_last_byte_of_its_last() {
        let mut frames = begun();
        assert!(frames.advance(&frame(HEADERS, 0, 3)) && frames.in_header_block());
        assert!(frames.advance(&frame(CONTINUATION, 0, 3)) && frames.in_header_block());
        let last = frame(CONTINUATION, END_HEADERS, 3);
        let (most, end) = last.split_at(last.len() - 1);
        assert!(frames.advance(most) && frames.in_header_block());
        assert!(frames.advance(end) && !frames.in_header_block());
        assert!(frames.advance(&frame(HEADERS, END_HEADERS, 0)) && !frames.in_header_block());
    }

    #[tokio::test]
    async fn bytes_one_by_one_are_the_same_frames() {
        let mut frames = Frames::new();
        let bytes = [&PREFACE[..], &frame(DATA, 0, 9), &frame(HEADERS, 0, 200), &frame(CONTINUATION, END_HEADERS, 7)].concat();
        let under_way = bytes.iter().filter(|&&byte| frames.advance(&[byte]) && frames.in_header_block()).count();
        // From the end of the header of the first to the last byte but one of the second.
        assert_eq!(under_way, 200 + 9 + 7);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_carry_nothing_are_bounded_and_those_that_do_are_not() {
        for (kind, flags, payload) in
            [(0x6, 0, 8), (0x4, 0, 0), (0x2, 0, 5), (0x8, 0, 4), (0x3, 0, 4), (0x20, 0, 1), (DATA, 0, 0)]
        {
            let mut frames = begun();
            let frame = frame(kind, flags, payload);
            let passed = (0..20_000).take_while(|_| frames.advance(&frame)).count();
            assert_eq!(passed, 10_000, "{kind}");
        }
        let mut frames = begun();
        assert!((0..50_000).all(|_| frames.advance(&frame(DATA, 0, 100))));
        assert!((0..50_000).all(|_| frames.advance(&frame(HEADERS, END_HEADERS, 10))));
        // A window update for each 16 KiB that went out.
        assert!((0..50_000).all(|_| {
            frames.earn(16 * 1024);
            frames.advance(&frame(0x8, 0, 4)) && frames.advance(&frame(0x8, 0, 4))
        }));
    }
}
