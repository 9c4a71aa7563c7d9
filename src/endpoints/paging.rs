//! A part of a list: `skip` and `limit`, and how many there are.

use axum::Json;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::wrong;
use crate::problem::Refusal;
use crate::store::Page;

/// How many there are on all pages.
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
/// On a page where nobody says how many.
const DEFAULT: i64 = 100;
/// On a page at most.
const MAX: i64 = 200;

/// The page that `skip` and `limit` ask for.
pub(super) fn page(skip: Option<i64>, limit: Option<i64>) -> Result<Page, Refusal> {
    let (skip, limit) = (skip.unwrap_or(0), limit.unwrap_or(DEFAULT));
    let skip = u32::try_from(skip).map_err(|_| wrong("skip", format!("`skip` must be from 0 to {}.", u32::MAX)))?;
    let fits = (1..=MAX).contains(&limit).then(|| u32::try_from(limit).ok()).flatten();
    let limit = fits.ok_or_else(|| wrong("limit", format!("`limit` must be from 1 to {MAX}.")))?;
    Ok(Page { skip, limit })
}

/// A list of which `total` are on all pages.
pub(super) fn listed<T: Serialize>(items: Vec<T>, total: u64) -> Response {
    ([(TOTAL, total.to_string())], Json(items)).into_response()
}
