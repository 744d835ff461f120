//! `DELETE /sources/{id}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::SourceId;

use super::body::SourcePath;
use super::tag::IfMatch;
use crate::clock;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::{source, task};

/// How many tasks a refusal names.
const NAMED_MAX: usize = 10;

/// Deletes a source that no task needs any more, and its password with it.
#[utoipa::path(
    delete,
    path = "/sources/{id}",
    tag = "sources",
    params(("id" = String, Path, description = "The source"), IfMatch),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_source(
    State(app): State<App>,
    SourcePath(id): SourcePath,
    expected: IfMatch,
) -> Result<StatusCode, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let stored = source::lock(&mut transaction, &id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", id.as_str()))?;
    expected.holds(stored.version)?;
    let needing = task::needing_source(&mut transaction, &id).await?;
    if !needing.is_empty() {
        return Err(in_use(&id, &needing));
    }
    source::delete(&mut transaction, &id, clock::now()).await?;
    transaction.commit().await?;
    tracing::info!(source = %id, "source deleted");
    Ok(StatusCode::NO_CONTENT)
}

fn in_use(id: &SourceId, tasks: &[(String, String)]) -> ApiError {
    let mut named: Vec<String> = tasks
        .iter()
        .take(NAMED_MAX)
        .map(|(name, id)| format!("{name} ({id})"))
        .collect();
    if let Some(more) = tasks.len().checked_sub(NAMED_MAX).filter(|&more| more > 0) {
        named.push(format!("{more} more"));
    }
    let detail = format!("the source {id} is used by: {}", named.join(", "));
    ApiError::refused(StatusCode::CONFLICT, "source_in_use", detail).repair(
        "Release these tasks first: POST /api/v1/tasks/{id}/release. One that is released and still \
         named has an error, or is being released.",
    )
}
