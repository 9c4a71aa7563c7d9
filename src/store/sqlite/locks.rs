//! What a transaction locks before it reads: nothing, because a writer on SQLite has the database to itself.

use std::future::{Ready, ready};

use super::{DbConnection, Outcome};
use crate::domain::{ClientId, Hash256, SessionId, UserId};

pub(super) fn admins(_: &mut DbConnection) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

pub(super) fn user(_: &mut DbConnection, _: UserId) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

pub(super) fn user_of_session(_: &mut DbConnection, _: SessionId) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

pub(super) fn user_of_refresh(_: &mut DbConnection, _: Hash256) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

pub(super) fn user_of_mailed(_: &mut DbConnection, _: Hash256) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

pub(super) fn users_of_client(_: &mut DbConnection, _: ClientId) -> Ready<Outcome<()>> {
    ready(Ok(()))
}

/// Whether this is the one who forgets what has ended.
pub(super) fn pruning(_: &mut DbConnection) -> Ready<Outcome<bool>> {
    ready(Ok(true))
}
