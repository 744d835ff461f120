//! `DELETE /sources/{id}`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_domain::SourceId;
use tokio::time::Instant;

use super::body::SourcePath;
use super::tag::IfMatch;
use crate::auth::Caller;
use crate::clock;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::source;
use crate::store::task::{self, Needing};

/// How long a release that was just asked for may take to be written where capture reads it: the source is
/// needed until then, and who releases and deletes at once need not know.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

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
    caller: Caller,
    SourcePath(id): SourcePath,
    expected: IfMatch,
) -> Result<StatusCode, ApiError> {
    let until = Instant::now() + SETTLED_WITHIN;
    loop {
        let needing = delete(&app, &id, &expected).await?;
        if needing.is_empty() {
            tracing::info!(source = %id, "source deleted");
            return Ok(StatusCode::NO_CONTENT);
        }
        if Instant::now() > until || !needing.iter().all(|task| task.is_settling) {
            return Err(in_use(&caller, &id, &needing));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes it, or tells the tasks that need it.
pub(crate) async fn delete(
    app: &App,
    id: &SourceId,
    expected: &IfMatch,
) -> Result<Vec<Needing>, ApiError> {
    let mut transaction = app.pool().begin().await?;
    let stored = source::lock(&mut transaction, id)
        .await?
        .ok_or_else(|| ApiError::not_found("source", id.as_str()))?;
    expected.holds(stored.version)?;
    let needing = task::needing_source(&mut transaction, id).await?;
    if needing.is_empty() {
        source::delete(&mut transaction, id, clock::now()).await?;
        transaction.commit().await?;
    }
    Ok(needing)
}

fn in_use(caller: &Caller, id: &SourceId, tasks: &[Needing]) -> ApiError {
    let detail = format!("the source {id} is used by: {}", named(caller, tasks));
    ApiError::refused(StatusCode::CONFLICT, "source_in_use", detail).repair(
        "Release these tasks first: POST /api/v1/tasks/{id}/release. One that is released and still \
         named has an error, or is being released.",
    )
}

/// Names the tasks that the caller sees, and counts the others.
pub(crate) fn named(caller: &Caller, tasks: &[Needing]) -> String {
    let mut named: Vec<String> = tasks
        .iter()
        .filter(|task| caller.sees(task.resource_group.as_deref()))
        .take(NAMED_MAX)
        .map(|Needing { name, id, .. }| format!("{name} ({id})"))
        .collect();
    if let Some(more) = tasks
        .len()
        .checked_sub(named.len())
        .filter(|&more| more > 0)
    {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
