//! Pages as DTS counts them: by number.

use serde::Serialize;

use super::parameters::Parameters;
use crate::error::ApiError;
use crate::http::query::malformed_parameter;

/// Entries of a page where the call names no number.
const SIZE: usize = 20;

/// DTS takes 20, 30, 50 and 100; every number up to its greatest does no harm.
const SIZE_MAX: usize = 100;

/// Which page, of how many entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    /// From 1.
    number: usize,
    size: usize,
}

/// The members of an answer that say which page it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Counts {
    page_number: usize,
    page_record_count: usize,
    total_record_count: usize,
}

impl Page {
    /// `number` is the parameter's name, which operations do not agree on.
    pub(super) fn read(parameters: &Parameters, number: &str) -> Result<Self, ApiError> {
        let page = Self {
            number: parameters.number(number)?.unwrap_or(1),
            size: parameters.number("PageSize")?.unwrap_or(SIZE),
        };
        if page.number == 0 {
            let repair = "Give a number from 1 on.";
            return Err(malformed_parameter(number, "must not be 0", repair));
        }
        if !(1..=SIZE_MAX).contains(&page.size) {
            let detail = "must lie between 1 and 100";
            return Err(malformed_parameter(
                "PageSize",
                detail,
                "Give 20, 30, 50 or 100.",
            ));
        }
        Ok(page)
    }

    /// The entries of this page.
    pub(super) fn of<T>(self, all: Vec<T>) -> (Vec<T>, Counts) {
        let total_record_count = all.len();
        let before = (self.number - 1).saturating_mul(self.size);
        let entries: Vec<T> = all.into_iter().skip(before).take(self.size).collect();
        let counts = Counts {
            page_number: self.number,
            page_record_count: entries.len(),
            total_record_count,
        };
        (entries, counts)
    }
}
