//! Answers `ListIncidents`.

use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_domain::{ParseIdError, TaskId};
use rowcast_proto::message::{ListIncidentsReply, ListIncidentsRequest, RpcError};
use sqlx::PgPool;

use crate::store::incidents;

/// Lists incidents.
///
/// # Errors
/// Where the task's id is none, or the database does not answer.
pub(crate) async fn answer(
    pool: &PgPool,
    request: ListIncidentsRequest,
) -> Result<ListIncidentsReply, RpcError> {
    let task: Option<TaskId> = Some(request.task_id)
        .filter(|id| !id.is_empty())
        .map(TaskId::try_from)
        .transpose()
        .map_err(|error: ParseIdError| {
            refuse::invalid("malformed_id", error.to_string()).field("task_id")
        })?;
    let incidents = incidents::list(pool, task.as_ref(), &request.within, request.open)
        .await
        .map_err(|error| {
            tracing::error!(%error, "incidents cannot be read");
            refuse::unavailable(
                "database_unavailable",
                "the incidents cannot be read at the moment",
            )
            .repair("Ask again later.")
        })?;
    Ok(ListIncidentsReply {
        incidents: incidents.into_iter().map(Into::into).collect(),
    })
}
