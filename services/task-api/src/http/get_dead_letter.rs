//! `GET /tasks/{id}/groups/{gid}/dead-letters/{lid}`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::DeadLetterRequest;
use rowcast_proto::rest::DeadLetter;
use rowcast_proto::rpc;

use super::ASK_TIMEOUT;
use super::body::LetterPath;
use super::get_task::existing;
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows a change that a consumer group could not deal with.
#[utoipa::path(
    get,
    path = "/tasks/{id}/groups/{gid}/dead-letters/{lid}",
    tag = "groups",
    params(
        ("id" = String, Path, description = "The task"),
        ("gid" = String, Path, description = "The group"),
        ("lid" = u64, Path, description = "The letter's number"),
    ),
    responses(
        (status = 200, description = "The letter with its change", body = DeadLetter),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_dead_letter(
    State(app): State<App>,
    caller: Caller,
    path: LetterPath,
) -> Result<Json<DeadLetter>, ApiError> {
    existing(&app, &path.task).await?;
    let question = question(&caller, path);
    let letter = ask::<rpc::GetDeadLetter>(app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(Json(convert::dead_letter(letter)?))
}

/// About the letter that a path names.
pub(super) fn question(caller: &Caller, path: LetterPath) -> DeadLetterRequest {
    DeadLetterRequest {
        task_id: path.task.into(),
        group_id: path.group.into(),
        actor: caller.actor(),
        id: path.letter,
    }
}
