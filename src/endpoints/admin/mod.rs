//! `/admin`: everybody's accounts, sessions and keys, for admins.

pub(super) mod audit;
pub(super) mod clients;
pub(super) mod keys;
pub(super) mod sessions;
pub(super) mod users;
