//! `GET /tasks/{id}/release`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message::{ChargeType, InstanceRequest};
use rowcast_proto::rest::{ReleasePlan, ReleasedItem, ReleasedKind};
use rowcast_proto::rpc::GetInstance;
use rowcast_proto::stream::{source_object, task_stream};

use super::ASK_TIMEOUT;
use super::body::TaskPath;
use super::get_source::source_name;
use super::get_task::existing;
use super::list_groups::groups_of;
use crate::auth::Caller;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::store::task::StoredTask;

/// Shows what a release of a task would remove. Nothing is removed.
#[utoipa::path(
    get,
    path = "/tasks/{id}/release",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "What would be removed", body = ReleasePlan),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn plan_release(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
) -> Result<Json<ReleasePlan>, ApiError> {
    let task = existing(&app, &id).await?;
    let mut items = made_by_capture(&app, &caller, &task).await?;
    if task.state != TaskState::Released {
        items.extend(groups(&app, &id).await?);
        items.extend(instance(&app, &id).await?);
    }
    Ok(Json(ReleasePlan { items }))
}

/// What stands on the source and on NATS; a removal that has failed is still to be done.
async fn made_by_capture(
    app: &App,
    caller: &Caller,
    task: &StoredTask,
) -> Result<Vec<ReleasedItem>, ApiError> {
    let is_left = task.state == TaskState::Resetting
        || (task.state == TaskState::Released && task.error.is_some());
    if !task.was_started() && !is_left {
        return Ok(Vec::new());
    }
    let source = source_name(app, caller, &task.source_id).await?;
    let database = task.definition.database.as_deref().unwrap_or_default();
    let there = format!("on the source {source}, database {database}");
    let name = source_object(&task.id);
    let up_to = task.position.as_ref();
    let changes = up_to.map_or_else(
        || "no changes yet".to_owned(),
        |position| {
            format!(
                "changes up to {} (sequence {})",
                position.position, position.stream_sequence
            )
        },
    );
    let mut items = vec![
        item(ReleasedKind::Stream, &task_stream(&task.id), changes),
        item(ReleasedKind::Slot, &name, there.clone()),
        item(ReleasedKind::Publication, &name, there.clone()),
    ];
    if task.definition.change_types.schema {
        let detail = format!("{there}, unless another task of the database needs it");
        items.push(item(ReleasedKind::Trigger, "rowcast", detail));
    }
    Ok(items)
}

async fn groups(app: &App, id: &TaskId) -> Result<Vec<ReleasedItem>, ApiError> {
    let groups = groups_of(app, id.clone()).await?.groups;
    let named = groups.into_iter().map(|group| {
        let detail = format!("{} changes not read yet", group.pending);
        item(ReleasedKind::Group, &group.name, detail)
    });
    Ok(named.collect())
}

async fn instance(app: &App, id: &TaskId) -> Result<Option<ReleasedItem>, ApiError> {
    let question = InstanceRequest {
        task_id: id.to_string(),
    };
    let answer = ask::<GetInstance>(app.bus(), &question, ASK_TIMEOUT).await?;
    Ok(answer.instance.map(|instance| {
        let detail = match instance.charge_type() {
            ChargeType::Subscription => "the months that are paid for are not refunded",
            ChargeType::PayAsYouGo | ChargeType::Unspecified => "billed no further",
        };
        item(ReleasedKind::Instance, &instance.id, detail.to_owned())
    }))
}

fn item(kind: ReleasedKind, name: &str, detail: String) -> ReleasedItem {
    ReleasedItem {
        kind,
        name: name.to_owned(),
        detail,
    }
}
