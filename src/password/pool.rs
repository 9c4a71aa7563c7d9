//! Threads that do nothing but hash passwords (contract §13).

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Busy, Passwords, Verdict};
use crate::config::{self, Argon2Cost};
use crate::domain::{Entropy, SecretString};

/// A bounded number of low-priority threads behind a bounded queue.
pub struct Pool {}

impl Pool {
    /// Starts `login.concurrency` threads; `login.queue` jobs may wait for one.
    pub fn start(_login: &config::Login, _cost: Argon2Cost, _entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Takes over what a reload changed: the queue's bound and the cost of hashes made from now on. Threads stay as many.
    pub fn reconfigure(&self, _queue: usize, _cost: Argon2Cost) {}
}

#[async_trait]
impl Passwords for Pool {
    async fn verify(&self, _password: SecretString, _stored: Option<SecretString>) -> Result<Verdict, Busy> {
        Err(Busy::Stopped)
    }

    async fn hash(&self, _password: SecretString) -> Result<SecretString, Busy> {
        Err(Busy::Stopped)
    }
}
