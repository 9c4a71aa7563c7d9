//! Floor 2: mail that the gateway sends: what it says, and how it gets to the server of `[mail]`.

mod letter;
mod outbox;
mod smtp;

use lettre::Address;

pub use letter::{Kind, Letter};
pub use outbox::Outbox;
pub use smtp::Smtp;

/// Takes letters that are to be sent. Never waits for them.
pub trait Post: Send + Sync {
    /// A place among the letters on their way; `None` where there are as many as may be.
    fn place(&self) -> Option<Place>;
}

/// A place that was found for a letter. Dropped unused, it is free again.
pub struct Place(Box<dyn FnOnce(Letter) + Send>);

impl Place {
    /// A place where `send` takes the letter.
    #[must_use]
    pub fn new(send: impl FnOnce(Letter) + Send + 'static) -> Self {
        Self(Box::new(send))
    }

    /// Sends `letter`, some time from now.
    pub fn send(self, letter: Letter) {
        (self.0)(letter);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

/// Whether mail can be addressed to `address` (RFC 5321 §4.1.2).
#[must_use]
pub fn can_address(address: &str) -> bool {
    address.parse::<Address>().is_ok()
}
