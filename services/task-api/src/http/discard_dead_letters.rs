//! `POST /tasks/{id}/groups/{gid}/dead-letters/discard`, and `DELETE` of one letter.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_proto::rest::DeadLettersDone;
use rowcast_proto::rpc::DiscardDeadLetters;

use super::MOVE_TIMEOUT;
use super::body::{GroupPath, LetterPath};
use super::get_dead_letter::question;
use super::get_task::existing;
use super::redrive_dead_letters::all;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Removes a group's dead letters for good, at most 500 at a time.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups/{gid}/dead-letters/discard",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "How many are gone", body = DeadLettersDone),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn discard_dead_letters(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
) -> Result<Json<DeadLettersDone>, ApiError> {
    existing(&app, &task).await?;
    let question = all(&caller, GroupPath(task, group));
    let done = ask::<DiscardDeadLetters>(app.bus(), &question, MOVE_TIMEOUT).await?;
    Ok(Json(convert::dead_letters_done(done)))
}

/// Removes one dead letter for good.
#[utoipa::path(
    delete,
    path = "/tasks/{id}/groups/{gid}/dead-letters/{lid}",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The task"),
        ("gid" = String, Path, description = "The group"),
        ("lid" = u64, Path, description = "The letter's number"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn discard_dead_letter(
    State(app): State<App>,
    caller: Caller,
    path: LetterPath,
) -> Result<StatusCode, ApiError> {
    existing(&app, &path.task).await?;
    let question = question(&caller, path);
    ask::<DiscardDeadLetters>(app.bus(), &question, MOVE_TIMEOUT).await?;
    Ok(StatusCode::NO_CONTENT)
}
