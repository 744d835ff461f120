//! The service's tables. SQL only.

pub(crate) mod group;
pub(crate) mod sample;
pub(crate) mod consumption;
pub(crate) mod standing;
pub(crate) mod share;
pub(crate) mod derivation;
pub(crate) mod released;
pub(crate) mod waiting;
pub(crate) mod untold;

use sqlx::postgres::PgConnection;

/// Lets one transaction at a time change the groups of a task, so that a count holds until commit.
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
