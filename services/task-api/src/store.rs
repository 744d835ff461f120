//! The service's tables. SQL only.

pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod transition;
pub(crate) mod instance_state;
pub(crate) mod kept_order;
pub(crate) mod precheck;
pub(crate) mod idempotency;
pub(crate) mod recheck;
pub(crate) mod token;
pub(crate) mod version;
pub(crate) mod audit;

use std::str::FromStr;

/// A number or text of a row that the service itself has written.
pub(crate) fn decoded<T, E>(value: Result<T, E>) -> Result<T, sqlx::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    value.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A text column as the value that it stands for.
pub(crate) fn parsed<T>(text: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    decoded(text.parse())
}
