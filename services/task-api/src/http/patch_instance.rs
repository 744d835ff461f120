//! `PATCH /tasks/{id}/instance`.

use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::UpdateInstanceRequest;
use rowcast_proto::rest::{Instance, PatchInstance};
use rowcast_proto::rpc::UpdateInstance;

use super::ASK_TIMEOUT;
use super::body::{self, TaskPath};
use super::get_task::existing;
use super::tag::{IfMatch, Tagged};
use super::versioned::{self, Thing};
use crate::auth::Caller;
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Says whether a task's subscription is renewed by itself when it expires.
#[utoipa::path(
    patch,
    path = "/tasks/{id}/instance",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), IfMatch),
    request_body = PatchInstance,
    responses(
        (status = 200, description = "The instance", body = Instance),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch_instance(
    State(app): State<App>,
    caller: Caller,
    TaskPath(id): TaskPath,
    expected: IfMatch,
    body::Json(wanted): body::Json<PatchInstance>,
) -> Result<Tagged<Instance>, ApiError> {
    existing(&app, &id).await?;
    let question = UpdateInstanceRequest {
        task_id: id.to_string(),
        auto_renew: Some(wanted.auto_renew),
        actor: caller.actor(),
    };
    let change = async {
        let changed = ask::<UpdateInstance>(app.bus(), &question, ASK_TIMEOUT).await?;
        convert::instance(changed)
    };
    versioned::changed(&app, Thing::Instance(&id), &expected, change).await
}
