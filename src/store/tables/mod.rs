//! The traits of [`store`](crate::store), answered with the statements of [`sql`](crate::store::sql).
//!
//! This folder is compiled once for each database, below the module of that database, because sqlx has rows, connections
//! and transactions of a type of their own for each. What differs between them is what this module takes from above it:
//! how work is run ([`Db`]) and what it locks ([`locks`]).

mod administration;
mod audit;
mod clients;
mod keys;
mod log;
mod mailed;
mod rotate;
mod rows;
mod sessions;
mod users;

use super::{Db, DbConnection, DbRow, Outcome, locks};
