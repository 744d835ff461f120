//! Pages of lists.

use super::{Issues, PAGE_LIMIT};
use crate::error::ApiError;

/// # Errors
/// Where a page would be too large, or empty.
pub(crate) fn page(field: &str, limit: Option<u32>) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(limit) = limit {
        issues.range(field, limit, &PAGE_LIMIT);
    }
    issues.finish_query()
}

/// # Errors
/// The first problem of the query.
pub(crate) fn searched_page(search: Option<&str>, limit: Option<u32>) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.search(search);
    if let Some(limit) = limit {
        issues.range("limit", limit, &PAGE_LIMIT);
    }
    issues.finish_query()
}
