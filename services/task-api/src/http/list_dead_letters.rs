//! `GET /tasks/{id}/groups/{gid}/dead-letters`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::ListDeadLettersRequest;
use rowcast_proto::rest::DeadLetterList;
use rowcast_proto::rpc::ListDeadLetters;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ASK_TIMEOUT;
use super::body::GroupPath;
use super::get_task::existing;
use super::query::{Params, malformed_parameter};
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Letters of a page where the query names no number.
const LIMIT: u32 = 100;

/// Which letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only those with a greater number: `next_after` of the page before.
    after: Option<u64>,
    /// Most letters, 1–500; 100 where absent.
    limit: Option<u32>,
}

/// Lists the changes that a consumer group could not deal with, those first that were put away first.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}/dead-letters",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group"), Wanted),
    responses(
        (status = 200, description = "A page of them, without bodies", body = DeadLetterList),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_dead_letters(
    State(app): State<App>,
    GroupPath(task, group): GroupPath,
    Params(wanted): Params<Wanted>,
) -> Result<Json<DeadLetterList>, ApiError> {
    existing(&app, &task).await?;
    let limit = wanted.limit.unwrap_or(LIMIT);
    if !(1..=500).contains(&limit) {
        let repair = "Give 1 to 500.";
        return Err(malformed_parameter("limit", "is out of range", repair));
    }
    let question = ListDeadLettersRequest {
        task_id: task.into(),
        group_id: group.into(),
        after: wanted.after.unwrap_or_default(),
        limit,
    };
    let told = ask::<ListDeadLetters>(app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(Json(convert::dead_letter_list(told)?))
}
