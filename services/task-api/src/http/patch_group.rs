//! `PATCH /tasks/{id}/groups/{gid}`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::message::UpdateGroupRequest;
use rowcast_proto::rest::{Group, PatchGroup};
use rowcast_proto::rpc::UpdateGroup;
use rowcast_service::keyring;

use super::ASK_TIMEOUT;
use super::body::{self, GroupPath};
use super::get_task::existing;
use super::tag::{IfMatch, Tagged};
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, validate};

/// Gives a consumer group another name, another number of attempts, another way to go on behind them, another policy, or
/// another password, which closes its connections.
///
/// Its position stays. Another policy holds from some change within the next seconds on: a transaction may be told in part by
/// either.
#[utoipa::path(
    patch,
    path = "/tasks/{id}/groups/{gid}",
    tag = "groups",
    params(("id" = String, Path, description = "The task"), ("gid" = String, Path, description = "The group"), IfMatch),
    request_body = PatchGroup,
    responses(
        (status = 200, description = "The group, without its password", body = Group),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_group(
    State(app): State<App>,
    caller: Caller,
    GroupPath(task, group): GroupPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchGroup>,
) -> Result<Tagged<Group>, ApiError> {
    updated(&app, &caller, (task, group), &expected, wanted).await
}

/// The group as it is then.
pub(crate) async fn updated(
    app: &App,
    caller: &Caller,
    (task, group): (TaskId, GroupId),
    expected: &IfMatch,
    wanted: PatchGroup,
) -> Result<Tagged<Group>, ApiError> {
    validate::group_patch(&wanted)?;
    unless_fixed(&wanted)?;
    existing(app, &task).await?;
    let password = match wanted.password {
        Some(password) => {
            let aad = keyring::group_password(task.as_str());
            let sealed = app.keyring().seal(&Secret::new(password), &aad)?;
            Some(convert::sealed(sealed))
        }
        None => None,
    };
    let question = UpdateGroupRequest {
        task_id: task.to_string(),
        group_id: group.to_string(),
        name: wanted.name.unwrap_or_default(),
        password,
        actor: caller.actor(),
        max_deliver: wanted.max_deliver,
        on_exhausted: convert::on_exhausted(wanted.on_exhausted).into(),
        // An empty one is none.
        etl: wanted
            .etl
            .map(|etl| etl.map(convert::etl).unwrap_or_default()),
    };
    let change = async {
        let changed = ask::<UpdateGroup>(app.bus(), &question, ASK_TIMEOUT).await?;
        convert::group(changed)
    };
    versioned::changed(app, Thing::Group(&task, &group), expected, change).await
}

/// What a group has for ever: its clients were told how to read it, and its stream would hold messages of two kinds.
fn unless_fixed(wanted: &PatchGroup) -> Result<(), ApiError> {
    let is_named = [
        ("mode", wanted.mode.is_some()),
        ("format", wanted.format.is_some()),
    ];
    let Some((field, _named)) = is_named.into_iter().find(|(_field, is_named)| *is_named) else {
        return Ok(());
    };
    let detail = format!("{field} of a group is fixed when it is made");
    let refused = ApiError::refused(StatusCode::CONFLICT, "field_fixed", detail);
    Err(refused
        .field(field)
        .repair("Make another group with it, and move that to this one's position."))
}
