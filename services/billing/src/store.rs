//! The service's tables. SQL only.

pub(crate) mod instance;
pub(crate) mod subscription;
pub(crate) mod order;
pub(crate) mod interval;
pub(crate) mod usage;
pub(crate) mod seen_event;

use sqlx::postgres::PgConnection;

/// Waits until no other transaction works on the task's time, and keeps others out until the end of
/// this one.
///
/// Without it, an hour could be closed while a change of state in it is being written.
pub(crate) async fn lock_task(
    connection: &mut PgConnection,
    task_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext(current_schema()), hashtext($1))")
        .bind(task_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// A number that the table's checks keep from being negative.
pub(crate) fn unsigned<T>(
    number: impl TryInto<T, Error: std::error::Error + Send + Sync + 'static>,
) -> Result<T, sqlx::Error> {
    number
        .try_into()
        .map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A number that PostgreSQL must be able to hold.
pub(crate) fn signed<T>(
    number: impl TryInto<T, Error: std::error::Error + Send + Sync + 'static>,
) -> Result<T, sqlx::Error> {
    number
        .try_into()
        .map_err(|error| sqlx::Error::Encode(error.into()))
}
