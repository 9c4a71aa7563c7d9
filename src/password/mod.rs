//! Floor 2: password hashes, made and checked on threads of their own.

mod argon;
mod burden;
pub mod foreign;
mod hasher;
pub mod pool;
pub mod strength;

use async_trait::async_trait;

use crate::domain::SecretString;

pub use pool::Pool;

/// Why no hash was made or checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The queue is full.
    #[error("too many password checks are waiting")]
    QueueFull,
    /// The pool has stopped.
    #[error("the password threads have stopped")]
    Stopped,
}

/// What a check says.
#[derive(Debug)]
pub enum Verdict {
    /// The password is wrong, or the stored hash is not one that may be checked.
    Wrong,
    /// It is right; `rehashed` is a better hash to store, where the old one is weaker than configured.
    Right {
        /// The better hash; always there for one of another application.
        rehashed: Option<SecretString>,
    },
}

/// Hashes and checks passwords. Costs the same whether there is a hash to check or not.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// Checks `password` against `stored`; without one, burns the same time and says [`Verdict::Wrong`].
    async fn verify(&self, password: SecretString, stored: Option<SecretString>) -> Result<Verdict, Busy>;
    /// The PHC string of a new password.
    async fn hash(&self, password: SecretString) -> Result<SecretString, Busy>;
}
