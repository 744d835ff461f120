//! `POST /tasks/{id}/groups/{gid}/dead-letters/redrive`, and of one letter.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::DeadLetterRequest;
use rowcast_proto::rest::DeadLettersDone;
use rowcast_proto::rpc::RedriveDeadLetters;

use super::MOVE_TIMEOUT;
use super::body::{GroupPath, LetterPath};
use super::get_dead_letter::question;
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Sends a group its dead letters once more, in the order in which they were put away, at most 500 at a time. Those whose
/// body is gone stay.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups/{gid}/dead-letters/redrive",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group")),
    responses(
        (status = 200, description = "How many are on their way", body = DeadLettersDone),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn redrive_dead_letters(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
) -> Result<Json<DeadLettersDone>, ApiError> {
    existing(&app, &task).await?;
    let question = all(&caller, GroupPath(task, group));
    let done = ask::<RedriveDeadLetters>(app.bus(), &question, MOVE_TIMEOUT).await?;
    Ok(Json(convert::dead_letters_done(done)))
}

/// Sends a group one of its dead letters once more. Acknowledged, it is gone; where it fails again as often as the group
/// allows, it is a letter again, under another number.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups/{gid}/dead-letters/{lid}/redrive",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The task"),
        ("gid" = String, Path, description = "The group"),
        ("lid" = u64, Path, description = "The letter's number"),
    ),
    responses(
        (status = 200, description = "It is on its way", body = DeadLettersDone),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn redrive_dead_letter(
    State(app): State<App>,
    caller: Caller,
    path: LetterPath,
) -> Result<Json<DeadLettersDone>, ApiError> {
    existing(&app, &path.task).await?;
    let question = question(&caller, path);
    let done = ask::<RedriveDeadLetters>(app.bus(), &question, MOVE_TIMEOUT).await?;
    Ok(Json(convert::dead_letters_done(done)))
}

/// About all letters of a group.
pub(super) fn all(caller: &Caller, GroupPath(task, group): GroupPath) -> DeadLetterRequest {
    let letter = 0;
    question(
        caller,
        LetterPath {
            task,
            group,
            letter,
        },
    )
}
