//! `GET /tasks/{id}/log`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::task_log;
use rowcast_proto::rest::{LogLevel, TaskLog};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::TaskPath;
use super::get_task::existing;
use super::query::Params;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Lines where the query names no number.
const LINES: u32 = 100;

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// That matter at least so much; all where absent.
    level: Option<LogLevel>,
    /// Of this service, as `capture`; of all where absent.
    service: Option<String>,
    /// Most lines, the newest, 1–200; 100 where absent.
    limit: Option<u32>,
}

/// Lists what the services logged about a task, oldest first: each service's last 1000 lines of the last 14 days
/// are kept.
#[utoipa::path(
    get,
    path = "/tasks/{id}/log",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), Wanted),
    responses(
        (status = 200, description = "The lines", body = TaskLog),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_log(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    Params(wanted): Params<Wanted>,
) -> Result<Json<TaskLog>, ApiError> {
    validate::page("limit", wanted.limit)?;
    existing(&app, &id).await?;
    let read = task_log::read(app.bus(), &id).await;
    let read = read.map_err(ApiError::Nats)?;
    let mut lines = Vec::with_capacity(read.len());
    for line in read {
        let line = convert::log_line(line)?;
        let is_of = wanted
            .service
            .as_ref()
            .is_none_or(|service| *service == line.service);
        if is_of && wanted.level.is_none_or(|least| line.level >= least) {
            lines.push(line);
        }
    }
    lines.sort_by_key(|line| line.at);
    let limit = wanted
        .limit
        .unwrap_or(LINES)
        .try_into()
        .unwrap_or(usize::MAX);
    let lines = lines.split_off(lines.len().saturating_sub(limit));
    Ok(Json(TaskLog { lines }))
}
