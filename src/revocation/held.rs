//! What Redis holds already, so that only what it lacks is published again.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use crate::domain::Entry;

/// What a stream holds: an entry may stand there twice, with different ends. By 128 bits of a hash that only this process can
/// make: of millions no two are alike, and they take a third of the room.
pub(super) struct Held {
    hashers: [RandomState; 2],
    hashes: HashSet<[u64; 2]>,
    /// How many there can be.
    most: usize,
}

impl Held {
    /// Nothing yet, of `most` entries that there can be.
    pub(super) fn new(most: usize) -> Self {
        Self { hashers: Default::default(), hashes: HashSet::new(), most }
    }

    /// It holds this one.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.hashes.insert(self.hash(entry));
    }

    /// Whether it holds this one, with this end.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.hashes.contains(&self.hash(entry))
    }

    fn hash(&self, entry: &Entry) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one((&entry.what, entry.until)))
    }

    /// How many more fit into Redis.
    pub(super) fn room(&self) -> usize {
        self.most.saturating_sub(self.hashes.len())
    }
}
