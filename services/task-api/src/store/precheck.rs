//! Table `prechecks`.

use rowcast_domain::TaskId;
use rowcast_proto::rest::Precheck;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::types::Json;

pub(crate) async fn insert(
    connection: &mut PgConnection,
    task: &TaskId,
    report: &Precheck,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO prechecks (id, task_id, report, finished_at) VALUES ($1, $2, $3, $4)")
        .bind(&report.id)
        .bind(task.as_str())
        .bind(Json(report))
        .bind(report.finished_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// The report of the last precheck that gave one.
pub(crate) async fn last(pool: &PgPool, task: &TaskId) -> Result<Option<Precheck>, sqlx::Error> {
    let report: Option<Json<Precheck>> = sqlx::query_scalar(
        "SELECT report FROM prechecks WHERE task_id = $1 ORDER BY finished_at DESC LIMIT 1",
    )
    .bind(task.as_str())
    .fetch_optional(pool)
    .await?;
    Ok(report.map(|report| report.0))
}
