//! `GET /tasks/{id}/instance`.

use axum::extract::State;
use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::TaskId;
use rowcast_proto::message::InstanceRequest;
use rowcast_proto::rest::Instance;
use rowcast_proto::rpc::GetInstance;

use super::ASK_TIMEOUT;
use super::body::TaskPath;
use super::get_task::existing;
use super::tag::Tagged;
use super::versioned::{self, Thing};
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;

/// Shows what was bought for a task, when it expires, and every order.
#[utoipa::path(
    get,
    path = "/tasks/{id}/instance",
    tag = "tasks",
    params(("id" = String, Path, description = "The task")),
    responses(
        (status = 200, description = "The instance", body = Instance),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_instance(
    State(app): State<App>,
    TaskPath(id): TaskPath,
) -> Result<Tagged<Instance>, ApiError> {
    existing(&app, &id).await?;
    let reading = bought(&app, &id);
    versioned::read(&app, Thing::Instance(&id), reading).await
}

async fn bought(app: &App, id: &TaskId) -> Result<Instance, ApiError> {
    let question = InstanceRequest {
        task_id: id.to_string(),
    };
    let answer = ask::<GetInstance>(app.bus(), &question, ASK_TIMEOUT).await?;
    let Some(instance) = answer.instance else {
        let detail = "the task has no instance";
        return Err(
            ApiError::refused(StatusCode::NOT_FOUND, "instance_missing", detail)
                .repair("Buy one: POST /api/v1/tasks/{id}/purchase."),
        );
    };
    convert::instance_with_orders(instance, answer.orders)
}
