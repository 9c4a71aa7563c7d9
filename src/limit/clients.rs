//! What failures of OAuth clients to authenticate are counted under.
//!
//! By address, and by address and client; not by client alone: whoever knows a `client_id`, which is no secret, could lock the
//! client out, and 256 bits are not guessed from many addresses either. What succeeds is not counted: a backend that asks about
//! each token that it is given asks often.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};

use super::bucket::Bucket;
use super::cells::Key;
use super::limited_prefix;

/// The two buckets that a failure falls into, each with its key.
pub(super) fn counted<'a>(
    by_client: &'a Bucket,
    by_address: &'a Bucket,
    address: IpAddr,
    client: &str,
) -> [(&'a Bucket, Key); 2] {
    let prefix = limited_prefix(address).to_string();
    [(by_client, key(&["client", &prefix, client])), (by_address, key(&["address", &prefix]))]
}

/// One key for one list of texts: the lengths keep two lists from giving one.
fn key(texts: &[&str]) -> Key {
    let mut digest = Context::new(&SHA256);
    for text in texts {
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    let mut key = Key::default();
    key.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}
