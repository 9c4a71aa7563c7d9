//! Randomness as a parameter.

use std::cell::RefCell;

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

impl<E: Entropy + ?Sized> Entropy for &E {
    fn fill(&self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "a machine without randomness must not hand out credentials")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system has no randomness to give");
    }
}

/// The operating system's generator asked for more at once, by thread: for what has to be unlike all others and is no secret,
/// and is needed with each request.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrawnAhead;

/// What a thread has drawn and not given out: the last `left` bytes.
struct Drawn {
    bytes: [u8; 512],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; 512], left: 0 }) };
}

impl Entropy for DrawnAhead {
    fn fill(&self, bytes: &mut [u8]) {
        // A thread that is ending has nothing drawn, and what is long is not for this.
        let given = DRAWN.try_with(|drawn| drawn.try_borrow_mut().is_ok_and(|mut drawn| drawn.give(bytes)));
        if !given.unwrap_or(false) {
            SystemEntropy.fill(bytes);
        }
    }
}

impl Drawn {
    fn give(&mut self, bytes: &mut [u8]) -> bool {
        if bytes.len() > self.bytes.len() {
            return false;
        }
        if bytes.len() > self.left {
            SystemEntropy.fill(&mut self.bytes);
            self.left = self.bytes.len();
        }
        let start = self.bytes.len() - self.left;
        let Some(next) = self.bytes.get_mut(start..start + bytes.len()) else { return false };
        bytes.copy_from_slice(next);
        // Given out once, and then gone.
        next.fill(0);
        self.left -= bytes.len();
        true
    }
}

/// `N` random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// `length` characters drawn evenly from `alphabet` (at most 256 of them), by rejection.
pub fn random_text(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> String {
    let size = alphabet.len();
    let fair = 256 - 256 % size;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random::<64>(entropy) {
            if text.len() < length && usize::from(byte) < fair {
                text.extend(alphabet.get(usize::from(byte) % size).map(|&c| char::from(c)));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_ahead_is_given_out_once() {
        let mut seen = std::collections::HashSet::new();
        for length in [10, 16, 200, 512, 600].into_iter().cycle().take(500) {
            let mut bytes = vec![0; length];
            DrawnAhead.fill(&mut bytes);
            for piece in bytes.chunks_exact(8) {
                assert!(seen.insert(piece.to_vec()), "the same eight bytes twice");
            }
        }
    }

    #[test]
    fn text_has_the_length_asked_and_only_letters_of_the_alphabet() {
        let text = random_text(&SystemEntropy, b"abc", 43);
        assert_eq!(text.len(), 43);
        assert!(text.bytes().all(|c| b"abc".contains(&c)), "{text}");
        assert_ne!(text, random_text(&SystemEntropy, b"abc", 43));
    }
    /// See `.cargo/config.toml`: it would make the first request, and each command, 60 ms slower.
    #[test]
    fn the_processor_is_not_measured_for_randomness() {
        let program = std::fs::read(std::env::current_exe().expect("a program")).expect("read");
        // Backwards, so that it is not found here; the first shows that names are there to be found.
        let has = |name: &str| memchr::memmem::find(&program, name.chars().rev().collect::<String>().as_bytes()).is_some();
        assert!(has("setyb_DNAR"));
        assert!(!has("yportne_daer_tnej"));
    }
}
