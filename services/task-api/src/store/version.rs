//! Table `versions`: how often users have changed a thing whose row another service has.

use std::ops::RangeInclusive;

use sqlx::postgres::{PgConnection, PgPool};

use super::decoded;

/// Of what nobody has changed yet.
const FIRST: i64 = 1;

/// The version of a thing.
pub(crate) async fn of(pool: &PgPool, about: &str) -> Result<u64, sqlx::Error> {
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM versions WHERE about = $1")
        .bind(about)
        .fetch_optional(pool)
        .await?;
    decoded(u64::try_from(version.unwrap_or(FIRST)))
}

/// The versions that are the same as the present one, the last of them. Nobody else changes it until the end of the
/// transaction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    about: &str,
) -> Result<RangeInclusive<u64>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO versions (about, version, since)
         VALUES ($1, $2, $2)
         ON CONFLICT DO NOTHING",
    )
    .bind(about)
    .bind(FIRST)
    .execute(&mut *connection)
    .await?;
    let (since, version): (i64, i64) =
        sqlx::query_as("SELECT since, version FROM versions WHERE about = $1 FOR UPDATE")
            .bind(about)
            .fetch_one(connection)
            .await?;
    Ok(decoded(u64::try_from(since))?..=decoded(u64::try_from(version))?)
}

/// Counts a change; the version after it.
pub(crate) async fn count(connection: &mut PgConnection, about: &str) -> Result<u64, sqlx::Error> {
    let version: i64 = sqlx::query_scalar(
        "INSERT INTO versions AS known (about, version, since)
         VALUES ($1, $2 + 1, $2 + 1)
         ON CONFLICT (about) DO UPDATE SET version = known.version + 1, since = known.version + 1
         RETURNING version",
    )
    .bind(about)
    .bind(FIRST)
    .fetch_one(connection)
    .await?;
    decoded(u64::try_from(version))
}

/// Notes that the change which has counted this version was refused: the thing is as it was since `since`.
pub(crate) async fn refused(
    pool: &PgPool,
    about: &str,
    version: u64,
    since: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE versions SET since = $3 WHERE about = $1 AND version = $2")
        .bind(about)
        .bind(decoded(i64::try_from(version))?)
        .bind(decoded(i64::try_from(since))?)
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets a thing that is not there, or no more.
pub(crate) async fn forget(pool: &PgPool, about: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM versions WHERE about = $1")
        .bind(about)
        .execute(pool)
        .await?;
    Ok(())
}
