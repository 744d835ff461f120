//! `POST /tasks/{id}/groups`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use rowcast_bus::request::ask;
use rowcast_domain::{Secret, TaskCommand, TaskId};
use rowcast_proto::message::{self as m, CreateGroupRequest};
use rowcast_proto::rest::{CreateGroup, CreateTask, Format, Group, GroupFormat};
use rowcast_proto::rpc;
use rowcast_service::keyring;

use super::body::{self, TaskPath};
use super::get_task::existing;
use super::{ASK_TIMEOUT, delete_group, idempotency};
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::{self, StoredTask};
use crate::{convert, validate};

/// Creates a consumer group.
#[utoipa::path(
    post,
    path = "/tasks/{id}/groups",
    tag = "groups",
    params(("id" = String, Path, description = "The task")),
    request_body = CreateGroup,
    responses(
        (status = 201, description = "The group, without its password", body = Group),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_group(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    headers: HeaderMap,
    body::Json(wanted): body::Json<CreateGroup>,
) -> Result<(StatusCode, Json<Group>), ApiError> {
    let key = idempotency::key(&headers)?;
    let group = created(&app, &caller, id, wanted, key).await?;
    Ok((StatusCode::CREATED, Json(group)))
}

/// A new group of a task; `key` is the request's Idempotency-Key.
pub(crate) async fn created(
    app: &App,
    caller: &Caller,
    id: TaskId,
    wanted: CreateGroup,
    key: Option<String>,
) -> Result<Group, ApiError> {
    validate::group(&wanted)?;
    let task = existing(app, &id).await?;
    ApiError::unless_taken(task.state, TaskCommand::CreateGroup)?;
    let CreateGroup {
        name,
        account,
        password,
        mode,
        etl,
        format,
        max_deliver,
        on_exhausted,
        delivery,
    } = wanted;
    let format = own_format(format, task.definition.format, etl.is_some());
    let sealed = app.keyring().seal(
        &Secret::new(password),
        &keyring::group_password(id.as_str()),
    )?;
    let question = CreateGroupRequest {
        task_id: id.into(),
        name,
        account,
        password: Some(convert::sealed(sealed)),
        request_key: key.unwrap_or_default(),
        actor: caller.actor(),
        mode: m::GroupMode::from(mode.unwrap_or_default()).into(),
        partitions: task.definition.partitions(),
        etl: etl.map(convert::etl),
        format: format.into(),
        max_deliver,
        on_exhausted: convert::on_exhausted(on_exhausted).into(),
        delivery: m::GroupDelivery::from(delivery.unwrap_or_default()).into(),
    };
    let created = ask::<rpc::CreateGroup>(app.bus(), &question, ASK_TIMEOUT).await?;
    let group = convert::group(created)?;
    take_back_if_changed(app, caller, &task, &group).await?;
    Ok(group)
}

/// Deletes the group where the task was changed, in the same moment, in what the group was made for.
///
/// Whoever changes that keeps the task's row from when groups are looked for until the change is written. So either the
/// group is found there, or the change here.
async fn take_back_if_changed(
    app: &App,
    caller: &Caller,
    before: &StoredTask,
    group: &Group,
) -> Result<(), ApiError> {
    let now = task::settled(app.pool(), &before.id).await?;
    let is_same = now.is_some_and(|now| is_made_for(&before.definition, &now.definition));
    if is_same {
        return Ok(());
    }
    delete_group::deleted(app, caller, before.id.clone(), group.id.clone()).await?;
    let detail = "what groups are made for was changed in the same moment: the group is deleted";
    let refused = ApiError::refused(StatusCode::CONFLICT, "task_changed", detail);
    let repair = "Look at the task, and create the group again, with another Idempotency-Key.";
    Err(refused.repair(repair))
}

/// Whether a group of one is also right for the other.
fn is_made_for(one: &CreateTask, other: &CreateTask) -> bool {
    let shape = |task: &CreateTask| {
        let (partitions, packing) = (task.partitions(), task.packing);
        (partitions, packing, task.format, task.network.clone())
    };
    shape(one) == shape(other)
}

/// What is asked for in the task's own way is read from the task's stream, and is no format of the group's own. Where a
/// policy needs a stream of the group's own, that is in the task's format unless another one is asked for.
fn own_format(wanted: Option<GroupFormat>, of_task: Format, has_policy: bool) -> m::GroupFormat {
    let of_task = match of_task {
        Format::Json => GroupFormat::Json,
        Format::Protobuf => GroupFormat::Protobuf,
    };
    match wanted {
        None if has_policy && of_task != GroupFormat::Json => of_task.into(),
        None => m::GroupFormat::Unspecified,
        Some(wanted) if wanted == of_task && !has_policy => m::GroupFormat::Unspecified,
        Some(wanted) => wanted.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_is_the_tasks_is_none_of_the_groups_own() {
        use m::GroupFormat::{Debezium, Json, Protobuf, Unspecified};
        let own = own_format;
        let (json, protobuf) = (Some(GroupFormat::Json), Some(GroupFormat::Protobuf));
        for (of_task, same, other, told) in [
            (Format::Json, json, protobuf, Protobuf),
            (Format::Protobuf, protobuf, json, Json),
        ] {
            assert_eq!(own(None, of_task, false), Unspecified);
            assert_eq!(own(same, of_task, false), Unspecified);
            assert_eq!(own(other, of_task, false), told);
            assert_eq!(own(other, of_task, true), told);
            let debezium = Some(GroupFormat::Debezium);
            assert_eq!(own(debezium, of_task, false), Debezium);
        }
        // A policy makes a stream of the group's own.
        assert_eq!(own(json, Format::Json, true), Json);
        assert_eq!(own(protobuf, Format::Protobuf, true), Protobuf);
        assert_eq!(own(None, Format::Json, true), Unspecified);
        assert_eq!(own(None, Format::Protobuf, true), Protobuf);
    }
}
