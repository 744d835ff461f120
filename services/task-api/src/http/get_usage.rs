//! `GET /tasks/{id}/usage`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::UsageRequest;
use rowcast_proto::rest::UsageList;
use rowcast_proto::rpc::GetUsage;

use super::ASK_TIMEOUT;
use super::body::TaskPath;
use super::get_task::existing;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows what a task has used, by hour.
#[utoipa::path(
    get,
    path = "/tasks/{id}/usage",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The hours", body = UsageList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_usage(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Json<UsageList>, ApiError> {
    existing(&app, &id).await?;
    let question = UsageRequest { task_id: id.into() };
    let usage = ask::<GetUsage>(app.bus(), &question, ASK_TIMEOUT).await?;
    let lines = usage.lines.into_iter().map(convert::usage_line);
    Ok(Json(UsageList {
        lines: lines.collect::<Result<_, _>>()?,
    }))
}
