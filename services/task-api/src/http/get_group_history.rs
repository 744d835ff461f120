//! `GET /tasks/{id}/groups/{gid}/history`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use rowcast_bus::request::ask;
use rowcast_proto::message::GroupHistoryRequest;
use rowcast_proto::rest::GroupHistory;
use rowcast_proto::rpc;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_task::existing;
use super::query::Params;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Samples where the query names no number.
const POINTS: u32 = 300;

/// How far back the answer goes where the query names no time.
const BACK: TimeDelta = TimeDelta::days(1);

/// Which samples.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Not before this time; a day before `until` where absent.
    since: Option<DateTime<Utc>>,
    /// Before this time; now where absent.
    until: Option<DateTime<Utc>>,
    /// Most samples, 1–1000; 300 where absent. The time is cut into so many pieces, and of each the worst is told.
    points: Option<u32>,
}

/// Shows how far behind a consumer group was over time: every 30 s of the last day, every 5 minutes of the last week.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}/history",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group"), Wanted),
    responses(
        (status = 200, description = "The samples", body = GroupHistory),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_group_history(
    State(app): State<App>,
    GroupPath(task, group): GroupPath,
    Params(wanted): Params<Wanted>,
) -> Result<Json<GroupHistory>, ApiError> {
    existing(&app, &task).await?;
    let until = wanted.until.unwrap_or_else(Utc::now);
    let since = wanted.since.unwrap_or(until - BACK);
    let question = GroupHistoryRequest {
        task_id: task.into(),
        group_id: group.into(),
        since: Some(since.into()),
        until: Some(until.into()),
        points: wanted.points.unwrap_or(POINTS),
    };
    let told = ask::<rpc::GetGroupHistory>(app.bus(), &question, ASK_TIMEOUT).await?;
    let samples = told.samples.into_iter().map(convert::group_sample);
    Ok(Json(GroupHistory {
        samples: samples.collect::<Result<_, _>>()?,
    }))
}
